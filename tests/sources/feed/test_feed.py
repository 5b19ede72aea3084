"""Feeds: formats, remembered entries, and linked articles."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import ParseError, SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import Source, SourceContext
from knowledge.sources.feed import source as feeds
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.web.reading.feeds import read_feed
from tests.sources.building import build, memories
from tests.sources.contract import listing
from tests.sources.website.fake_site import Reply, WebSite

RSS = """<?xml version="1.0" encoding="utf-8"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>News</title>
<item><title>One &amp; all</title><link>http://x.example/1</link><guid>http://x.example/1</guid>
<pubDate>Fri, 02 Jan 2026 03:04:05 GMT</pubDate><description>short</description>
<content:encoded><![CDATA[<p>The whole <b>text</b></p><script>alert(1)</script>]]></content:encoded></item>
<item><title>二</title><guid isPermaLink="false">tag:2</guid><description>&lt;p&gt;Second&lt;/p&gt;</description></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><id>f</id><updated>2026-01-02T03:04:05Z</updated>
<entry><title>One &amp; all</title><id>http://x.example/1</id><link href="http://x.example/1"/>
<updated>2026-01-02T03:04:05Z</updated>
<content type="html">&lt;p&gt;The whole &lt;b&gt;text&lt;/b&gt;&lt;/p&gt;</content></entry>
<entry><title>二</title><id>tag:2</id><updated>2026-01-02T03:04:05Z</updated><summary>Second</summary></entry></feed>"""
JSON = json.dumps({
    "version": "https://jsonfeed.org/version/1.1",
    "items": [
        {"id": "http://x.example/1", "url": "http://x.example/1", "title": "One & all",
         "content_html": "<p>The whole <b>text</b></p>", "date_published": "2026-01-02T03:04:05Z"},
        {"id": "tag:2", "title": "二", "content_text": "Second"},
    ],
})  # fmt: skip
ARTICLE = (
    f"<html><head><title>Article</title></head><body><main>{'<p>The article itself.</p>' * 20}</main></body></html>"
)


@pytest.fixture
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    await site.start()
    publish(site, "1", "2")
    yield site
    await site.stop()


def publish(site: WebSite, *names: str) -> None:
    items = [
        {"id": name, "url": f"{site.url}/{name}", "title": f"No {name}", "content_html": f"<p>About {name}</p>"}
        for name in names
    ]
    feed = {"version": "https://jsonfeed.org/version/1", "items": items}
    site.pages["/feed"] = Reply(json.dumps(feed), content_type="application/feed+json")


def source(site: WebSite, folder: Path, kept: dict[str, bytes] | None = None, **options: Any) -> Source:
    return build("feed", folder, kept=kept, url=f"{site.url}/feed", allow_hosts=[site.host], **options)


@pytest.mark.parametrize(("text", "kind"), [(RSS, "application/rss+xml"), (ATOM, "text/xml"), (JSON, "text/plain")])
def test_each_format_says_the_same(text: str, kind: str) -> None:
    entries = read_feed(text.encode(), kind, "http://x.example/feed")
    assert entries is not None
    first, second = entries
    assert (first.id, first.title, first.link) == ("x.example/1", "One & all", "http://x.example/1")
    assert first.published_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert first.html == "<p>The whole <b>text</b></p>"
    assert (second.id, second.title) == ("tag:2", "二")
    assert "Second" in second.html


@pytest.mark.parametrize("text", ["", "<html><body>hello</body></html>", "{}", "[]", '{"version": "1"}', "not a feed"])
def test_a_page_is_not_a_feed(text: str) -> None:
    assert read_feed(text.encode(), "text/html", "http://x.example/") is None


def test_nothing_outside_a_feed_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    evil = f'<!DOCTYPE rss [{bomb}<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    text = (
        f'<?xml version="1.0"?>{evil}<rss version="2.0"><channel><item><title>&x;&a11;</title></item></channel></rss>'
    )
    with pytest.raises(ParseError):
        read_feed(text.encode(), "text/xml", "http://x.example/")
    hidden = text.replace("<!DOCTYPE", "<?x <a ?><!DOCTYPE").replace("<!ENTITY", "<!ENTITY % p ''><!ENTITY")
    with pytest.raises(ParseError):
        read_feed(hidden.encode(), "text/xml", "http://x.example/")
    assert read_feed(f"{tmp_path}/secret".encode(), "text/xml", "") is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "url", "title", "content_html", "x"]), each, max_size=4)
        ),
    )
)
@settings(deadline=None)
def test_any_json_is_read_or_refused(items: object) -> None:
    feed = {"version": "https://jsonfeed.org/version/1", "items": items}
    for entry in read_feed(json.dumps(feed).encode(), "application/json", "") or []:
        assert entry.id


async def test_an_entry_that_leaves_the_feed_stays_for_a_while(site: WebSite, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    days = [0.0]

    def made() -> Source:
        context = SourceContext(
            "news", tmp_path, tmp_path / "state", memories(kept), now=lambda: 1.7e9 + days[0] * 86_400
        )
        return feeds.build(context, feeds.FeedOptions(f"{site.url}/feed", keep="30d", allow_hosts=(site.host,)))

    first = made()
    assert set(await listing(first)) == {"1", "2"}
    await first.close()
    publish(site, "3")
    days[0] = 20
    second = made()
    found = await listing(second)
    assert set(found) == {"1", "2", "3"}
    content = await second.read(found["1"])
    assert (content.data, content.title, content.version) == (b"<p>About 1</p>", "No 1", found["1"].version)
    await second.close()
    days[0] = 31
    third = made()
    assert set(await listing(third)) == {"3"}, "the feed is unchanged, so its entries stay"
    days[0] = 50
    assert set(await listing(third)) == {"3"}
    await third.close()


async def test_half_a_surrogate_pair_does_no_harm(site: WebSite, tmp_path: Path) -> None:
    publish(site, "1", "x\ud800")
    made = source(site, tmp_path)
    for listed in (await listing(made)).values():
        listed.document.encode()
        (await made.read(listed)).data.decode()
    await made.close()


async def test_an_unchanged_feed_costs_no_body(site: WebSite, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    made = source(site, tmp_path, kept)
    before = await listing(made)
    assert await listing(made) == before
    assert site.bodies["/feed"] == 1
    await made.close()


async def test_an_entry_whose_text_was_lost_is_read_from_its_page(site: WebSite, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    made = source(site, tmp_path, kept)
    before = await listing(made)
    await made.close()
    publish(site, "3")
    elsewhere = source(site, tmp_path / "another machine", kept)
    found = await listing(elsewhere)
    site.pages["/1"] = Reply(ARTICLE)
    assert b"article itself" in (await elsewhere.read(found["1"])).data
    with pytest.raises(SourceError, match="2"):
        await elsewhere.read(before["2"])
    await elsewhere.close()


@pytest.mark.slow
async def test_hosts_share_the_texts_of_entries(site: WebSite, tmp_path: Path, empty_postgres: str) -> None:
    kept: dict[str, bytes] = {}
    alone = source(site, tmp_path, kept)
    await listing(alone)
    await alone.close()
    manifest = await open_manifest(empty_postgres)
    try:
        made = [
            feeds.build(
                SourceContext("bench", tmp_path, folder / "state" / "bench", memories(kept), content=manifest.content),
                feeds.FeedOptions(f"{site.url}/feed", allow_hosts=(site.host,)),
            )
            for folder in (tmp_path, tmp_path / "another machine")
        ]
        await listing(made[0])
        assert not list((tmp_path / "state").rglob("entries/*")), "they are moved"
        publish(site, "3")
        found = await listing(made[1])
        assert {(await one.read(found["1"])).data for one in made} == {b"<p>About 1</p>"}
        publish(site, "4")
        await listing(made[0])
        assert (await made[1].read((await listing(made[1]))["3"])).data == b"<p>About 3</p>"
        for one in made:
            await one.close()
    finally:
        await manifest.close()


async def test_articles_are_fetched_if_robots_may(site: WebSite, tmp_path: Path) -> None:
    site.pages["/1"] = Reply(ARTICLE)
    site.pages["/2"] = Reply(ARTICLE)
    site.pages["/robots.txt"] = Reply("User-agent: *\nDisallow: /2", content_type="text/plain")
    made = source(site, tmp_path, follow=True)
    found = await listing(made)
    content = await made.read(found["1"])
    assert b"article itself" in content.data
    assert content.title == "No 1"
    with pytest.raises(SourceError, match="robots"):
        await made.read(found["2"])
    await made.close()
    assert site.asked["/2"] == 0


async def test_an_unavailable_feed_is_an_error(site: WebSite, tmp_path: Path) -> None:
    for reply, kind in (
        (Reply("", 500), SourceUnavailable),
        (Reply("", 404), SourceUnavailable),
        (Reply("", 401), SourceDenied),
        (Reply("<html></html>"), SourceUnavailable),
    ):
        site.pages["/feed"] = Reply(reply.body, reply.status, headers={"Retry-After": "0"})
        made = source(site, tmp_path)
        with pytest.raises(kind) as caught:
            await listing(made)
        assert str(caught.value).endswith(".")
        await made.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "http://127.0.0.1/feed"}, "allow_hosts"),
        ({"url": "https://x.example/feed", "keep": "a year"}, "keep"),
        ({"url": "feed://x.example/feed"}, "url"),
    ],
)
def test_an_invalid_value_is_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(SourceMisconfigured, match=named):
        build("feed", tmp_path, **options)


# ── Hostile feeds ────────────────────────────────────────────────────────────────────────────────────────────────────

LAUGHS = '<!ENTITY l0 "lol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
QUADRATIC = f'<!ENTITY l9 "{"x" * 100_000}">'


@pytest.mark.parametrize("entities", [LAUGHS, QUADRATIC, '<!-- <a> --><!ENTITY l9 SYSTEM "file:///etc/passwd">'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_feed_that_declares_entities_is_refused(
    site: WebSite, tmp_path: Path, entities: str, encoding: str
) -> None:
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE rss [{entities}]>' + RSS.partition("?>")[2].replace(
        "short", "&l9;" * 1_000
    )
    site.pages["/feed"] = Reply(bomb.encode(encoding), content_type="application/rss+xml")
    made = source(site, tmp_path)
    with pytest.raises(SourceUnavailable, match="declares XML entities"):
        await listing(made)
    await made.close()


def test_a_feed_may_mention_entities() -> None:
    text = RSS.replace("short", "<![CDATA[<!DOCTYPE x [<!ENTITY a 'b'>]>]]>")
    assert len(read_feed(text.encode(), "text/xml", "http://x.example/") or []) == 2
    dtd = '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/rss-0.91.dtd">'
    assert len(read_feed(RSS.replace("<rss", f"{dtd}<rss", 1).encode(), "text/xml", "http://x.example/") or []) == 2


@pytest.mark.slow
async def test_an_article_that_would_hang_its_parser_is_refused(site: WebSite, tmp_path: Path) -> None:
    deep = "<div>" * 400_000
    site.pages["/1"] = Reply(f"<html><body>{deep}")
    made = source(site, tmp_path, follow=True)
    assert isinstance(made, feeds.FeedSource)
    found = await listing(made)
    with pytest.raises(SourceError, match="has too many elements inside each other"):
        await made.read(found["1"])
    site.pages["/2"] = Reply(ARTICLE)
    assert b"The article itself" in (await made.read(found["2"])).data
    await made.close()


async def test_a_token_in_the_feeds_address_is_in_no_link_or_error(site: WebSite, tmp_path: Path) -> None:
    site.pages["/feed?token=hush"] = Reply(RSS, content_type="application/rss+xml")
    secret = build("feed", tmp_path, url=f"{site.url}/feed?token=hush", allow_hosts=[site.host])
    found = await listing(secret)
    assert found["tag:2"].url == f"{site.url}/feed"
    assert (await secret.read(found["tag:2"])).data == b"<p>Second</p>"
    site.pages["/feed?token=hush"] = Reply(f"<!DOCTYPE a [<!ENTITY b 'c'>]>{ATOM}", content_type="text/xml")
    with pytest.raises(SourceUnavailable, match="entities") as caught:
        await listing(secret)
    assert "hush" not in f"{found}{caught.value}{secret.key}"
    await secret.close()
