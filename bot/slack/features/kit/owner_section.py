"""What needs an owner's attention: a section of Home and of the weekly digest, for the sources of one owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.languages.registry import Language
from bot.slack.posting.ephemeral import Block
from knowledge.status import SourceStatus


@dataclass(frozen=True, slots=True)
class SourceOwner:
    """A person who owns sources."""

    user: str
    language: Language
    sources: Sequence[SourceStatus]
    """Those that the person owns."""
    owns_all: bool
    """Whether the person owns all sources, and the questions that belong to none."""

    @property
    def names(self) -> list[str] | None:
        """Return the names of the sources, None for all."""
        return None if self.owns_all else [one.name for one in self.sources]


class OwnerSection(Protocol):
    """Shows one kind of task to owners."""

    async def build_blocks(self, owner: SourceOwner) -> list[Block]:
        """Return the tasks for Home, none if there are none.

        Raises:
            KnowledgeError: they cannot be read.

        """

    async def describe_week(self, owner: SourceOwner) -> str:
        """Return the tasks of this week for the digest as mrkdwn, "" if there are none.

        Raises:
            KnowledgeError: they cannot be read.

        """
