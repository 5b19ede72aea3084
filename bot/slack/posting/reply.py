"""Answer events → what people see in Slack."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import structlog

from bot.answering.events import AnswerEvent, Finished, InLine, Notice, Passage, Sources, Step, Text
from bot.slack import texts
from bot.slack.errors import SlackError
from bot.slack.posting import buttons, render
from bot.slack.posting.message_sink import AnswerEnding, Block, ReplyTarget, SlackCapabilities, StatusLine
from bot.slack.posting.writer import CLEANUP_TIMEOUT_S, AnswerWriter, SaveReplies
from bot.slack.transport.web_api import SlackWebApi

_log = structlog.get_logger(__name__)

ANSWER_EVENT = "kvasir_answer"
"""The metadata's event type on the last message of an answer; its payload has the question's ``ts``."""


class AnswerReply:
    """The answer to one question, as it appears in Slack."""

    def __init__(
        self,
        target: ReplyTarget,
        api: SlackWebApi,
        capabilities: SlackCapabilities,
        *,
        save_replies: SaveReplies,
        apology: Callable[[BaseException], str],
        chinese: bool,
    ) -> None:
        self._target = target
        self._api = api
        self._capabilities = capabilities
        self._apology = apology
        self.chinese = chinese
        """Whether to speak Chinese with whoever asked."""
        self._renderer = render.MarkdownRenderer({})
        self._writer = AnswerWriter(target, api, capabilities, save_replies, self._renderer.feed)
        self._status = StatusLine(target, api, capabilities, chinese=chinese)
        self._passages: tuple[Passage, ...] = ()
        self._finished: Finished | None = None
        self._notices: list[str] = []
        self._has_text = False
        self._has_queue_notice = False
        self._ends_session = False
        self.failure: Exception | None = None
        """What went wrong with the answer; the reader was told."""

    @property
    def replies(self) -> list[str]:
        """Return the timestamps of the messages that hold the answer, in order."""
        return self._writer.replies

    @property
    def thread_ts(self) -> str:
        """Return the root of the thread that it stands in."""
        return self._target.thread_ts

    @property
    def first_call_s(self) -> float | None:
        """Return the time from the first text to its Slack call on its way, in seconds."""
        return self._writer.first_call_s

    def start_status(self) -> None:
        """Show that the bot is at work."""
        self._status.start()

    def add_notice(self, text: str) -> None:
        """Show one line about the answer: over it while nothing was said yet, under it afterwards."""
        if self._has_text:
            self._notices.append(render.format_notice(text))
        else:
            self._writer.write(f"_{render.NOTICE_MARK} {render.escape_markdown(' '.join(text.split()))}_\n\n")

    async def show_answer(self, events: AsyncIterator[AnswerEvent]) -> Finished | None:
        """Show an answer from its first event to its last; one that fails ends with a sentence that says so.

        Returns the last event; None where the answer failed (see ``failure``).

        Raises:
            SlackError: Slack did not take it (stopped, gone, unauthorised, unreachable); what was shown stays.

        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._writer.run(), name="slack writer")
                await self._consume(events)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await self.clear_status()
        return self._finished

    async def show_sentence(self, sentence: str) -> None:
        """Show one sentence of our own as the whole answer."""
        self._writer.streams = False
        self._finish_with(sentence)
        await self._writer.run()
        await self.clear_status()

    async def conclude(self, sentence: str, *, at_once: bool = False) -> None:
        """End an answer that was cancelled, within a few seconds: what was released is shown, then the sentence.

        ``at_once`` drops what was not shown yet: the person wants no more of it.
        """
        if at_once:
            self._writer.discard_pending()
        self._finish_with(sentence)
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self._writer.run()
        await self.clear_status()

    async def abort(self) -> None:
        """Stop where it is, saying nothing; for a question that is answered anew, or a process about to end."""
        await self._writer.abort()
        await self.clear_status()

    async def delete_messages(self) -> None:
        """Delete what was shown: it answers a question that is no longer asked."""
        await self.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                for ts in self.replies:
                    with contextlib.suppress(SlackError):
                        await self._api.call("chat.delete", channel=self._target.channel, ts=ts)

    async def clear_status(self) -> None:
        """Show no longer that the bot is at work."""
        at_rest = self._writer.closed and (
            not self._status.session or (self._ends_session and self._writer.ended_by_stream)
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await self._status.stop(at_rest=at_rest, answered=bool(self._writer.replies))

    async def _consume(self, events: AsyncIterator[AnswerEvent]) -> None:
        try:
            async for event in events:
                self._handle_event(event)
        except Exception as error:  # noqa: BLE001 (whatever fails, the reader is told and the log has the rest)
            _log.warning("answer failed", error=type(error).__name__, exc_info=error)
            self.failure = error
            self._finish_with(self._apology(error))
        else:
            if not self._writer.has_written:
                self._writer.write(texts.EMPTY_ANSWER.to(self))
            self._writer.end(self._ending)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _handle_event(self, event: AnswerEvent) -> None:
        match event:
            case Text(markdown, cites):
                self._has_text = True
                self._renderer.links |= {passage.n: passage.url for passage in cites}
                self._writer.write_markdown(markdown)
            case Sources(passages):
                self._passages = passages
            case Notice(text):
                self.add_notice(text)
            case InLine(text):
                self._show_queue_position(text)
            case Step(text):
                self._status.tell(text)
            case Finished():
                self._finished = event

    def _show_queue_position(self, text: str) -> None:
        """Show that others come first: in the status, which changes with it, else once over the answer."""
        if (
            not self._status.tell(texts.BUSY_STATUS.to(self).format(text=text) if text else "")
            and text
            and not self._has_queue_notice
        ):
            self._has_queue_notice = True
            self.add_notice(text)

    def _finish_with(self, sentence: str) -> None:
        self._writer.close_code_fence()
        shown = render.escape_markdown(sentence)
        self._writer.write(f"\n\n_{shown}_" if self._writer.has_written else shown)
        self._writer.end(self._ending)

    def _ending(self) -> AnswerEnding:
        self._ends_session = self._status.session
        return AnswerEnding(tuple(self._build_blocks()), self._build_metadata(), ends_session=self._ends_session)

    def _build_blocks(self) -> list[Block]:
        done = self._finished
        looked_at = self._passages if done is not None and done.route == "engine" else ()
        footer = render.format_sources(done.cited if done is not None else (), looked_at, chinese=self.chinese)
        tail: list[Block] = [render.build_context_block(text) for text in (footer, "\n".join(self._notices)) if text]
        press = (
            buttons.build_passage_buttons(done, chinese=self.chinese) if self._capabilities.can_show_passages else []
        )
        press += buttons.build_page_buttons(done, chinese=self.chinese) if self._capabilities.can_add_pages else []
        if self.failure is None and buttons.offers_web_search(done):
            press.append(buttons.build_web_search_button(self._target.question_ts, chinese=self.chinese))
        return [*tail, {"type": "actions", "elements": press}] if press else tail

    def _build_metadata(self) -> dict[str, Any]:
        return {"event_type": ANSWER_EVENT, "event_payload": {"question": self._target.question_ts}}
