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
SIBLING_TEAM_ID = "T0SANDBOX2"
"""The second workspace of the organization, if the sandbox is an Enterprise Grid."""
PARTNER_TEAM_ID = "T0PARTNER1"
"""The workspace of another company."""
APP_ID = "A0KVASIR01"
BOT_USER = "U0KVASIR01"
BOT_ID = "B0KVASIR01"
SYSTEM_USER = "USLACKBOT"
"""The author of the workspace's own messages, such as timeouts of commands."""


Role = Literal["owner", "admin", "member", "guest", "single_channel_guest"]


@dataclass(frozen=True, slots=True)
class IdentifiedRecord:
    """A record whose key is its id."""

    id: str

    @property
    def key(self) -> str:
        """Return the key of the record."""
        return self.id


@dataclass(frozen=True, slots=True)
class SlackPerson(IdentifiedRecord):
    """An account: a human, the app's bot user, or the workspace itself."""

    name: str
    """The handle, without ``@``."""
    real_name: str
    title: str = ""
    is_bot: bool = False
    locale: str = "en-US"
    """The language of the person's Slack."""
    role: Role = "member"
    email: str = ""
    team: str = TEAM_ID
    """The workspace or organization of the account; another company's has another one."""
    deleted: bool = False
    updated: int = 0


ChannelKind = Literal["channel", "group", "mpim", "im"]


@dataclass(frozen=True, slots=True)
class SlackChannel(IdentifiedRecord):
    """A conversation: a public or private channel, or a direct message of a group or of two."""

    name: str
    """Empty for a direct message of two, ``mpdm-ada--bo-1`` for that of a group."""
    kind: ChannelKind
    members: Sequence[str]
    created: int
    topic: str = ""
    archived: bool = False
    host: str = TEAM_ID
    """The team that created it."""
    shared_with: Sequence[str] = ()
    """The other teams: sibling workspaces, or other companies."""
    refusal: str = ""
    """How Slack refuses the app's messages here, such as ``restricted_action_read_only_channel``; "" if it may post."""


@dataclass(frozen=True, slots=True)
class UserGroup(IdentifiedRecord):
    """A user group (subteam), which people mention as ``@handle``."""

    handle: str
    name: str
    users: Sequence[str] = ()
    disabled: bool = False
    created: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class Organization(IdentifiedRecord):
    """The Enterprise Grid organization of the workspace; a workspace without one has no such record."""

    id: str = "E0SANDBOX1"
    name: str = "Sandbox Organization"
    teams: Sequence[str] = (TEAM_ID, SIBLING_TEAM_ID)
    org_wide_install: bool = False
    """Whether the app is installed for all workspaces at once."""


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
    workflow_id: str | None = None
    """The workflow that posted it, None for most messages."""
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


@dataclass(frozen=True, slots=True)
class AppFile(IdentifiedRecord):
    """A file that the app uploads, or a canvas that it writes."""

    name: str
    title: str = ""
    is_canvas: bool = False
    text: str = field(default="", repr=False)
    """Empty until it is uploaded."""
    length: int = 0
    """The announced size in bytes."""
    channels: Sequence[str] = ()
    """The conversations whose members may read it."""
    users: Sequence[str] = ()
    """The other people who may."""


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
class View(IdentifiedRecord):
    """A Home tab or a modal of one person."""

    user: str
    kind: Literal["home", "modal"]
    body: Json = field(repr=False)
    hash: str


Transport = Literal["events_api", "slash_commands", "interactive"]


@dataclass(frozen=True, slots=True)
class Envelope(IdentifiedRecord):
    """A delivery that the app has not acknowledged yet."""

    kind: Transport
    payload: Json = field(repr=False)
    created: float
    attempt: int = 0
    """The number of failed deliveries."""
    reason: str | None = None
    """The reason of the last failure."""
    due: float = 0.0
    """The earliest time of the next delivery."""


Record = SlackPerson | SlackChannel | UserGroup | Organization | SlackMessage | Session | View | Envelope | AppFile

KINDS: dict[str, type[Record]] = {
    "person": SlackPerson,
    "channel": SlackChannel,
    "user_group": UserGroup,
    "organization": Organization,
    "message": SlackMessage,
    "session": Session,
    "view": View,
    "envelope": Envelope,
    "file": AppFile,
}
_KIND_NAMES = {record: name for name, record in KINDS.items()}


def name_kind(record: Record) -> str:
    """Return the kind under which a record is stored."""
    return _KIND_NAMES[type(record)]


def dump_record(record: Record) -> Json:
    """Return a record as JSON; ``load_record`` is the inverse."""
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def load_record(kind: str, body: Json) -> Record:
    """Return the record of a stored body; fields of earlier versions are dropped."""
    record = KINDS[kind]
    names = {field.name for field in dataclasses.fields(record)}
    return record(**{name: value for name, value in body.items() if name in names})
