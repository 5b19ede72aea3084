"""Servers that act like the search providers by their documentation: what they require and return.

Nothing of them was seen by way of their own servers; docs/live-web.md says so.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

KEY = "k-3f9a77c0d2e84b15"


@dataclass(frozen=True)
class Page:
    """A page that a fake provider finds."""

    url: str
    title: str
    text: str
    published: datetime | None = None


@dataclass
class Fake:
    """A provider's server. ``trouble`` replaces its results; ``hanging`` blocks its answer."""

    pages: list[Page] = field(default_factory=list)
    trouble: web.Response | None = None
    raw: Any = None
    """JSON that replaces its answer."""
    endless: bool = False
    hanging: asyncio.Event | None = None
    requests: list[web.Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The received queries."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client disconnects before its answer."""
    port: int = 0

    path = "/search"
    method = "POST"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_route(self.method, self.path, self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.came.set()
        try:
            if self.hanging is not None:
                await self.hanging.wait()
            if self.endless:
                return await _endless(request)
        except (asyncio.CancelledError, ConnectionError):
            self.broken_off.set()
            raise
        if self.trouble is not None:
            return web.Response(status=self.trouble.status, headers=self.trouble.headers, body=self.trouble.body)
        if self.raw is not None:
            return web.json_response(self.raw)
        if (refusal := self.refusal(request)) is not None:
            return refusal
        return await self.results(request)

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer to a wrong key."""
        del request
        return None

    @abstractmethod
    async def results(self, request: web.Request) -> web.Response:
        """Return the answer to a valid search."""

    def matching(self, domains: list[str]) -> list[Page]:
        if not domains:
            return self.pages
        hosts = [(page, urlsplit(page.url).hostname or "") for page in self.pages]
        return [page for page, host in hosts if any(f".{host}".endswith(f".{one}") for one in domains)]

    def narrowed(self, query: str) -> list[Page]:
        """Return the pages within the ``site:`` domains of a query."""
        self.asked.append(query)
        return self.matching(re.findall(r"\bsite:([^\s)]+)", query))


class FakeSearxng(Fake):
    """Answers 403 unless json is among ``formats``; ``silent`` engines do not respond."""

    method = "GET"
    formats = ("html", "json")
    silent: tuple[tuple[str, str], ...] = ()

    async def results(self, request: web.Request) -> web.Response:
        if request.query.get("format", "html") not in self.formats:
            return web.Response(status=403, text="Forbidden", content_type="text/html")
        if not request.query.get("q"):
            return web.json_response({"error": "No query"}, status=400)
        pages = self.narrowed(request.query["q"])
        return web.json_response({
            "query": request.query["q"],
            "results": [
                {
                    "url": page.url, "title": page.title, "content": page.text, "engine": "demo", "engines": ["demo"],
                    "publishedDate": page.published.isoformat() if page.published else None, "score": 1.0,
                    "template": "default.html", "category": "general", "positions": [place],
                }
                for place, page in enumerate(pages, 1)
            ],
            "answers": [], "corrections": [], "infoboxes": [], "suggestions": [],
            "unresponsive_engines": [list(one) for one in self.silent],
        })  # fmt: skip


class FakeBrave(Fake):
    method = "GET"
    path = "/res/v1/web/search"

    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("X-Subscription-Token") != KEY:
            error = {"code": "SUBSCRIPTION_TOKEN_INVALID", "status": 422, "detail": "The provided token is invalid."}
            return web.json_response({"type": "ErrorResponse", "error": error}, status=422)
        return None

    async def results(self, request: web.Request) -> web.Response:
        query, count = request.query["q"], int(request.query.get("count", "10"))
        if len(query) > 400 or len(query.split()) > 50 or not 1 <= count <= 20:
            return web.json_response({"type": "ErrorResponse", "error": {"code": "VALIDATION"}}, status=422)
        found = [
            {
                "type": "search_result", "url": page.url, "title": page.title, "is_source_local": False,
                "description": page.text, "family_friendly": True, "language": "en",
                **({"page_age": page.published.strftime("%Y-%m-%dT%H:%M:%S")} if page.published else {}),
            }
            for page in self.narrowed(query)
        ]  # fmt: skip
        web_results = {"type": "search", "results": found[:count], "family_friendly": True}
        return web.json_response({"type": "search", "query": {"original": query}, "web": web_results})


class FakeTavily(Fake):
    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"detail": {"error": "Unauthorized: missing or invalid API key."}}, status=401)
        return None

    async def results(self, request: web.Request) -> web.Response:
        body = await request.json()
        if len(body["query"]) > 400 or not 0 <= body.get("max_results", 5) <= 20:
            return web.json_response({"detail": {"error": "Bad request"}}, status=400)
        self.asked.append(body["query"])
        pages = self.matching(body.get("include_domains", []))[: body.get("max_results", 5)]
        return web.json_response({
            "query": body["query"], "answer": None, "images": [], "response_time": 0.9, "follow_up_questions": None,
            "results": [
                {
                    "url": page.url, "title": page.title, "content": page.text, "score": 0.9, "raw_content": None,
                    **({"published_date": format_datetime(page.published, usegmt=True)} if page.published else {}),
                }
                for page in pages
            ],
        })  # fmt: skip


class FakeExa(Fake):
    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("x-api-key") != KEY:
            return web.json_response({"error": "Invalid API key", "tag": "INVALID_API_KEY"}, status=401)
        return None

    async def results(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not 1 <= body.get("numResults", 10) <= 100:
            return web.json_response({"error": "numResults"}, status=400)
        self.asked.append(body["query"])
        pages = self.matching(body.get("includeDomains", []))[: body.get("numResults", 10)]
        found = [
            {
                "id": page.url, "url": page.url, "title": page.title, "author": None,
                "publishedDate": page.published.strftime("%Y-%m-%dT%H:%M:%S.000Z") if page.published else None,
            }
            for page in pages
        ]  # fmt: skip
        return web.json_response({"requestId": "b5947044", "resolvedSearchType": "neural", "results": found})


class FakeSerper(Fake):
    def refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("X-API-KEY") != KEY:
            return web.json_response({"message": "Unauthorized.", "statusCode": 403}, status=403)
        return None

    async def results(self, request: web.Request) -> web.Response:
        body = await request.json()
        found: list[Mapping[str, Any]] = [
            {
                "title": page.title, "link": page.url, "snippet": page.text, "position": place,
                **({"date": page.published.strftime("%b %-d, %Y")} if page.published else {}),
            }
            for place, page in enumerate(self.narrowed(body["q"])[: body.get("num", 10)], 1)
        ]  # fmt: skip
        return web.json_response(
            {"searchParameters": {"q": body["q"], "type": "search"}, "organic": found, "credits": 1}
        )


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"results": [')
    while True:
        await response.write(json.dumps({"url": "https://a.example/", "title": "x" * 60_000}).encode() + b",")
