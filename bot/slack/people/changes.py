"""Tells the directory what an event changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.people.directory import SlackDirectory
from bot.slack.wire.events import get_object

_CONVERSIONS = {"channel_convert_to_private", "channel_convert_to_public"}
"""Subtypes of the messages that Slack posts when a channel becomes private or public."""


def apply_event(directory: SlackDirectory, body: Mapping[str, Any]) -> None:
    """Change what the directory has cached, before anything else handles the event."""
    event = get_object(body, "event")
    kind, channel = str(event.get("type") or ""), _read_channel(event)
    match kind:
        case "member_joined_channel":
            directory.add_member(channel, str(event.get("user") or ""))
        case "member_left_channel":
            directory.forget_members(channel, str(event.get("user") or ""))
        case "user_change" | "team_join":
            directory.change_person(get_object(event, "user"))
        case "message" if event.get("subtype") in _CONVERSIONS:
            directory.forget_channel(channel)
        case "channel_id_changed":
            directory.replace_channel(*(str(event.get(name) or "") for name in ("old_channel_id", "new_channel_id")))
        case _ if kind.startswith("subteam_"):
            directory.forget_groups()
        case _ if kind.startswith(("channel_", "group_")):
            directory.forget_channel(channel)


def _read_channel(event: Mapping[str, Any]) -> str:
    channel = event.get("channel")
    return str((channel.get("id") if isinstance(channel, dict) else channel) or "")
