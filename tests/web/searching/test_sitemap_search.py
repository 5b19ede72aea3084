"""The search of listed sites: words of addresses, and the sitemaps that list them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from knowledge.errors import ProviderFailed
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import WebSettings
from knowledge.web.searching.site_index import SiteIndex, split_address
from knowledge.web.searching.sitemap_search import CACHE_S, FAILURE_CACHE_S, SitemapSearch
from tests.sources.website.fake_site import Reply, WebSite
from tests.web.http.proxy_servers import SocksProxy, listening

PATHS = [
    "/docs/en/plugins/limit-count/", "/docs/en/plugins/limit-req/", "/docs/en/plugins/key-auth/", "/docs/en/admin-api/",
    "/docs/en/getting-started/rate-limiting/", "/docs/en/FAQ.html", "/docs/zh/plugins/限流/", "/docs/zh/安装指南.html",
    "/blog/2026/03/05/release-3.11.2/", "/docs/en/plugins/proxy-mirror/", "/docs/en/terminology/upstream/",
]  # fmt: skip


def index() -> SiteIndex:
    return SiteIndex([f"https://docs.example.com{path}" for path in PATHS], {})


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("how does the limit-count plugin work?", "/docs/en/plugins/limit-count/"),
        ("rate limits for getting started", "/docs/en/getting-started/rate-limiting/"),
        ("what authenticates by key", "/docs/en/plugins/key-auth/"),
        ("what changed in release 3.11.2", "/blog/2026/03/05/release-3.11.2/"),
        ("限流怎么配置", "/docs/zh/plugins/限流/"),
        ("如何安装", "/docs/zh/安装指南.html"),
        ("faq", "/docs/en/FAQ.html"),
    ],
)
def test_a_question_finds_the_page_whose_address_has_its_words(query: str, path: str) -> None:
    found = index().search(query, 3)
    assert found[0][1] == f"https://docs.example.com{path}"


@pytest.mark.parametrize("query", ["who was Charlemagne", "天气预报", "", "docs", "how is it"])
def test_a_question_that_shares_nothing_of_weight_finds_nothing(query: str) -> None:
    assert index().search(query, 3) == []


def test_addresses_have_parts() -> None:
    assert split_address("https://example.com/zh/%E9%99%90%E6%B5%81.html?id=3") == ["zh", "限流", "id=3"]


def test_a_large_site_is_searched() -> None:
    pages = [f"https://example.com/p/topic-{n}/part-{n % 7}" for n in range(5_000)]
    pages.append("https://example.com/p/zebra-crossing")
    ((_, best),) = SiteIndex(pages, {}).search("where is the zebra crossing", 5)
    assert best.endswith("zebra-crossing")


def test_link_texts_are_searched() -> None:
    url = "https://docs.example.com/docs/zh/plugins/limit-count/"
    pages = [url, *(f"https://docs.example.com{path}" for path in PATHS)]
    assert SiteIndex(pages, {url: "限制请求次数"}).search("怎么限制请求的次数", 3)[0][1] == url


# ── The walk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def site() -> AsyncIterator[WebSite]:
    site = WebSite()
    await site.start()
    yield site
    await site.stop()


class Searching:
    """The provider for one site, with a clock that the test moves."""

    def __init__(self, *sites: WebSite, **limits: float) -> None:
        self.now = 0.0
        hosts = build_rules([site.host for site in sites])
        self.provider = SitemapSearch(
            [f"{site.url}/" for site in sites], Fetcher(WebSettings(), hosts), now=lambda: self.now, **limits
        )

    async def paths(self, query: str, limit: int = 5, domains: frozenset[str] = frozenset()) -> list[str]:
        found = await self.provider.search(query, limit=limit, domains=domains)
        return ["/" + one.split("/", 3)[3] for one in found]


@pytest.fixture
async def searching(site: WebSite) -> AsyncIterator[Searching]:
    searching = Searching(site)
    yield searching
    await searching.provider.close()
    await searching.provider.close()


def render_urlset(site: WebSite, *paths: str, lastmod: str = "2026-03-05") -> str:
    urls = "".join(f"<url><loc>{site.url}{path}</loc><lastmod>{lastmod}</lastmod></url>" for path in paths)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'


@pytest.mark.slow
async def test_sitemaps_are_found_read_and_cached(site: WebSite, searching: Searching) -> None:
    maps = "".join(f"<sitemap><loc>{site.url}/{name}</loc></sitemap>" for name in ("a.xml", "b.xml.gz", "gone.xml"))
    site.pages["/robots.txt"] = Reply(f"User-agent: *\nDisallow: /secret/\nSitemap: {site.url}/index.xml")
    site.pages["/index.xml"] = Reply(f"<sitemapindex>{maps}</sitemapindex>", content_type="text/xml")
    site.pages["/a.xml"] = Reply(render_urlset(site, "/rate-limits", "/secret/rate-limits"), content_type="text/xml")
    site.pages["/b.xml.gz"] = Reply(
        gzip.compress(render_urlset(site, "/限流").encode()), content_type="application/gzip"
    )
    provider = searching.provider
    assert await provider.search("rate limits", limit=5, domains=frozenset()) == [f"{site.url}/rate-limits"]
    assert await searching.paths("限流") == ["/%E9%99%90%E6%B5%81"]
    assert site.asked["/index.xml"] == 1
    searching.now += CACHE_S
    await asyncio.gather(*(searching.paths("rate limits") for _ in range(5)))
    assert site.asked["/index.xml"] == 2


@pytest.mark.slow
async def test_the_first_page_names_pages_and_may_fail(site: WebSite, searching: Searching) -> None:
    site.pages["/sitemap.xml"] = Reply(render_urlset(site, "/zh/p17", "/zh/p18"), content_type="text/xml")
    links = '<a href="/zh/p17"> 安装 <b>指南</b></a> <a href="//e.com">安装</a>'
    site.page("/", f'{links} <a href="{site.url}/zh/p18#x">升级</a>')
    (found,) = await searching.provider.search("怎么安装", limit=5, domains=frozenset())
    assert found == f"{site.url}/zh/p17"
    site.pages["/"] = Reply(status=500)
    searching.now += CACHE_S
    assert await searching.paths("p17") == ["/zh/p17"]


@pytest.mark.slow
async def test_a_site_without_sitemaps_is_reported_and_retried_later(site: WebSite, searching: Searching) -> None:
    for _ in range(2):
        with pytest.raises(ProviderFailed, match="sitemap"):
            await searching.paths("x")
    assert site.asked["/sitemap.xml"] == 1
    site.pages["/sitemap.xml"] = Reply(render_urlset(site, "/limits"), content_type="text/xml")
    searching.now += FAILURE_CACHE_S
    assert await searching.paths("limits") == ["/limits"]
    del site.pages["/sitemap.xml"]
    searching.now += CACHE_S
    assert await searching.paths("limits") == ["/limits"]  # an old index is better than none


@pytest.mark.slow
async def test_reading_sitemaps_continues_for_the_next_search(site: WebSite) -> None:
    searching = Searching(site, walk_s=15.0)
    site.pages["/sitemap.xml"] = Reply(render_urlset(site, "/limits"), content_type="text/xml")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await searching.paths("limits")
    assert await searching.paths("limits") == ["/limits"]
    assert site.asked["/sitemap.xml"] == 1
    site.pages["/sitemap.xml"].hangs = True
    searching.now += CACHE_S
    assert await searching.paths("limits") == ["/limits"]
    await searching.provider.close()


@pytest.mark.slow
async def test_sites_are_searched_together_and_domains_choose_among_them(site: WebSite) -> None:
    other = WebSite()
    await other.start()
    both = Searching(site, other)
    site.pages["/sitemap.xml"] = Reply(render_urlset(site, "/limits", "/limits/more"), content_type="text/xml")
    try:
        assert await both.paths("limits") == ["/limits", "/limits/more"]
        assert other.asked["/robots.txt"] == 1
        assert await both.paths("limits", limit=1, domains=frozenset({"127.0.0.1"})) == ["/limits"]
        assert await both.paths("limits", domains=frozenset({"example.com"})) == []
    finally:
        await both.provider.close()
        await other.stop()


@pytest.mark.slow
async def test_a_huge_site_is_read_up_to_the_limit(site: WebSite) -> None:
    searching = Searching(site, max_pages=3)
    maps = "".join(f"<sitemap><loc>{site.url}/{n}.xml</loc></sitemap>" for n in range(5))
    site.pages["/sitemap.xml"] = Reply(f"<sitemapindex>{maps}</sitemapindex>", content_type="text/xml")
    for n in range(5):
        site.pages[f"/{n}.xml"] = Reply(render_urlset(site, f"/a{n}/limits", f"/b{n}/limits"), content_type="text/xml")
    assert len(await searching.paths("limits", limit=10)) == 3
    assert site.asked["/2.xml"] == 0
    await searching.provider.close()


@pytest.mark.slow
async def test_no_public_sitemap_leads_to_a_private_host(site: WebSite) -> None:
    inner = WebSite()
    await inner.start()
    port = int(site.host.rpartition(":")[2])

    async def here(_host: str) -> list[str]:
        return ["127.0.0.1"]

    lists = "".join(
        f"<sitemap><loc>{url}</loc></sitemap>" for url in (f"{inner.url}/b.xml", f"http://w.example:{port}/c.xml")
    )
    site.pages["/robots.txt"] = Reply(
        f"Sitemap: {inner.url}/a.xml?delete=1\nSitemap: http://w.example:{port}/index.xml"
    )
    site.pages["/index.xml"] = Reply(f"<sitemapindex>{lists}</sitemapindex>", content_type="text/xml")
    pages = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>http://w.example:{port}/limits</loc></url></urlset>'
    site.pages["/c.xml"] = Reply(pages, content_type="text/xml")
    async with listening(SocksProxy(here)) as proxy:
        settings = WebSettings(proxies=Proxies(http=Proxy(f"socks5://{proxy}", is_trusted=True)), ports=[port])
        provider = SitemapSearch([f"http://w.example:{port}/"], Fetcher(settings, build_rules([inner.host], [port])))
        try:
            (found,) = await provider.search("limits", limit=5, domains=frozenset())
        finally:
            await provider.close()
            await inner.stop()
    assert found == f"http://w.example:{port}/limits"
    assert not inner.asked


@pytest.mark.slow
async def test_closing_stops_reading_sitemaps(site: WebSite, searching: Searching) -> None:
    site.pages["/sitemap.xml"] = Reply(hangs=True)
    search = asyncio.create_task(searching.paths("x"))
    while not site.asked["/sitemap.xml"]:  # noqa: ASYNC110 - the site has no event
        await asyncio.sleep(0.01)
    await searching.provider.close()
    await asyncio.wait({search}, timeout=5)
    assert search.done()
