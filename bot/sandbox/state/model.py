"""What a workspace is made of, as plain data; ``wire.py`` turns it into the shapes that Slack sends."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""A JSON object as it goes over the wire."""

TEAM_ID = "T0SANDBOX1"
TEAM_NAME = "Sandbox"
TEAM_DOMAIN = "sandbox"
APP_ID = "A0KVASIR01"
BOT_USER = "U0KVASIR01"
BOT_ID = "B0KVASIR01"
SYSTEM_USER = "USLACKBOT"
"""Speaks for the workspace itself: timeouts of commands, an app that is not in a channel."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account: a human, the app's bot user, or the workspace itself."""

    id: str
    name: str
    """The handle, without ``@``."""
    real_name: str
    title: str = ""
    is_bot: bool = False

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return self.id


ChannelKind = Literal["channel", "group", "im"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A conversation: public, private, or between two."""

    id: str
    name: str
    """Empty for a direct message."""
    kind: ChannelKind
    members: Sequence[str]
    created: int
    topic: str = ""
    shared_externally: bool = False
    archived: bool = False

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return self.id


StreamState = Literal["streaming", "done", "expired", "stopped_by_user"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as it stands now."""

    channel: str
    ts: str
    user: str
    text: str = field(repr=False)
    blocks: Sequence[Json] = ()
    thread_ts: str | None = None
    """The root's ts, for replies; the root itself has None."""
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    edited: Json | None = None
    reactions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metadata: Json | None = None
    ephemeral_to: str | None = None
    """The one person who sees it; such a message is no part of any history."""
    stream: StreamState | None = None
    stream_started: float = 0.0
    files: Sequence[Json] = ()
    """File objects, as ``uploads.py`` makes them."""
    plan: bool = False
    """Whether its tasks stand together in one plan block."""

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return f"{self.channel}/{self.ts}"

    @property
    def root(self) -> str:
        """Return the ts of the thread that the message is in, or would begin."""
        return self.thread_ts or self.ts


SessionStatus = Literal["active", "processing", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's session: what the line under a thread says while the app works."""

    channel: str
    thread_ts: str
    status: SessionStatus
    text: str = ""
    """Free text of the legacy ``assistant.threads.setStatus``."""
    agent: bool = False
    """Whether ``agents.sessions.setStatus`` set the status; then the free text does not change it."""
    title: str = ""
    prompts: Sequence[Json] = ()

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return f"{self.channel}/{self.thread_ts}"


@dataclass(frozen=True, slots=True)
class View:
    """A Home tab or a modal of one person."""

    id: str
    user: str
    kind: Literal["home", "modal"]
    body: Json = field(repr=False)
    hash: str

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return self.id


Transport = Literal["events_api", "slash_commands", "interactive"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Something that the app has not yet acknowledged."""

    id: str
    kind: Transport
    payload: Json = field(repr=False)
    created: float
    attempt: int = 0
    """How many deliveries failed so far."""
    reason: str | None = None
    """Why the last one failed."""
    due: float = 0.0
    """Not before this time."""

    @property
    def key(self) -> str:
        """Return what the record is kept under."""
        return self.id


Record = Person | Channel | Message | Session | View | Envelope

KINDS: dict[str, type[Record]] = {
    "person": Person,
    "channel": Channel,
    "message": Message,
    "session": Session,
    "view": View,
    "envelope": Envelope,
}


def name_kind(record: Record) -> str:
    """Name the kind that a record is kept as."""
    return type(record).__name__.lower()


def dump_record(record: Record) -> Json:
    """Turn a record into JSON; ``load_record`` is its inverse."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def load_record(kind: str, body: Json) -> Record:
    """Turn JSON into the record that it was."""
    return KINDS[kind](**body)


PEOPLE = (
    Person("U0ADA00001", "ada", "Ada Lindqvist", "Platform"),
    Person("U0BO000002", "bo", "Bo Okafor", "Support"),
    Person("U0CHEN0003", "chen", "陈静 Chen Jing", "产品 Product"),
    Person("U0MIRA0004", "mira", "Mira Santos", "New here"),
)
BOT = Person(BOT_USER, "kvasir", "Kvasir", "Answers from the documents", is_bot=True)
SYSTEM = Person(SYSTEM_USER, "workspace", "Workspace", is_bot=True)

_HUMANS = tuple(person.id for person in PEOPLE)


def first_channels(created: int) -> tuple[Channel, ...]:
    """Return the conversations of a new workspace: the app is in all channels but one, and in a DM with everybody."""
    channels = [
        Channel("C0GENERAL1", "general", "channel", (*_HUMANS, BOT_USER), created, "Everybody, about everything"),
        Channel("C0HANDBOOK", "handbook", "channel", (*_HUMANS, BOT_USER), created, "How we work: ask Kvasir"),
        Channel("C0RANDOM01", "random", "channel", _HUMANS, created, "Kvasir is not here until somebody invites it"),
    ]
    pairs = [(a, b) for n, a in enumerate(_HUMANS) for b in (BOT_USER, *_HUMANS[n + 1 :])]
    channels += [Channel(f"D0DIRECT{n:02}", "", "im", pair, created) for n, pair in enumerate(pairs, 1)]
    return tuple(channels)
