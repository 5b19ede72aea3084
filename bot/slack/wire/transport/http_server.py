"""Signed HTTP: ``POST /slack/events`` for what Slack sends, ``GET /healthz`` for health checks, and pages."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

from bot.http.listeners import Listeners

EVENTS_PATH = "/slack/events"


class HttpServer:
    """Serves a Bolt app over HTTP; Bolt answers 401 if the signature is wrong or older than five minutes.

    Without an app, it serves only the other routes, because events come over Socket Mode.
    """

    transport = "http"

    def __init__(
        self,
        bolt: AsyncApp | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104 (a server's purpose)
        routes: Sequence[web.RouteDef] = (),
        listeners: Listeners | None = None,
    ) -> None:
        self._bolt = bolt
        self._routes = routes
        self._host = host
        self._port = port
        self._listeners = listeners or Listeners()
        self._stack = contextlib.AsyncExitStack()
        self.address = ""
        self.is_connected = False

    async def start(self) -> None:
        """Listen.

        Raises:
            PortUnavailable: another program uses the port.

        """
        routes = [*self._routes, web.get("/healthz", self._check_health)]
        if self._bolt is not None:
            routes.append(web.post(EVENTS_PATH, functools.partial(_handle_events, self._bolt)))
        port = await self._stack.enter_async_context(
            self._listeners.listen(routes, self._host, self._port, variable="PORT")
        )
        self.address = f"http://{self._host}:{port}{EVENTS_PATH}"
        self.is_connected = True

    async def _check_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def close(self) -> None:
        """Stop listening after the running requests."""
        self.is_connected = False
        await self._stack.aclose()


async def _handle_events(bolt: AsyncApp, request: web.Request) -> web.Response:
    if not _has_signature_headers(request):
        return web.json_response({"error": "invalid request"}, status=401)
    try:
        bolt_request = await to_bolt_request(request)
    except (UnicodeDecodeError, LookupError):
        return web.Response(status=400, text="not UTF-8")
    return await to_aiohttp_response(await bolt.async_dispatch(bolt_request))


def _has_signature_headers(request: web.Request) -> bool:
    """Return whether the headers have the form of a signature; Bolt's own check breaks on other values."""
    signature = request.headers.get("X-Slack-Signature", "")
    stamp = request.headers.get("X-Slack-Request-Timestamp", "")
    return signature.isascii() and stamp.isascii() and stamp.isdecimal()
