"""Compare the time to read a cached web page with the time to fetch and parse it on loopback.

The page has about 20 kB of text in 100 kB of HTML. It is fetched over real sockets, and cached among 2,000 pages on
disk. "kept" is ``Pages.read`` from the cache: guard, file, RFC 9111's rules, document. "fetched" is the same call
without a cache and with known robots.txt: server, fetch, parsing process.

    scripts/bench_page_cache.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.interfaces import Section
from knowledge.web.http.fetch import Fetcher
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import WebSettings
from knowledge.web.reading.article import Article
from knowledge.web.reading.freshness import CachedResponse
from knowledge.web.reading.page_cache import CachedPage, PageCache
from knowledge.web.reading.page_loader import PageLoader

_OTHERS = 2_000
_LIMIT_BYTES = 256_000_000


def make_page() -> str:
    """Return the page: forty sections of text, with as much navigation."""
    words = "The keeper of the house writes down in the evening what was done and what was left for another day. "
    parts = "".join(f"<h2>Part {n}</h2><p>{n} {words * 5}</p>" for n in range(40))
    links = "".join(f'<li><a href="/{n}">Somewhere else, number {n}</a></li>' for n in range(1_400))
    body = f"<nav><ul>{links}</ul></nav><h1>The day</h1>{parts}"
    return f"<html><head><title>The day</title></head><body>{body}</body></html>"


async def fill_cache(cache: PageCache) -> None:
    """Fill a cache with other pages."""
    for start in range(0, _OTHERS, 100):
        rows = []
        for n in range(start, start + 100):
            article = Article(f"Page {n}", (Section((), os.urandom(10_000).hex()),))
            rows.append(CachedPage(CachedResponse(f"https://docs.example/{n}", 200, {}, {}, time.time()), article))
        await cache.store_pages(rows)


async def time_reads(pages: PageLoader, url: str, rounds: int) -> list[float]:
    """Return the seconds of each read."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await pages.read_page(url, within_s=30)
        took.append(time.perf_counter() - began)
    return took


async def main(rounds: int) -> None:
    """Measure, and print medians and 99th percentiles in milliseconds."""
    async with AsyncExitStack() as stack:
        html = make_page()
        app = web.Application()
        app.router.add_get("/{path:.*}", lambda request: _answer(request, html))
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host = f"127.0.0.1:{runner.addresses[0][1]}"
        fetcher = Fetcher(WebSettings(), build_rules([host]))
        stack.push_async_callback(fetcher.close)
        cache = PageCache(Path(stack.enter_context(tempfile.TemporaryDirectory())), _LIMIT_BYTES)
        await fill_cache(cache)
        with_cache, without = PageLoader(fetcher, cache), PageLoader(fetcher)
        stack.push_async_callback(with_cache.close)
        stack.push_async_callback(without.close)
        url = f"http://{host}/"
        found = await with_cache.read_page(url, within_s=30)
        await without.read_page(url, within_s=30)
        print(f"{len(html):,} characters of HTML, {len(found.text):,} of text, {_OTHERS:,} other pages kept")
        for name, pages, times in (("kept", with_cache, rounds), ("fetched", without, max(rounds // 10, 10))):
            took = [seconds * 1_000 for seconds in await time_reads(pages, url, times)]
            p99 = statistics.quantiles(took, n=100)[98]
            print(f"{name:8} median {statistics.median(took):7.2f} ms   p99 {p99:7.2f} ms")


async def _answer(request: web.Request, html: str) -> web.Response:
    if request.path == "/robots.txt":
        return web.Response(status=404)
    return web.Response(text=html, content_type="text/html", headers={"Cache-Control": "max-age=900"})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
