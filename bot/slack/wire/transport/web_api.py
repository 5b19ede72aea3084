"""Calls Slack's Web API: waits for rate limits, repeats idempotent calls, and raises ``SlackError``."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.messages import slack_errors
from bot.slack.wire.errors import (
    SlackLimited,
    SlackMissingScope,
    SlackUnauthorized,
    SlackUnavailable,
    map_api_error,
)

_log = structlog.get_logger(__name__)

CALL_TIMEOUT_S = 15.0
"""The timeout of one HTTP request to Slack with its connection, without waits for rate limits."""

_GET_METHODS = {
    "auth.teams.list", "auth.test", "chat.getPermalink", "conversations.history", "conversations.info",
    "conversations.members", "conversations.replies", "files.info", "usergroups.list", "users.conversations",
    "users.info", "users.list",
}  # fmt: skip
"""Methods that take their arguments from the query string only."""
_QUERY_METHODS = {
    "canvases.access.set", "canvases.delete", "files.completeUploadExternal", "files.delete",
    "files.getUploadURLExternal",
}  # fmt: skip
"""Other methods that take their arguments from the query string."""
_IDEMPOTENT_METHODS = _GET_METHODS | {
    "chat.update", "chat.delete", "agents.sessions.setStatus", "assistant.threads.setStatus",
    "views.publish", "apps.connections.open", "conversations.open",
}  # fmt: skip
"""Methods that may be called twice; other calls are repeated only if they did not reach Slack."""
_LAST_CONTENT = ("markdown_text", "chunks", "blocks", "metadata")
"""What ``chat.stopStream`` adds to a message. Slack refuses a second call, so whether the first worked is unknown."""
_SPACING_S = {"chat.postMessage": 1.0, "chat.startStream": 3.0, "chat.stopStream": 3.0, "chat.appendStream": 0.6}
_DEFAULT_SPACING_S = 1.2
"""The time between two calls of a method that Slack has limited, as its tier allows."""
_RETRY_DELAYS_S = (0.3, 1.5)
_DEFAULT_RETRY_AFTER_S = 1.0
_WINDOW_S = 0.001
"""The width of a window before one message; a thread may have a few others in this time."""

_Json = Mapping[str, Any]
RenewToken = Callable[[str], Awaitable[bool]]
"""Gives the client another token in place of one that Slack refused; returns False if there is none."""


class SlackWebApi:
    """Calls Slack by method name. Raises subclasses of ``SlackError`` only; may be cancelled at any point.

    A call waits for rate limits as often and as long as Slack asks; only the caller's deadline ends the wait. While a
    method is limited, its other callers wait too.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        *,
        reserve: Mapping[str, Callable[[], float]] = MappingProxyType({}),
        renew_token: RenewToken | None = None,
    ) -> None:
        """``reserve`` has functions that reserve a call of a method and return how long to wait before it."""
        self._client = client
        self._reserve = reserve
        self._renew_token = renew_token
        self._closed_until: dict[str, float] = {}
        self._waiting: Counter[str] = Counter()
        self._missing_scopes: set[str] = set()
        """Scopes whose lack was logged."""

    def get_limited_s(self, method: str) -> float:
        """Return for how many seconds Slack still limits a method; 0.0 if it does not."""
        return max(0.0, self._closed_until.get(method, 0.0) - time.monotonic())

    async def call(self, method: str, *, wait: bool = True, **arguments: Any) -> _Json:  # noqa: ANN401
        """Call a method and return Slack's answer; without ``wait``, a rate limit raises ``SlackLimited``."""
        return (await self._call(method, arguments, wait=wait))[0]

    async def call_with_headers(self, method: str, **arguments: Any) -> tuple[_Json, Mapping[str, str]]:  # noqa: ANN401
        """Call a method and return Slack's answer and its headers, with names in lower case."""
        return await self._call(method, arguments, wait=True)

    async def _call(self, method: str, arguments: _Json, *, wait: bool) -> tuple[_Json, Mapping[str, str]]:
        gate = f"{method} {arguments.get('channel')}" if method == "chat.postMessage" else method
        tries, is_renewed = 0, False
        while True:
            await self._wait_for_gate(gate, wait=wait)
            if (reserve := self._reserve.get(method)) is not None and (wait_s := reserve()) > 0:
                await asyncio.sleep(wait_s)
            token = self._client.token or ""
            try:
                return await self._send_call(method, arguments)
            except SlackUnauthorized:
                if is_renewed or self._renew_token is None or not await self._renew_token(token):
                    raise
                is_renewed = True
            except _RateLimitError as limited:
                self._closed_until[gate] = time.monotonic() + limited.seconds
            except SlackUnavailable as error:
                if tries >= len(_RETRY_DELAYS_S) or (error.maybe_done and not _may_repeat(method, arguments)):
                    raise
                await asyncio.sleep(_RETRY_DELAYS_S[tries])
                tries += 1

    async def _wait_for_gate(self, gate: str, *, wait: bool) -> None:
        """Wait until the method is not limited; waiting callers continue one by one, at the pace of the tier."""
        if self.get_limited_s(gate) <= 0:
            return
        if not wait:
            raise SlackLimited(slack_errors.LIMITED.fill(seconds=self.get_limited_s(gate)))
        self._waiting[gate] += 1
        try:
            while (wait_s := self.get_limited_s(gate)) > 0:  # noqa: ASYNC110 - a refusal moves the time on
                await asyncio.sleep(wait_s)
        finally:
            self._waiting[gate] -= 1
        if self._waiting[gate] > 0:
            self._closed_until[gate] = time.monotonic() + _SPACING_S.get(gate.partition(" ")[0], _DEFAULT_SPACING_S)
        else:
            self._closed_until.pop(gate, None)
            del self._waiting[gate]

    async def _send_call(self, method: str, arguments: _Json) -> tuple[_Json, Mapping[str, str]]:
        present = {name: value for name, value in arguments.items() if value is not None}
        try:
            if method in _GET_METHODS:
                response = await self._client.api_call(method, http_verb="GET", params=present)
            elif method in _QUERY_METHODS:
                response = await self._client.api_call(method, params=present)
            else:
                response = await self._client.api_call(method, json=present)
        except SlackApiError as error:
            mapped = _map_error(method, error)
            if isinstance(mapped, SlackMissingScope) and mapped.scope not in self._missing_scopes:
                self._missing_scopes.add(mapped.scope)
                _log.error("scope missing", error=str(mapped))
            raise mapped from error
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise SlackUnavailable(slack_errors.UNREACHABLE, maybe_done=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as error:
            raise SlackUnavailable(slack_errors.UNREACHABLE, maybe_done=True) from error
        headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
        return response.data if isinstance(response.data, dict) else {}, headers


def _may_repeat(method: str, arguments: _Json) -> bool:
    """Return whether a call may reach Slack twice."""
    if method == "chat.stopStream":
        return not any(arguments.get(name) for name in _LAST_CONTENT)
    return method in _IDEMPOTENT_METHODS


async def fetch_pages(
    call: Callable[..., Awaitable[_Json]], method: str, *, max_pages: int | None = None, **arguments: object
) -> list[_Json]:
    """Return the pages of a method by its cursors, at most ``max_pages``; ``call`` is ``SlackWebApi.call``."""
    pages: list[_Json] = []
    cursor = ""
    while True:
        page = await call(method, cursor=cursor or None, **arguments)
        pages.append(page)
        cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor or len(pages) == max_pages:
            return pages


def make_window(ts: str) -> dict[str, Any]:
    """Return the arguments of ``conversations.history`` and ``.replies`` for one message, which is the newest of them.

    Slack is said to return nothing if ``oldest`` and ``latest`` are equal, so the window is wider. The caller picks the
    message by its ``ts``.
    """
    return {"oldest": f"{float(ts) - _WINDOW_S:.6f}", "latest": ts, "inclusive": "true"}


class _RateLimitError(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def _map_error(method: str, error: SlackApiError) -> Exception:
    response = error.response
    data = getattr(response, "data", None)
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    needed = str(data.get("needed", "")) if isinstance(data, dict) else ""
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in {"ratelimited", "rate_limited"}:
        return _RateLimitError(_read_retry_after(response.headers))
    return map_api_error(method, code, needed, status or 500)


def _read_retry_after(headers: Mapping[str, Any]) -> float:
    for name, value in headers.items():
        if name.lower() == "retry-after" and str(value).strip().isdecimal():
            return max(float(value), 0.05)
    return _DEFAULT_RETRY_AFTER_S
