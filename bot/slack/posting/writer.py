"""Writes a growing text into Slack messages, one call at a time.

The next call sends all text that arrives during a call. A message that is full or old is closed, and the text continues
in another one; code fences are closed and reopened. Text leaves the buffer only when Slack has accepted it, so no text
is lost. If it is unknown whether Slack has accepted a call, an update repeats its text. If Slack refuses a call, the
text is sent again in a simpler form.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot.slack.errors import SlackError, SlackRefused, SlackStopped, SlackUnavailable
from bot.slack.posting import cutting
from bot.slack.posting.earlier_answer import EarlierAnswer
from bot.slack.posting.message_sink import (
    POST_CHARACTERS,
    STREAM_ENDED_CODES,
    AnswerEnding,
    AnswerForm,
    AnswerMessage,
    Block,
    PostedMessage,
    ReplyTarget,
    SlackCapabilities,
    StreamedMessage,
    open_message,
)
from bot.slack.posting.waiting import WaitingLine, wait_for_event
from bot.slack.transport.web_api import SlackWebApi

_log = structlog.get_logger(__name__)

CLEANUP_TIMEOUT_S = 5.0
"""How long cleaning up after a cancelled reply may take."""
_MIN_ROOM = 100
"""A message with room for fewer characters counts as full."""

SaveReplies = Callable[[Sequence[str]], Awaitable[None]]
"""Stores the timestamps of an answer's messages."""


