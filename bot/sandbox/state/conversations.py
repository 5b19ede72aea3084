"""Members, names and states of conversations; the app gets the events that it subscribed to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.sandbox.state import wire
from bot.sandbox.state.changes import PageUpdate
from bot.sandbox.state.model import BOT_USER, TEAM_ID, Channel, Json
from bot.sandbox.state.records import Records

_MESSAGE_SUBSCRIPTION = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


class Conversations(Records):
    """The operations on conversations."""

    def add_member(self, member: str, channel: str, inviter: str | None = None) -> Channel:
        """Add a person to a channel; nothing changes for a member."""
        room = self.channels[channel]
        if member in room.members:
            return room
        room = self._change_channel(channel, members=[*room.members, member])
        event: Json = {
            "type": "member_joined_channel",
            "user": member,
            "channel": channel,
            "channel_type": "C" if room.kind == "channel" else "G",
            "team": TEAM_ID,
            "event_ts": self.next_ts(),
        }
        self._send_event(event | ({"inviter": inviter} if inviter else {}), channel)
        return room

    def remove_member(self, member: str, channel: str) -> Channel:
        """Remove a person from a channel; nothing changes for others."""
        room = self.channels[channel]
        if member not in room.members:
            return room
        event: Json = {
            "type": "member_left_channel",
            "user": member,
            "channel": channel,
            "channel_type": "C" if room.kind == "channel" else "G",
            "team": TEAM_ID,
            "event_ts": self.next_ts(),
        }
        self._send_event(event, channel)
        room = self._change_channel(channel, members=[one for one in room.members if one != member])
        if member == BOT_USER and "channel_left" in self.subscriptions:
            left = {"type": "channel_left", "channel": channel, "event_ts": self.next_ts()}
            self.changes.events.append((left, room.shared_externally))
        return room

    def rename_channel(self, channel: str, name: str) -> Channel:
        """Rename a channel."""
        room = self._change_channel(channel, name=name)
        about = {"id": room.id, "name": room.name, "created": room.created}
        self._send_event({"type": "channel_rename", "channel": about, "event_ts": self.next_ts()}, channel)
        return room

    def set_archived(self, channel: str, person: str, *, archived: bool) -> Channel:
        """Archive a channel, or unarchive it."""
        room = self._change_channel(channel, archived=archived)
        kind = "channel_archive" if archived else "channel_unarchive"
        self._send_event({"type": kind, "channel": channel, "user": person, "event_ts": self.next_ts()}, channel)
        return room

    def _change_channel(self, channel: str, **changed: Any) -> Channel:  # noqa: ANN401 - any field of a channel
        room = replace(self.channels[channel], **changed)
        self.channels[channel] = room
        self.changes.save_record(room)
        body = {"type": "channel", "channel": wire.channel_object(room), "members": list(room.members)}
        self.changes.updates.append(PageUpdate(f"channel/{room.id}", body))
        return room

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_audience(self, channel: str) -> frozenset[str]:
        """Return the people whose pages show a conversation."""
        return frozenset(self.channels[channel].members)

    def _send_event(self, event: Json, channel: str) -> None:
        room = self.channels[channel]
        name = _MESSAGE_SUBSCRIPTION[room.kind] if event["type"] == "message" else event["type"]
        if BOT_USER in room.members and name in self.subscriptions:
            self.changes.events.append((event, room.shared_externally))
