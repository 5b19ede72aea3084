"""The control API for tests and the launcher: act as a person, change the workspace, read it, and cause faults."""

from __future__ import annotations

import functools
import hmac
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import get_args

from aiohttp import web

from bot.sandbox.delivery.faults import Fault
from bot.sandbox.delivery.socket_mode import SocketMode
from bot.sandbox.http.actions import PersonAction, PersonActions
from bot.sandbox.http.api import Api
from bot.sandbox.hub import Hub
from bot.sandbox.state.model import (
    TEAM_ID,
    ChannelKind,
    Json,
    Organization,
    Role,
    SlackChannel,
    SlackMessage,
    SlackPerson,
    UserGroup,
)
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import message_frame

_Do = Callable[[Json], Json | Awaitable[Json | None] | None]
_PERSON = frozenset(field.name for field in fields(SlackPerson)) - {"updated"}
_GROUP = frozenset(field.name for field in fields(UserGroup)) - {"created", "updated"}


class ControlApi:
    """Endpoints under ``/sandbox/``, each behind the control token."""

    def __init__(self, hub: Hub, actions: PersonActions, api: Api, sockets: SocketMode) -> None:
        self._hub = hub
        self._workspace = hub.workspace
        self._actions = actions
        self._api = api
        self._sockets = sockets

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints. Those that change something send the events of it."""
        workspace = self._workspace
        actions: dict[str, _Do] = {
            **{name: functools.partial(self._act, do) for name, do in self._actions.list_actions().items()},
            "say": self._say_text,
            "context": lambda body: workspace.change_context(self._find_person(body), self._find_channel(body)),
            "person": self.change_person,
            "channel": self.change_channel,
            "group": self.change_group,
            "organization": self.change_organization,
            "world": self.change_world,
            "join": lambda body: workspace.add_member(self._find_person(body, "member"), self._find_channel(body)),
            "leave": lambda body: workspace.remove_member(self._find_person(body, "member"), self._find_channel(body)),
            "rename": lambda body: workspace.rename_channel(self._find_channel(body), body["name"]),
            "archive": lambda body: workspace.set_archived(
                self._find_channel(body), self._find_person(body), archived=body.get("archived", True)
            ),
            "change_id": lambda body: workspace.change_channel_id(self._find_channel(body), str(body["id"])),
            "uninstall": lambda _body: self._hub.uninstall_app(),
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
                answer = do(body)
                if inspect.isawaitable(answer):
                    answer = await answer
                await self._hub.settle_and_store()
            except RefusedCall as refusal:
                return web.json_response({"ok": False, "error": refusal.error}, status=400)
            except (KeyError, TypeError, ValueError) as error:
                detail = f"{type(error).__name__}: {error}"
                return web.json_response({"ok": False, "error": "invalid_arguments", "detail": detail}, status=400)
            return web.json_response({"ok": True, **(answer or {})})

        return handle_request

    # ── Acting ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, do: PersonAction, body: Json) -> Json | None:
        """Act as ``person``."""
        return do(self._find_person(body), body, self._find_channel(body) if body.get("channel") else "")

    def _say_text(self, body: Json) -> Json | None:
        """Say something as ``person``, or as another bot (``bot``).

        Of a bot, ``app_id``, ``username``, ``metadata``, ``workflow_id`` and ``subtype`` may be given, too.
        """
        return self._say_as_bot(body) if body.get("bot") else self._act(self._actions.say_text, body)

    def _find_person(self, body: Json, name: str = "person") -> str:
        return self._workspace.find_person(body[name]).id

    def _find_channel(self, body: Json) -> str:
        """Return the channel's id: an id, a name, or ``@bo,@kvasir`` for the person's conversation with these."""
        workspace, name = self._workspace, str(body["channel"])
        if not name.startswith("@"):
            return workspace.find_channel(name).id
        return workspace.open_direct(self._find_people([body["person"], *name.split(",")])).id

    def _find_people(self, names: Iterable[str]) -> list[str]:
        return [self._workspace.find_person(name).id for name in names]

    def _say_as_bot(self, body: Json) -> Json:
        workspace = self._workspace
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

    # ── Changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def change_world(self, body: Json) -> None:
        """Set the ``organization``, then many ``people``, ``channels`` and ``groups``; ``silent`` sends no events."""
        events = len(self._workspace.changes.events)
        if "organization" in body:
            self.change_organization(body["organization"])
        for person in body.get("people", ()):
            self.change_person(person)
        for channel in body.get("channels", ()):
            self.change_channel(channel)
        for group in body.get("groups", ()):
            self.change_group(group)
        if body.get("silent"):
            del self._workspace.changes.events[events:]

    def change_person(self, body: Json) -> Json:
        """Add or change the person ``id``: ``name``, ``real_name``, ``role``, ``email``, ``team``, ``deleted``."""
        person_id = str(body["id"])
        if not _PERSON.issuperset(body) or body.get("role", "member") not in get_args(Role):
            raise RefusedCall("invalid_arguments")
        before = self._workspace.people.get(person_id)
        if before:
            self._workspace.save_person(replace(before, **body, updated=int(self._workspace.now())))
        else:
            self._workspace.save_person(SlackPerson(**{"name": person_id.lower(), "real_name": person_id, **body}))
        return {"id": person_id}

    def change_channel(self, body: Json) -> Json:
        """Add or change a conversation.

        ``channel`` is its id or name. ``id`` and ``kind`` (``channel``, ``group``, ``mpim``) add one, with a ``name``
        and the team that is its ``host``. ``members`` are ids or handles: people join and leave accordingly.
        ``shared_with`` are the other teams. ``topic`` is text. ``refusal`` is the error for posts of the app, or "".
        """
        workspace = self._workspace
        members = self._find_people(body.get("members", ()))
        if body.get("kind", "channel") not in get_args(ChannelKind):
            raise RefusedCall("invalid_arguments")
        changed = {name: body[name] for name in ("topic", "kind", "refusal") if name in body}
        room = workspace.channels.get(body["id"]) if "id" in body else workspace.find_channel(body["channel"])
        if room is None:
            name = str(body.get("name", body.get("channel", ""))).lstrip("#")
            added = {"name": name, "host": body.get("host", TEAM_ID), "kind": body["kind"]} | changed
            room = SlackChannel(id=str(body["id"]), members=members, created=int(workspace.now()), **added)
            workspace.save_channel(room)
        else:
            workspace.change_channel(room.id, **changed)
            self._change_members(room, members if "members" in body else room.members)
        if "shared_with" in body:
            workspace.share_channel(room.id, [str(team) for team in body["shared_with"]])
        return {"id": room.id}

    def _change_members(self, room: SlackChannel, members: Sequence[str]) -> None:
        for member in [member for member in room.members if member not in members]:
            self._workspace.remove_member(member, room.id)
        for member in members:
            self._workspace.add_member(member, room.id)

    def change_group(self, body: Json) -> Json:
        """Add or change the user group ``id``: ``handle``, ``name``, ``users`` (ids or handles), ``disabled``."""
        group_id, now = str(body["id"]), int(self._workspace.now())
        if not _GROUP.issuperset(body):
            raise RefusedCall("invalid_arguments")
        before = self._workspace.groups.get(group_id) or UserGroup(group_id, group_id.lower(), group_id, created=now)
        users = self._find_people(body["users"]) if "users" in body else before.users
        self._workspace.save_group(replace(before, **body | {"users": users, "updated": now}))
        return {"id": group_id}

    def change_organization(self, body: Json | None) -> None:
        """Put the workspace into an organization (``id``, ``name``, ``teams``, ``org_wide_install``); null ends it."""
        self._workspace.set_organization(None if body is None else Organization(**body))

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_messages(self, body: Json) -> Json:
        """Return all messages of a channel (and, with ``person``, the ephemeral ones that they see), oldest first."""
        workspace = self._workspace
        room = self._find_channel(body)
        found = list(workspace.messages.get(room, {}).values())
        person = workspace.find_person(body["person"]).id if "person" in body else None
        found += [
            m for m in workspace.ephemerals.values() if m.channel == room and (not person or m.ephemeral_to == person)
        ]
        found.sort(key=lambda message: message.ts)
        return {"messages": [message_frame(workspace, message) for message in found]}

    def list_requests(self, body: Json) -> Json:
        """Return the app's calls, oldest first; with ``method``, those of one method."""
        method = body.get("method")
        return {"requests": [asdict(call) for call in self._api.calls if method in {None, call.method}]}

    def describe_state(self, _body: Json) -> Json:
        """Return connections, sessions, open modals and pending envelopes."""
        workspace = self._workspace
        sessions = [asdict(session) for session in workspace.sessions.values()]
        modals = [view.body | {"user": view.user} for view in workspace.views.values() if view.kind == "modal"]
        return {
            "connected": self._hub.outbox.carrier.connected.is_set(),
            "connections": self._sockets.connections,
            "pending": [asdict(envelope) for envelope in self._hub.outbox.pending.values()],
            "given_up": [asdict(envelope) for envelope in self._hub.outbox.given_up],
            "sessions": sessions,
            "modals": modals,
            "files": [asdict(replace(file, text="")) for file in workspace.files.values()],
            "now": self._hub.clock.now(),
        }

    # ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def show_status(self, body: Json) -> None:
        """Show engine, knowledge and suggestions on the page."""
        self._hub.status = body
        self._hub.publish_status()

    def advance_clock(self, body: Json) -> Json:
        """Advance the workspace's clock by ``advance_s``; ``trigger_lifetime_s``: how long a modal may be opened.

        On a busy machine an app may need more than Slack's three seconds although it does nothing else first.
        """
        self._hub.trigger_lifetime_s = float(body.get("trigger_lifetime_s", self._hub.trigger_lifetime_s))
        self._hub.clock.advance(float(body.get("advance_s", 0.0)))
        self._workspace.expire_streams()
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
        self._workspace.subscriptions = body.get("subscriptions", self._workspace.subscriptions)
        self._hub.scopes = frozenset(body.get("scopes", self._hub.scopes))
        self._hub.revoked_tokens = frozenset(body.get("revoke", self._hub.revoked_tokens))
        if "app" in body.get("revoke", ()):
            await self._sockets.disconnect("link_disabled")
        if "disconnect" in body:
            await self._sockets.disconnect(body["disconnect"], close=body["disconnect"] != "warning")
