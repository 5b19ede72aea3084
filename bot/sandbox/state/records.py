"""People, conversations and messages as records in memory, and lookups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from bot.sandbox import limits
from bot.sandbox.state.changes import Changes
from bot.sandbox.state.demo import BOT, PEOPLE, SYSTEM, first_channels
from bot.sandbox.state.model import (
    TEAM_ID,
    AppFile,
    Organization,
    Record,
    Session,
    SlackChannel,
    SlackMessage,
    SlackPerson,
    UserGroup,
    View,
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
"""The events that the app gets, those of its manifest; ``message.…`` by the kind of conversation."""


class Records:
    """All records, with their indexes."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        subscriptions: Collection[str] = SUBSCRIPTIONS,
        stream_ttl_s: float = limits.STREAM_TTL_S,
    ) -> None:
        self.now = now
        self.subscriptions = subscriptions
        self.stream_ttl_s = stream_ttl_s
        self.people: dict[str, SlackPerson] = {}
        self.channels: dict[str, SlackChannel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.organization: Organization | None = None
        """The Enterprise Grid organization; None if the sandbox is a workspace of its own."""
        self.messages: dict[str, dict[str, SlackMessage]] = {}
        self.threads: dict[tuple[str, str], dict[str, None]] = {}
        """The ts of each thread's replies, in order."""
        self.ephemerals: dict[tuple[str, str], SlackMessage] = {}
        self.sessions: dict[str, Session] = {}
        self.views: dict[str, View] = {}
        self.files: dict[str, AppFile] = {}
        """The files and canvases of the app."""
        self.changes = Changes()
        self._last_micros = 0
        self._streaming: dict[tuple[str, str], None] = {}

    # ── Beginning ────────────────────────────────────────────────────────────────────────────────────────────────────

    def restore_records(self, records: Iterable[Record]) -> None:
        """Load stored records; the first people and channels that are not among them are added."""
        messages: list[SlackMessage] = []
        records = list(records)
        self.files = {record.id: record for record in records if isinstance(record, AppFile)}
        for record in records:
            match record:
                case SlackPerson():
                    self.people[record.id] = record
                case SlackChannel():
                    self.channels[record.id] = record
                case UserGroup():
                    self.groups[record.id] = record
                case Organization():
                    self.organization = record
                case SlackMessage():
                    messages.append(record)
                case Session():
                    self.sessions[record.key] = record
                case View():
                    self.views[record.id] = record
                case _:
                    pass
        for message in sorted(messages, key=lambda message: message.ts):
            self._index_message(message)
        self._add_first_records()

    def _add_first_records(self) -> None:
        for person in (*PEOPLE, BOT, SYSTEM):
            if person.id not in self.people:
                self.people[person.id] = person
                self.changes.save_record(person)
        for channel in first_channels(int(self.now())):
            if channel.id not in self.channels:
                self.channels[channel.id] = channel
                self.changes.save_record(channel)

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
