"""Gives a complete answer its final form, by updates of its messages. What Slack refuses stays as it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bot.slack.errors import SlackError
from bot.slack.layout.tables import Block, build_text_blocks
from bot.slack.posting.message_sink import AnswerEnding
from bot.slack.posting.rate_limits import RateLimits
from bot.slack.posting.render import make_fallback_text
from bot.slack.posting.reply import AnswerReply
from bot.slack.transport.web_api import SlackWebApi, make_window
from bot.storage.questions import QuestionMessage

_log = structlog.get_logger(__name__)

_TIMEOUT_S = 30.0
_PROGRESS_BLOCKS = {"plan", "task_card"}
_SINGLE_LIMIT = 10


class AnswerLayout:
    """Shows the tables of answers as table blocks."""

    def __init__(self, api: SlackWebApi, limits: RateLimits) -> None:
        self._api = api
        self._limits = limits

    async def improve(self, message: QuestionMessage, reply: AnswerReply) -> None:
        """Improve the messages of a complete answer; a failure is logged, and the answer stays as it is."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._improve(message, reply)
        except (SlackError, TimeoutError) as error:
            _log.info("answer not improved", channel=message.key.channel, error=str(error))

    async def _improve(self, message: QuestionMessage, reply: AnswerReply) -> None:
        texts = reply.texts
        for ts, text in texts.items():
            blocks = build_text_blocks(text)
            if any(block["type"] == "table" for block in blocks):
                is_last = ts == max(texts)
                await self._update(message, ts, text, blocks, reply.build_ending() if is_last else AnswerEnding())

    async def _update(
        self, message: QuestionMessage, ts: str, text: str, blocks: Sequence[Block], ending: AnswerEnding
    ) -> None:
        """Show other blocks for the text of a message; its progress and what is under it stay."""
        progress = await self._fetch_progress(message, ts)
        await asyncio.sleep(self._limits.updates.reserve())
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
        found: Mapping[str, Any] = next((one for one in page.get("messages") or () if one.get("ts") == ts), {})
        return [block for block in found.get("blocks") or () if block.get("type") in _PROGRESS_BLOCKS]
