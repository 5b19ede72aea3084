"""Shows people their place in the line while their questions wait for a free turn."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Sequence

from bot.answering.notices.answer_notices import describe_queue_position
from bot.languages.registry import choose_language
from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.posting.status_line import WORDS_METHOD
from bot.slack.wire.errors import SlackError, SlackRefused
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from engine.tasks import cancel_tasks

_FIRST_LINE_S = 0.1
_REPEAT_S = 60.0
"""Slack clears a status after two minutes."""
_MEASURED_TURNS = 50
_OVERDUE_SHARE = 0.1
"""The part of a turn that a turn longer than the average still takes."""


class TurnTimes:
    """Estimates when waiting turns start, from the durations of the last ones."""

    def __init__(self, width: int, now: Callable[[], float] = time.monotonic) -> None:
        self._width = width
        self._now = now
        self._started: dict[QuestionKey, float] = {}
        self._durations: deque[float] = deque(maxlen=_MEASURED_TURNS)

    def note_start(self, key: QuestionKey) -> None:
        """Note that a turn starts."""
        self._started[key] = self._now()

    def note_end(self, key: QuestionKey) -> None:
        """Note that a turn has ended."""
        started_at = self._started.pop(key, None)
        if started_at is not None:
            self._durations.append(self._now() - started_at)

    def estimate_waits_s(self, count: int) -> list[float | None]:
        """Return the estimated waits of the next ``count`` turns in seconds, None before the first measurement."""
        if not self._durations:
            return [None] * count
        mean_s = sum(self._durations) / len(self._durations)
        now = self._now()
        left = [max(mean_s - (now - started_at), _OVERDUE_SHARE * mean_s) for started_at in self._started.values()]
        free_at = sorted([*[0.0] * max(0, self._width - len(left)), *left])
        waits: list[float | None] = []
        for _ in range(count):
            waits.append(free_at[0])
            heapq.heapreplace(free_at, free_at[0] + mean_s)
        return waits


class WaitingTurns:
    """Keeps the places up to date in the words of a status, as far as Slack's rate limit allows."""

    def __init__(
        self, api: SlackWebApi, capabilities: SlackCapabilities, times: TurnTimes, *, every_s: float = 10.0
    ) -> None:
        self.times = times
        self._api = api
        self._capabilities = capabilities
        self._every_s = every_s
        self._messages: dict[QuestionKey, QuestionMessage] = {}
        self._shown: dict[QuestionKey, tuple[str, float]] = {}
        """The last words of each question, and when they were shown; the oldest first."""
        self._list_waiting: Callable[[], Sequence[QuestionKey]] = lambda: ()
        self._task: asyncio.Task[None] | None = None

    def add_question(self, message: QuestionMessage, list_waiting: Callable[[], Sequence[QuestionKey]]) -> None:
        """Show the place of a question, which waits; ``list_waiting`` returns the questions in the line."""
        self._messages[message.key] = message
        self._list_waiting = list_waiting
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._show_places(), name="places in the line")

    def remove_question(self, key: QuestionKey) -> None:
        """Stop showing the place of a question."""
        self._messages.pop(key, None)
        self._shown.pop(key, None)

    async def close(self) -> None:
        """Stop."""
        await cancel_tasks(self._task)

    async def _show_places(self) -> None:
        await asyncio.sleep(_FIRST_LINE_S)
        while self._messages:
            waiting = [key for key in self._list_waiting() if key in self._messages]
            waits_s = self.times.estimate_waits_s(len(waiting))
            places = [(key, place, wait_s) for place, (key, wait_s) in enumerate(zip(waiting, waits_s, strict=True), 1)]
            # Who has waited longest for news comes first, because not all may fit into the rate limit.
            places.sort(key=lambda one: self._shown.get(one[0], ("", 0.0))[1])
            for key, place, wait_s in places:
                await self._show_place(key, place, wait_s)
            await asyncio.sleep(self._every_s)

    async def _show_place(self, key: QuestionKey, place: int, wait_s: float | None) -> None:
        message = self._messages.get(key)
        if message is None:
            return
        language = choose_language(message.text)
        text = describe_queue_position(place, wait_s, language)
        words = render_message(replies.BUSY, language, text=text)
        last_text, shown_at = self._shown.get(key, ("", 0.0))
        if words == last_text and time.monotonic() - shown_at < _REPEAT_S:
            return
        refused, words_limit = self._capabilities.refused_methods, self._capabilities.limits.words
        if not refused.allows_method(WORDS_METHOD, message.user) or not words_limit.try_reserve():
            return
        self._shown[key] = (words, time.monotonic())
        try:
            await self._api.call(
                WORDS_METHOD, wait=False, channel_id=key.channel, thread_ts=message.thread_ts, status=words
            )
        except SlackRefused as error:
            refused.note_refusal(WORDS_METHOD, message.user, error)
        except SlackError:
            return  # the next time
