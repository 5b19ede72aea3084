"""Shows in Slack that the bot works on a question."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.messages import answers
from bot.messages.message import render_message
from bot.slack.posting.message_sink import ReplyTarget
from bot.slack.wire.errors import SlackError, SlackLimited, SlackRefused, SlackUnavailable
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.open_statuses import OpenStatuses
from bot.storage.turns.questions import is_app

SESSION_METHOD = "agents.sessions.setStatus"
WORDS_METHOD = "assistant.threads.setStatus"
_CLEARED = {SESSION_METHOD: "active", WORDS_METHOD: ""}
_RETRY_S = 30.0
"""When to clear a status again if Slack does not answer."""
_STATUS_STOP_TIMEOUT_S = 3.0
"""How long the end of an answer waits for a status call in flight."""


class StatusLine:
    """Shows that the bot works: by a session, and by a status in words, if this Slack has them."""

    def __init__(
        self,
        target: ReplyTarget,
        on_limited: Callable[[], None],
        is_replaced: Callable[[], bool],
    ) -> None:
        """``on_limited`` is called if a rate limit lets Slack show nothing.

        ``is_replaced`` returns whether a message shows the progress, so that no words are needed.
        """
        self._thread = {"channel_id": target.channel, "thread_ts": target.thread_ts}
        self._target = target
        self._on_limited = on_limited
        self._is_replaced = is_replaced
        self._words, self._default_text = (
            render_message(one, target.language) for one in (answers.SEARCHING, answers.THINKING)
        )
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_call_in_flight = False
        self.has_session = False
        """Whether a session is processing, which the bot must end."""
        self._has_status = False
        """Whether Slack shows a status, which it clears with the next message."""
        self._shown_at = 0.0
        """When Slack last answered that it shows the status, on the monotonic clock."""
        self.is_limited = False
        self.clear_in_s: float | None = None
        """When somebody must clear the status again, because it could not be cleared; None if it needs no clearing."""

    def start(self, every_s: float = 60.0) -> None:
        """Show the status in a task of its own, and show it again before Slack clears it."""
        self._task = asyncio.create_task(self._refresh_status(every_s), name="slack status")

    async def _refresh_status(self, every_s: float) -> None:
        while True:
            self._is_call_in_flight = True
            self._changed.clear()
            self.is_limited = await self._show_status() and not (self.has_session or self._has_status)
            self._is_call_in_flight = False
            if self.is_limited:
                self._on_limited()
                limits = (self._target.api.get_limited_s(method) for method in (SESSION_METHOD, WORDS_METHOD))
                await asyncio.sleep(max(self._target.capabilities.status_every_s, *limits))
                continue
            if not self._has_status:
                return
            await asyncio.sleep(self._target.capabilities.status_every_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._changed.wait()
            if self._is_replaced():
                return  # the session goes on

    def set_words(self, words: str) -> bool:
        """Show other words with the next call, "" for the default; return False if Slack may not show them.

        Only the last words before a call are shown. Not every Slack shows them next to a session.
        """
        if not self._allows_method(WORDS_METHOD):
            return False
        self._words = words or self._default_text
        self._changed.set()
        return not self.has_session

    def _allows_method(self, method: str) -> bool:
        return self._target.capabilities.refused_methods.allows_method(method, self._target.user)

    async def _show_status(self) -> bool:
        """Show the session and the words; return whether a rate limit was in the way."""
        limits = self._target.capabilities.limits
        was_limited = False
        if self._allows_method(SESSION_METHOD) and not self.has_session:
            initiator = {} if is_app(self._target.user) else {"initiator_user_id": self._target.user}
            session = {"status": "processing", **initiator}
            is_shown = await self._call_method(SESSION_METHOD, session) if limits.sessions.begin(self) else None
            self.has_session = bool(is_shown)
            was_limited = is_shown is None
        if self._allows_method(WORDS_METHOD):
            words = {"status": self._words}
            is_shown = await self._call_method(WORDS_METHOD, words) if limits.words.try_reserve() else None
            if is_shown is None:
                return True
            self._has_status = is_shown or self._has_status
            self._shown_at = time.monotonic()
        return was_limited

    async def _call_method(self, method: str, arguments: Mapping[str, Any]) -> bool | None:
        """Call a method and return whether Slack has done it; None if Slack limits the method."""
        try:
            await self._target.api.call(method, wait=False, **self._thread, **arguments)
        except SlackLimited:
            return None
        except SlackRefused as error:
            self._target.capabilities.refused_methods.note_refusal(method, self._target.user, error)
            return False
        except SlackError:
            return False
        return True

    async def stop(self, *, is_session_over: bool, answered_at: float | None) -> None:
        """End the session and clear the status.

        ``is_session_over``: the answer's last call has already ended the session. ``answered_at``: when the answer's
        last new message was sent, which cleared an earlier status. A status call in flight is awaited, so that its
        status does not appear afterwards.

        """
        task, is_late = self._task, self._is_call_in_flight
        if task is None:
            return
        if not is_late:
            task.cancel()
        self.clear_in_s = _RETRY_S  # if this is cancelled
        await asyncio.wait([task], timeout=_STATUS_STOP_TIMEOUT_S)
        task.cancel()
        self._task = None
        methods = [SESSION_METHOD] if self.has_session and (is_late or not is_session_over) else []
        is_cleared = answered_at is not None and answered_at > self._shown_at
        methods += [WORDS_METHOD] if self._has_status and (is_late or not is_cleared) else []
        self._target.capabilities.limits.sessions.end(self)
        self.clear_in_s = await _clear_statuses(self._target.api, methods, **self._thread)

    def leave(self) -> None:
        """Leave the status as it is, because the turn was interrupted and another attempt follows."""
        self._target.capabilities.limits.sessions.end(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None


class StatusCleaner(PeriodicTask):
    """Clears statuses that the end of a turn could not clear, of this process and of dead ones."""

    def __init__(self, statuses: OpenStatuses, api: SlackWebApi, every_s: float) -> None:
        super().__init__("status cleaner", every_s)
        self._statuses = statuses
        self._api = api

    async def run_once(self) -> None:
        """Clear the statuses that are due. After a stop, another process or the next start clears the rest."""
        for status in await self._statuses.take_due():
            clear_in_s = await _clear_statuses(self._api, _CLEARED, status.channel, status.thread_ts)
            await self._statuses.settle_status(status, clear_in_s)


async def _clear_statuses(api: SlackWebApi, methods: Iterable[str], channel_id: str, thread_ts: str) -> float | None:
    """Clear what methods show in a thread; return in how many seconds to try again, None for never."""
    delays = [await _clear_status(api, method, channel_id, thread_ts) for method in methods]
    return max((delay for delay in delays if delay is not None), default=None)


async def _clear_status(api: SlackWebApi, method: str, channel_id: str, thread_ts: str) -> float | None:
    try:
        await api.call(method, wait=False, channel_id=channel_id, thread_ts=thread_ts, status=_CLEARED[method])
    except SlackLimited:
        return api.get_limited_s(method)
    except SlackUnavailable:
        return _RETRY_S
    except SlackError:
        return None  # Slack has no such status here
    return None
