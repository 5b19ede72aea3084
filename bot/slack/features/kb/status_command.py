"""``/kb status`` and ``/kb sources``."""

from __future__ import annotations

from collections.abc import Callable

from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kit import status_texts
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.wire.interactions import SlashCommand
from engine.interfaces import EngineStatus


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
