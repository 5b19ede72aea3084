"""The page cache: lifetimes, private hosts, failures, limits and killed processes."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from knowledge.errors import CacheError, FetchBadStatus, FetchFailed, FetchRefused, FetchTimeout, FetchUnreadable
from knowledge.interfaces import Section
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import FetchLimits, WebSettings
from knowledge.web.reading.article import Article
from knowledge.web.reading.freshness import CachedResponse
from knowledge.web.reading.page_cache import CachedPage, PageCache
from knowledge.web.reading.page_loader import PageLoader, WebPage
from tests.forks import end_fork, start_fork
from tests.waiting import WAIT_S
from tests.web.http.proxy_servers import HttpProxy, listening
from tests.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1_000_000
FIRST = "# The night shift\n\nThe engine runs at night and nobody hears it."
LATER = FIRST.replace("night", "day")


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._began = time.time()

    def __call__(self) -> float:
        return self._began + self.ahead_s


class Reader:
    """Reads pages of a site, as several processes if a test wants."""

    def __init__(self, stack: AsyncExitStack, site: Site, folder: Path) -> None:
        self.clock = site.now = Clock()
        self._stack = stack
        self._site = site
        self._folder = folder
        self.pages = self.another()

    def another(self, *, allow: list[str] | None = None, limit_bytes: int = 10 * MB, total_s: float = 20) -> PageLoader:
        """Return the reader of another process: its own fetcher and rules, and the same folder."""
        settings = WebSettings(limits=FetchLimits(total_s=total_s))
        fetcher = Fetcher(settings, build_rules([self._site.host] if allow is None else allow))
        self._stack.push_async_callback(fetcher.close)
        pages = PageLoader(fetcher, PageCache(self._folder, limit_bytes), now=self.clock)
        self._stack.push_async_callback(pages.close)
        return pages

    async def read(self, path: str = "/a", *, within_s: float = 20) -> WebPage:
        return await self.pages.read_page(f"{self._site.url}{path}", within_s=within_s)


async def bringing_everything_here(stack: AsyncExitStack) -> Proxies:
    """Return a trusted proxy that connects every name to this machine."""

    async def here(_host: str) -> list[str]:
        return ["127.0.0.1"]

    return Proxies(http=Proxy(f"http://{await stack.enter_async_context(listening(HttpProxy(here)))}", is_trusted=True))


@pytest_asyncio.fixture(loop_scope="module")
async def reader(stack: AsyncExitStack, site: Site, tmp_path: Path) -> Reader:
    return Reader(stack, site, tmp_path)


# ── Fresh, confirmed, replaced ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_fresh_page_is_not_fetched_again_by_any_process(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60")
    first = await reader.read()
    again = await reader.read()
    assert (again, site.asked("/a")) == (first, 1)
    other = await reader.another().read_page(f"{site.url}/a#part", within_s=20)
    assert (other.document, other.fetched_at, site.asked("/a")) == (first.document, first.fetched_at, 1)


async def test_an_unchanged_page_is_not_parsed_again(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60", ETag='"1"')
    first = await reader.read()
    site.answers("/a", lambda: web.Response(status=304, headers={"ETag": '"1"', "Cache-Control": "max-age=600"}))
    reader.clock.ahead_s = 90
    second = await reader.read()
    assert site.requests[-1].headers["If-None-Match"] == '"1"'
    assert second.document == first.document
    assert (second.fetched_at - first.fetched_at).total_seconds() == pytest.approx(90, abs=10)
    reader.clock.ahead_s = 500
    await reader.read()
    assert site.asked("/a") == 2, "the 304 said for how long"


async def test_a_changed_page_is_read_again(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60", Last_Modified="Tue, 03 Nov 2026 10:00:00 GMT")
    await reader.read()
    site.page("/a", LATER, Cache_Control="max-age=60")
    reader.clock.ahead_s = 61
    assert (await reader.read()).title == "The day shift"
    assert site.requests[-1].headers["If-Modified-Since"] == "Tue, 03 Nov 2026 10:00:00 GMT"
    assert (await reader.read()).title == "The day shift"
    assert site.asked("/a") == 2


async def test_a_page_that_may_not_be_stored_is_deleted(site: Site, reader: Reader, tmp_path: Path) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60")
    await reader.read()
    site.page("/a", FIRST, Cache_Control="private")
    reader.clock.ahead_s = 61
    await reader.read()
    await reader.pages.close()
    assert _urls(tmp_path) == []


async def test_redirects_are_cached_separately(site: Site, reader: Reader) -> None:
    site.moved("/old", 301, "/a")
    site.moved("/now", 302, "/a")
    site.page("/a", FIRST, Cache_Control="max-age=60")
    for path in ("/old", "/old", "/now", "/now"):
        page = await reader.read(path)
        assert (page.url, page.final_url) == (f"{site.url}{path}", f"{site.url}/a")
    assert (site.asked("/old"), site.asked("/now")) == (1, 2), "a temporary redirect may not be stored"


async def test_an_etag_of_another_page_confirms_nothing(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60", ETag='"1"')
    site.page("/b", LATER)
    await reader.read()
    site.moved("/a", 302, "/b")
    site.answers("/b", lambda: web.Response(status=304))
    reader.clock.ahead_s = 61
    with pytest.raises(FetchBadStatus):
        await reader.read()


# ── The guard ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cached_page_is_checked_again(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60")
    await reader.read()
    with pytest.raises(FetchRefused):
        await reader.another(allow=[]).read_page(f"{site.url}/a", within_s=20)


async def test_a_private_page_is_hidden_if_its_host_is_no_longer_allowed(tmp_path: Path) -> None:
    """The name may be public, and only a fetch would show its address, which a fresh copy does not need."""
    url = "http://wiki.company.example/a"
    answer = CachedResponse(url, 200, {"cache-control": "max-age=600"}, {}, Clock()())
    cache = PageCache(tmp_path, 10 * MB)
    await cache.store_pages(
        [CachedPage(answer, Article("Wiki", (Section((), "Inner matters."),)), from_private_host=True)]
    )
    try:
        for allow, shown in ((["wiki.company.example"], True), ([], False)):

            async def nowhere(_host: str) -> list[str]:
                return ["10.0.0.1"]

            fetcher = Fetcher(WebSettings(), build_rules(allow), resolve=nowhere)
            pages = PageLoader(fetcher, cache)
            if shown:
                assert (await pages.read_page(url, within_s=5)).text == "Inner matters."
            else:
                with pytest.raises(FetchRefused):
                    await pages.read_page(url, within_s=5)
            await fetcher.close()
    finally:
        await cache.close()


async def test_a_cached_redirect_is_checked_again(site: Site, reader: Reader) -> None:
    async with Site().served() as inner:
        pages = reader.another(allow=[site.host, inner.host])
        inner.page("/a", FIRST, Cache_Control="max-age=60")
        site.moved("/a", 301, f"{inner.url}/a")
        await pages.read_page(f"{site.url}/a", within_s=20)
        with pytest.raises(FetchRefused):
            await reader.read()
        assert inner.asked("/a") == 1


async def test_a_cached_redirect_leads_to_no_private_host(stack: AsyncExitStack, site: Site, tmp_path: Path) -> None:
    site.moved("/to", 301, f"http://site.example:{site.port}/inner")
    site.page("/inner", FIRST)
    url = f"http://anybody.example:{site.port}/to"
    web_settings = WebSettings(proxies=await bringing_everything_here(stack), ports=[site.port])
    cache = PageCache(tmp_path / "kept", 10 * MB)
    for named in ((), (f"site.example:{site.port}",)):
        fetcher = Fetcher(web_settings, build_rules(named, web_settings.ports))
        stack.push_async_callback(fetcher.close)
        pages = PageLoader(fetcher, cache)
        stack.push_async_callback(pages.close)
        if not named:
            assert (await pages.read_page(url, within_s=20)).final_url.endswith("/inner")
            await cache.store_pages(delete=[f"http://site.example:{site.port}/inner"])
            continue
        with pytest.raises(FetchRefused):
            await pages.read_page(url, within_s=20)
    assert site.asked("/inner") == 1, "a stranger's old redirect does not choose requests to the inner network"


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_old_copy_answers_if_the_site_fails(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60")
    first = await reader.read()
    reader.clock.ahead_s = 3_600
    site.answers("/a", lambda: web.Response(status=503))
    for _ in range(2):
        page = await reader.read()
        assert (page.stale, page.text, page.fetched_at) == (True, first.text, first.fetched_at)
    assert site.asked("/a") == 2, "a failing site is not requested again at once"
    reader.clock.ahead_s += 60
    site.page("/a", LATER, Cache_Control="max-age=60")
    page = await reader.read()
    assert (page.stale, page.title) == (False, "The day shift")


@pytest.mark.slow
async def test_an_old_copy_answers_for_a_page_that_hangs(stack: AsyncExitStack, tmp_path: Path) -> None:
    async with Site().served() as site:
        reader = Reader(stack, site, tmp_path)
        site.page("/a", FIRST, Cache_Control="max-age=60")
        await reader.read()
        reader.clock.ahead_s = 3_600
        site.hangs("/a")
        assert (await reader.read(within_s=0.5)).stale
    page = await reader.another().read_page(f"{site.url}/a", within_s=20)
    assert (page.stale, page.title) == (True, "The night shift")
    with pytest.raises(FetchFailed):
        await reader.read("/b")


async def test_a_missing_page_leaves_the_cache(site: Site, reader: Reader, tmp_path: Path) -> None:
    site.page("/a", FIRST, Cache_Control="max-age=60")
    await reader.read()
    reader.clock.ahead_s = 61
    site.answers("/a", lambda: web.Response(status=410))
    with pytest.raises(FetchBadStatus):
        await reader.read()
    await reader.pages.close()
    assert _urls(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "error", "again_s"),
    [
        (lambda: web.Response(status=404), FetchBadStatus, 301),
        (lambda: web.Response(status=500), FetchBadStatus, 31),
        (
            lambda: web.Response(text="<div id=root></div><script></script>", content_type="text/html"),
            FetchUnreadable,
            301,
        ),
    ],
)
async def test_a_failure_is_cached_for_a_while(
    site: Site, reader: Reader, answer: Any, error: type[Exception], again_s: float
) -> None:
    site.answers("/a", answer)
    for seconds, asked in ((0, 1), (again_s - 2, 1), (again_s, 2)):
        reader.clock.ahead_s = seconds
        with pytest.raises(error):
            await reader.read()
        assert site.asked("/a") == asked
    with pytest.raises(error):
        await reader.another().read_page(f"{site.url}/a", within_s=20)
    assert site.asked("/a") == 3, "another process sees the page"


async def test_an_unreachable_page_without_a_copy_is_an_error(stack: AsyncExitStack, tmp_path: Path) -> None:
    site = Site()
    site.port = 9
    reader = Reader(stack, site, tmp_path)
    with pytest.raises(FetchFailed) as caught:
        await reader.read()
    assert str(caught.value).endswith("Open it in a browser, or leave it out.")


# ── Side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_concurrent_reads_fetch_a_page_once(site: Site, reader: Reader) -> None:
    site.page("/a", FIRST)
    pages = await asyncio.gather(*(reader.read() for _ in range(20)))
    assert (len({page.text for page in pages}), site.asked("/a"), site.asked("/robots.txt")) == (1, 1, 1)


async def test_the_last_caller_that_leaves_ends_the_fetch(site: Site, reader: Reader) -> None:
    site.hangs("/a")
    waiting = [asyncio.create_task(reader.read()) for _ in range(3)]
    await site.until_asked("/a")
    async with asyncio.timeout(WAIT_S):  # each reads the cache in a thread before it joins the others
        while [shared.callers for shared in reader.pages._loads._tasks.values()] != [3]:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)
    waiting[0].cancel()
    assert not site.left.is_set()
    waiting[1].cancel()
    await asyncio.wait(waiting[:2])
    assert not waiting[2].done()
    site.page("/a", FIRST)
    site.go_on.set()
    assert (await waiting[2]).title == "The night shift"
    assert site.asked("/a") == 1

    site.go_on.clear()
    site.hangs("/b")
    last = asyncio.create_task(reader.read("/b"))
    await site.until_asked("/b")
    last.cancel()
    await asyncio.wait([last])
    async with asyncio.timeout(WAIT_S):
        await site.left.wait()
    assert last.cancelled()


async def test_each_caller_has_its_own_deadline(site: Site, reader: Reader) -> None:
    site.hangs("/a")
    patient = asyncio.create_task(reader.read())
    await site.until_asked("/a")
    with pytest.raises(FetchTimeout):
        await reader.read(within_s=0.1)
    site.page("/a", FIRST)
    site.go_on.set()
    assert (await patient).title == "The night shift"


# ── The file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def kept(number: int, size: int = 20_000) -> CachedPage:
    text = os.urandom(size // 2).hex()
    answer = CachedResponse(f"https://docs.example/{number}", 200, {"etag": f'"{number}"'}, {"accept": "*/*"}, 1.0)
    return CachedPage(answer, Article(f"Page {number}", (Section(("One", "Two"), text, 3, "there"),)))


def _urls(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "pages-1.db") as database:
        return sorted(url for (url,) in database.execute("SELECT url FROM pages"))


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if not path.name.endswith("-shm"))


async def test_a_cached_page_is_returned_unchanged(tmp_path: Path) -> None:
    cache, page = PageCache(tmp_path / "web", MB), kept(1)
    redirect = CachedPage(
        CachedResponse("https://docs.example/r", 301, {}, {}, 2.5, redirect_url=page.response.url),
        None,
        from_private_host=True,
    )
    await cache.store_pages([page, redirect])
    await cache.close()
    assert await cache.get_page(page.response.url) == page
    assert await cache.get_page(redirect.response.url) == redirect
    assert await cache.get_page("https://docs.example/none") is None
    await cache.close()
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "web").rglob("*")} == {0}


@pytest.mark.slow
async def test_the_least_recently_used_pages_are_evicted_first(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, MB)
    for number in range(400):
        await cache.store_pages([kept(number)])
        await cache.get_page("https://docs.example/0")
    await cache.close()
    left = [int(url.rpartition("/")[2]) for url in _urls(tmp_path)]
    assert 0 in left, "it was used all the time"
    assert sorted(left)[1:] == list(range(400 - len(left) + 1, 400))
    assert 60 <= len(left) <= 100
    assert _disk_bytes(tmp_path) <= 1.3 * MB


async def test_a_smaller_limit_counts_from_the_next_page(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, 4 * MB)
    await cache.store_pages([kept(number) for number in range(150)])
    await cache.close()
    small = PageCache(tmp_path, MB)
    await small.store_pages([kept(200)])
    await small.close()
    assert 200 in [int(url.rpartition("/")[2]) for url in _urls(tmp_path)]
    assert _disk_bytes(tmp_path) <= 1.1 * MB


async def test_one_page_does_not_evict_all_others(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, MB)
    await cache.store_pages([kept(1), kept(2, 900_000)])
    await cache.close()
    assert _urls(tmp_path) == ["https://docs.example/1"]


async def test_clearing_reports_the_freed_bytes(tmp_path: Path) -> None:
    cache, other = PageCache(tmp_path, 4 * MB), PageCache(tmp_path, 4 * MB)
    await cache.store_pages([kept(number) for number in range(100)])
    await other.get_page("https://docs.example/1")
    before = _disk_bytes(tmp_path)
    freed = await cache.delete_pages()
    assert freed > 900_000
    assert freed == before - _disk_bytes(tmp_path)
    assert await other.get_page("https://docs.example/1") is None
    await other.store_pages([kept(5)])
    assert await cache.get_page("https://docs.example/5") is not None
    await cache.close()
    await other.close()


async def test_only_pages_older_than_a_moment_are_deleted_and_leave_no_byte(tmp_path: Path) -> None:
    cache, other = PageCache(tmp_path, 4 * MB), PageCache(tmp_path, 4 * MB)
    old, new = kept(1), kept(2)
    new = replace(new, response=replace(new.response, received_at=50.0))
    await cache.store_pages([old, new])
    await other.get_page(old.response.url)
    await cache.delete_pages(-math.inf)
    assert await cache.count_pages() == 2
    await cache.delete_pages(50.0)
    assert _urls(tmp_path) == [new.response.url]
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (old.response.url.encode() in files, new.response.url.encode() in files) == (False, True)
    await cache.close()
    await other.close()


async def test_a_locked_cache_does_not_stop_reading(tmp_path: Path) -> None:
    cache = PageCache(tmp_path, MB, busy_s=0.1)
    await cache.store_pages([kept(1)])
    holder = sqlite3.connect(tmp_path / "pages-1.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await cache.store_pages([kept(2)])
    assert await cache.get_page("https://docs.example/1") is not None
    with pytest.raises(CacheError) as caught:
        await cache.delete_pages()
    assert "Try again" in str(caught.value)
    holder.execute("ROLLBACK")
    holder.close()
    await cache.store_pages([kept(3)])
    await cache.close()
    assert _urls(tmp_path) == ["https://docs.example/1", "https://docs.example/3"]


@pytest.mark.parametrize("damage", ["no database", "torn", "a folder that is none"])
async def test_a_damaged_cache_is_created_again(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "web"
    cache = PageCache(folder, MB)
    await cache.store_pages([kept(number) for number in range(20)])
    await cache.close()
    path = folder / "pages-1.db"
    if damage == "no database":
        path.write_bytes(b"not a database at all" * 1_000)
    elif damage == "torn":
        data = bytearray(path.read_bytes())
        data[4_096 * 2 : 4_096 * 40] = os.urandom(4_096 * 38)
        path.write_bytes(data)
    else:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        folder.write_text("a file")
        assert await cache.get_page("https://docs.example/1") is None
        folder.unlink()
    for number in range(20):
        await cache.get_page(f"https://docs.example/{number}")
    await cache.store_pages([kept(30)])
    await cache.store_pages([kept(31)])
    assert await cache.get_page("https://docs.example/31") is not None
    await cache.close()


def write_pages(folder: Path, first: int) -> None:
    """Store pages without an end, and print the number of each."""

    async def write() -> None:
        cache = PageCache(folder, 200 * MB)
        for number in range(first, 10**9):
            await cache.store_pages([kept(number)])
            print(number, flush=True)  # noqa: T201

    asyncio.run(write())


async def found(folder: Path, numbers: list[int]) -> list[bool]:
    cache = PageCache(folder, 200 * MB)
    try:
        pages = [await cache.get_page(f"https://docs.example/{number}") for number in numbers]
    finally:
        await cache.close()
    return [page is not None and page.article is not None for page in pages]


@pytest.mark.slow
async def test_killed_writers_leave_whole_pages(tmp_path: Path) -> None:
    """Two processes write to one folder and are killed at random moments."""
    for round_ in range(2):
        starts = (round_ * 1_000_000, round_ * 1_000_000 + 500_000)
        writers = [await start_fork(write_pages, tmp_path, start, stdout=PIPE) for start in starts]
        numbers: list[int] = []
        for writer in writers:
            assert writer.stdout is not None
            numbers += [int(await writer.stdout.readline()) for _ in range(12 + 7 * round_)]
        for writer in writers:
            await end_fork(writer)
        assert all(await found(tmp_path, numbers))
        with sqlite3.connect(tmp_path / "pages-1.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
