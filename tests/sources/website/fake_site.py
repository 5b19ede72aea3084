"""A website on loopback: pages in a dictionary, and every way in which a site can behave."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

HTML = "text/html; charset=utf-8"
TYPES = {".md": "text/markdown", ".txt": "text/plain", ".pdf": "application/pdf", ".html": HTML, ".xml": "text/xml"}


@dataclass
class Reply:
    """The answer for a page."""

    body: bytes | str = ""
    status: int = 200
    content_type: str | None = HTML
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False


class WebSite:
    """Pages by path, with ETags. Requests are counted."""

    def __init__(self) -> None:
        self.pages: dict[str, Reply] = {}
        self.asked: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.together = 0
        self.most_together = 0
        self.server: TestServer | None = None
        self.url = ""

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(r"/{path:[\s\S]*}", self._answer)
        self.server = TestServer(app, host="127.0.0.1")
        await self.server.start_server()
        self.url = f"http://127.0.0.1:{self.server.port}"

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()

    def page(self, path: str, body: str, *, head: str = "", **headers: str) -> None:
        """Put an HTML page; ``_`` in a header's name means a hyphen."""
        text = f"<!doctype html><html><head><title>{path}</title>{head}</head><body><main>{body}</main></body></html>"
        self.pages[path] = Reply(text, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        self.asked[path] += 1
        self.headers.append(dict(request.headers))
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            return await self._reply(request, self.pages.get(path, Reply("no such page", 404)))
        finally:
            self.together -= 1

    async def _reply(self, request: web.Request, reply: Reply) -> web.Response:
        await asyncio.sleep(3600 if reply.hangs else 0)
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
        headers = dict(reply.headers)
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if reply.status == 200:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                return web.Response(status=304, headers={"ETag": headers["ETag"]})
            self.bodies[request.raw_path] += 1
        return web.Response(status=reply.status, body=body, headers=headers)
