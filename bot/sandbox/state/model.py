"""The records of a workspace as plain data; ``wire.py`` builds Slack's objects from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
"""A JSON object of the wire."""

TEAM_ID = "T0SANDBOX1"
TEAM_NAME = "Sandbox"
TEAM_DOMAIN = "sandbox"
APP_ID = "A0KVASIR01"
BOT_USER = "U0KVASIR01"
BOT_ID = "B0KVASIR01"
SYSTEM_USER = "USLACKBOT"
"""The author of the workspace's own messages, such as timeouts of commands."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account: a human, the app's bot user, or the workspace itself."""

    id: str
    name: str
    """The handle, without ``@``."""
    real_name: str
    title: str = ""
    is_bot: bool = False
    locale: str = "en-US"
    """The language of the person's Slack."""

    @property
    def key(self) -> str:
        """Return the key of the record."""
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
        """Return the key of the record."""
        return self.id


StreamState = Literal["streaming", "done", "expired", "stopped_by_user"]


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """One message in its current state."""

    channel: str
    ts: str
    user: str
    text: str = field(repr=False)
    blocks: Sequence[Json] = ()
    thread_ts: str | None = None
    """The ts of the root for replies, None for the root itself."""
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    edited: Json | None = None
    reactions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metadata: Json | None = None
    ephemeral_to: str | None = None
    """The only person who sees it; such a message is in no history."""
    stream: StreamState | None = None
    stream_started: float = 0.0
    files: Sequence[Json] = ()
    """File objects of ``uploads.py``."""
    plan: bool = False
    """Whether its tasks are in one plan block."""

    @property
    def key(self) -> str:
        """Return the key of the record."""
        return f"{self.channel}/{self.ts}"

    @property
    def root(self) -> str:
        """Return the ts of the root of the message's thread."""
        return self.thread_ts or self.ts


SessionStatus = Literal["active", "processing", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's session: the line under a thread while the app works."""

    channel: str
    thread_ts: str
    status: SessionStatus
    text: str = ""
    """The text of the legacy ``assistant.threads.setStatus``."""
    agent: bool = False
    """Whether ``agents.sessions.setStatus`` set the status; then the legacy text does not change it."""
    title: str = ""
    prompts: Sequence[Json] = ()

    @property
    def key(self) -> str:
        """Return the key of the record."""
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
        """Return the key of the record."""
        return self.id


Transport = Literal["events_api", "slash_commands", "interactive"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """A delivery that the app has not acknowledged yet."""

    id: str
    kind: Transport
    payload: Json = field(repr=False)
    created: float
    attempt: int = 0
    """The number of failed deliveries."""
    reason: str | None = None
    """The reason of the last failure."""
    due: float = 0.0
    """The earliest time of the next delivery."""

    @property
    def key(self) -> str:
        """Return the key of the record."""
        return self.id


Record = Person | Channel | SlackMessage | Session | View | Envelope

KINDS: dict[str, type[Record]] = {
    "person": Person,
    "channel": Channel,
    "message": SlackMessage,
    "session": Session,
    "view": View,
    "envelope": Envelope,
}
_KIND_NAMES = {record: name for name, record in KINDS.items()}


def name_kind(record: Record) -> str:
    """Return the kind under which a record is stored."""
    return _KIND_NAMES[type(record)]


def dump_record(record: Record) -> Json:
    """Return a record as JSON; ``load_record`` is the inverse."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def load_record(kind: str, body: Json) -> Record:
    """Return the record of a JSON text."""
    return KINDS[kind](**body)


PEOPLE = (
    Person("U0ADA00001", "ada", "Ada Lindqvist", "Platform"),
    Person("U0BO000002", "bo", "Bo Okafor", "Support"),
    Person("U0CHEN0003", "chen", "陈静 Chen Jing", "产品 Product", locale="zh-CN"),
    Person("U0MIRA0004", "mira", "Mira Santos", "New here"),
)
BOT = Person(BOT_USER, "kvasir", "Kvasir", "Answers from the documents", is_bot=True)
SYSTEM = Person(SYSTEM_USER, "workspace", "Workspace", is_bot=True)

_HUMANS = tuple(person.id for person in PEOPLE)


def first_channels(created: int) -> tuple[Channel, ...]:
    """Return the conversations of a new workspace: the app is in all channels but one, with a DM for each person."""
    channels = [
        Channel("C0GENERAL1", "general", "channel", (*_HUMANS, BOT_USER), created, "Everybody, about everything"),
        Channel("C0HANDBOOK", "handbook", "channel", (*_HUMANS, BOT_USER), created, "How we work: ask Kvasir"),
        Channel("C0RANDOM01", "random", "channel", _HUMANS, created, "Kvasir is not here until somebody invites it"),
    ]
    pairs = [(a, b) for n, a in enumerate(_HUMANS) for b in (BOT_USER, *_HUMANS[n + 1 :])]
    channels += [Channel(f"D0DIRECT{n:02}", "", "im", pair, created) for n, pair in enumerate(pairs, 1)]
    return tuple(channels)
