"""Measure the cost of the guard against plain aiohttp on loopback, and the pages extracted in a second.

    .venv/bin/python scripts/bench_web.py [FETCHES]

Both fetch the same 20 kB page from the same server, first in turns over kept connections, then over a new connection
each time. The figures are medians of one fetch, connection and body included.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from knowledge.parsing.formats.main_text import MAIN_TEXT
from knowledge.parsing.formats.web_page import parse_html
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import WebSettings
from knowledge.web.reading.crawled_page import read_page

SENTENCE = "Every employee has thirty days of annual leave, which must be taken until March of the next year. "
PAGE = (
    "<html><head><title>Leave</title></head><body><div><a href=/>Home</a></div><div class=content><h1>Leave</h1>"
    + "".join(f"<h2 id=s{n}>Part {n}</h2><p>{SENTENCE * 5}</p>" for n in range(36))
    + "</div></body></html>"
)


async def main(fetches: int) -> None:
    """Measure and print."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1"]

    fetcher = Fetcher(WebSettings(), build_rules([f"docs.example:{port}"]), resolve=resolve)
    ask = FetchOptions(accept=frozenset({"text/html"}))

    async def guarded() -> None:
        assert len((await fetcher.fetch(f"http://docs.example:{port}/", ask)).data) == len(PAGE)

    async with aiohttp.ClientSession() as session:

        async def plain() -> None:
            async with session.get(f"http://127.0.0.1:{port}/") as response:
                assert len(await response.read()) == len(PAGE)

        figures = await compare_fetches(fetches, guarded, plain)
    print_line("kept connections", *figures)

    async def guarded_anew() -> None:
        await fetcher.close()
        await guarded()

    async def plain_anew() -> None:
        async with aiohttp.ClientSession() as one, one.get(f"http://127.0.0.1:{port}/") as response:
            await response.read()

    print_line("a new session each time", *await compare_fetches(fetches // 5, guarded_anew, plain_anew))
    await fetcher.close()
    await runner.cleanup()


async def compare_fetches(
    fetches: int, guarded: Callable[[], Awaitable[None]], plain: Callable[[], Awaitable[None]]
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of both ways, measured in turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(fetches + 10):
        for which, fetch in enumerate((guarded, plain)):
            began = time.perf_counter()
            await fetch()
            if number >= 10:
                times[which].append(1000 * (time.perf_counter() - began))
    return times


def print_line(what: str, guarded: list[float], plain: list[float]) -> None:
    """Print one line."""
    ours, theirs = statistics.median(guarded), statistics.median(plain)
    print(f"{what}: {ours:.2f} ms guarded, {theirs:.2f} ms plain, {ours - theirs:+.2f} ms the guard")


def measure_extraction() -> None:
    """Measure and print pages a second on one core."""
    data = PAGE.encode()
    for what, act in (
        ("main text by trafilatura", lambda: parse_html(data, "x", f"text/html; {MAIN_TEXT}")),
        ("links, wishes and hash", lambda: read_page(data, "https://docs.example/", "text/html")),
    ):
        act()
        began, pages = time.perf_counter(), 0
        while time.perf_counter() - began < 2:
            act()
            pages += 1
        print(f"{what}: {pages / (time.perf_counter() - began):.0f} pages of {len(data) / 1000:.0f} kB a second")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
    measure_extraction()
