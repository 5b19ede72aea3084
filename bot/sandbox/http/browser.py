"""Serve the page and its websocket to browsers, and refuse requests of other sites."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from bot.sandbox import limits
from bot.sandbox.http.actions import PersonActions
from bot.sandbox.hub import Hub
from bot.sandbox.interactions import APP_COMMANDS, APP_SHORTCUTS
from bot.sandbox.state import directory
from bot.sandbox.state.accounts import person_frame
from bot.sandbox.state.model import BOT_USER, TEAM_NAME, Json, SlackChannel
from bot.sandbox.state.records import PageUpdate
from bot.sandbox.state.refusals import RefusedCall
from bot.sandbox.state.workspace import message_frame, session_frame
from engine.tasks import cancel_tasks

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_COALESCE_S = 0.03
"""Updates of one message within this time are sent as one."""
_HISTORY = 200
"""A page gets so many messages of a conversation at first, and with each request for more."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_guard(base_url: str) -> Any:  # noqa: ANN401 - aiohttp's middleware type is private
    """Return a middleware that refuses requests for another host (DNS rebinding) and from another site's page."""
    port = urlsplit(base_url).port
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
    origins = {f"http://{host}" for host in hosts}

    @web.middleware
    async def refuse_other_sites(request: web.Request, handler: _Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.host not in hosts or (origin is not None and origin not in origins):
            return web.Response(status=403, text="This workspace answers only its own page.")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_SECURITY)
        return response

    return refuse_other_sites


