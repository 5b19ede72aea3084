"""The control API for tests and the launcher: act as a person, read what happened, and cause faults."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace

from aiohttp import web

from bot.sandbox.delivery.faults import Fault
from bot.sandbox.delivery.socket_mode import SocketMode
from bot.sandbox.http.actions import PersonAction, PersonActions
from bot.sandbox.http.api import Api
from bot.sandbox.http.uploads import Uploads
from bot.sandbox.http.world import WorldControl
from bot.sandbox.hub import Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.state.model import Json, SlackMessage, SlackPerson
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import message_frame

_Do = Callable[[Json], Awaitable[Json | None]]


class ControlApi:
    """Endpoints under ``/sandbox/``, each behind the control token."""

    def __init__(self, hub: Hub, interactions: Interactions, api: Api, sockets: SocketMode, uploads: Uploads) -> None:
        self._hub = hub
        self._actions = PersonActions(hub, interactions, uploads)
        self._api = api
        self._sockets = sockets
        self._world = WorldControl(hub)

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        actions: dict[str, _Do] = {
            **{name: functools.partial(self._act, do) for name, do in self._actions.list_actions().items()},
            "say": self._say_text,
            "context": self.change_context,
            **self._world.list_actions(),
            "faults": self.cause_faults,
            "clock": self.advance_clock,
        }
        return [
            *(web.post(f"/sandbox/{name}", self._require_token(do)) for name, do in actions.items()),
            web.get("/sandbox/messages", self._require_token(self.list_messages)),
            web.get("/sandbox/requests", self._require_token(self.list_requests)),
            web.get("/sandbox/state", self._require_token(self.describe_state)),
            web.put("/sandbox/status", self._require_token(self.show_status)),
        ]

    def _require_token(self, do: _Do) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle_request(request: web.Request) -> web.Response:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(token.encode(), self._hub.credentials.control_token.encode()):
                return web.json_response({"ok": False, "error": "invalid_auth"}, status=401)
            try:
                body = dict(request.query) if request.method == "GET" else await request.json()
                answer = await do(body)
                await self._hub.settle_and_store()
            except RefusedCall as refusal:
                return web.json_response({"ok": False, "error": refusal.error}, status=400)
            except (KeyError, TypeError, ValueError) as error:
                detail = f"{type(error).__name__}: {error}"
                return web.json_response({"ok": False, "error": "invalid_arguments", "detail": detail}, status=400)
            return web.json_response({"ok": True, **(answer or {})})

        return handle_request

    # ── Acting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _act(self, do: PersonAction, body: Json) -> Json | None:
        """Act as ``person``."""
        return do(self._hub.workspace.find_person(body["person"]).id, body, self._find_channel)

    async def _say_text(self, body: Json) -> Json | None:
        """Say something as ``person``, or as another bot (``bot``).

        Of a bot, ``app_id``, ``username``, ``metadata``, ``workflow_id`` and ``subtype`` may be given, too.
        """
        return self._say_as_bot(body) if body.get("bot") else await self._act(self._actions.say_text, body)

    def _find_channel(self, body: Json) -> str:
        """Return the channel's id: an id, a name, or ``@bo,@kvasir`` for the person's conversation with these."""
        workspace, name = self._hub.workspace, str(body["channel"])
        if not name.startswith("@"):
            return workspace.find_channel(name).id
        names = [body["person"], *name.split(",")]
        return workspace.open_direct([workspace.find_person(one).id for one in names]).id

    def _say_as_bot(self, body: Json) -> Json:
        workspace = self._hub.workspace
        name = str(body["bot"])
        user = SlackPerson(f"U0{name.upper():X<8}"[:10], name.lower(), name, is_bot=True)
        room = workspace.find_channel(body["channel"])
        if user.id not in workspace.people:
            workspace.people[user.id] = user
            workspace.changes.save_record(user)
        message = SlackMessage(
            channel=room.id,
            ts=workspace.next_ts(),
            user=user.id,
            text=workspace.encode_text(body["text"], user.id),
            thread_ts=workspace.find_root(room.id, body.get("thread_ts")),
            bot_id=f"B0{name.upper():X<8}"[:10],
            app_id=str(body.get("app_id", "A0OTHERBOT")),
            subtype="bot_message" if body.get("subtype", True) else None,
            username=str(body.get("username", name)),
            metadata=body.get("metadata"),
            workflow_id=body.get("workflow_id"),
        )
        workspace.post_message(message)
        return {"ts": message.ts, "channel": room.id}

    async def change_context(self, body: Json) -> None:
        """Look at ``channel`` as ``person`` while the app is open."""
        self._hub.workspace.change_context(self._hub.workspace.find_person(body["person"]).id, self._find_channel(body))

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_messages(self, body: Json) -> Json:
        """Return all messages of a channel (and, with ``person``, the ephemeral ones that they see), oldest first."""
        workspace = self._hub.workspace
        room = self._find_channel(body)
        found = list(workspace.messages.get(room, {}).values())
        person = workspace.find_person(body["person"]).id if "person" in body else None
        found += [
            m for m in workspace.ephemerals.values() if m.channel == room and (not person or m.ephemeral_to == person)
        ]
        found.sort(key=lambda message: message.ts)
        return {"messages": [message_frame(workspace, message) for message in found]}

    async def list_requests(self, body: Json) -> Json:
        """Return the app's calls, oldest first; with ``method``, those of one method."""
        method = body.get("method")
        return {"requests": [asdict(call) for call in self._api.calls if method in {None, call.method}]}

    async def describe_state(self, _body: Json) -> Json:
        """Return connections, sessions, open modals and pending envelopes."""
        workspace = self._hub.workspace
        sessions = [asdict(session) for session in workspace.sessions.values()]
        modals = [view.body | {"user": view.user} for view in workspace.views.values() if view.kind == "modal"]
        return {
            "connected": self._hub.carrier.is_connected(),
            "connections": self._sockets.connections,
            "pending": [asdict(envelope) for envelope in self._hub.outbox.pending.values()],
            "given_up": [asdict(envelope) for envelope in self._hub.outbox.given_up],
            "sessions": sessions,
            "modals": modals,
            "files": [asdict(replace(file, text="")) for file in workspace.files.values()],
            "now": self._hub.clock.now(),
        }

    # ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def show_status(self, body: Json) -> None:
        """Show engine, knowledge and suggestions on the page."""
        self._hub.set_status(body)

    async def advance_clock(self, body: Json) -> Json:
        """Advance the workspace's clock by ``advance_s``; ``trigger_lifetime_s``: how long a modal may be opened.

        On a busy machine an app may need more than Slack's three seconds although it does nothing else first.
        """
        self._hub.trigger_lifetime_s = float(body.get("trigger_lifetime_s", self._hub.trigger_lifetime_s))
        self._hub.clock.advance(float(body.get("advance_s", 0.0)))
        self._hub.workspace.expire_streams()
        return {"now": self._hub.clock.now()}

    async def cause_faults(self, body: Json) -> None:
        """Cause faults. Every key is optional, and ``clear`` is applied first.

        ``calls``: list of ``Fault`` bodies; ``drop_acks``: how many; ``duplicate_events``: how many more times the next
        event comes; ``event_delays_s``: how long each of the next events waits; ``late_message_s``: how long after its
        mention without files the message of the next mention with files comes; ``scopes``: what the app is granted;
        ``revoke``: list of ``bot``, ``app``; ``disconnect``: a reason (``warning`` keeps the connection); ``pace``:
        ``exact``, ``generous``, ``off``; ``subscriptions``: the events that the app gets.
        """
        faults = self._hub.faults
        if body.get("clear"):
            faults.clear_faults()
        for call in body.get("calls", ()):
            faults.calls.append(Fault(**call))
        faults.acks_to_drop = int(body.get("drop_acks", faults.acks_to_drop))
        faults.event_delays_s += [float(delay_s) for delay_s in body.get("event_delays_s", ())]
        faults.duplicates = int(body.get("duplicate_events", faults.duplicates))
        faults.late_message_s = body.get("late_message_s", faults.late_message_s)
        self._hub.limiter.pace = body.get("pace", self._hub.limiter.pace)
        self._hub.workspace.subscriptions = body.get("subscriptions", self._hub.workspace.subscriptions)
        self._hub.change_grants(scopes=body.get("scopes"), revoked=body.get("revoke"))
        if "app" in body.get("revoke", ()):
            await self._sockets.disconnect("link_disabled")
        if "disconnect" in body:
            await self._sockets.disconnect(body["disconnect"], close=body["disconnect"] != "warning")
