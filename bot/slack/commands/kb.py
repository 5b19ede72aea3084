"""``/kb``: runs a command and answers the person who typed it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot.answering.retrieval.channel_filters import add_filters
from bot.config.configuration import Access
from bot.slack.commands import kb_texts, status_texts
from bot.slack.commands.library import KnowledgeLibrary
from bot.slack.commands.parsing import (
    ApproveCommand,
    HelpCommand,
    ParsedCommand,
    RefreshCommand,
    SearchCommand,
    SourcesCommand,
    StatusCommand,
    parse_kb,
)
from bot.slack.commands.pending_deletions import PendingDeletions
from bot.slack.commands.redaction import redact_status
from bot.slack.commands.refresh import RefreshRunner
from bot.slack.interactions import SlashCommand
from bot.slack.posting import render
from bot.slack.posting.ephemeral import EphemeralMessenger
from engine.interfaces import EngineStatus
from knowledge.status import LibraryStatus

_log = structlog.get_logger(__name__)

_SEARCH_LIMIT = 5
_COMMAND_TIMEOUT_S = 20.0


class KbCommand:
    """Runs ``/kb`` commands. Each answer is visible to the person who typed the command only."""

    def __init__(
        self,
        library: KnowledgeLibrary,
        engine_status: Callable[[], EngineStatus],
        pending: PendingDeletions,
        refresh: RefreshRunner,
        messenger: EphemeralMessenger,
        *,
        access: Access,
        channels: Mapping[str, str],
    ) -> None:
        self._library = library
        self._engine_status = engine_status
        self._pending = pending
        self._refresh = refresh
        self._messenger = messenger
        self._access = access
        self._channels = channels

    async def run(self, typed: SlashCommand) -> None:
        """Run a command and answer the person.

        Raises:
            KnowledgeError: the library fails.
            TimeoutError: it takes too long.

        """
        command, chinese = parse_kb(typed.text), render.is_chinese(typed.text)
        if not self._is_allowed(typed.user, command):
            _log.info(
                "command refused", user=typed.user, command=type(command).__name__.removesuffix("Command").lower()
            )
            await self._messenger.answer(typed, kb_texts.format_refusal(self._access, typed.user, chinese=chinese))
        elif isinstance(command, RefreshCommand):
            await self._refresh.run(typed, command.source, chinese=chinese)
        else:
            await self._answer(typed, command, chinese=chinese)

    async def describe_status(self, user: str, *, chinese: bool = False) -> str:
        """Return what ``/kb status`` shows to a person."""
        status = await self._read_status(user, chinese=chinese)
        return status_texts.format_status(self._engine_status(), status, chinese=chinese)

    async def _read_status(self, user: str, *, chinese: bool) -> LibraryStatus:
        status = await self._library.status()
        return status if self._access.is_owner(user) else redact_status(status, chinese=chinese)

    def _is_allowed(self, user: str, command: ParsedCommand) -> bool:
        match command:
            case ApproveCommand():
                return self._access.is_owner(user)
            case RefreshCommand():
                return self._access.may_refresh(user)
        return True

    async def _answer(self, typed: SlashCommand, command: ParsedCommand, *, chinese: bool) -> None:
        async with asyncio.timeout(_COMMAND_TIMEOUT_S):
            if isinstance(command, ApproveCommand):
                sources = await self._pending.find(command.source)
                await self._pending.show(typed, sources, command.source, chinese=chinese)
                return
            text = await self._build_answer(typed, command, chinese=chinese)
        await self._messenger.answer(typed, text)

    async def _build_answer(self, typed: SlashCommand, command: ParsedCommand, *, chinese: bool) -> str:
        match command:
            case SearchCommand(query):
                filtered = add_filters(query, self._channels.get(typed.channel, ""), datetime.now(UTC))
                result = await self._library.search(filtered, limit=_SEARCH_LIMIT)
                return kb_texts.format_search_results(replace(result, query=query), chinese=chinese)
            case StatusCommand():
                return await self.describe_status(typed.user, chinese=chinese)
            case SourcesCommand():
                return status_texts.format_sources(
                    await self._read_status(typed.user, chinese=chinese), chinese=chinese
                )
            case HelpCommand():
                return kb_texts.format_help(command, chinese=chinese)
        raise AssertionError(command)  # ``run`` and ``_answer`` handle the other commands
