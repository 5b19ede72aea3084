"""What Home is made of: parts, sections for owners, the person who looks at them, and their blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bot.languages.registry import Language
from bot.messages.message import Message, render_message
from bot.slack.people.roles import Role
from bot.slack.posting.ephemeral import MAX_SECTION_CHARACTERS, Block, build_section
from bot.slack.wire.text.cutting import split_head
from knowledge.status import SourceStatus


@dataclass(frozen=True, slots=True)
class HomeViewer:
    """The person who looks at Home."""

    user: str
    language: Language
    roles: frozenset[Role] = frozenset()


class HomePart(Protocol):
    """One part of Home."""

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the blocks for a person, none if the part is not for this person.

        Raises:
            KnowledgeError: what it shows cannot be read.

        """


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
    """What needs an owner's attention: a section of Home and of the weekly digest, for the sources of one owner."""

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


def build_header(message: Message, language: Language) -> Block:
    """Return a heading."""
    return {"type": "header", "text": {"type": "plain_text", "text": render_message(message, language)}}


def build_section_with_button(text: str, button: dict[str, Any]) -> Block:
    """Return mrkdwn with a button next to it, cut to what a section holds."""
    head, rest = split_head(text, MAX_SECTION_CHARACTERS)
    return {**build_section(f"{head} …" if rest else head), "accessory": button}


def build_lines(lines: Iterable[str], most_sections: int) -> tuple[list[Block], int]:
    """Return lines of mrkdwn as sections, and how many lines have no room in ``most_sections``."""
    sections: list[Block] = []
    text = "\n".join(lines)
    while text and len(sections) < most_sections:
        head, text = split_head(text, MAX_SECTION_CHARACTERS)
        sections.append(build_section(head))
    return sections, len(text.splitlines())


def join_blocks(parts: Sequence[Sequence[Block]]) -> list[Block]:
    """Return the blocks of all parts, with dividers between them."""
    blocks: list[Block] = []
    for part in parts:
        blocks += [{"type": "divider"}, *part] if blocks and part else part
    return blocks
