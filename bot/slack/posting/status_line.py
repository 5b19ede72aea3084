"""Shows in Slack that the bot works on a question."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from bot.messages import answers
from bot.messages.message import render_message
from bot.slack.errors import SlackError, SlackMissingScope, SlackRefused
from bot.slack.posting.message_sink import UNSUPPORTED_CODES, ReplyTarget, SlackCapabilities
from bot.slack.transport.web_api import SlackWebApi
from knowledge.language import Language

_STATUS_STOP_TIMEOUT_S = 3.0
"""How long the end of an answer waits for a status call in flight."""


class StatusLine:
    """Shows that the bot works: by a session, and by a status in words, if this Slack has them."""

    def __init__(
        self, target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities, language: Language
    ) -> None:
        self._thread = {"channel_id": target.channel, "thread_ts": target.thread_ts}
        self._user = target.user
        self._api = api
        self._capabilities = capabilities
        self._words, self._default_text = (
            render_message(one, language) for one in (answers.SEARCHING, answers.THINKING)
        )
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_call_in_flight = False
        self.has_session = False
        """Whether a session is processing, which the bot must end."""
        self._has_status = False
        """Whether Slack shows a status, which it clears with the next message."""

    def start(self, every_s: float = 60.0) -> None:
        """Show the status in a task of its own, and show it again before Slack clears it."""
        self._task = asyncio.create_task(self._refresh(every_s), name="slack status")

    async def _refresh(self, every_s: float) -> None:
        while True:
            self._is_call_in_flight = True
            self._changed.clear()
            has_status = await self._show()
            self._is_call_in_flight = False
            if not has_status:
                return
            await asyncio.sleep(self._capabilities.status_every_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._changed.wait()

    def set_words(self, words: str) -> bool:
        """Show other words with the next call, "" for the default; return False if Slack may not show them.

        Only the last words before a call are shown. Not every Slack shows them next to a session.
        """
        if not self._capabilities.has_statuses:
            return False
        self._words = words or self._default_text
        self._changed.set()
        return not self.has_session

    async def _show(self) -> bool:
        if self._capabilities.has_sessions and not self.has_session:
            session = {"status": "processing", "initiator_user_id": self._user}
            self.has_session = await self._set("agents.sessions.setStatus", session)
        if self._capabilities.has_statuses:
            is_set = await self._set("assistant.threads.setStatus", {"status": self._words})
            self._has_status = is_set or self._has_status
        return self._has_status

    async def _set(self, method: str, arguments: Mapping[str, Any]) -> bool:
        try:
            await self._api.call(method, wait=False, **self._thread, **arguments)
        except (SlackRefused, SlackMissingScope) as error:
            if isinstance(error, SlackMissingScope) or error.code in UNSUPPORTED_CODES:
                self._capabilities.disable_status(method)
            return False
        except SlackError:
            return False
        return True

    async def stop(self, *, is_session_over: bool, is_answered: bool) -> None:
        """End the session and clear the status.

        ``is_session_over``: the answer's last call has already ended the session. ``is_answered``: a message has
        already cleared the status. A status call in flight is awaited, so that its status does not appear afterwards.
        """
        task, is_late = self._task, self._is_call_in_flight
        self._task = None
        if task is None:
            return
        if not is_late:
            task.cancel()
        await asyncio.wait([task], timeout=_STATUS_STOP_TIMEOUT_S)
        task.cancel()
        if self.has_session and (is_late or not is_session_over):
            await self._set("agents.sessions.setStatus", {"status": "active"})
        if self._has_status and (is_late or not is_answered):
            await self._set("assistant.threads.setStatus", {"status": ""})
