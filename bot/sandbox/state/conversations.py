"""Members, names and states of conversations; the app gets the events that it subscribed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.sandbox.state import directory
from bot.sandbox.state.model import BOT_USER, ChannelKind, Json, SlackChannel
from bot.sandbox.state.records import PageUpdate, Records
from bot.sandbox.state.refusals import RefusedCall

_MESSAGE_SUBSCRIPTION: dict[ChannelKind, str] = {
    "channel": "message.channels",
    "group": "message.groups",
    "mpim": "message.mpim",
    "im": "message.im",
}


class Conversations(Records):
    """The operations on conversations."""

    def open_direct(self, members: Sequence[str]) -> SlackChannel:
        """Return the direct conversation of two people or of a group, which is created if there is none."""
        return self.find_direct_channel(members) or self._create_direct(members)

    def _create_direct(self, members: Sequence[str]) -> SlackChannel:
        kind: ChannelKind = "mpim" if len(members) > 2 else "im"  # noqa: PLR2004 - two people
        names = "--".join(self.people[member].name for member in members)
        serial = f"{len(self.channels):07}"
        room = SlackChannel(
            id=f"C{serial}MP" if kind == "mpim" else f"D{serial}IM",
            name=f"mpdm-{names}-1" if kind == "mpim" else "",
            kind=kind,
            members=list(members),
            created=int(self.now()),
        )
        self.save_channel(room)
        return room

    def add_member(self, member: str, channel: str, inviter: str | None = None) -> None:
        """Add a person to a channel; nothing changes for a member.

        Raises:
            RefusedCall: ``method_not_supported_for_channel_type`` for a direct message, whose members are fixed.

        """
        room = self.channels[channel]
        if member in room.members:
            return
        _check_open_membership(room)
        self.change_channel(channel, members=[*room.members, member])
        event = self._member_event("member_joined_channel", member, room)
        self._send_event(event | ({"inviter": inviter} if inviter else {}), channel)

    def remove_member(self, member: str, channel: str) -> None:
        """Remove a person from a channel; nothing changes for others.

        Raises:
            RefusedCall: ``method_not_supported_for_channel_type`` for a direct message, whose members are fixed.

        """
        room = self.channels[channel]
        if member not in room.members:
            return
        _check_open_membership(room)
        self._send_event(self._member_event("member_left_channel", member, room), channel)
        self.change_channel(channel, members=[one for one in room.members if one != member])
        if member == BOT_USER:
            self._queue_event({"type": _name_event("channel_left", room), "channel": channel}, self.channels[channel])

    def _member_event(self, kind: str, member: str, room: SlackChannel) -> Json:
        event: Json = {
            "type": kind,
            "user": member,
            "channel": room.id,
            "channel_type": "C" if room.kind == "channel" else "G",
            "team": self.people[member].team,
        }
        return event | ({"enterprise": self.organization.id} if self.organization else {})

    def share_channel(self, channel: str, teams: Sequence[str]) -> None:
        """Share a channel with exactly these teams; the app gets an event for each one that is added or removed."""
        before = self.channels[channel].shared_with
        self.change_channel(channel, shared_with=list(teams))
        for team in [team for team in teams if team not in before]:
            self._send_event({"type": "channel_shared", "connected_team_id": team, "channel": channel}, channel)
        is_external = self.is_shared_externally(self.channels[channel])
        for team in [team for team in before if team not in teams]:
            event = {"type": "channel_unshared", "previously_connected_team_id": team, "channel": channel}
            self._send_event(event | {"is_ext_shared": is_external}, channel)

    def rename_channel(self, channel: str, name: str) -> None:
        """Rename a channel."""
        self.change_channel(channel, name=name)
        room = self.channels[channel]
        about = {"id": room.id, "name": room.name, "created": room.created}
        self._send_event({"type": _name_event("channel_rename", room), "channel": about}, channel)

    def set_archived(self, channel: str, person: str, *, archived: bool) -> None:
        """Archive a channel, or unarchive it."""
        self.change_channel(channel, archived=archived)
        kind = _name_event("channel_archive" if archived else "channel_unarchive", self.channels[channel])
        self._send_event({"type": kind, "channel": channel, "user": person}, channel)

    def change_channel_id(self, old: str, new: str) -> None:
        """Give a conversation another id, under which it keeps its members and messages.

        Raises:
            RefusedCall: ``channel_not_found``; ``name_taken`` if a conversation has the new id.

        """
        if new in self.channels:
            raise RefusedCall("name_taken")
        before = self.find_channel(old)
        for message in list(self.messages.pop(old, {}).values()):
            self.changes.delete_record(message)
            self.threads.pop((old, message.ts), None)
            self._streaming.pop((old, message.ts), None)
            self.changes.save_record(moved := replace(message, channel=new))
            self._index_message(moved)
        del self.channels[old]
        self.changes.delete_record(before)
        self.changes.updates.append(
            PageUpdate(f"channel/{old}/gone", {"type": "channel_gone", "id": old}, frozenset(before.members))
        )
        self.save_channel(replace(before, id=new))
        self._send_event({"type": "channel_id_changed", "old_channel_id": old, "new_channel_id": new}, new)

    def change_channel(self, channel: str, **changed: Any) -> None:  # noqa: ANN401 - any field of a channel
        """Change any field of a channel, without an event."""
        self.save_channel(replace(self.channels[channel], **changed))

    def save_channel(self, room: SlackChannel) -> None:
        """Store a conversation and show it to its members; it leaves the pages of former members."""
        former = self.channels[room.id].members if room.id in self.channels else ()
        self.channels[room.id] = room
        self.changes.save_record(room)
        leavers = frozenset(former) - frozenset(room.members)
        if leavers:
            self.changes.updates.append(
                PageUpdate(f"channel/{room.id}/gone", {"type": "channel_gone", "id": room.id}, leavers)
            )
        body = {"type": "channel", "channel": directory.channel_object(self, room), "members": list(room.members)}
        self.changes.updates.append(PageUpdate(f"channel/{room.id}", body, frozenset(room.members)))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_audience(self, channel: str) -> frozenset[str]:
        """Return the people whose pages show a conversation."""
        return frozenset(self.channels[channel].members)

    def _send_event(self, event: Json, channel: str) -> None:
        room = self.channels[channel]
        if BOT_USER in room.members:
            self._queue_event(event, room)

    def _queue_event(self, event: Json, room: SlackChannel | None = None) -> None:
        """Add an event, of a conversation or of none, if the app subscribes to it."""
        name = _MESSAGE_SUBSCRIPTION[room.kind] if room and event["type"] == "message" else event["type"]
        if name in self.subscriptions:
            self.changes.events.append(({"event_ts": self.next_ts()} | event, room))


def _name_event(name: str, room: SlackChannel) -> str:
    """Return the name of an event about a channel, which is another one for private channels."""
    return name.replace("channel_", "group_") if room.kind == "group" else name


def _check_open_membership(room: SlackChannel) -> None:
    if room.kind in {"im", "mpim"}:
        raise RefusedCall("method_not_supported_for_channel_type")
