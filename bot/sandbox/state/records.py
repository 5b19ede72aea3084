"""People, conversations and messages as records in memory, lookups, and the effects of an operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.state.demo import BOT, PEOPLE, SYSTEM, first_channels
from bot.sandbox.state.model import (
    TEAM_ID,
    AppFile,
    Json,
    Organization,
    Record,
    Session,
    SlackChannel,
    SlackMessage,
    SlackPerson,
    UserGroup,
    View,
    name_kind,
)
from bot.sandbox.state.refusals import RefusedCall

SUBSCRIPTIONS = (
    "agent_session_stopped",
    "app_context_changed",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "channel_archive",
    "channel_deleted",
    "channel_id_changed",
    "channel_left",
    "channel_rename",
    "channel_shared",
    "channel_unarchive",
    "channel_unshared",
    "group_archive",
    "group_deleted",
    "group_left",
    "group_rename",
    "group_unarchive",
    "member_joined_channel",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "subteam_created",
    "subteam_members_changed",
    "subteam_updated",
    "team_access_granted",
    "team_access_revoked",
    "team_join",
    "tokens_revoked",
    "user_change",
)
"""The app gets these events, which are those of its manifest; ``message.…`` depends on the conversation."""


@dataclass(frozen=True, slots=True)
class PageUpdate:
    """An update for open pages. A later one with the same key replaces one that was not sent yet."""

    key: str
    body: Json
    audience: frozenset[str] | None = None
    """Only the pages of these people get it; None means all pages."""


@dataclass(slots=True)
class Changes:
    """The effects that an operation collects; the hub takes them and does the I/O."""

    records: dict[tuple[str, str], Record | None] = field(default_factory=dict)
    """Each (kind, key) has its new record, or None if it was deleted."""
    events: list[tuple[Json, SlackChannel | None]] = field(default_factory=list)
    """Each event for the app comes with its conversation, if it has one."""
    updates: list[PageUpdate] = field(default_factory=list)

    def save_record(self, record: Record) -> None:
        """Add a record that is new or changed."""
        self.records[name_kind(record), record.key] = record

    def delete_record(self, record: Record) -> None:
        """Add the deletion of a record."""
        self.records[name_kind(record), record.key] = None


class Records:
    """All records, with their indexes."""

    def __init__(self, now: Callable[[], float], *, subscriptions: Collection[str] = SUBSCRIPTIONS) -> None:
        self.now = now
        self.subscriptions = subscriptions
        self.people: dict[str, SlackPerson] = {}
        self.channels: dict[str, SlackChannel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.organization: Organization | None = None
        self.messages: dict[str, dict[str, SlackMessage]] = {}
        self.threads: dict[tuple[str, str], dict[str, None]] = {}
        """Each (channel, ts of a root) has the ts of its replies, oldest first."""
        self.ephemerals: dict[tuple[str, str], SlackMessage] = {}
        self.sessions: dict[str, Session] = {}
        self.views: dict[str, View] = {}
        self.files: dict[str, AppFile] = {}
        self.changes = Changes()
        self._last_micros = 0
        self._streaming: dict[tuple[str, str], None] = {}

    # ── Beginning ────────────────────────────────────────────────────────────────────────────────────────────────────

    def restore_records(self, records: Iterable[Record]) -> None:
        """Load stored records; the first people and channels that are not among them are added."""
        tables: dict[type[Record], dict[str, Any]] = {
            SlackPerson: self.people,
            SlackChannel: self.channels,
            UserGroup: self.groups,
            Session: self.sessions,
            View: self.views,
            AppFile: self.files,
        }
        for record in sorted(records, key=lambda record: record.key):  # the messages of a channel in their order
            if isinstance(record, SlackMessage):
                self._index_message(record)
            elif isinstance(record, Organization):
                self.organization = record
            elif type(record) in tables:
                tables[type(record)][record.key] = record
        first_records: list[Record] = [*PEOPLE, BOT, SYSTEM, *first_channels(int(self.now()))]
        for record in first_records:
            table = tables[type(record)]
            if record.key not in table:
                table[record.key] = record
                self.changes.save_record(record)

    def take_changes(self) -> Changes:
        """Return the collected changes and clear them."""
        changes, self.changes = self.changes, Changes()
        return changes

    # ── Looking up ───────────────────────────────────────────────────────────────────────────────────────────────────

    def find_message(self, channel: str, ts: str) -> SlackMessage | None:
        """Return a message; None if there is none."""
        return self.messages.get(channel, {}).get(ts)

    def list_replies(self, channel: str, root: str) -> list[SlackMessage]:
        """Return a thread's replies, oldest first."""
        return [self.messages[channel][ts] for ts in self.threads.get((channel, root), ())]

    def list_history(self, channel: str) -> list[SlackMessage]:
        """Return a channel's top-level messages, oldest first."""
        return [message for message in self.messages.get(channel, {}).values() if message.thread_ts is None]

    def find_direct_channel(self, members: Collection[str]) -> SlackChannel | None:
        """Return the direct conversation of exactly these people."""
        people, kind = set(members), "mpim" if len(members) > 2 else "im"  # noqa: PLR2004 - two people
        return next((c for c in self.channels.values() if c.kind == kind and people == set(c.members)), None)

    def own_teams(self) -> frozenset[str]:
        """Return the workspaces of this company: one, or those of its organization, with the organization itself."""
        organization = self.organization
        return frozenset({TEAM_ID} if organization is None else {TEAM_ID, organization.id, *organization.teams})

    def is_shared_externally(self, room: SlackChannel) -> bool:
        """Return whether another company is in a conversation."""
        return not self.own_teams().issuperset({room.host, *room.shared_with})

    def find_person(self, name_or_id: str) -> SlackPerson:
        """Return a person by id or handle.

        Raises:
            RefusedCall: ``user_not_found``.

        """
        name = name_or_id.lstrip("@")
        found = self.people.get(name) or next((p for p in self.people.values() if p.name == name), None)
        if found is None:
            raise RefusedCall("user_not_found")
        return found

    def find_channel(self, name_or_id: str) -> SlackChannel:
        """Return a conversation by id, by ``#name`` or by name.

        Raises:
            RefusedCall: ``channel_not_found``.

        """
        found = self.channels.get(name_or_id)
        name = name_or_id.lstrip("#")
        found = found or next((c for c in self.channels.values() if c.name and c.name == name), None)
        if found is None:
            raise RefusedCall("channel_not_found")
        return found

    def find_group(self, handle_or_id: str) -> UserGroup:
        """Return a user group by id or handle.

        Raises:
            RefusedCall: ``no_such_subteam``.

        """
        handle = handle_or_id.lstrip("@")
        for group in self.groups.values():
            if handle in {group.id, group.handle}:
                return group
        raise RefusedCall("no_such_subteam")

    def list_visible_channels(self, person: str) -> list[SlackChannel]:
        """Return the conversations of a person."""
        return [channel for channel in self.channels.values() if person in channel.members]

    # ── Making ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_ts(self) -> str:
        """Return a new ts, later than all before."""
        self._last_micros = max(int(self.now() * 1_000_000), self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def _index_message(self, message: SlackMessage) -> None:
        self.messages.setdefault(message.channel, {})[message.ts] = message
        seconds, _, micros = message.ts.partition(".")
        self._last_micros = max(self._last_micros, int(seconds) * 1_000_000 + int(micros))
        if message.thread_ts:
            self.threads.setdefault((message.channel, message.thread_ts), {})[message.ts] = None
        if message.stream == "streaming":
            self._streaming[message.channel, message.ts] = None