class BrowserPage:
    """One open page: its person and the updates that wait for it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.person = ""
        self.waiting: dict[str, Json] = {}
        self._has_updates = asyncio.Event()

    def queue_update(self, update: PageUpdate) -> None:
        """Queue an update for this page; it replaces an earlier one with the same key.

        The one queue keeps answers, snapshots and updates in order.
        """
        self.waiting.pop(update.key, None)
        self.waiting[update.key] = update.body
        self._has_updates.set()

    async def send_updates(self) -> None:
        """Send waiting updates, without end."""
        while True:
            await self._has_updates.wait()
            self._has_updates.clear()
            waiting, self.waiting = self.waiting, {}
            await self.socket.send_str(json.dumps(list(waiting.values()), ensure_ascii=False))
            await asyncio.sleep(_COALESCE_S)


class Browser:
    """The page and its websocket."""

    def __init__(self, hub: Hub, actions: PersonActions, base_url: str) -> None:
        self._hub = hub
        self._cookie = f"kvasir_sandbox_{urlsplit(base_url).port}"  # cookies are shared between ports
        self._session = secrets.token_urlsafe(32)
        self._files = _read_page_files()
        self._pages: set[BrowserPage] = set()
        self._actions = actions.list_actions()
        hub.show_update = self._queue_update

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.get("/", self.show_page),
            web.get("/archives/{channel}/{message}", self.show_page),
            web.get("/page/{name}", self.show_file),
            web.get("/page-socket", self.serve_page),
        ]

    async def close(self) -> None:
        """Close every page's websocket."""
        for page in list(self._pages):
            await page.socket.close(code=1001, message=b"going away")

    # ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def show_page(self, request: web.Request) -> web.Response:
        """Return the page, with a session cookie."""
        response = self._serve_file("index.html")
        if not self._has_session(request):
            response.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        return response

    async def show_file(self, request: web.Request) -> web.Response:
        """Return one of the page's files."""
        return self._serve_file(request.match_info["name"])

    def _serve_file(self, name: str) -> web.Response:
        if name not in self._files:
            raise web.HTTPNotFound
        return web.Response(body=self._files[name], content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8")

    def _has_session(self, request: web.Request) -> bool:
        return hmac.compare_digest(self._session.encode(), request.cookies.get(self._cookie, "").encode())

    # ── Websocket ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def serve_page(self, request: web.Request) -> web.StreamResponse:
        """Serve one open page."""
        if not self._has_session(request) or "Origin" not in request.headers:
            raise web.HTTPForbidden(text="Open the page first.")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=2 * limits.UPLOAD_BYTES)
        await socket.prepare(request)
        page = BrowserPage(socket)
        self._pages.add(page)
        sender = asyncio.create_task(page.send_updates())
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._handle_frame(page, frame.data)
        finally:
            self._pages.discard(page)
            await cancel_tasks(sender)
        return socket

    def _queue_update(self, update: PageUpdate) -> None:
        for page in self._pages:
            if page.person and (update.audience is None or page.person in update.audience):
                page.queue_update(update)

    async def _handle_frame(self, page: BrowserPage, data: str) -> None:
        """Run the action that a page requests, and queue the answer."""
        body: Json = {}
        try:
            body = json.loads(data)
            answer = {"ok": True, **(self._run_action(page, body) or {})}
        except RefusedCall as refusal:
            answer = {"ok": False, "error": refusal.error}
        except (KeyError, TypeError, ValueError, AttributeError):
            answer = {"ok": False, "error": "invalid_arguments"}
        self._hub.settle_changes()
        number = body.get("id") if isinstance(body, dict) else None
        page.queue_update(PageUpdate(f"answer/{number}", {"type": "reply", "id": number, **answer}))
        with contextlib.suppress(sqlite3.Error):  # the next change tries again, for example when the disk was full
            await self._hub.storage.wait_until_stored()

    def _run_action(self, page: BrowserPage, body: Json) -> Json | None:
        match body["do"]:
            case "be":
                return self._choose_person(page, body)
            case "history":
                return self._read_history(page, body)
            case name:
                room = self._find_visible_channel(page, body) if body.get("channel") else ""
                return self._actions[name](page.person, body, room)

    def _choose_person(self, page: BrowserPage, body: Json) -> Json:
        """Switch to a person; return everything that they see."""
        workspace = self._hub.workspace
        person = workspace.find_person(body["person"]).id
        page.person = person
        page.waiting.clear()
        rooms = workspace.list_visible_channels(person)
        home = workspace.find_home(person)
        snapshot = {
            "team": TEAM_NAME,
            "me": person,
            "bot": BOT_USER,
            "commands": list(APP_COMMANDS),
            "shortcuts": [asdict(shortcut) for shortcut in APP_SHORTCUTS],
            "people": [person_frame(workspace, person) for person in workspace.people.values()],
            "channels": [self._build_channel(room, person) for room in rooms],
            "messages": [frame for room in rooms for frame in self._list_messages(room.id, person, None)],
            "sessions": [session_frame(s) for s in workspace.sessions.values() if s.channel in {r.id for r in rooms}],
            "home": home.body if home else None,
            "modals": [view.body for view in workspace.list_modals(person)],
            "status": self._hub.status_frame(),
        }
        return {"snapshot": snapshot}

    def _build_channel(self, room: SlackChannel, person: str) -> Json:
        more = len(self._hub.workspace.list_history(room.id)) > _HISTORY
        body = directory.channel_object(self._hub.workspace, room, person)
        return body | {"members": list(room.members), "more": more}

    def _list_messages(self, room: str, person: str, before: str | None) -> list[Json]:
        """Return the last messages before a ts, each with its thread, and the ephemeral ones."""
        workspace = self._hub.workspace
        roots = [m for m in workspace.list_history(room) if before is None or m.ts < before][-_HISTORY:]
        found = [m for root in roots for m in (root, *workspace.list_replies(room, root.ts))]
        if before is None:
            found += [m for m in workspace.ephemerals.values() if m.channel == room and m.ephemeral_to == person]
        return [message_frame(workspace, message) for message in found]

    def _read_history(self, page: BrowserPage, body: Json) -> Json:
        room = self._find_visible_channel(page, body)
        frames = self._list_messages(room, page.person, str(body["before"]))
        return {"messages": frames, "more": sum(frame["root"] == frame["ts"] for frame in frames) >= _HISTORY}

    def _find_visible_channel(self, page: BrowserPage, body: Json) -> str:
        """Return the channel of a request, if the page's person is a member."""
        room = self._hub.workspace.find_channel(str(body["channel"]))
        if page.person not in room.members:
            raise RefusedCall("channel_not_found")
        return room.id


def _read_page_files() -> dict[str, bytes]:
    """Return the page's files by name."""
    folder = resources.files("bot.sandbox") / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}
