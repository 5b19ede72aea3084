"""Socket Mode: the app's websockets, and envelopes over them.

The wire is that of https://docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from typing import Literal

from aiohttp import WSMsgType, web

from bot.sandbox import limits
from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.delivery.faults import Faults
from bot.sandbox.delivery.outbox import Acknowledgement, Carrier, DeliveryFailure
from bot.sandbox.state.model import APP_ID, Envelope, Json

TICKET_LIFETIME_S = 600.0
_PING_S = 30.0
HOST = "sandbox-applink"
DisconnectReason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]


class SocketMode(Carrier):
    """The carrier over the app's websockets, at most ten."""

    def __init__(self, clock: SandboxClock, base_url: str) -> None:
        super().__init__()
        self._clock = clock
        self._base_url = base_url
        self.faults = Faults()
        self._tickets: dict[str, float] = {}
        self._sockets: list[web.WebSocketResponse] = []
        self._turn = itertools.count()
        self._waiting: dict[str, tuple[web.WebSocketResponse, asyncio.Future[Acknowledgement | DeliveryFailure]]] = {}

    def create_url(self) -> str:
        """Return the address for a new connection, with a ticket that expires."""
        now = self._clock.now()
        ticket = secrets.token_urlsafe(24)
        self._tickets = {one: ends for one, ends in self._tickets.items() if ends >= now}
        self._tickets[ticket] = now + TICKET_LIFETIME_S
        return f"{self._base_url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={APP_ID}"

    @property
    def connections(self) -> int:
        """Return how many websockets are open."""
        return len(self._sockets)

    async def handle_connection(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection of the app."""
        if self._tickets.get(request.query.get("ticket", ""), 0.0) < self._clock.now():
            raise web.HTTPUnauthorized(text="invalid ticket")
        socket = web.WebSocketResponse(heartbeat=_PING_S)
        await socket.prepare(request)
        if len(self._sockets) >= limits.SOCKETS_PER_APP:
            await socket.send_json(_disconnect_frame("too_many_websockets"))
            await socket.close()
            return socket
        await self._serve_connection(socket)
        return socket

    async def _serve_connection(self, socket: web.WebSocketResponse) -> None:
        self._sockets.append(socket)
        try:
            await socket.send_json(self._hello_frame())
            self._update_presence()
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._handle_frame(frame.data)
        finally:
            if socket in self._sockets:
                self._sockets.remove(socket)
            self._fail_deliveries(socket)
            self._update_presence()

    def _update_presence(self) -> None:
        if self._sockets:
            self.connected.set()
        else:
            self.connected.clear()
        self.on_change()

    def _hello_frame(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._sockets),
            "debug_info": {"host": HOST, "build_number": 1, "approximate_connection_time": 18_060},
            "connection_info": {"app_id": APP_ID},
        }

    def _handle_frame(self, data: str) -> None:
        """Handle a frame of the app; only acknowledgements count."""
        try:
            frame = json.loads(data)
        except ValueError:
            return
        envelope_id = frame.get("envelope_id") if isinstance(frame, dict) else None
        if envelope_id not in self._waiting:
            return
        if self.faults.acks_to_drop:
            self.faults.acks_to_drop -= 1
            return
        _, waiting = self._waiting[envelope_id]
        if not waiting.done():
            payload = frame.get("payload")
            waiting.set_result(Acknowledgement(payload if isinstance(payload, dict) else None))

    def _fail_deliveries(self, socket: web.WebSocketResponse) -> None:
        """Fail the deliveries over a lost connection."""
        for other, waiting in self._waiting.values():
            if other is socket and not waiting.done():
                waiting.set_result(DeliveryFailure("connection_failed"))

    async def deliver_envelope(self, envelope: Envelope, deadline_s: float) -> Acknowledgement | DeliveryFailure:
        """Send over one of the connections, in turn, and wait for the acknowledgement."""
        if not self._sockets:
            return DeliveryFailure("connection_failed")
        socket = self._sockets[next(self._turn) % len(self._sockets)]
        waiting: asyncio.Future[Acknowledgement | DeliveryFailure] = asyncio.get_running_loop().create_future()
        self._waiting[envelope.id] = (socket, waiting)
        try:
            async with asyncio.timeout(deadline_s):
                await socket.send_json(_envelope_frame(envelope))
                return await waiting
        except TimeoutError:
            return DeliveryFailure("timeout")
        except ConnectionError:
            return DeliveryFailure("connection_failed")
        finally:
            self._waiting.pop(envelope.id, None)

    async def disconnect(self, reason: DisconnectReason, *, close: bool = True) -> None:
        """Ask the app to reconnect, as Slack does every few hours, and close its connections."""
        for socket in list(self._sockets):
            if close and socket in self._sockets:
                self._sockets.remove(socket)
            await socket.send_json(_disconnect_frame(reason))
            if close:
                await socket.close()
        self._update_presence()

    async def close(self) -> None:
        """Close every connection."""
        for socket in list(self._sockets):
            await socket.close(code=1001, message=b"going away")


def _disconnect_frame(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}}


def _envelope_frame(envelope: Envelope) -> Json:
    frame: Json = {
        "envelope_id": envelope.id,
        "payload": envelope.payload,
        "type": envelope.kind,
        "accepts_response_payload": envelope.kind != "events_api",
    }
    if envelope.kind == "events_api":
        frame |= {"retry_attempt": envelope.attempt, "retry_reason": envelope.reason or ""}
    return frame
