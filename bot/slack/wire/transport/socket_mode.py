"""Socket Mode: a websocket with a watchdog that reconnects it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.wire.errors import SlackError, SlackMissingScope, SlackUnauthorized, SlackUnavailable
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import make_web_client
from engine.tasks import cancel_tasks

_log = structlog.get_logger(__name__)

_PING_EVERY_S = 5.0
_CONNECT_TIMEOUT_S = 30.0
_CHECK_EVERY_S = 5.0


class SocketModeClient:
    """Keeps a Bolt app connected over Socket Mode.

    The SDK sends pings and reconnects after four missing pongs. A watchdog reconnects if the SDK's tasks have ended or
    the socket stays closed, because then the SDK does not.
    """

    transport = "socket mode"
    address = ""

    def __init__(
        self,
        bolt: AsyncApp,
        app_token: str,
        client: AsyncWebClient,
        *,
        on_refused: Callable[[SlackError], None],
        start_s: float = _CONNECT_TIMEOUT_S,
        ping_s: float = _PING_EVERY_S,
        check_every_s: float = _CHECK_EVERY_S,
    ) -> None:
        self._bolt = bolt
        self._app_token = app_token
        self._client = client
        self._on_refused = on_refused
        self.on_connected: Callable[[], None] = lambda: None
        """Called for each new connection: events may be missing."""
        self._start_s = start_s
        self._ping_s = ping_s
        self._check_every_s = check_every_s
        self._handler: AsyncSocketModeHandler | None = None
        self._watchdog: asyncio.Task[None] | None = None
        self.is_connected = False
        """Whether the connection was open at the last check."""

    async def start(self) -> None:
        """Connect and return once the websocket is open; later refusals go to ``on_refused``.

        Raises:
            SlackError: the app token is wrong or lacks ``connections:write``, or Slack cannot be reached.

        """
        address = await self._request_address()
        self._handler = handler = AsyncSocketModeHandler(
            self._bolt, self._app_token, web_client=self._client, ping_interval=self._ping_s, proxy=None
        )
        handler.client.proxy = self._client.proxy
        handler.client.message_listeners.append(self._note_greeting)
        handler.client.wss_uri = address
        try:
            async with asyncio.timeout(self._start_s):
                await handler.client.connect()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise SlackUnavailable(
                f"Slack's websocket did not open within {self._start_s:g} s. Check that this network (or its proxy) "
                "lets wss:// through, and start Kvasir again.",
                maybe_done=False,
            ) from None
        self.is_connected = True
        self._watchdog = asyncio.create_task(self._watch_socket(handler), name="socket mode watchdog")

    async def _note_greeting(self, _client: object, message: dict[str, Any], _raw: str | None) -> None:
        """Report a new connection, which Slack begins with a hello."""
        if message.get("type") == "hello":
            self.on_connected()

    async def _request_address(self) -> str:
        """Return the address of a new websocket from Slack."""
        api = SlackWebApi(make_web_client(self._client.base_url, self._app_token, self._client.session))
        try:
            return str((await api.call("apps.connections.open"))["url"])
        except SlackMissingScope as error:
            raise SlackMissingScope(
                "SLACK_APP_TOKEN lacks connections:write. Make an app-level token with that scope under Basic "
                "Information at api.slack.com/apps and put it into .env.",
                error.scope,
            ) from error

    async def _watch_socket(self, handler: AsyncSocketModeHandler) -> None:
        client = handler.client
        lost_since: float | None = None
        while True:
            await asyncio.sleep(self._check_every_s)
            ended = [task for task in (client.current_session_monitor, client.message_receiver) if task and task.done()]
            self.is_connected = not ended and bool(await client.is_connected())
            if self.is_connected:
                lost_since = None
                continue
            lost_since = lost_since or time.monotonic()
            if ended or time.monotonic() - lost_since > self._ping_s * 4:
                _log.warning("socket mode connection lost", seconds=round(time.monotonic() - lost_since, 1))
                await self._reconnect(handler)
                lost_since = None

    async def _reconnect(self, handler: AsyncSocketModeHandler) -> None:
        try:
            handler.client.wss_uri = await self._request_address()
            async with asyncio.timeout(self._start_s):
                await handler.client.connect()  # type: ignore[no-untyped-call]
        except (SlackUnauthorized, SlackMissingScope) as error:
            self._on_refused(error)
        except (SlackError, TimeoutError) as error:
            _log.warning("socket mode not reconnected", error=str(error) or type(error).__name__)

    async def close(self) -> None:
        """Disconnect; Slack sends later events to another process, or again after the next start."""
        self.is_connected = False
        await cancel_tasks(self._watchdog)
        if self._handler is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._handler.client.close()  # type: ignore[no-untyped-call]
