"""Websites: which pages become documents, how they are fetched, and what happens if they do not answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import ListedDocument, Source, SourceContext
from knowledge.parsing import Parser
from knowledge.sources.website import source as websites
from knowledge.sources.website.source import WebsiteSource
from knowledge.web.reading.site_parser import SiteParser
from tests.sources.building import build, memories
from tests.sources.contract import listing
from tests.sources.website.fake_site import Reply, WebSite
from tests.sources.website.shared_reader import share_reader

LONG = "<p>Every employee has thirty days of annual leave, which must be taken until March of the next year.</p>" * 3


@pytest.fixture
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    await site.start()
    site.page("/", "<a href='/a'>A</a> <a href='/b/'>B</a>" + LONG)
    site.page("/a", "about a" + LONG)
    site.page("/b/", "<a href=c>C</a>" + LONG)
    site.page("/b/c", "about c" + LONG)
    yield site
    await site.stop()


def source(site: WebSite, folder: Path, kept: dict[str, bytes] | None = None, **options: Any) -> Source:
    made = build("website", folder, kept=kept, **{"url": f"{site.url}/", "allow_hosts": [site.host], **options})
    return share_reader(made)


async def broken(source: Source) -> tuple[dict[str, ListedDocument], SourceError]:
    found: dict[str, ListedDocument] = {}
    try:
        async for batch in source.list():
            found.update((one.document, one) for one in batch)
    except SourceError as error:
        return found, error
    raise AssertionError("the listing was whole")


async def documents(site: WebSite, folder: Path, **options: Any) -> set[str]:
    made = source(site, folder, **options)
    try:
        return set(await listing(made))
    finally:
        await made.close()


# ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pages_are_found_by_links_and_read(site: WebSite, tmp_path: Path) -> None:
    made = source(site, tmp_path)
    found = await listing(made)
    assert set(found) == {"/", "a", "b", "b/c"}
    content = await made.read(found["b/c"])
    await made.close()
    parser = Parser()
    document = await parser.parse("b/c", content)
    await parser.close()
    assert (document.title, "thirty days" in document.sections[0].text) == ("/b/c", True)
    assert site.bodies["/b/c"] == 1, "what the listing brought is not fetched again"


async def test_sitemaps_are_followed_packed_and_nested(site: WebSite, tmp_path: Path) -> None:
    index = f"<sitemapindex><sitemap><loc>{site.url}/maps/1.xml.gz</loc></sitemap></sitemapindex>"
    pages = "".join(f"<url><loc>{site.url}/x{n}</loc><lastmod>2026-01-0{n}</lastmod></url>" for n in (1, 2))
    outside = "<url><loc>https://elsewhere.example/x</loc></url>"
    site.pages["/robots.txt"] = Reply(f"Sitemap: {site.url}/map.xml", content_type="text/plain")
    site.pages["/map.xml"] = Reply(index, content_type="application/xml")
    site.pages["/maps/1.xml.gz"] = Reply(
        gzip.compress(f'<?xml version="1.0"?><urlset>{pages}{outside}</urlset>'.encode()),
        content_type="application/gzip",
    )
    site.page("/x1", LONG)
    site.page("/x2", LONG)
    made = source(site, tmp_path, links=False)
    found = await listing(made)
    await made.close()
    assert set(found) == {"/", "x1", "x2"}
    assert found["x2"].modified_at == datetime(2026, 1, 2, tzinfo=UTC)


async def test_only_what_is_below_the_prefix_belongs(site: WebSite, tmp_path: Path) -> None:
    site.page("/b/", "<a href=c>C</a><a href=/a>A</a><a href=/b-old/x>old</a><a href=../a>up</a>" + LONG)
    assert await documents(site, tmp_path, url=f"{site.url}/b/") == {"/", "c"}


async def test_one_page_is_one_document_however_it_is_spelled(site: WebSite, tmp_path: Path) -> None:
    spellings = [
        "/a", "/a/", "/a#top", "/a?utm_source=mail", "/./a", "/b/../a", "/%61", "//127.0.0.1:PORT/a", "/a;jsessionid=9",
        "/a?PHPSESSID=1", "/index.html",
    ]  # fmt: skip
    port = site.url.rpartition(":")[2]
    links = "".join(f"<a href='{one.replace('PORT', port)}'>x</a>" for one in spellings)
    site.page("/", links + LONG)
    assert await documents(site, tmp_path) == {"/", "a"}
    assert site.asked["/a"] == 1


async def test_a_canonical_page_replaces_its_copies(site: WebSite, tmp_path: Path) -> None:
    site.page("/a", LONG, head='<link rel=canonical href="/real">')
    site.page("/real", LONG)
    assert "real" in (found := await documents(site, tmp_path))
    assert "a" not in found


async def test_a_wrong_canonical_page_loses_nothing(site: WebSite, tmp_path: Path) -> None:
    site.page("/a", LONG, head='<link rel=canonical href="/nowhere">')
    site.page("/b/", "other" + LONG, head='<link rel=canonical href="/">')
    assert await documents(site, tmp_path) >= {"a", "b"}


async def test_redirects_lead_to_one_document_and_never_out(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "<a href=/old>old</a><a href=/a>A</a><a href=/away>away</a>" + LONG)
    site.pages["/old"] = Reply(status=301, headers={"Location": "/a"})
    site.pages["/away"] = Reply(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    assert await documents(site, tmp_path) == {"/", "a"}


async def test_the_same_page_under_another_query_is_one(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "<a href='/a?token=1'>1</a><a href='/a?token=2'>2</a><a href='/q?id=1'>q</a><a href='/q?id=2'>q</a>")
    for number in (1, 2):
        site.page(f"/q?id={number}", f"{number}" + LONG)
        site.pages[f"/a?token={number}"] = site.pages["/a"]
    assert await documents(site, tmp_path) == {"/", "a?token=1", "q?id=1", "q?id=2"}


async def test_files_are_documents_and_pictures_are_not_fetched(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "<a href=/x.pdf>pdf</a><a href=/y.png>png</a><a href=/z.zip>zip</a><a href=/data>data</a>" + LONG)
    site.pages["/x.pdf"] = Reply(b"%PDF-1.4 ...", content_type="application/pdf")
    site.pages["/data"] = Reply(b"\0\1", content_type="application/octet-stream")
    assert await documents(site, tmp_path) == {"/", "x.pdf"}
    assert not {"/y.png", "/z.zip"} & set(site.asked)


async def test_include_and_exclude(site: WebSite, tmp_path: Path) -> None:
    assert await documents(site, tmp_path, include=["b/*"]) == {"b/c"}
    assert await documents(site, tmp_path, exclude=["b"]) == {"/", "a"}
    assert await documents(site, tmp_path, max_depth=1) == {"/", "a", "b"}


# ── What the site asks of robots ─────────────────────────────────────────────────────────────────────────────────────


async def test_robots_txt_is_honoured(site: WebSite, tmp_path: Path) -> None:
    site.pages["/robots.txt"] = Reply("User-agent: kvasir\nDisallow: /b/", content_type="text/plain")
    assert await documents(site, tmp_path) == {"/", "a"}
    assert not any(path.startswith("/b/") for path in site.asked)
    assert "b" in await documents(site, tmp_path, robots=False)


async def test_noindex_and_nofollow(site: WebSite, tmp_path: Path) -> None:
    site.page("/a", LONG, X_Robots_Tag="noindex")
    site.page("/b/", "<a href=c>C</a>", head='<meta name="robots" content="noindex, nofollow">')
    assert await documents(site, tmp_path) == {"/"}
    site.page("/b/", "<a href=c>C</a>", head='<meta name="robots" content="noindex">')
    site.page("/a", LONG, X_Robots_Tag="otherbot: noindex")
    assert await documents(site, tmp_path) == {"/", "a", "b/c"}


async def test_an_unreachable_robots_txt_forbids_everything(site: WebSite, tmp_path: Path) -> None:
    site.pages["/robots.txt"] = Reply("", 503, headers={"Retry-After": "0"})
    made = source(site, tmp_path)
    with pytest.raises(SourceUnavailable, match="robots"):
        await listing(made)
    await made.close()
    site.pages["/robots.txt"] = Reply("User-agent: *\nDisallow: /", content_type="text/plain")
    made = source(site, tmp_path)
    with pytest.raises(SourceDenied, match="robots"):
        await listing(made)
    await made.close()


async def test_requests_name_kvasir_and_at_most_two_run_at_once(site: WebSite, tmp_path: Path) -> None:
    links = "".join(f"<a href=/p{number}>{number}</a>" for number in range(30))
    site.page("/", links)
    for number in range(30):
        site.page(f"/p{number}", f"{number}" + LONG)
    await documents(site, tmp_path, contact="https://company.example/kvasir")
    assert {headers["User-Agent"] for headers in site.headers} == {"Kvasir/0.1 (+https://company.example/kvasir)"}
    assert site.most_together <= 2


async def test_a_busy_host_gets_a_pause(site: WebSite, tmp_path: Path) -> None:
    calm = site.pages["/a"]

    class Busy(dict[str, Reply]):
        def get(self, path: str, default: Any = None) -> Any:
            busy = path == "/a" and site.asked["/a"] < 3
            return Reply("busy", 429, headers={"Retry-After": "0"}) if busy else super().get(path, default)

    site.pages = Busy({**site.pages, "/a": calm})
    assert "a" in await documents(site, tmp_path)
    assert site.asked["/a"] == 3


async def test_the_authorization_goes_only_to_the_site(site: WebSite, tmp_path: Path) -> None:
    made = build(
        "website", tmp_path, url=f"{site.url}/", allow_hosts=[site.host], authorization_env="X",
        secrets={"authorization": "Bearer 1234567890"},
    )  # fmt: skip
    before = set(psutil.Process().children(recursive=True))
    await listing(made)
    assert set(psutil.Process().children(recursive=True)) - before, "it reads with a process of its own"
    await made.close()
    assert set(psutil.Process().children(recursive=True)) <= before
    assert any(headers.get("Authorization") == "Bearer 1234567890" for headers in site.headers)


# ── Again and again ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unchanged_page_costs_no_body(site: WebSite, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    first = source(site, tmp_path, kept)
    before = await listing(first)
    await first.close()
    site.bodies.clear()
    second = source(site, tmp_path, kept)
    assert await listing(second) == before
    assert site.bodies["/a"] == site.bodies["/b/c"] == 0
    assert b"thirty" in (await second.read(before["a"])).data, "read without a body from the listing"
    await second.close()


async def test_parts_that_change_with_each_visit_make_no_new_version(site: WebSite, tmp_path: Path) -> None:
    made = source(site, tmp_path)
    before = await listing(made)
    text = str(site.pages["/a"].body)
    site.pages["/a"] = Reply(text.replace("<body>", '<body data-nonce="2"><script>var token = 7</script>'))
    assert (await listing(made))["a"].version == before["a"].version
    site.pages["/a"] = Reply(text.replace("thirty", "twenty"))
    assert (await listing(made))["a"].version != before["a"].version
    await made.close()


@pytest.mark.parametrize("status", [404, 410])
async def test_a_missing_page_is_not_listed(site: WebSite, tmp_path: Path, status: int) -> None:
    kept: dict[str, bytes] = {}
    await documents_kept(site, tmp_path, kept)
    site.pages["/a"] = Reply("gone", status)
    assert "a" not in await documents_kept(site, tmp_path, kept)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
async def test_a_page_that_does_not_answer_stays(site: WebSite, tmp_path: Path, status: int) -> None:
    kept: dict[str, bytes] = {}
    await documents_kept(site, tmp_path, kept)
    site.pages["/b/"] = Reply("", status, headers={"Retry-After": "0"})
    made = source(site, tmp_path, kept)
    found, error = await broken(made)
    await made.close()
    assert set(found) == {"/", "a", "b", "b/c"}, "with what it links to"
    assert f"answers {status}" in str(error)
    made = source(site, tmp_path)
    found, _ = await broken(made)
    await made.close()
    assert set(found) == {"/", "a"}


async def documents_kept(site: WebSite, folder: Path, kept: dict[str, bytes]) -> set[str]:
    made = source(site, folder, kept)
    try:
        return set(await listing(made))
    finally:
        await made.close()


async def test_a_site_that_goes_down_ends_the_crawl(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "".join(f"<a href=/p{number:02}>{number}</a>" for number in range(40)))
    start = site.pages["/"]

    class Falling(dict[str, Reply]):
        def get(self, path: str, default: Any = None) -> Any:
            if path.startswith("/p"):
                self["/"] = Reply("", 503, headers={"Retry-After": "0"})
                return self["/"]
            return super().get(path, default)

    site.pages = Falling(site.pages)
    made = source(site, tmp_path)
    found, error = await broken(made)
    await made.close()
    assert set(found) == {"/"}
    assert "p00" in str(error)
    assert sum(1 for path in site.asked if path.startswith("/p")) <= 8
    site.pages = dict(site.pages)
    site.pages["/"] = start


async def test_a_broken_part_does_not_hide_the_rest(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "".join(f"<a href=/p{number:02}>{number}</a>" for number in range(20)) + "<a href=/z>z</a>" + LONG)
    site.page("/z", LONG)
    for number in range(20):
        site.pages[f"/p{number:02}"] = Reply("", 500, headers={"Retry-After": "0"})
    made = source(site, tmp_path)
    found, _ = await broken(made)
    assert set(found) == {"/", "z"}
    await made.close()


async def test_an_abandoned_listing_leaves_no_request(site: WebSite, tmp_path: Path) -> None:
    site.page("/", "<a href=/a>A</a><a href=/b/>B</a>" + LONG)
    site.pages["/b/"] = Reply(hangs=True)
    made = source(site, tmp_path)
    tasks = asyncio.all_tasks()
    batches = aiter(made.list())
    while not [one for one in await anext(batches) if one.document == "a"]:
        pass
    await batches.aclose()  # type: ignore[attr-defined]
    await made.close()
    site.pages["/b/"].hangs = False
    assert not [task for task in asyncio.all_tasks() - tasks if "Crawl" in repr(task)]


async def test_a_missing_start_page_means_an_unavailable_source(site: WebSite, tmp_path: Path) -> None:
    for reply, kind in ((Reply("", 404), SourceUnavailable), (Reply("", 403), SourceDenied)):
        site.pages["/"] = reply
        made = source(site, tmp_path)
        with pytest.raises(kind):
            await listing(made)
        await made.close()


# ── Sites without an end, pages without a text ───────────────────────────────────────────────────────────────────────


async def test_a_site_with_too_many_pages_is_reported_and_loses_nothing(site: WebSite, tmp_path: Path) -> None:
    made = source(site, tmp_path, max_pages=3)
    found, error = await broken(made)
    await made.close()
    assert len(found) == 3
    assert "max_pages" in str(error)


async def test_endless_calendars_and_paths_end(site: WebSite, tmp_path: Path) -> None:
    class Endless(dict[str, Reply]):
        def get(self, path: str, default: Any = None) -> Any:
            if path.startswith("/calendar"):
                year, month = (int(part) for part in path.split("/")[2:4])
                following = f"/calendar/{year + month // 12}/{month % 12 + 1}"
                return Reply(f"<html><body><main><a href={following}>next</a>{path}{LONG}</main></body></html>")
            if path.startswith("/grow"):
                return Reply(f"<html><body><a href=grow/>deeper</a>{path}{LONG}</body></html>")
            return super().get(path, default)

    site.page("/", "<a href=/calendar/2020/1>calendar</a><a href=/grow/>grow</a>")
    site.pages = Endless(site.pages)
    await documents(site, tmp_path, max_depth=500)
    assert 0 < sum(1 for path in site.asked if path.startswith("/calendar")) < 130
    assert 0 < sum(1 for path in site.asked if path.startswith("/grow")) < 10


async def test_pages_without_a_text_to_read_say_why(site: WebSite, tmp_path: Path) -> None:
    site.page("/a", "<form><input name=user><input type=password></form>")
    site.pages["/b/"] = Reply("<html><body><div id=root></div><script src=/x.js></script></body></html>")
    made = source(site, tmp_path)
    found = await listing(made)
    assert found["a"].readers == frozenset(), "what it said before is not for everybody any more"
    for document, why in (("a", "login"), ("b", "scripts")):
        with pytest.raises(SourceError, match=why):
            await made.read(found[document])
    await made.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "ftp://x.example/"}, "url"),
        ({"url": "http://127.0.0.1/"}, "allow_hosts"),
        ({"url": "https://u:p@x.example/"}, "url"),
        ({"url": "https://x.example/", "max_pages": 0}, "max_pages"),
        ({"url": "https://x.example/", "allow_hosts": ["a b"]}, "allow_hosts"),
    ],
)
async def test_an_invalid_value_is_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(SourceMisconfigured, match=named):
        build("website", tmp_path, **options)


# ── Hostile pages, and crawls that are cut ───────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_a_page_that_would_hang_its_parser_fails_alone(site: WebSite, tmp_path: Path) -> None:
    """400 000 nested elements would take minutes to parse, so they are refused."""
    site.page("/b/", "<a href=c>C</a>" + LONG)
    site.pages["/a"] = Reply("<a href=/b/>" + "<div>" * 400_000)
    made = source(site, tmp_path)
    assert isinstance(made, WebsiteSource)
    found = await listing(made)
    assert set(found) == {"/", "a", "b", "b/c"}
    with pytest.raises(SourceError, match="takes too much time or memory"):
        await made.read(found["a"])
    assert b"thirty" in (await made.read(found["b"])).data
    await made.close()
    site.page("/a", "harmless" + LONG)
    assert (await listing(made))["a"].version != found["a"].version, "it is requested again without conditions"
    await made.close()


async def test_an_invalid_sitemap_deletes_nothing(site: WebSite, tmp_path: Path) -> None:
    """On a machine on which nothing is parsed in time, a page that is no sitemap is no error."""
    site.pages["/sitemap.xml"] = Reply(f"<urlset><url><loc>{site.url}/a</loc></url></urlset>", content_type="text/xml")
    made = source(site, tmp_path)
    assert isinstance(made, WebsiteSource)
    made._reader = SiteParser(deadline_s=0.0)
    found, error = await broken(made)
    await made.close()
    assert set(found) == {"/"}
    assert "sitemap.xml takes too much time or memory" in str(error)


async def test_an_interrupted_crawl_is_resumed(site: WebSite, tmp_path: Path) -> None:
    """Another process neither requests nor fetches the found pages again for a day."""
    names = [f"p{number:02}" for number in range(30)]
    site.page("/", "".join(f"<a href=/{name}>{name}</a>" for name in names) + LONG)
    for name in names:
        site.page(f"/{name}", f"about {name}" + LONG)
    kept: dict[str, bytes] = {}
    clock = [1_800_000_000.0]
    first = resumable(site, tmp_path, kept, clock)
    batches = aiter(first.list())
    for _ in range(21):
        await anext(batches)
        clock[0] += 10.0
    await batches.aclose()  # type: ignore[attr-defined] - what a deadline does
    await first.close()
    site.asked.clear()
    second = resumable(site, tmp_path, kept, clock)
    found = await listing(second)
    assert set(found) == {"/", *names}
    again = [name for name in names if site.asked[f"/{name}"]]
    assert len(again) <= 16, again
    assert "p00" not in again
    assert b"about p00" in (await second.read(found["p00"])).data
    assert site.asked["/p00"] == 0, "its body was stored too"
    await second.close()
    site.asked.clear()
    third = resumable(site, tmp_path, kept, clock)
    await listing(third)
    assert site.asked["/p00"] == 1, "after a whole crawl every page is requested"
    await third.close()


async def test_an_old_interrupted_crawl_starts_again(site: WebSite, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    clock = [1_800_000_000.0]
    first = resumable(site, tmp_path, kept, clock)
    batches = aiter(first.list())
    for _ in range(3):
        await anext(batches)
        clock[0] += 40.0
    await batches.aclose()  # type: ignore[attr-defined] - what a deadline does
    await first.close()
    clock[0] += 90_000.0
    site.asked.clear()
    site.bodies.clear()
    second = resumable(site, tmp_path, kept, clock)
    await listing(second)
    await second.close()
    assert (site.asked["/a"], site.bodies["/a"]) == (1, 0), "requested with a condition"


async def test_a_body_that_a_crash_cut_short_is_fetched_again(site: WebSite, tmp_path: Path) -> None:
    made = source(site, tmp_path)
    found = await listing(made)
    for path in (tmp_path / "state" / "bench" / "spool").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert b"thirty" in (await made.read(found["a"])).data
    assert site.bodies["/a"] == 2
    await made.close()


def resumable(site: WebSite, folder: Path, kept: dict[str, bytes], clock: list[float]) -> Source:
    """Return the source as another process would build it, at the time that the clock shows."""
    context = SourceContext("bench", folder, folder / "state", memories(kept), now=lambda: clock[0])
    made = websites.build(context, websites.WebsiteOptions(f"{site.url}/", allow_hosts=(site.host,)))
    return share_reader(made)
