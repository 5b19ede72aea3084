"""The part of Home for owners, with what needs their attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.features.kit.feature import Feature
from bot.slack.features.kit.home import HomeViewer, build_header
from bot.slack.features.kit.owner_section import OwnerSection, SourceOwner
from bot.slack.posting.ephemeral import Block, build_section


@dataclass(frozen=True, slots=True)
class OwnerTasks:
    """Finds owners, and what the features have for them."""

    features: Sequence[Feature]
    library: KnowledgeLibrary
    access: Access

    @property
    def sections(self) -> list[OwnerSection]:
        """Return the sections of all features."""
        return [section for feature in self.features for section in feature.owner_sections]

    async def find_owner(self, user: str, language: Language) -> SourceOwner | None:
        """Return a person with the sources that the person owns, None if that is nothing.

        Raises:
            KnowledgeError: the sources cannot be read.

        """
        sources = [one for one in (await self.library.status()).sources if self.access.is_owner(user, one.name)]
        owns_all = self.access.is_owner(user)
        return SourceOwner(user, language, sources, owns_all) if sources or owns_all else None


@dataclass(frozen=True, slots=True)
class OwnerPart:
    """Shows what needs an owner's attention, of the sources that the person owns."""

    tasks: OwnerTasks

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return nothing for people who own no source."""
        owner = await self.tasks.find_owner(viewer.user, viewer.language)
        if owner is None:
            return []
        blocks = [block for section in self.tasks.sections for block in await section.build_blocks(owner)]
        nothing = build_section(render_message(home.NOTHING_TO_DO, viewer.language))
        return [build_header(home.FOR_OWNERS, viewer.language), *(blocks or [nothing])]
