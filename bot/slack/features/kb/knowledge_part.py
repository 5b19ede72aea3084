"""The part of Home that says what Kvasir knows: the sources that the person may read, and how fresh they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.health.parts import select_sources
from bot.messages import commands, status
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.features.kit.home import HomeViewer, build_header, build_lines
from bot.slack.features.kit.status_texts import format_source
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.turns.shared_parts import SharedParts
from knowledge.status import SourceStatus

_MAX_SECTIONS = 25
"""Slack takes 100 blocks, but also limits the size of a view."""


@dataclass(frozen=True, slots=True)
class KnowledgePart:
    """Lists sources."""

    shared: SharedParts

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the sources; what exceeds Slack's limits is counted, with the way to see it."""
        language = viewer.language
        state = await self.shared.visible_sources.read_status(viewer.user, language)
        lines = [format_source(self._omit_tasks(source, viewer.user), language) for source in select_sources(state)]
        sections, left_out = build_lines(lines or [render_message(status.NO_SOURCES, language)], _MAX_SECTIONS)
        if left_out:
            sections.append(build_section(render_message(commands.HOME_LEFT_OUT, language, count=left_out)))
        return [build_header(home.KNOWLEDGE, language), *sections]

    def _omit_tasks(self, source: SourceStatus, user: str) -> SourceStatus:
        """Return an owner's source without what ``OwnerPart`` shows with a button."""
        if not self.shared.access.is_owner(user, source.name):
            return source
        return replace(source, pending_deletions=0, error=None, watch_trouble=None)
