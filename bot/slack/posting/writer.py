"""Writes a growing text into Slack messages, one call at a time.

Each call sends all text that has arrived since the last one. A message that is full or old is closed, and the text
continues in another one. Text leaves the buffer only when Slack has accepted it. If that is unknown, an update repeats
the text; if Slack refuses a call, the text is sent again in a simpler form.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.posting.earlier_answer import EarlierAnswer
from bot.slack.posting.message_sink import (
    POST_CHARACTERS,
    ROOM_WAIT_S,
    STREAM_ENDED_CODES,
    AnswerEnding,
    AnswerForm,
    AnswerMessage,
    Block,
    PostedMessage,
    ReplyTarget,
    StreamedMessage,
)
from bot.slack.posting.plan import AnswerPlan
from bot.slack.posting.plan_message import PlanMessage
from bot.slack.posting.text_buffer import TextBuffer
from bot.slack.posting.waiting import CallSchedule, WaitingLine
from bot.slack.wire.errors import SlackError, SlackRefused, SlackStopped, SlackUnavailable
from bot.slack.wire.tasks import run_despite_cancellation
from bot.slack.wire.text import cutting

_log = structlog.get_logger(__name__)

CLEANUP_TIMEOUT_S = 5.0
_QUICK_ANSWER_S = 0.2
_MIN_ROOM = 100
"""A message with room for fewer characters counts as full."""

SaveReplies = Callable[[Sequence[str]], Awaitable[None]]


class AnswerWriter:
    """Writes one answer into one thread."""

    def __init__(
        self,
        target: ReplyTarget,
        save_replies: SaveReplies,
        render_markdown: Callable[[str], str],
    ) -> None:
        self._target = target
        self._save_replies = save_replies
        self._form = AnswerForm.COMPLETE
        self._has_blocks_in_flight = False
        self._earlier = EarlierAnswer(target)
        self._buffer = TextBuffer(render_markdown)
        self._waiting_line = WaitingLine()
        self._message: AnswerMessage | None = None
        self._plan = PlanMessage(target)
        self._ending: Callable[[], AnswerEnding] | None = None
        self._is_unconfirmed = False
        """Whether it is unknown if Slack has accepted the last call."""
        self._is_discarded = False
        self._schedule = CallSchedule(self._buffer, self._plan, self._waiting_line, self._get_opening_pause_s)
        self.streams = True
        """Whether new messages may be streamed; a single sentence is not."""
        self.closed = False
        self.refusal: SlackRefused | None = None
        """The refusal because of which the answer ends with a sentence in place of its text."""
        self.ended_by_stream = False
        """Whether the last message was a stream, whose end also ends the session."""
        self.replies: list[str] = []
        self.opened_at = 0.0
        """When the last message was sent, on the monotonic clock."""

    @property
    def messages(self) -> list[str]:
        """Return the timestamps of all messages: the answer's, and those of an earlier answer that are left."""
        return [*self.replies, *self._earlier.messages]

    @property
    def first_call_s(self) -> float | None:
        """Return the time from the first text to its call, in seconds."""
        return self._buffer.first_call_s

    @property
    def has_written(self) -> bool:
        """Return whether the answer has messages or pending text."""
        self._buffer.render_text()
        return bool(self._buffer.pending.strip()) or (bool(self.replies) and not self.shows_waiting_line)

    @property
    def shows_waiting_line(self) -> bool:
        """Return whether the only message has no text of the answer."""
        return self._message is not None and not self._message.text

    def show_waiting_line(self, line: str) -> None:
        """Show a line in the answer's message until its first text replaces the line."""
        if not self.has_written:
            self._waiting_line.text = line
            self._schedule.wake()

    def show_plan(self, plan: AnswerPlan, after_s: float) -> bool:
        """Show the progress in ``after_s``, if there is no text by then; return False if that is impossible."""
        if not self.shows_plan and (self._message is not None or not self._can_stream_now()):
            return False
        self._plan.request_update(plan, after_s)
        self._schedule.wake()
        return True

    def refresh_plan(self, *, restarts: bool = False) -> None:
        """Show what has changed in the plan, or begin it again."""
        if restarts:
            self._plan.restart()
        self._schedule.wake()

    @property
    def shows_plan(self) -> bool:
        """Return whether a message shows the plan."""
        return self._plan.is_shown(self._message)

    def write_text(self, text: str) -> None:
        """Append rendered Markdown."""
        self._buffer.add_text(text)
        self._schedule.wake()

    def write_markdown(self, markdown: str) -> None:
        """Append Markdown of the model."""
        self._buffer.add_markdown(markdown)
        self._schedule.wake()

    def discard_pending(self) -> None:
        """Drop pending text, because the person may have stopped the stream."""
        self._buffer.discard_text()
        self._is_discarded = True

    def close_code_fence(self) -> None:
        """Close the code fence that is open at the end of the text."""
        self._buffer.close_code_fence(self._buffer.opening if self._message is None else self._message.text)

    def end_text(self, ending: Callable[[], AnswerEnding]) -> None:
        """End the text; the last call calls ``ending`` for the blocks under it."""
        self._ending = ending
        self._schedule.end()

    async def run(self) -> None:
        """Send text until all of it is in Slack and the text has ended.

        Raises:
            SlackError: Slack refuses or fails; text that is in Slack stays.

        """
        while not self.closed:
            if self._form is AnswerForm.PLAIN:
                await self._post_plain_text()
            else:
                await self._schedule.wait(self._message)
                await self._send_next()

    async def abort(self) -> None:
        """Stop the current stream within a few seconds, also if Slack fails."""
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                if isinstance(self._message, StreamedMessage) and not self.closed:
                    self._plan.finish(failed=True)
                    await self._message.end_message("", AnswerEnding())
        self.closed = True

    async def _send_next(self) -> None:
        """Make the next call."""
        if self._is_unconfirmed:
            await self._resolve_unconfirmed()
        if self._plan.is_restart_due(self._message):
            await self._delete_message()
        if not (self._buffer.has_text or self._schedule.has_ended) and await self._show_waiting():
            return
        self._has_blocks_in_flight = False
        self._buffer.render_text()
        message = self._message
        self._buffer.keep_opening()
        room = (
            message.limit - len(message.text) if message else POST_CHARACTERS - len(self._buffer.opening)
        ) - cutting.FENCE_RESERVE
        if message is not None and (message.remaining_s <= 0 or (self._buffer.pending and room < _MIN_ROOM)):
            await self._send_call(self._continue_in_new_message(message, ""))
            return
        before = message.text if message is not None else self._buffer.opening
        piece, rest = cutting.split_at_row(before, self._buffer.pending, room, may_be_empty=message is not None)
        if self._ending is not None and not rest and (message is not None or not self._can_stream_now()):
            call = self._finish_text(message, piece, self._build_ending(self._ending))
        elif message is None:
            call = self._record_opening(self._earlier.open_message(self._buffer.opening + piece))
        elif rest:
            call = self._continue_in_new_message(message, piece)
        else:
            call = message.add_text(piece)
        self._buffer.note_call(piece)
        if await self._send_call(call):
            self._buffer.remove_sent()

    async def _show_waiting(self) -> bool:
        """Show the plan or the waiting line, if one of them is due; return False if not."""
        if self._plan.get_wait_s(self._message) <= 0:
            await self._record_opening(self._plan.open())
        elif self._waiting_line.is_due:
            await self._post_waiting_line(self._waiting_line.take_line())
        else:
            return False
        return True

    async def _post_waiting_line(self, line: str) -> None:
        with contextlib.suppress(SlackRefused):
            if isinstance(self._message, PostedMessage):
                await self._message.show_line(line)
            elif self._message is None:
                post = PostedMessage(self._target)
                await self._record_opening(post.show_line(line))

    def _get_opening_pause_s(self) -> float:
        """Return how long the first text waits: a post waits for a quick end, or for the end if no update has room."""
        if self._can_stream_now():
            return 0.0
        return self._buffer.get_wait_s(_QUICK_ANSWER_S) if self._target.capabilities.can_update_often else ROOM_WAIT_S

    def _can_stream_now(self) -> bool:
        is_limited = self._target.api.get_limited_s("chat.startStream") > 0
        return self.streams and self._target.capabilities.can_stream(self._target) and not is_limited

    async def _send_call(self, call: Coroutine[Any, Any, None]) -> bool:
        """Make a call; return False if its text must be sent in another way."""
        message = self._message
        self._is_unconfirmed = True
        try:
            await call
        except SlackRefused as error:
            self._is_unconfirmed = False
            if message is not None and error.code in STREAM_ENDED_CODES:
                await self._leave_message(message)
            else:
                await self._simplify_answer(error)
            return False
        except SlackUnavailable as error:
            self._is_unconfirmed = error.maybe_done
            if message is None or not error.maybe_done:
                raise
            await self._resolve_unconfirmed()
            return False
        except SlackError as error:
            self._is_unconfirmed = False
            if not isinstance(error, SlackStopped) or not self._is_discarded or message is None:
                raise
            self._switch_to_updates(message)
            return False
        self._is_unconfirmed = False
        return True

    def _build_ending(self, ending: Callable[[], AnswerEnding]) -> AnswerEnding:
        built = ending()
        if self._form is AnswerForm.WITHOUT_BLOCKS:
            return replace(built, blocks=())
        self._has_blocks_in_flight = bool(built.blocks)
        return built

    async def _simplify_answer(self, error: SlackRefused) -> None:
        """Go on without blocks under the answer, or else in plain text."""
        _log.warning("answer refused", channel=self._target.channel, code=error.code, form=self._form.name)
        message = self._message
        if message is not None and message.drop_plan():
            self._plan.plan = None
            return
        if self._has_blocks_in_flight:
            self._form = AnswerForm.WITHOUT_BLOCKS
            return
        self._form = AnswerForm.PLAIN
        if isinstance(message, PostedMessage) and message.continues_stream:
            self._buffer.pending = message.text + self._buffer.pending
            await self._delete_message()  # it may have more text than is known
        elif message is not None:
            if isinstance(message, StreamedMessage):
                with contextlib.suppress(SlackError):
                    await message.end_message("", AnswerEnding())
            self._reset_message(message.text)

    async def _post_plain_text(self) -> None:
        """Post the rest as plain text once it is complete; if Slack refuses that, say so in one sentence.

        Raises:
            SlackError: Slack refuses the sentence, or fails.

        """
        await self._schedule.wait_for_end()
        self._buffer.render_text()
        metadata = self._ending().metadata if self._ending is not None else None
        self._buffer.keep_opening()
        self._buffer.pending, self._buffer.opening = self._buffer.opening + self._buffer.pending, ""
        try:
            while self._buffer.pending.strip():
                piece, rest = cutting.split_head(self._buffer.pending, POST_CHARACTERS)
                self._buffer.in_flight = len(piece)
                await self._post_plain(piece, None if rest.strip() else metadata)
        except SlackRefused as error:
            self.refusal = error
            self._buffer.in_flight = len(self._buffer.pending)
            sentence = render_message(replies.ANSWER_REFUSED, self._target.language, code=error.code)
            await self._post_plain(sentence, None)
        self.closed = True

    async def _post_plain(self, text: str, metadata: Block | None) -> None:
        await self._record_opening(self._earlier.post_text(text, AnswerEnding(metadata=metadata), is_plain=True))

    async def _resolve_unconfirmed(self) -> None:
        """Stop the stream after an unconfirmed call and continue by updates, which can be repeated."""
        self._is_unconfirmed = False
        message = self._message
        if isinstance(message, StreamedMessage):
            with contextlib.suppress(SlackRefused, SlackStopped):
                await message.end_message("", AnswerEnding())
            self._switch_to_updates(message)

    def _switch_to_updates(self, message: AnswerMessage) -> None:
        self._message = PostedMessage.continue_from(message, self._target)

    async def _finish_text(self, message: AnswerMessage | None, piece: str, ending: AnswerEnding) -> None:
        self._plan.finish()
        if message is not None:
            await message.end_message(piece, ending)
            self.ended_by_stream = isinstance(message, StreamedMessage)
        elif (self._buffer.opening + piece).strip() or ending.blocks:
            await self._record_opening(self._earlier.post_text(self._buffer.opening + piece, ending))
        self.closed = True

    async def _continue_in_new_message(self, message: AnswerMessage, piece: str) -> None:
        whole = message.text + piece
        if self.shows_plan and not whole:
            await self._delete_message()
            return
        self._plan.finish(continues=True)
        fence = cutting.find_open_fence(whole)
        await message.end_message(piece + (cutting.make_closing_fence(fence, whole) if fence else ""), AnswerEnding())
        self._reset_message(whole)

    async def _leave_message(self, message: AnswerMessage) -> None:
        """Continue in another message, because Slack has ended this one, whose text stays."""
        if self._plan.is_alone(message):
            await self._delete_message()
        else:
            self._reset_message(message.text)

    async def _delete_message(self) -> None:
        message = self._message
        if message is not None and message.ts in self.replies:
            await self._plan.delete(message)
            self.replies.remove(message.ts)
            self._message = None
            await self._save_replies(self.messages)

    def _reset_message(self, text: str) -> None:
        """Continue after the text of a message in another one, which shows no plan."""
        self._plan.plan = None
        self._message = None
        self._buffer.opening = cutting.make_opening(text)

    async def _record_opening(self, opening: Coroutine[Any, Any, AnswerMessage | None]) -> None:
        """Open a message and record it, also if the task is cancelled: Slack may have created the message."""
        self.opened_at = time.monotonic()
        await run_despite_cancellation(self._register_message(opening), CLEANUP_TIMEOUT_S)

    async def _register_message(self, opening: Coroutine[Any, Any, AnswerMessage | None]) -> None:
        message = await opening
        if message is not None:
            self._message = message
            self._buffer.opening = ""
            self._is_unconfirmed = False
            self._buffer.remove_sent()
            if message.ts:
                self.replies.append(message.ts)
        await self._save_replies(self.messages)
