"""Shows the events of an answer in Slack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from bot.answering.events import AnswerEvent, Finished, InLine, Notice, Offer, Passage, Sources, Step, Text
from bot.messages import replies
from bot.messages.errors import explain_error
from bot.messages.forms import verified
from bot.messages.message import render_message
from bot.slack.posting.buttons import AnswerButton, CompleteAnswer, arrange_buttons
from bot.slack.posting.message_sink import AnswerEnding, Block, ReplyTarget
from bot.slack.posting.plan import AnswerPlan
from bot.slack.posting.status_line import StatusLine
from bot.slack.posting.writer import CLEANUP_TIMEOUT_S, AnswerWriter, SaveReplies
from bot.slack.wire.errors import SlackError, SlackRefused, SlackUnavailable
from bot.slack.wire.events import METADATA_PREFIX
from bot.slack.wire.text import render
from bot.storage.turns.questions import TurnLost

_log = structlog.get_logger(__name__)

ANSWER_EVENT = f"{METADATA_PREFIX}answer"
"""The metadata's event type on the last message of an answer. Its payload has the question's ``ts``, and the chunks of
the passages that the model read."""
_MAX_CHUNKS_CHARACTERS = 4_000
"""Slack's limit of a payload is 8 KB."""

_MAX_QUESTION = 200


