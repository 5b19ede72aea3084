"""The buttons under an answer: what they look like, when they are there, and what a press of one tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.answering.events import Finished

LOOK = "kvasir:look"
"""The button's action; its value is the ``ts`` of the question."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button under an answer, as Slack tells of it."""

    user: str
    user_team: str
    channel: str
    message_ts: str
    thread_ts: str
    value: str

    @classmethod
    def of(cls, body: Mapping[str, Any], action: Mapping[str, Any]) -> Pressed:
        """Read Slack's payload."""
        user, channel, message = (body.get(name) or {} for name in ("user", "channel", "message"))
        ts = str(message.get("ts") or "")
        return cls(
            user=str(user.get("id") or ""),
            user_team=str(user.get("team_id") or ""),
            channel=str(channel.get("id") or ""),
            message_ts=ts,
            thread_ts=str(message.get("thread_ts") or ts),
            value=str(action.get("value") or ""),
        )


def offered(finished: Finished | None) -> bool:
    """Tell whether the web can be looked at for a question that was answered without it."""
    return finished is not None and finished.route != "files" and finished.web.may_look


def look(question_ts: str, *, chinese: bool) -> dict[str, Any]:
    """Return the button."""
    return {
        "type": "button",
        "action_id": LOOK,
        "text": {"type": "plain_text", "text": "查看网络" if chinese else "Look on the web"},
        "value": question_ts,
    }
