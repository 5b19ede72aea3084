"""Gives a complete answer its final form, by updates of its messages. What Slack refuses stays as it was sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bot.answering.events import Finished
from bot.messages import long_answers
from bot.messages.message import Message, render_message
from bot.slack.posting import long_parts
from bot.slack.posting.document_publisher import DocumentPublisher
from bot.slack.posting.message_sink import AnswerEnding
from bot.slack.posting.reply import AnswerReply
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.rate_limits import RateLimits
from bot.slack.wire.text.render import MarkdownRenderer, make_fallback_text
from bot.slack.wire.text.tables import Block, build_text_blocks
from bot.slack.wire.transport.web_api import SlackWebApi, make_window
from bot.storage.turns.questions import QuestionMessage
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

_TIMEOUT_S = 30.0
_PROGRESS_BLOCKS = {"plan", "task_card"}
_SINGLE_LIMIT = 10
_REFUSALS = (SlackGone, SlackRefused)
"""Slack has surely not done what was asked."""


class AnswerLayout:
    """Shows tables as table blocks, long code as files, and long answers as canvases."""

    def __init__(self, api: SlackWebApi, limits: RateLimits, documents: DocumentPublisher) -> None:
        self._api = api
        self._limits = limits
        self.documents = documents

    async def improve_messages(
        self,
        message: QuestionMessage,
        question: str,
        finished: Finished,
        reply: AnswerReply,
        *,
        publishes: bool = True,
    ) -> None:
        """Improve the messages of a complete answer; a failure is logged, and the answer stays as it is.

        Only an answer that ``publishes`` may become a canvas or a file.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                is_long = publishes and len(reply.markdown) > long_parts.LONG_ANSWER and reply.texts
                if not (is_long and await self._move_to_document(message, question, finished, reply)):
                    await self._improve_messages(message, reply, publishes=publishes)
        except (SlackError, DatabaseError, TimeoutError) as error:
            _log.info("answer not improved", channel=message.key.channel, error=str(error))

    async def _improve_messages(self, message: QuestionMessage, reply: AnswerReply, *, publishes: bool) -> None:
        for ts, before in reply.texts.items():
            is_first, is_last = ts == min(reply.texts), ts == max(reply.texts)
            codes = long_parts.find_long_code(before, is_first=is_first, is_last=is_last) if publishes else ()
            earlier_documents = await self.documents.list_documents(message.key) if codes else []
            text = await self._move_code(message, before, codes, reply)
            blocks = build_text_blocks(text)
            if text == before and all(block["type"] == "markdown" for block in blocks):
                continue
            try:
                await self._update_message(
                    message, ts, text, blocks, reply.build_ending() if is_last else AnswerEnding()
                )
            except _REFUSALS:
                await self._delete_new_documents(message, earlier_documents)
                raise

    async def _move_code(
        self, message: QuestionMessage, text: str, codes: Sequence[long_parts.LongCode], reply: AnswerReply
    ) -> str:
        """Return a text with links to files in the place of long code; code whose file is refused stays."""
        for code in reversed(codes):  # the last first, so that line numbers stay right
            url = await self.documents.publish_file(message, code.name, code.text)
            if url is not None:
                text = long_parts.shorten_code(text, code, url, reply.language)
        return text

    async def _move_to_document(
        self, message: QuestionMessage, question: str, finished: Finished, reply: AnswerReply
    ) -> bool:
        """Show a summary in place of a long answer, with a link to all of it; return False if Slack refuses that."""
        earlier_documents = await self.documents.list_documents(message.key)
        rendered = MarkdownRenderer({passage.n: passage.url for passage in finished.cited}).feed(reply.markdown)
        document = long_parts.build_document(rendered, finished.cited, reply.language)
        title = long_parts.build_title(question, reply.language)
        published = await self._publish_document(message, title, document)
        if published is None:
            return False
        sentence, url = published
        link = long_parts.make_link(title, url)
        summary = long_parts.build_summary(
            rendered, render_message(sentence, reply.language, link=link), reply.language
        )
        first, *others = reply.texts
        try:
            await self._update_message(message, first, summary, build_text_blocks(summary), reply.build_ending())
        except _REFUSALS:
            await self._delete_new_documents(message, earlier_documents)
            raise
        for ts in others:
            with contextlib.suppress(SlackGone, SlackRefused):
                await self._api.call("chat.delete", channel=message.key.channel, ts=ts)
        return True

    async def _publish_document(
        self, message: QuestionMessage, title: str, document: str
    ) -> tuple[Message, str] | None:
        """Return how to say where a document is, and its address; None if Slack takes neither a canvas nor a file."""
        if (url := await self.documents.publish_canvas(message, title, document)) is not None:
            return long_answers.WHOLE_IN_CANVAS, url
        if (url := await self.documents.publish_file(message, "answer.md", document)) is not None:
            return long_answers.WHOLE_IN_FILE, url
        return None

    async def _delete_new_documents(self, message: QuestionMessage, earlier_documents: Sequence[object]) -> None:
        """Delete documents to which no message links."""
        documents = await self.documents.list_documents(message.key)
        await self.documents.delete_documents(message.key, [one for one in documents if one not in earlier_documents])

    async def _update_message(
        self, message: QuestionMessage, ts: str, text: str, blocks: Sequence[Block], ending: AnswerEnding
    ) -> None:
        """Show other blocks for the text of a message; its progress and what is under it stay."""
        progress = await self._fetch_progress(message, ts)
        await asyncio.sleep(self._limits.updates.reserve_call())
        await self._api.call(
            "chat.update",
            channel=message.key.channel,
            ts=ts,
            text=make_fallback_text(text),
            blocks=[*progress, *blocks, *ending.blocks],
            metadata=ending.metadata,
        )

    async def _fetch_progress(self, message: QuestionMessage, ts: str) -> list[Block]:
        """Return the blocks of a message that show how its answer was made."""
        place: dict[str, Any] = {"channel": message.key.channel, "ts": message.thread_ts, **make_window(ts)}
        page = await self._api.call("conversations.replies", limit=_SINGLE_LIMIT, **place)
        shown_message: Mapping[str, Any] = next((one for one in page.get("messages") or () if one.get("ts") == ts), {})
        return [block for block in shown_message.get("blocks") or () if block.get("type") in _PROGRESS_BLOCKS]
