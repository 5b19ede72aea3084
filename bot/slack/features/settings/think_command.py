"""``/think``: sets or shows how long Kvasir thinks before it answers the person who types it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bot.answering.thinking import describe_thinking_limit
from bot.messages import commands
from bot.messages.message import join_sentences, render_message
from bot.slack.conversations.channel_rules import ChannelRules
from bot.slack.features.kit.parsing import DEFAULT_DEPTH, UnknownDepth, parse_think
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render
from bot.storage.preferences import PersonalPreferences
from engine.interfaces import ThinkingControl

_log = structlog.get_logger(__name__)
_TIMEOUT_S = 10.0


class ThinkCommand:
    """Runs ``/think``. Each answer is visible to the person who typed the command only."""

    def __init__(
        self,
        preferences: PersonalPreferences,
        rules: ChannelRules,
        control: Callable[[], ThinkingControl | None],
        team: str,
        messenger: EphemeralMessenger,
    ) -> None:
        self._preferences = preferences
        self._rules = rules
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
        await self._messenger.answer_interaction(typed, render.escape_mrkdwn(text))

    async def _build_answer(self, typed: SlashCommand) -> str:
        depth, language = parse_think(typed.text), typed.language
        if isinstance(depth, UnknownDepth):
            return render_message(commands.UNKNOWN_DEPTH, language, word=depth.word)
        if depth is not None:
            chosen_depth = None if depth == DEFAULT_DEPTH else depth
            await self._preferences.change_preferences(
                self._team, typed.user, lambda before: replace(before, depth=chosen_depth)
            )
            _log.info("thinking set", user=typed.user, depth=depth)
        preferred = (await self._preferences.find_preferences(self._team, typed.user)).depth
        default = (await self._rules.find_rule(typed.channel)).depth
        chosen = preferred or default
        description = commands.DEPTHS[chosen]
        message = commands.DEFAULT_DEPTH if preferred is None else commands.PREFERRED_DEPTH
        text = render_message(message, language, description=description, depth=chosen)
        return join_sentences([text, describe_thinking_limit(self._control(), language)], language)