class AnswerReply:
    """The answer to one question in Slack."""

    def __init__(
        self,
        target: ReplyTarget,
        buttons: Sequence[AnswerButton],
        *,
        save_replies: SaveReplies,
    ) -> None:
        self._target = target
        self.language = target.language
        self.thread_ts = target.thread_ts
        self._buttons = buttons
        self._renderer = render.MarkdownRenderer({})
        self._writer = AnswerWriter(target, save_replies, self._renderer.feed)
        self._plan = AnswerPlan(target.language, target.capabilities.now)
        self.status = StatusLine(target, self._show_waiting_line, lambda: self._writer.shows_plan)
        self.passages: tuple[Passage, ...] = ()
        self._finished: Finished | None = None
        self._notices: list[str] = []
        self._texts: list[str] = []
        self._has_queue_notice = False
        self._queue_text: str | None = None
        """The newest position in the queue, "" once the queue is over; None without a queue."""
        self._offered = ""
        self._ends_session = False
        self.failure: Exception | None = None
        """The error that ended the answer and that its last sentence explains."""
        if target.earlier:
            notice = replies.REGENERATED if target.regenerates else replies.REVISED
            self.add_notice(render_message(notice, target.language))

    @property
    def replies(self) -> list[str]:
        """Return the timestamps of the answer's messages, in order."""
        return self._writer.replies

    @property
    def messages(self) -> list[str]:
        """Return the timestamps of all messages: the answer's, and those of an earlier answer that are left."""
        return self._writer.messages

    @property
    def is_in_line(self) -> bool:
        """Return whether the engine has not begun the answer, because others are before it."""
        return bool(self._queue_text)

    @property
    def first_call_s(self) -> float | None:
        """Return the time from the first text to its Slack call, in seconds."""
        return self._writer.first_call_s

    @property
    def markdown(self) -> str:
        """Return the answer's text as Markdown with displayed citation numbers, without notices."""
        return "".join(self._texts).strip()

    @property
    def texts(self) -> Mapping[str, str]:
        """Return the Markdown of each message by its timestamp; none if a message is incomplete or plain text."""
        texts = self._target.texts
        return dict(sorted(texts.items())) if texts.keys() == set(self.replies) else {}

    def start_status(self) -> None:
        """Show that the bot works on the question: by a status at once, and later by a plan."""
        self.status.start()
        self._show_plan(self._target.capabilities.plan_after_s)

    def add_notice(self, text: str) -> None:
        """Show one line above the answer, or under it if the answer already has text."""
        if self._texts:
            self._notices.append(render.format_notice(text))
        else:
            self._writer.write_text(f"{_format_notice_line(text)}\n\n")

    async def show_answer(self, events: AsyncIterator[AnswerEvent], *, reads_on: bool = False) -> Finished | None:
        """Show an answer and return its last event, None if the answer failed (see ``failure``).

        A failed answer ends with a sentence that explains the failure. With ``reads_on``, the events are read to their
        end before an error of Slack is raised, because they will not be generated again.

        Raises:
            SlackError: Slack refuses or fails; text that is in Slack stays.

        """
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write_text(reads_on=reads_on), name="slack writer")
                await self._consume_events(events)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        if (interruption := writing.result()) is not None:
            raise interruption
        self.failure = self.failure or self._writer.refusal
        await self.clear_status()
        return self._finished

    async def show_sentence(self, sentence: str) -> None:
        """Show one sentence as the whole answer."""
        self._writer.streams = False
        self._finish_with(sentence)
        await self._writer.run()
        await self.clear_status()

    async def conclude(self, sentence: str, *, at_once: bool = False) -> None:
        """End a cancelled answer with a sentence, within a few seconds.

        ``at_once`` drops pending text, because the person does not want it.
        """
        if at_once:
            self._writer.discard_pending()
        self._finish_with(sentence)
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self._writer.run()
        await self.clear_status()

    async def abort(self) -> None:
        """Stop without a sentence, because the question gets a new answer or the process ends."""
        await self._writer.abort()
        await self.clear_status()

    async def leave_line(self) -> None:
        """Stop an answer that the engine has not begun, and delete its plan; an earlier answer stays."""
        await (self.abort() if self._target.earlier else self.delete_messages())

    async def delete_messages(self, but: Collection[str] = ()) -> Collection[str]:
        """Delete the messages of an answer whose question was edited, or is answered elsewhere, except some.

        Return the timestamps of those that are deleted, as far as Slack allows it.
        """
        await self.abort()
        deleted = set(self.replies).difference(but)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                for ts in deleted:
                    with contextlib.suppress(SlackError):
                        await self._target.api.call("chat.delete", channel=self._target.channel, ts=ts)
        return deleted

    async def clear_status(self) -> None:
        """End the session and clear the status."""
        # The last new message of an answer has cleared the status.
        is_earlier = set(self._target.earlier).issuperset(self._writer.replies)
        answered_at = None if is_earlier else self._writer.opened_at
        has_stream_ended_session = self._ends_session and self._writer.ended_by_stream
        is_session_over = self._writer.closed and (not self.status.has_session or has_stream_ended_session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self.status.stop(is_session_over=is_session_over, answered_at=answered_at)

    async def _write_text(self, *, reads_on: bool) -> SlackError | None:
        """Send the text; with ``reads_on``, return an error that another attempt may get over."""
        try:
            await self._writer.run()
        except (SlackUnavailable, SlackRefused) as error:
            if not reads_on:
                raise
            return error
        return None

    async def _consume_events(self, events: AsyncIterator[AnswerEvent]) -> None:
        try:
            async for event in events:
                self._handle_event(event)
        except TurnLost:
            raise
        except Exception as error:  # noqa: BLE001 (the answer names every failure, and the log has the details)
            _log.warning("answer failed", error=type(error).__name__, exc_info=error)
            self.failure = error
            if not self._texts:
                self._writer.refresh_plan(restarts=True)  # it may name what somebody may no longer see
            self._finish_with(render_message(explain_error(error), self.language))
        else:
            if not self._writer.has_written:
                self._writer.write_text(render_message(replies.EMPTY_ANSWER, self.language))
            self._writer.end_text(self._build_ending)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _show_plan(self, after_s: float) -> bool:
        """Show the plan; return False if it cannot be shown. A revised answer takes the place of a message."""
        return not self._target.earlier and self._writer.show_plan(self._plan, after_s)

    def _handle_event(self, event: AnswerEvent) -> None:
        self._plan.handle_event(event)
        self._writer.refresh_plan()
        match event:
            case Text(markdown, cites):
                self._texts.append(markdown)
                self._renderer.links |= {passage.n: passage.url for passage in cites}
                self._writer.write_markdown(markdown)
            case Sources(passages):
                if self.passages and not passages:
                    self._writer.refresh_plan(restarts=True)
                self.passages = passages
            case Notice(text):
                self.add_notice(text)
            case Offer(answer, question):
                self._offered = answer
                self.add_notice(render_message(verified.SIMILAR, self.language, question=question[:_MAX_QUESTION]))
            case InLine(text):
                self._show_queue_position(text)
            case Step(text):
                self.status.set_words(text)
            case Finished():
                self._finished = event

    def _show_queue_position(self, text: str) -> None:
        """Show the position in the queue: in the status, in a message, or once as a notice above the answer."""
        self._queue_text = text
        if self._writer.shows_plan:
            return
        is_visible = self.status.set_words(render_message(replies.BUSY, self.language, text=text) if text else "")
        if self.status.is_limited or self._writer.shows_waiting_line:
            self._show_waiting_line()
        elif not is_visible and text and not self._show_plan(0.0) and not self._has_queue_notice:
            self._has_queue_notice = True
            self.add_notice(text)

    def _show_waiting_line(self) -> None:
        """Show the position in the queue in the answer's message, which is updated, until the answer replaces it."""
        if self._queue_text is not None:
            line = self._queue_text or render_message(replies.QUEUE_OVER, self.language)
            self._writer.show_waiting_line(_format_notice_line(line))

    def _finish_with(self, sentence: str) -> None:
        self._plan.finish(failed=True)
        self._writer.close_code_fence()
        text = render.escape_markdown(sentence)
        self._writer.write_text(f"\n\n_{text}_" if self._writer.has_written else text)
        self._writer.end_text(self._build_ending)

    def build_ending(self) -> AnswerEnding:
        """Return the end of a complete answer."""
        return AnswerEnding(tuple(self._build_blocks()), self._build_metadata())

    def _build_ending(self) -> AnswerEnding:
        self._ends_session = self.status.has_session
        return replace(self.build_ending(), ends_session=self._ends_session)

    def _build_blocks(self) -> list[Block]:
        done = self._finished
        looked_at = self.passages if done is not None and done.route == "engine" else ()
        footer = render.format_source_list(done.cited if done is not None else (), looked_at, self.language)
        tail: list[Block] = [render.build_context_block(text) for text in (footer, "\n".join(self._notices)) if text]
        elements = self._build_buttons(done) if done is not None and self.failure is None else []
        return [*tail, *arrange_buttons(elements)]

    def _build_buttons(self, finished: Finished) -> list[Block]:
        target = self._target
        answer = CompleteAnswer(
            finished,
            target.question_ts,
            self.language,
            target.channel,
            target.thread_ts,
            target.user,
            self._offered,
            target.is_unasked,
            target.share_name,
            target.is_confidential,
        )
        return [block for button in self._buttons for block in button.build_blocks(answer)]

    def _build_metadata(self) -> dict[str, Any]:
        revision = {"revision": self._target.revision} if self._target.revision else {}
        cited = self._finished.cited if self._finished is not None else ()
        chunks = ",".join(dict.fromkeys(chunk for passage in (*self.passages, *cited) for chunk in passage.chunks))
        chunk_ids = {"chunks": chunks} if len(chunks) <= _MAX_CHUNKS_CHARACTERS else {}
        payload = {"question": self._target.question_ts} | chunk_ids | revision
        return {"event_type": ANSWER_EVENT, "event_payload": payload}


def _format_notice_line(text: str) -> str:
    line = render.escape_markdown(" ".join(text.split()))
    return f"_{line}_" if line.startswith(render.VERIFIED_MARK) else f"_{render.NOTICE_MARK} {line}_"
