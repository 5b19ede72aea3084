"""``/think``: sets or shows how long Kvasir thinks before it answers the person who types it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bot.answering.thinking import Depth, describe_thinking_limit
from bot.slack.commands.parsing import DEFAULT_DEPTH, UnknownDepth, parse_think
from bot.slack.interactions import SlashCommand
from bot.slack.posting import render
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import ThinkingControl

_log = structlog.get_logger(__name__)
_TIMEOUT_S = 10.0


class ThinkCommand:
    """Runs ``/think``. Each answer is visible to the person who typed the command only."""

    def __init__(
        self,
        preferences: ThinkingPreferences,
        control: Callable[[], ThinkingControl | None],
        team: str,
        messenger: EphemeralMessenger,
    ) -> None:
        self._preferences = preferences
        self._control = control
        self._team = team
        self._messenger = messenger

    async def run(self, typed: SlashCommand) -> None:
        """Store or show a preference and answer the person.

        Raises:
            DatabaseError: the ledger fails.
            TimeoutError: the ledger takes too long.

        """
        async with asyncio.timeout(_TIMEOUT_S):
            text = await self._build_answer(typed)
        await self._messenger.answer(typed, render.escape_mrkdwn(text))

    async def _build_answer(self, typed: SlashCommand) -> str:
        depth, chinese = parse_think(typed.text), render.is_chinese(typed.text)
        if isinstance(depth, UnknownDepth):
            return (_UNKNOWN_CHINESE if chinese else _UNKNOWN).format(word=depth.word)
        if depth is not None:
            await self._preferences.set_depth(self._team, typed.user, None if depth == DEFAULT_DEPTH else depth)
            _log.info("thinking set", user=typed.user, depth=depth)
        preferred = await self._preferences.find_depth(self._team, typed.user)
        default = self._preferences.defaults.of(typed.channel)
        description = _describe_depth(preferred, default, chinese=chinese)
        return " ".join(
            part for part in (description, describe_thinking_limit(self._control(), "zh" if chinese else "en")) if part
        )


def _describe_depth(preferred: Depth | None, default: Depth, *, chinese: bool) -> str:
    depth = preferred or default
    description = _DEPTHS_CHINESE[depth] if chinese else _DEPTHS[depth]
    if preferred is not None:
        return (
            f"我为你作答时：{description}（{depth}）。" if chinese else f"For you: {description} ({depth}), everywhere."
        )
    if chinese:
        return f"你没有指定，这里的默认设置：{description}（{depth}）。可用 /think deep | normal | off 更改。"
    return f"The default here: {description} ({depth}). To change it for you: /think deep | normal | off."


_DEPTHS: dict[Depth, str] = {
    "deep": "I think long before I answer",
    "normal": "I think for a moment before I answer",
    "off": "I answer at once, without thinking",
}
_DEPTHS_CHINESE: dict[Depth, str] = {"deep": "深入思考后再回答", "normal": "稍作思考后回答", "off": "不思考，直接回答"}
_UNKNOWN = "“{word}” is not a depth. Try /think deep, /think normal, /think off, or /think default."
_UNKNOWN_CHINESE = "“{word}”无法识别。可用：/think deep、/think normal、/think off 或 /think default。"
