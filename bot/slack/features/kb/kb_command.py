"""``/kb``: runs a command and answers the person who typed it."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence

import structlog

from bot.config.configuration import Access
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.feature import Feature
from bot.slack.features.kit.subcommand import Subcommand, WrongUsage
from bot.slack.posting.ephemeral import EphemeralMessenger, build_sections
from bot.slack.wire.interactions import SlashCommand

_log = structlog.get_logger(__name__)

KB = "/kb"
_HELP_WORDS = ("help", "帮助")


class KbCommand:
    """Runs the subcommands of all features. Each answer is visible to the person who typed the command only."""

    def __init__(self, features: Sequence[Feature], messenger: EphemeralMessenger, access: Access) -> None:
        self._features = features
        self._messenger = messenger
        self._access = access

    async def run(self, typed: SlashCommand) -> None:
        """Run a command and answer the person.

        Raises:
            KnowledgeError: the library fails.
            TimeoutError: it takes too long.

        """
        word, _, rest = typed.text.strip().partition(" ")
        subcommands = {name: one for feature in self._features for one in feature.subcommands for name in one.words}
        subcommand = subcommands.get(word.lower())
        if subcommand is None:
            unknown = "" if word.lower() in _HELP_WORDS else word
            close = difflib.get_close_matches(unknown.lower(), [*subcommands, *_HELP_WORDS], n=1) if unknown else []
            nearest = [subcommands[one].name if one in subcommands else _HELP_WORDS[0] for one in close]
            await self._show_help(typed, unknown, "".join(nearest))
        elif not subcommand.may_run(typed.user, rest.strip()):
            _log.info("command refused", user=typed.user, command=subcommand.name)
            refusal = kb_texts.explain_refusal(self._access, typed.user)
            await self._messenger.answer_interaction(typed, render_message(refusal, typed.language))
        else:
            await self._run_subcommand(subcommand, typed, rest.strip())

    async def _run_subcommand(self, subcommand: Subcommand, typed: SlashCommand, rest: str) -> None:
        try:
            async with asyncio.timeout(subcommand.timeout_s):
                text = await subcommand.run(typed, rest)
        except WrongUsage as usage:
            await self._show_help(typed, typed.text.strip(), str(usage))
            return
        if text is not None:
            await self._messenger.answer_interaction(typed, text, build_sections(text))

    async def _show_help(self, typed: SlashCommand, unknown: str, nearest: str) -> None:
        text = kb_texts.format_help(unknown, nearest, typed.language)
        blocks = kb_texts.build_settings_button(typed.language) if not (unknown or typed.is_direct_message) else []
        await self._messenger.answer_interaction(typed, text, [*build_sections(text), *blocks])
