"""Signed HTTP: ``POST /slack/events`` for what Slack sends, ``GET /healthz`` for health checks, and pages."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

from bot.errors import BotError

EVENTS_PATH = "/slack/events"
_MAX_BODY_BYTES = 1024 * 1024
"""Events of Slack are far smaller."""


class PortUnavailable(BotError):
    """Another program uses the port."""


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
    ) -> None:
        self._bolt = bolt
        self._routes = routes
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self.address = ""
        self.is_connected = False

    async def start(self) -> None:
        """Listen.

        Raises:
            PortUnavailable: another program uses the port.

        """
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.add_routes([*self._routes, web.get("/healthz", self._check_health)])
        if self._bolt is not None:
            app.add_routes([web.post(EVENTS_PATH, functools.partial(_handle_events, self._bolt))])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise PortUnavailable(
                f"Port {self._port} cannot be listened on ({error.strerror}). Set PORT to a free one."
            ) from error
        port = self._runner.addresses[0][1]
        self.address = f"http://{self._host}:{port}{EVENTS_PATH}"
        self.is_connected = True

    async def _check_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def close(self) -> None:
        """Stop listening after the running requests."""
        if self._runner is not None:
            await self._runner.cleanup()


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
