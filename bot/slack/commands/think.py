"""``/think``: how deep Kvasir thinks for the person who types it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bot.answering.thinking import Depth, remark
from bot.slack.commands.kb import PostToResponseUrl, SlashCommand, send_ephemeral
from bot.slack.commands.parsing import DEFAULT_DEPTH, UnknownDepth, parse_think
from bot.slack.posting import render
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import ThinkingControl

_log = structlog.get_logger(__name__)
_TIMEOUT_S = 10.0


class ThinkCommand:
    """Carries out ``/think``. Every answer is seen by the person alone."""

    def __init__(
        self,
        preferences: ThinkingPreferences,
        control: Callable[[], ThinkingControl | None],
        team: str,
        api: SlackWebApi,
        respond: PostToResponseUrl,
        *,
        apology: Callable[[BaseException], str],
    ) -> None:
        self._preferences = preferences
        self._control = control
        self._team = team
        self._api = api
        self._respond = respond
        self._apology = apology

    async def run(self, typed: SlashCommand) -> None:
        """Note or show a wish and tell the person, whatever happens."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                text = await self._text(typed)
        except Exception as error:  # noqa: BLE001 (whatever fails, the person is told)
            _log.warning("command failed", error=type(error).__name__, exc_info=error)
            text = self._apology(error)
        await send_ephemeral(self._api, self._respond, typed, render.escape_mrkdwn(text))

    async def _text(self, typed: SlashCommand) -> str:
        meant, chinese = parse_think(typed.text), render.is_chinese(typed.text)
        if isinstance(meant, UnknownDepth):
            return (_UNKNOWN_CHINESE if chinese else _UNKNOWN).format(word=meant.word)
        if meant is not None:
            await self._preferences.set_depth(self._team, typed.user, None if meant == DEFAULT_DEPTH else meant)
            _log.info("thinking set", user=typed.user, depth=meant)
        wished = await self._preferences.find_depth(self._team, typed.user)
        here = self._preferences.defaults.of(typed.channel)
        said = _describe_depth(wished, here, chinese=chinese)
        return " ".join(part for part in (said, remark(self._control(), "zh" if chinese else "en")) if part)


def _describe_depth(wished: Depth | None, here: Depth, *, chinese: bool) -> str:
    depth = _DEPTHS_CHINESE[wished or here] if chinese else _DEPTHS[wished or here]
    if wished is not None:
        return f"我为你作答时：{depth}（{wished}）。" if chinese else f"For you: {depth} ({wished}), wherever you ask."
    if chinese:
        return f"你没有指定，这里的默认设置：{depth}（{here}）。可用 /think deep | normal | off 更改。"
    return f"You have not said; here I think as usual: {depth} ({here}). Change it with /think deep | normal | off."


_DEPTHS: dict[Depth, str] = {
    "deep": "I think long before I answer",
    "normal": "I think for a moment before I answer",
    "off": "I answer at once, without thinking",
}
_DEPTHS_CHINESE: dict[Depth, str] = {"deep": "深入思考后再回答", "normal": "稍作思考后回答", "off": "不思考，直接回答"}
_UNKNOWN = "“{word}” is not a depth. Try /think deep, /think normal, /think off, or /think default."
_UNKNOWN_CHINESE = "“{word}”无法识别。可用：/think deep、/think normal、/think off 或 /think default。"
