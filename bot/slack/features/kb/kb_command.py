"""``/kb``: runs a command and answers the person who typed it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from bot.config.configuration import Access
from bot.messages.message import render_message
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kit import kb_texts, status_texts
from bot.slack.features.kit.parsing import (
    ApproveCommand,
    ChannelCommand,
    FeedbackCommand,
    HelpCommand,
    ListVerifiedCommand,
    ParsedCommand,
    RefreshCommand,
    SearchCommand,
    ShareCommand,
    SourcesCommand,
    StatusCommand,
    parse_kb,
)
from bot.slack.features.refreshes.pending_deletions import PendingDeletions
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.features.settings.channel_settings import build_settings_button
from bot.slack.posting.ephemeral import EphemeralMessenger, build_sections
from bot.slack.wire.interactions import SlashCommand
from engine.interfaces import EngineStatus
from knowledge.language import Language

_log = structlog.get_logger(__name__)

_COMMAND_TIMEOUT_S = 20.0


class KbRunners(NamedTuple):
    """What does the work of commands that this module does not answer itself."""

    search: Callable[[SlashCommand, str], Awaitable[str]]
    share: Callable[[SlashCommand, ShareCommand], Awaitable[str]]
    feedback: Callable[[SlashCommand], Awaitable[str]]
    show_verified: Callable[[SlashCommand, str], Awaitable[None]]
    """Shows its answer itself, because that has buttons."""
    open_settings: Callable[[SlashCommand], Awaitable[None]]


class KbCommand:
    """Runs ``/kb`` commands. Each answer is visible to the person who typed the command only."""

    def __init__(
        self,
        visible: VisibleSources,
        engine_status: Callable[[], EngineStatus],
        pending: PendingDeletions,
        refresh: RefreshRunner,
        *,
        runners: KbRunners,
        messenger: EphemeralMessenger,
        access: Access,
    ) -> None:
        self._visible = visible
        self._engine_status = engine_status
        self._pending = pending
        self._refresh = refresh
        self._messenger = messenger
        self._runners = runners
        self._access = access

    async def run(self, typed: SlashCommand) -> None:
        """Run a command and answer the person.

        Raises:
            KnowledgeError: the library fails.
            TimeoutError: it takes too long.

        """
        command = parse_kb(typed.text)
        if not self._is_allowed(typed.user, command):
            _log.info(
                "command refused", user=typed.user, command=type(command).__name__.removesuffix("Command").lower()
            )
            refusal = kb_texts.explain_refusal(self._access, typed.user)
            await self._messenger.answer_interaction(typed, render_message(refusal, typed.language))
        elif isinstance(command, RefreshCommand):
            await self._refresh.run(typed, command.source)
        elif isinstance(command, ChannelCommand):
            await self._runners.open_settings(typed)
        else:
            await self._answer_command(typed, command)

    async def describe_status(self, user: str, language: Language) -> str:
        """Return what ``/kb status`` shows to a person."""
        status = await self._visible.read_status(user, language)
        return status_texts.format_status(self._engine_status(), status, language)

    def _is_allowed(self, user: str, command: ParsedCommand) -> bool:
        match command:
            case ApproveCommand(source):
                return self._access.is_owner(user, source)
            case ListVerifiedCommand():
                return self._access.owns_anything(user)
            case ShareCommand():
                return self._access.is_owner(user)
            case RefreshCommand(source):
                return self._access.may_refresh(user, source)
        return True

    async def _answer_command(self, typed: SlashCommand, command: ParsedCommand) -> None:
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            if isinstance(command, ApproveCommand):
                sources = await self._pending.find_pending(command.source)
                await self._pending.show_pending(typed, sources, command.source)
                return
            if isinstance(command, ListVerifiedCommand):
                await self._runners.show_verified(typed, command.words)
                return
            text = await self._build_answer(typed, command)
        blocks = (
            build_settings_button(typed.language) if command == HelpCommand() and not typed.is_direct_message else []
        )
        await self._messenger.answer_interaction(typed, text, [*build_sections(text), *blocks])

    async def _build_answer(self, typed: SlashCommand, command: ParsedCommand) -> str:
        match command:
            case ShareCommand():
                return await self._runners.share(typed, command)
            case FeedbackCommand():
                return await self._runners.feedback(typed)
            case SearchCommand(query):
                return await self._runners.search(typed, query)
            case StatusCommand():
                return await self.describe_status(typed.user, typed.language)
            case SourcesCommand():
                status = await self._visible.read_status(typed.user, typed.language)
                return status_texts.format_sources(status, typed.language)
            case HelpCommand():
                return kb_texts.format_help(command, typed.language)
        raise AssertionError(command)  # ``run`` and ``_answer_command`` handle the other commands
