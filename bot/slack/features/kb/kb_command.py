"""``/kb``: runs a command and answers the person who typed it; and the commands that only read."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot.answering.retrieval.channel_filters import add_filters
from bot.audit.entries import Event, describe_passage
from bot.config.configuration import Access
from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kit import kb_texts, status_texts
from bot.slack.features.kit.feature import Feature
from bot.slack.features.kit.subcommand import Subcommand, WrongUsage
from bot.slack.posting.ephemeral import EphemeralMessenger, build_sections
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import SlashCommand
from bot.slack.wire.text import render
from engine.interfaces import EngineStatus

_log = structlog.get_logger(__name__)

KB = "/kb"
_HELP_WORDS = ("help", "帮助")
_MAX_PASSAGES = 5


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


class StatusRunner:
    """Describes the engine and the sources that the person may see. Its methods raise ``KnowledgeError``."""

    def __init__(self, visible: VisibleSources, engine_status: Callable[[], EngineStatus]) -> None:
        self._visible = visible
        self._engine_status = engine_status

    @property
    def subcommands(self) -> list[Subcommand]:
        """Return the commands."""
        return [
            Subcommand(("status", "状态"), self.describe_status),
            Subcommand(("sources", "source", "来源"), self.describe_sources),
        ]

    async def describe_status(self, typed: SlashCommand, _rest: str) -> str:
        """Return the state of the engine, the store and the sources."""
        status = await self._visible.read_status(typed.user, typed.language)
        return status_texts.format_status(self._engine_status(), status, typed.language)

    async def describe_sources(self, typed: SlashCommand, _rest: str) -> str:
        """Return the list of the sources."""
        status = await self._visible.read_status(typed.user, typed.language)
        return status_texts.format_sources(status, typed.language)


class SearchRunner:
    """Searches without an answer, by the rules of the channel."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def run(self, typed: SlashCommand, query: str) -> str:
        """Return the passages, or why there are none.

        Raises:
            WrongUsage: there is no query.
            KnowledgeError: the library fails.

        """
        if not query:
            raise WrongUsage("search …")
        audience = await self._shared.viewers.find_person_audience(typed.user)
        if audience.refusal is not None:
            return render_message(audience.refusal, typed.language)
        rule = await self._shared.rules.find_filters(typed.channel, audience.viewers)
        if rule is None:
            return render_message(replies.NOTHING_OPEN, typed.language)
        filtered = add_filters(query, rule, datetime.now(UTC))
        result = await self._shared.dependencies.search(filtered, limit=_MAX_PASSAGES, viewers=audience.viewers)
        passages = [describe_passage(one.source, one.document, [one.id], one.synced_at) for one in result.hits]
        await self._shared.record_event(Event.READ, typed.user, {"passages": passages}, {"text": query})
        text = kb_texts.format_search_results(replace(result, query=query), typed.language)
        if audience.is_complete:
            return text
        return f"{render.escape_mrkdwn(render_message(replies.AUDIENCE_UNKNOWN, typed.language))}\n{text}"
