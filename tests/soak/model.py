"""A random world as plain data: people, groups, conversations and documents, and what happens to them.

Nothing here imports Kvasir. The oracle judges by these records, and the stage builds the same world at the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["member", "guest", "single_channel_guest", "sibling", "foreign"]
PlaceKind = Literal["folder", "wiki", "drive", "sql", "notion", "slack", "files"]
Feature = Literal["files", "slack", "sql", "workspaces", "restarts", "notion", "data-center"]
"""What only some worlds have: files of direct messages, Slack's channels as a source, …"""
Grant = tuple[str, str]
"""Whom a rule admits: what it names (``members``, ``person``, ``channel``, ``wiki group``, …) and which one.

``readers`` admits all readers of the source.
"""


@dataclass
class Human:
    """A person with accounts in three systems."""

    id: str
    kind: Kind
    email: str
    wiki: str
    """The Confluence account, "" without one."""
    names: set[str] = field(default_factory=set)
    """Names that the file of people gives."""
    active: bool = True


@dataclass
class Room:
    """A conversation."""

    id: str
    kind: Literal["public", "private", "mpim", "im", "shared"]
    members: set[str]
    approved: bool = False
    """Whether an owner has approved answers in a shared channel."""


@dataclass
class Place:
    """A source: its kind, its secret name, and whom ``kvasir.toml`` admits."""

    name: str
    kind: PlaceKind
    readers: Sequence[Grant] | None
    """None: all full members, or whom a source with rights of its own names."""
    parts: dict[str, list[Grant]] = field(default_factory=dict)
    """For a wiki, its spaces and who sees each."""
    workspaces: Sequence[str] = ()
    """Whose members ``*`` means; the organization's if there are none."""


@dataclass
class Document:
    """A document; ``keyword`` is what people ask by, the other words are secrets of those who may read it."""

    number: int
    place: str
    keyword: str
    text: str
    title: str
    file: str
    rest: str
    """A word of the part that an extract does not quote."""
    part: str = ""
    """The space of a page, the channel of a thread, or the sender of a file."""
    parent: int | None = None
    """The wiki page above it, whose restriction counts, too."""
    own: list[Grant] = field(default_factory=list)
    """Restrictions of the page, permissions of the file, readers of the row, or ``[[source.rights]]``."""
    live: bool = True
    old: list[str] = field(default_factory=list)
    """Secrets of earlier versions."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the words that only readers may see."""
        return (self.text, self.title, self.file, self.rest)


@dataclass
class World:
    """Everything that decides who may read what."""

    seed: int
    features: frozenset[Feature] = frozenset()
    owners: set[str] = field(default_factory=set)
    """Owners see the names of all sources."""
    humans: dict[str, Human] = field(default_factory=dict)
    rooms: dict[str, Room] = field(default_factory=dict)
    slack_groups: dict[str, set[str]] = field(default_factory=dict)
    wiki_groups: dict[str, set[str]] = field(default_factory=dict)
    """Members by their Slack id, although Confluence knows them by their account."""
    drive_groups: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    documents: dict[int, Document] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """Something that happens. ``late`` changes send no event and no sync follows, so they count after 60 s."""

    verb: str
    args: tuple[Any, ...]
    late: bool = False


@dataclass(frozen=True)
class Ask:
    """A person asks by a document's keyword."""

    person: str
    room: str
    document: int
    follow_up: bool = False
    engine: bool = True
    """Whether the model answers; otherwise extracts do."""
    way: Literal["question", "search"] = "question"


@dataclass(frozen=True)
class Look:
    """A person looks at what names sources: ``sources``, ``status``, ``home``, ``suggestion``, ``feedback``."""

    person: str
    room: str
    what: str


@dataclass(frozen=True)
class Press:
    """A person presses one of the buttons that stand in their conversations, of whatever age."""

    person: str
    number: int


Step = Change | Ask | Look | Press
