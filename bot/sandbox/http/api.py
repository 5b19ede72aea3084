"""The Web API over HTTP: tokens, scopes, rate limits, faults, and the answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bot.sandbox.delivery.faults import Fault
from bot.sandbox.hub import Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.methods import agents, chat, conversations, files, people, streaming, views
from bot.sandbox.methods.call import Arguments, Call, Method
from bot.sandbox.oauth.wire_ids import WireIds
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall

_REMEMBERED = 20_000
_SERVER_ERROR = 500
_CONCERNED = (
    "user", "initiator_user_id", "recipient_user_id", "team_id", "recipient_team_id", "channel", "channel_id",
)  # fmt: skip

METHODS: dict[str, Method] = {
    method.name: method
    for module in (agents, chat, conversations, files, people, streaming, views)
    for method in module.METHODS
}
"""Calls of other methods are refused as ``unknown_method``."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call of the app, as ``GET /sandbox/requests`` returns it."""

    method: str
    args: Json
    at: float
    """It began at this time of the workspace's clock, in seconds since the epoch."""
    seconds: float
    """It took so long from the request's headers until its answer was ready to send."""
    error: str | None


class Api:
    """Answers the app's calls."""

    def __init__(
        self, hub: Hub, interactions: Interactions, base_url: str, new_socket_url: Callable[[], str], ids: WireIds
    ) -> None:
        self._hub = hub
        self._interactions = interactions
        self._base_url = base_url
        self._new_socket_url = new_socket_url
        self._ids = ids
        self.calls: deque[CallRecord] = deque(maxlen=_REMEMBERED)

    def list_routes(self) -> list[web.RouteDef]:
        """Return the endpoints."""
        return [
            web.post("/commands/{token}", self.handle_response),
            web.post("/actions/{token}", self.handle_response),
        ]

    async def handle_call(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        name = request.match_info["method"]
        at, started = self._hub.clock.now(), time.perf_counter()
        values: Json = {}
        fault: Fault | None = None
        try:
            values = self._ids.translate_ids(await _read_arguments(request))
            fault = self._hub.faults.find_fault(name, self._find_concerned(values))
            if fault:
                await apply_fault(fault)
            body, headers = self._run_method(name, read_token(request, values), Arguments(values))
            await self._hub.settle_and_store()
        except RefusedCall as refusal:
            self._hub.settle_changes()
            body, headers = {"ok": False, "error": refusal.error, **refusal.extra}, {}
            if refusal.retry_after_s is not None:
                headers["Retry-After"] = str(refusal.retry_after_s)
        except sqlite3.Error:
            body, headers = {"ok": False, "error": "internal_error"}, {}
        error = body.get("error")
        arguments = {name: value for name, value in values.items() if name != "token" and value is not None}
        self.calls.append(CallRecord(name, arguments, at, time.perf_counter() - started, error))
        if fault and fault.lose_reply and request.transport:
            request.transport.abort()
        if fault and fault.status >= _SERVER_ERROR:
            return web.Response(status=fault.status, text="upstream error", content_type="text/html")
        return web.json_response(
            self._ids.translate_ids(body), status=429 if error == "ratelimited" else 200, headers=headers
        )

    def _find_concerned(self, values: Json) -> set[str]:
        """Return the people, teams and channels that a call names, and who began the thread that it names."""
        concerned = {str(values.get(name, "")) for name in _CONCERNED}
        channel = str(values.get("channel") or values.get("channel_id") or "")
        named = self._hub.workspace.find_message(channel, str(values.get("thread_ts") or values.get("ts") or ""))
        root = self._hub.workspace.find_message(channel, named.root) if named is not None else None
        return concerned | ({root.user} if root is not None else set())

    def _run_method(self, name: str, token: str, args: Arguments) -> tuple[Json, dict[str, str]]:
        method = METHODS.get(name)
        if method is None:
            raise RefusedCall("unknown_method", req_method=name)
        self._check_token(method, token)
        wait_s = self._hub.limiter.count_call(name, method.tier, args.get_text("channel"))
        if wait_s is not None:
            raise RefusedCall("ratelimited", retry_after_s=wait_s)
        self._hub.workspace.expire_streams()
        scopes = self._hub.scopes
        call = Call(self._hub.workspace, args, scopes, self._base_url, self._new_socket_url, self._hub.take_trigger)
        headers = {"x-oauth-scopes": ",".join(sorted(scopes)), "x-accepted-oauth-scopes": ",".join(method.scopes)}
        return {"ok": True, **method.answer(call)}, headers

    def _check_token(self, method: Method, token: str) -> None:
        """Check the token and its scopes.

        Raises:
            RefusedCall: ``not_authed``, ``invalid_auth``, ``not_allowed_token_type``, ``token_revoked``,
                ``token_expired``, ``missing_scope``.

        """
        if not token:
            raise RefusedCall("not_authed")
        is_app = hmac.compare_digest(self._hub.credentials.app_token.encode(), token.encode())
        if not is_app and not self._hub.is_bot_token(token):
            raise RefusedCall("invalid_auth")
        kind = "app" if is_app else "bot"
        if kind in self._hub.revoked_tokens:
            raise RefusedCall("token_revoked")
        if kind != method.caller:
            raise RefusedCall("not_allowed_token_type")
        granted = self._hub.scopes if kind == "bot" else {"connections:write"}
        if method.scopes and not granted & set(method.scopes):
            raise RefusedCall("missing_scope", needed=method.scopes[0], provided=",".join(sorted(granted)))

    async def handle_response(self, request: web.Request) -> web.Response:
        """Handle what the app posts to a response_url."""
        try:
            answer = self._ids.translate_ids(await request.json())
        except ValueError:
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        try:
            url = self._interactions.take_url(request.match_info["token"])
            self._interactions.post_response(url, answer if isinstance(answer, dict) else {})
        except RefusedCall as refusal:
            status = 404 if refusal.error in {"expired_url", "used_url"} else 400
            return web.json_response({"ok": False, "error": refusal.error}, status=status)
        await self._hub.settle_and_store()
        return web.Response(text="ok")


async def apply_fault(fault: Fault) -> None:
    """Delay or refuse a call, before anything is done.

    Raises:
        RefusedCall: with the fault's error.

    """
    if fault.hang_s:
        await asyncio.sleep(fault.hang_s)
    if fault.status == 429:  # noqa: PLR2004 - HTTP's "too many requests"
        raise RefusedCall("ratelimited", retry_after_s=fault.retry_after_s)
    if fault.error or fault.status >= _SERVER_ERROR:
        raise RefusedCall(fault.error or "internal_error")


async def _read_arguments(request: web.Request) -> Json:
    """Return the arguments of a call from its query, JSON or form.

    Raises:
        RefusedCall: ``invalid_json``, ``json_not_object``.

    """
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        text = await request.text()
        try:
            body = json.loads(text or "{}")
        except ValueError as error:
            raise RefusedCall("invalid_json") from error
        if not isinstance(body, dict):
            raise RefusedCall("json_not_object")
        return values | body
    form = await request.post()
    return values | {name: value for name, value in form.items() if isinstance(value, str)}


def read_token(request: web.Request, values: Json) -> str:
    """Return the token of a call, from its header or its arguments."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else str(values.get("token", ""))
