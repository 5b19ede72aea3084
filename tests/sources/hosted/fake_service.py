"""The base of fake hosted services: a server on loopback that counts calls and misbehaves on request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Fault:
    """What calls to a path get instead of an answer."""

    path: str
    """Part of the path and query."""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes = ""
    content_type: str = "application/json"
    times: int = 10**9
    after: int = 0
    """Calls that succeed before."""
    hang: bool = False
    cut: bool = False
    """Whether the connection ends in mid-answer."""
    flood_bytes: int = 0
    """The length of an answer that does not announce it."""


class FakeService:
    """A server on loopback; a subclass adds its routes in ``routes``."""

    def __init__(self) -> None:
        self.calls: list[web.Request] = []
        self.faults: list[Fault] = []
        self.url = ""
        self.tls: ssl.SSLContext | None = None
        """A context for ``localhost``, to speak TLS by that name."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(middlewares=[self._misbehave], client_max_size=10**8)
        self.routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        origin = "http://127.0.0.1" if self.tls is None else "https://localhost"
        self.url = f"{origin}:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Any:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    def asked(self, path: str) -> int:
        """Return the number of calls whose path and query contain this text."""
        return sum(path in str(call.rel_url) for call in self.calls)

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        """Return the answer to a call that is not authorised."""
        raise NotImplementedError

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.calls.append(request)
        for fault in self.faults:
            if fault.path in str(request.rel_url) and fault.times > 0:
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return await _faulty(request, fault)
        return self.refusal(request) or await handler(request)


async def _faulty(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.hang:
        await asyncio.sleep(3600)
    if fault.flood_bytes:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(fault.flood_bytes >> 20):
            await response.write(b"x" * (1 << 20))
        return response
    if fault.cut:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"results": [')
        assert request.transport is not None
        request.transport.close()
        return response
    body = fault.body.encode() if isinstance(fault.body, str) else fault.body
    return web.Response(status=fault.status, headers=dict(fault.headers), body=body, content_type=fault.content_type)
