"""Slash commands and button presses, parsed from Slack's payloads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knowledge.language import Language, choose_language


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """The person who acts, and the place of the answer."""

    user: str
    channel: str
    language: Language
    """The language of the command's text or of the button's label."""
    response_url: str = field(default="", repr=False)
    """Slack's address for an answer to this interaction, "" if it has none."""

    @property
    def active_thread_ts(self) -> str | None:
        """Return the thread in which Slack shows an ephemeral message, None for the channel itself."""
        return None

    @property
    def is_direct_message(self) -> bool:
        """Return whether the interaction happened in a direct message."""
        return self.channel.startswith("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashCommand(Interaction):
    """A slash command with the text after its name."""

    text: str

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SlashCommand:
        """Read Slack's payload."""
        fields = {name: str(payload.get(name) or "") for name in ("text", "user_id", "channel_id", "response_url")}
        return cls(
            user=fields["user_id"],
            channel=fields["channel_id"],
            response_url=fields["response_url"],
            text=fields["text"],
            language=choose_language(fields["text"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonPress(Interaction):
    """A press of a button, with the button's ``value``."""

    message_ts: str
    thread_ts: str
    value: str
    """The button's value; of a menu, the number behind its action id."""
    conversation: str = ""
    """The conversation that was chosen in a menu of conversations, "" for a button."""

    @property
    def active_thread_ts(self) -> str | None:
        """Return the thread of the button's message, None if the message is in no thread."""
        return self.thread_ts if self.thread_ts != self.message_ts else None

    @classmethod
    def from_payload(cls, body: Mapping[str, Any], action: Mapping[str, Any]) -> ButtonPress:
        """Read Slack's payload."""
        user, channel, message = (body.get(name) or {} for name in ("user", "channel", "message"))
        ts = str(message.get("ts") or "")
        label = (action.get("text") or {}).get("text")
        chosen = str(action.get("selected_conversation") or "")
        return cls(
            user=str(user.get("id") or ""),
            channel=str(channel.get("id") or ""),
            language=choose_language(str(label or "")),
            response_url=str(body.get("response_url") or ""),
            message_ts=ts,
            thread_ts=str(message.get("thread_ts") or ts),
            value=str(action.get("value") or "") if not chosen else str(action.get("action_id")).rpartition(":")[2],
            conversation=chosen,
        )
