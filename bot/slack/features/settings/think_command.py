"""``/think``: sets or shows how long Kvasir thinks before it answers the person who types it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final, Literal

import structlog

from bot.answering.thinking import Depth, describe_thinking_limit
from bot.messages import commands
from bot.messages.message import join_sentences, render_message
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render

_log = structlog.get_logger(__name__)
_TIMEOUT_S = 10.0

THINK: Final = "/think"
DEFAULT_DEPTH: Final = "default"
"""The word that removes a person's preference."""

_DEPTH_WORDS: dict[str, Depth | Literal["default"]] = {
    "deep": "deep", "深": "deep", "深入": "deep", "深度": "deep",
    "normal": "normal", "正常": "normal", "普通": "normal",
    "off": "off", "none": "off", "关": "off", "关闭": "off", "不思考": "off",
    "default": DEFAULT_DEPTH, "默认": DEFAULT_DEPTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnknownDepth:
    """A word that is not a depth."""

    word: str


class ThinkCommand:
    """Runs ``/think``. Each answer is visible to the person who typed the command only."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def run(self, typed: SlashCommand) -> None:
        """Store or show a preference and answer the person.

        Raises:
            DatabaseError: the ledger fails.
            TimeoutError: the ledger takes too long.

        """
        async with asyncio.timeout(_TIMEOUT_S):
            text = await self._build_answer(typed)
        await self._shared.messenger.answer_interaction(typed, render.escape_mrkdwn(text))

    async def _build_answer(self, typed: SlashCommand) -> str:
        depth, language = parse_think(typed.text), typed.language
        if isinstance(depth, UnknownDepth):
            return render_message(commands.UNKNOWN_DEPTH, language, word=depth.word)
        if depth is not None:
            chosen_depth = None if depth == DEFAULT_DEPTH else depth
            await self._shared.preferences.change_preferences(
                self._shared.me.team, typed.user, lambda before: replace(before, depth=chosen_depth)
            )
            _log.info("thinking set", user=typed.user, depth=depth)
        preferred = (await self._shared.preferences.find_preferences(self._shared.me.team, typed.user)).depth
        default = (await self._shared.rules.find_rule(typed.channel)).depth
        chosen = preferred or default
        description = commands.DEPTHS[chosen]
        message = commands.DEFAULT_DEPTH if preferred is None else commands.PREFERRED_DEPTH
        text = render_message(message, language, description=description, depth=chosen)
        return join_sentences([text, describe_thinking_limit(self._shared.dependencies.control(), language)], language)


def parse_think(text: str) -> Depth | Literal["default"] | UnknownDepth | None:
    """Parse the text after ``/think``; return None if there is none."""
    word = text.strip()
    return _DEPTH_WORDS.get(word.lower(), UnknownDepth(word)) if word else None