class AnswerWriter:
    """Writes one answer into one thread."""

    def __init__(
        self,
        target: ReplyTarget,
        api: SlackWebApi,
        capabilities: SlackCapabilities,
        save_replies: SaveReplies,
        render_markdown: Callable[[str], str],
        explain_refusal: Callable[[SlackRefused], str],
    ) -> None:
        self._target = target
        self._api = api
        self._capabilities = capabilities
        self._save_replies = save_replies
        self._render_markdown = render_markdown
        self._explain_refusal = explain_refusal
        self._form = AnswerForm.COMPLETE
        self._has_blocks_in_flight = False
        self._earlier = EarlierAnswer(target, api, capabilities)
        self._unrendered: list[str] = []
        """Markdown of the model, which is rendered together when the next call is due."""
        self._pending = ""
        self._opening = ""
        """The start of the next message: a reopened fence, or the head of a table that continues."""
        self._waiting_line = WaitingLine()
        self._message: AnswerMessage | None = None
        self._ending: Callable[[], AnswerEnding] | None = None
        self._characters_in_flight = 0
        """The number of pending characters in the current call."""
        self._is_unconfirmed = False
        """Whether it is unknown if Slack has accepted the last call."""
        self._is_discarded = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self.streams = True
        """Whether new messages may be streamed; a single sentence is not."""
        self.closed = False
        self.refusal: SlackRefused | None = None
        """The refusal because of which the answer ends with a sentence in place of its text."""
        self.ended_by_stream = False
        """Whether the last message was a stream, whose end also ends the session."""
        self.replies: list[str] = []
        """The timestamps of the answer's messages, in order."""
        self.first_call_s: float | None = None
        """The time from the first text to its call, in seconds."""
        self._first_text_at = 0.0

    @property
    def messages(self) -> list[str]:
        """Return the timestamps of all messages: the answer's, and those of an earlier answer that are left."""
        return [*self.replies, *self._earlier.messages]

    @property
    def has_written(self) -> bool:
        """Return whether the answer has messages or pending text."""
        self._render()
        return bool(self._pending.strip()) or (bool(self.replies) and not self.shows_waiting_line)

    @property
    def shows_waiting_line(self) -> bool:
        """Return whether the only message has no text of the answer."""
        return self._message is not None and not self._message.text

    def show_waiting_line(self, line: str) -> None:
        """Show a line in the answer's message until its first text replaces the line."""
        if not self.has_written:
            self._waiting_line.text = line
            self._wake.set()

    def write(self, text: str) -> None:
        """Append rendered Markdown."""
        self._render()
        self._pending += text
        self._note_arrival(text)

    def write_markdown(self, markdown: str) -> None:
        """Append Markdown of the model."""
        self._unrendered.append(markdown)
        self._note_arrival(markdown)

    def _note_arrival(self, text: str) -> None:
        if text and not self._first_text_at:
            self._first_text_at = time.perf_counter()
        self._wake.set()

    def _render(self) -> None:
        if self._unrendered:
            self._pending += self._render_markdown("".join(self._unrendered))
            self._unrendered.clear()

    def discard_pending(self) -> None:
        """Drop pending text, because the person may have stopped the stream."""
        self._unrendered.clear()
        self._pending = ""
        self._is_discarded = True

    def close_code_fence(self) -> None:
        """Close the code fence that is open at the end of the text."""
        self._render()
        text = (self._message.text if self._message is not None else self._opening) + self._pending
        fence = cutting.find_open_fence(text)
        if fence is not None:
            self.write(cutting.make_closing_fence(fence, text) + "\n")

    def end(self, ending: Callable[[], AnswerEnding]) -> None:
        """End the text; the last call calls ``ending`` for the blocks under it."""
        self._ending = ending
        self._ended.set()
        self._wake.set()

    async def run(self) -> None:
        """Send text until all of it is in Slack and the text has ended.

        Raises:
            SlackError: Slack refuses or fails; text that is in Slack stays.

        """
        while not self.closed:
            if self._form is AnswerForm.PLAIN:
                await self._post_plain_text()
            else:
                await self._wait_until_due()
                await self._send_next()

    async def abort(self) -> None:
        """Stop the current stream within a few seconds, also if Slack fails."""
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                if isinstance(self._message, StreamedMessage) and not self.closed:
                    await self._message.end("", AnswerEnding())
        self.closed = True

    async def _wait_until_due(self) -> None:
        """Wait until there is text and the rate limit allows a call, or until the message is too old."""
        message = self._message
        left_s = message.remaining_s if message is not None else float("inf")
        while not (self._has_text or self._ended.is_set() or self._waiting_line.is_due):
            self._wake.clear()
            if not await wait_for_event(self._wake, left_s):
                return
        pause_s = message.reserve_call() if message is not None and not self._ended.is_set() else 0.0
        if pause_s > 0:
            await wait_for_event(self._ended, min(pause_s, left_s))

    async def _send_next(self) -> None:
        """Make the next call."""
        if self._is_unconfirmed:
            await self._resolve_unconfirmed()
        if not (self._has_text or self._ended.is_set()) and self._waiting_line.is_due:
            await self._post_waiting_line(self._waiting_line.take())
            return
        self._has_blocks_in_flight = False
        self._render()
        message = self._message
        self._opening = cutting.keep_opening(self._opening, self._pending)
        room = (
            message.limit - len(message.text) if message else POST_CHARACTERS - len(self._opening)
        ) - cutting.FENCE_RESERVE
        if message is not None and (message.remaining_s <= 0 or (self._pending and room < _MIN_ROOM)):
            await self._send(self._continue_in_new_message(message, ""))
            return
        before = message.text if message is not None else self._opening
        piece, rest = cutting.split_at_row(before, self._pending, room, may_be_empty=message is not None)
        if self._ending is not None and not rest and (message is not None or not self._can_stream_now()):
            call = self._finish(message, piece, self._build_ending(self._ending))
        elif message is None:
            call = self._open(self._opening + piece)
        elif rest:
            call = self._continue_in_new_message(message, piece)
        else:
            call = message.add(piece)
        self._note_first_call(piece)
        self._characters_in_flight = len(piece)
        if await self._send(call):
            self._remove_sent()

    @property
    def _has_text(self) -> bool:
        return bool(self._pending or self._unrendered)

    async def _post_waiting_line(self, line: str) -> None:
        with contextlib.suppress(SlackRefused):
            if isinstance(self._message, PostedMessage):
                await self._message.show_line(line)
            elif self._message is None:
                post = PostedMessage(self._target, self._api, self._capabilities)
                await self._record_opening(post.show_line(line))

    def _can_stream_now(self) -> bool:
        return (
            self.streams
            and self._capabilities.can_stream(self._target)
            and not self._api.get_limited_s("chat.startStream")
        )

    def _remove_sent(self) -> None:
        """Remove the text that Slack has accepted from the buffer."""
        self._pending = self._pending[self._characters_in_flight :]
        self._characters_in_flight = 0

    async def _send(self, call: Coroutine[Any, Any, None]) -> bool:
        """Make a call; return False if its text must be sent in another way."""
        message = self._message
        self._is_unconfirmed = True
        try:
            await call
        except SlackRefused as error:
            self._is_unconfirmed = False
            if message is not None and error.code in STREAM_ENDED_CODES:
                # Slack has ended the stream: its text stays, and a new message continues it.
                self._reset_message(message.text)
            else:
                await self._simplify(error)
            return False
        except SlackUnavailable as error:
            self._is_unconfirmed = error.maybe_done
            if message is None or not error.maybe_done:
                raise
            await self._resolve_unconfirmed()
            return False
        except SlackStopped:
            self._is_unconfirmed = False
            if not self._is_discarded or message is None:
                raise
            self._switch_to_updates(message)
            return False
        except SlackError:
            self._is_unconfirmed = False
            raise
        self._is_unconfirmed = False
        return True

    def _build_ending(self, ending: Callable[[], AnswerEnding]) -> AnswerEnding:
        built = ending()
        if self._form is AnswerForm.WITHOUT_BLOCKS:
            return replace(built, blocks=())
        self._has_blocks_in_flight = bool(built.blocks)
        return built

    async def _simplify(self, error: SlackRefused) -> None:
        """Go on without blocks under the answer, or else in plain text."""
        _log.warning("answer refused", channel=self._target.channel, code=error.code, form=self._form.name)
        if self._has_blocks_in_flight:
            self._form = AnswerForm.WITHOUT_BLOCKS
            return
        self._form = AnswerForm.PLAIN
        message = self._message
        if message is not None:
            if isinstance(message, StreamedMessage):
                with contextlib.suppress(SlackError):
                    await message.end("", AnswerEnding())
            self._reset_message(message.text)

    async def _post_plain_text(self) -> None:
        """Post the rest as plain text once it is complete; if Slack refuses that, say so in one sentence.

        Raises:
            SlackError: Slack refuses the sentence, or fails.

        """
        await self._ended.wait()
        self._render()
        metadata = self._ending().metadata if self._ending is not None else None
        opening, self._opening = cutting.keep_opening(self._opening, self._pending), ""
        self._pending = opening + self._pending
        try:
            while self._pending.strip():
                piece, rest = cutting.split_head(self._pending, POST_CHARACTERS)
                self._characters_in_flight = len(piece)
                await self._post_plain(piece, None if rest.strip() else metadata)
        except SlackRefused as error:
            self.refusal = error
            self._characters_in_flight = len(self._pending)
            await self._post_plain(self._explain_refusal(error), None)
        self.closed = True

    async def _post_plain(self, text: str, metadata: Block | None) -> None:
        await self._record_opening(self._post(text, AnswerEnding(metadata=metadata), is_plain=True))

    async def _resolve_unconfirmed(self) -> None:
        """Stop the stream after an unconfirmed call and continue by updates, which can be repeated."""
        self._is_unconfirmed = False
        message = self._message
        if isinstance(message, StreamedMessage):
            with contextlib.suppress(SlackRefused, SlackStopped):
                await message.end("", AnswerEnding())
            self._switch_to_updates(message)

    def _switch_to_updates(self, message: AnswerMessage) -> None:
        self._message = PostedMessage.continue_from(message, self._target, self._api, self._capabilities)

    async def _open(self, text: str) -> None:
        await self._record_opening(self._open_message(text))

    async def _open_message(self, text: str) -> AnswerMessage:
        if (replaced := await self._earlier.replace(text, AnswerEnding())) is not None:
            return replaced
        return await open_message(self._target, self._api, self._capabilities, self._earlier.take_link() + text)

    async def _finish(self, message: AnswerMessage | None, piece: str, ending: AnswerEnding) -> None:
        if message is not None:
            await message.end(piece, ending)
            self.ended_by_stream = isinstance(message, StreamedMessage)
        elif (self._opening + piece).strip() or ending.blocks:
            await self._record_opening(self._post(self._opening + piece, ending))
        self.closed = True

    async def _post(self, text: str, ending: AnswerEnding, *, is_plain: bool = False) -> AnswerMessage:
        if (replaced := await self._earlier.replace(text, ending, is_plain=is_plain)) is not None:
            return replaced
        post = PostedMessage(self._target, self._api, self._capabilities, is_plain=is_plain)
        await post.end(self._earlier.take_link() + text, ending)
        return post

    async def _continue_in_new_message(self, message: AnswerMessage, piece: str) -> None:
        whole = message.text + piece
        fence = cutting.find_open_fence(whole)
        await message.end(piece + (cutting.make_closing_fence(fence, whole) if fence else ""), AnswerEnding())
        self._reset_message(whole)

    def _reset_message(self, text: str) -> None:
        """Continue after the text of a message in another one."""
        self._message = None
        self._opening = cutting.make_opening(text)

    async def _record_opening(self, opening: Coroutine[Any, Any, AnswerMessage]) -> None:
        """Open a message and record it, also if the task is cancelled: Slack may have created the message."""
        task = asyncio.ensure_future(opening)
        try:
            self._register_message(await asyncio.shield(task))
        except asyncio.CancelledError:
            with contextlib.suppress(SlackError, TimeoutError):
                async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                    self._register_message(await task)
            raise
        await self._save_replies(self.messages)

    def _register_message(self, message: AnswerMessage) -> None:
        self._message = message
        self._opening = ""
        self._is_unconfirmed = False
        self._remove_sent()
        if message.ts:
            self.replies.append(message.ts)

    def _note_first_call(self, piece: str) -> None:
        if piece and self.first_call_s is None:
            self.first_call_s = time.perf_counter() - self._first_text_at
