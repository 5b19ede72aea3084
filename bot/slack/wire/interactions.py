"""Slash commands and button presses, parsed from Slack's payloads."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import BotError
from bot.languages.registry import Language, choose_language


class InteractionRefused(BotError):
    """Nothing happens that a person wanted; the text says why, as mrkdwn: escape each name and title in its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """The person who acts, and the place of the answer."""

    user: str
    channel: str
    language: Language
    """The person's language; if that is unknown, the language of the command's text or of the button's label."""
    response_url: str = field(default="", repr=False)
    """Slack's address for an answer to this interaction, "" if it has none."""
    received_at: float = field(default_factory=time.monotonic, repr=False, compare=False)
    """When this process received it, by the monotonic clock."""

    @property
    def active_thread_ts(self) -> str | None:
        """Return the thread in which Slack shows an ephemeral message, None for the channel itself."""
        return None

    @property
    def is_direct_message(self) -> bool:
        """Return whether it happened in a direct message, or where answers go there: in Home or a modal."""
        return self.channel.startswith("D") or not self.channel


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashCommand(Interaction):
    """A slash command with the text after its name."""

    text: str
    trigger_id: str = ""
    """Slack's permission to open a modal within three seconds."""

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> SlashCommand:
        """Read Slack's payload."""
        text = str(payload.get("text") or "")
        return cls(
            user=str(payload.get("user_id") or ""),
            channel=str(payload.get("channel_id") or ""),
            response_url=str(payload.get("response_url") or ""),
            text=text,
            trigger_id=str(payload.get("trigger_id") or ""),
            language=choose_language(text),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonPress(Interaction):
    """A press of a button with its ``value``, or a choice in a menu."""

    message_ts: str
    thread_ts: str
    value: str
    """The button's value; of a menu, the number behind its action id."""
    conversation: str = ""
    """The conversation that was chosen in a menu of conversations, "" for a button."""
    choices: tuple[str, ...] = ()
    """The values of the options that were chosen in a menu or in checkboxes."""
    trigger_id: str = ""
    """Slack's permission to open a modal within three seconds."""
    view_id: str = ""
    """The Home tab or the modal with the button, "" for a message."""

    @property
    def active_thread_ts(self) -> str | None:
        """Return the thread of the button's message, None if the message is in no thread."""
        return self.thread_ts if self.thread_ts != self.message_ts else None

    @classmethod
    def from_payload(cls, body: Mapping[str, Any], action: Mapping[str, Any]) -> ButtonPress:
        """Read Slack's payload."""
        user, channel, message, view = (body.get(name) or {} for name in ("user", "channel", "message", "view"))
        ts = str(message.get("ts") or "")
        label = (action.get("text") or {}).get("text")
        conversation = str(action.get("selected_conversation") or "")
        value = str(action.get("action_id")).rpartition(":")[2] if conversation else str(action.get("value") or "")
        return cls(
            user=str(user.get("id") or ""),
            channel=str(channel.get("id") or ""),
            language=choose_language(str(label or "")),
            response_url=str(body.get("response_url") or ""),
            message_ts=ts,
            thread_ts=str(message.get("thread_ts") or ts),
            value=value,
            conversation=conversation,
            choices=_read_choices(action),
            trigger_id=str(body.get("trigger_id") or ""),
            view_id=str(view.get("id") or ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutUse(Interaction):
    """A person's use of a shortcut; of a global one, the channel and the message are empty."""

    trigger_id: str
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> ShortcutUse:
        """Read Slack's payload."""
        user, channel, message = (payload.get(name) or {} for name in ("user", "channel", "message"))
        return cls(
            user=str(user.get("id") or ""),
            channel=str(channel.get("id") or ""),
            language=choose_language(str(message.get("text") or "")),
            response_url=str(payload.get("response_url") or ""),
            trigger_id=str(payload.get("trigger_id") or ""),
            message=message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalSubmission(Interaction):
    """A submitted modal."""

    values: Mapping[str, tuple[str, ...]] = field(repr=False)
    """What the person entered or chose, by the id of the block; empty for an empty field."""
    metadata: str = field(default="", repr=False)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> ModalSubmission:
        """Read Slack's payload."""
        user, view = (payload.get(name) or {} for name in ("user", "view"))
        state = (view.get("state") or {}).get("values") or {}
        values = {
            block: tuple(one for field in fields.values() for one in _read_choices(field))
            for block, fields in state.items()
        }
        return cls(
            user=str(user.get("id") or ""),
            channel="",
            language=choose_language(" ".join(one for chosen in values.values() for one in chosen)),
            values=values,
            metadata=str(view.get("private_metadata") or ""),
        )

    def get_text(self, block: str) -> str:
        """Return what was entered or chosen in a block, without white space around it; "" if nothing was."""
        return next(iter(self.values.get(block, ())), "").strip()


_CHOICES = ("value", "selected_user", "selected_conversation", "selected_channel", "selected_date")
_LISTS = ("selected_users", "selected_conversations")


def _read_choices(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a field or an action says: entered text, or the values of what was chosen."""
    options = [*(entry.get("selected_options") or ()), entry.get("selected_option")]
    chosen = [str(option["value"]) for option in options if option]
    chosen += [str(entry[name]) for name in _CHOICES if entry.get(name)]
    return tuple(chosen + [str(one) for name in _LISTS for one in entry.get(name) or ()])


ActionHandler = Callable[[ButtonPress], Awaitable[None]]
