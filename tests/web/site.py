"""A site on loopback: pages by path, and a record of requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

from aiohttp import web

from tests.waiting import WAIT_S

_SENTENCES = "The engine runs at night and nobody hears it. "
ARTICLE = f"""<!doctype html>
<html lang="en"><head><title>The night shift - Example</title>
<meta name="author" content="Ada Lovelace">
<meta property="article:published_time" content="2026-11-03">
<link rel="canonical" href="/canonical"></head>
<body><nav><a href="/">Home</a> <a href="/all">All articles</a></nav>
<div><h1>The night shift</h1><p>{_SENTENCES * 10}</p>
<h2>What follows</h2><p>{"In the morning its reports are read aloud by the keeper of the house. " * 8}</p></div>
<footer>Imprint and privacy</footer></body></html>"""
"""A page that states its author, date and address."""


class Site:
    """Answers configured paths, and all others with 404."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.port = 0
        self.now: Callable[[], float] = time.time
        self._answers: dict[str, Callable[[], web.Response]] = {}
        self._hanging: set[str] = set()
        self._delays: dict[str, asyncio.Event] = {}
        self.open = 0
        """Requests in progress."""
        self.go_on = asyncio.Event()
        """Set it to answer hanging requests after all."""
        self._came = asyncio.Event()
        self.left = asyncio.Event()
        """Set when a client gives up a hanging request."""

    @property
    def host(self) -> str:
        """Return ``host:port``, as access rules list it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the origin."""
        return f"http://{self.host}"

    def answers(self, path: str, answer: Callable[[], web.Response]) -> None:
        """Set the answer of a path."""
        self._answers[path] = answer
        self._hanging.discard(path)

    def html(self, path: str, text: str) -> None:
        """Answer a path with a page."""
        self.answers(path, lambda: web.Response(text=text, content_type="text/html"))

    def page(self, path: str, text: str, **headers: str) -> None:
        """Answer a path with Markdown, which is parsed faster."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers(path, lambda: web.Response(text=text, content_type="text/markdown", headers=named))

    def robots(self, data: bytes) -> None:
        """Set the robots.txt."""
        self.answers("/robots.txt", lambda: web.Response(body=data, content_type="text/plain"))

    def hangs(self, path: str) -> None:
        """Never answer a path."""
        self._hanging.add(path)

    def delays(self, path: str, until: asyncio.Event) -> None:
        """Answer a path after an event."""
        self._delays[path] = until

    def moved(self, path: str, status: int, to: str) -> None:
        """Redirect a path."""
        self.answers(path, lambda: web.Response(status=status, headers={"Location": to}))

    async def until_asked(self, path: str) -> None:
        """Wait for the first request for a path."""
        async with asyncio.timeout(WAIT_S):
            while not self.asked(path):
                self._came.clear()
                await self._came.wait()

    def asked(self, path: str) -> int:
        """Count the requests for a path."""
        return sum(request.path == path for request in self.requests)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Site]:
        """Listen, and cancel all requests at the end."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self._came.set()
        self.open += 1
        try:
            if request.path in self._hanging:
                await self.go_on.wait()
            if request.path in self._delays:
                await self._delays[request.path].wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        finally:
            self.open -= 1
        answer = self._answers.get(request.path)
        response = answer() if answer is not None else web.Response(status=404)
        response.headers.setdefault("Date", formatdate(self.now(), usegmt=True))
        return response
