"""The records of a workspace as plain data; ``wire.py`` builds Slack's objects from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

TEAM_ID = "T0SANDBOX1"
TEAM_NAME = "Sandbox"
TEAM_DOMAIN = "sandbox"
SIBLING_TEAM_ID = "T0SANDBOX2"
"""An organization of the sandbox has this second workspace."""
PARTNER_TEAM_ID = "T0PARTNER1"
APP_ID = "A0KVASIR01"
BOT_USER = "U0KVASIR01"
BOT_ID = "B0KVASIR01"
SYSTEM_USER = "USLACKBOT"
"""The workspace's own messages, such as timeouts of commands, have this author."""


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
    """A handle has no ``@`` here."""
    real_name: str
    title: str = ""
    is_bot: bool = False
    locale: str = "en-US"
    role: Role = "member"
    email: str = ""
    team: str = TEAM_ID
    """The account belongs to this workspace or organization."""
    deleted: bool = False
    updated: int = 0


ChannelKind = Literal["channel", "group", "mpim", "im"]


@dataclass(frozen=True, slots=True)
class SlackChannel(IdentifiedRecord):
    """A conversation: a public or private channel, or a direct message of a group or of two."""

    name: str
    """A direct message of two has no name, and one of a group has a name like ``mpdm-ada--bo-1``."""
    kind: ChannelKind
    members: Sequence[str]
    created: int
    topic: str = ""
    archived: bool = False
    host: str = TEAM_ID
    """This team created it."""
    shared_with: Sequence[str] = ()
    """The other teams are sibling workspaces or other companies."""
    refusal: str = ""
    """Slack refuses the app's messages with this error, such as ``restricted_action_read_only_channel``."""


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
    """A reply has the ts of its root, and the root has None."""
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    workflow_id: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    edited: Json | None = None
    reactions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metadata: Json | None = None
    ephemeral_to: str | None = None
    """Only this person sees an ephemeral message, which is in no history."""
    stream: StreamState | None = None
    stream_started: float = 0.0
    files: Sequence[Json] = ()
    """They are Slack's file objects."""
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
    """The text is empty until the file is uploaded."""
    length: int = 0
    """The upload was announced with this size in bytes."""
    channels: Sequence[str] = ()
    """The members of these conversations may read it."""
    users: Sequence[str] = ()
    """These other people may read it, too."""


SessionStatus = Literal["active", "processing", "suspended", "closed"]


@dataclass(frozen=True, slots=True)
class Session:
    """An agent's session: the line under a thread while the app works."""

    channel: str
    thread_ts: str
    status: SessionStatus
    text: str = ""
    """The legacy ``assistant.threads.setStatus`` sets this text."""
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
    """So many deliveries have failed."""
    reason: str | None = None
    """The last delivery failed for this reason."""
    due: float = 0.0
    """It is not delivered before this time."""


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
