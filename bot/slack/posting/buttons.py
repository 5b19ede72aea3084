"""Buttons under an answer: what each of them provides, and its block."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from bot.answering.events import Finished
from bot.slack.interactions import ButtonPress
from knowledge.language import Language

MAX_VALUE_CHARACTERS = 2_000


class CompleteAnswer(NamedTuple):
    """An answer that gets buttons."""

    finished: Finished
    question_ts: str
    language: Language
    channel: str = ""
    thread_ts: str = ""


class AnswerButton(Protocol):
    """One kind of button: the answers that have it, and what happens when a person presses it."""

    action_id: str
    """Slack's id; an answer with several buttons of the kind adds a number (``kvasir:show-passage:2``)."""

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the buttons under an answer, none if it needs none."""

    async def run(self, press: ButtonPress) -> None:
        """Do what the button says, or tell the person why that is impossible."""


def build_button(action_id: str, label: str, value: str) -> dict[str, Any]:
    """Return the block of a button."""
    return {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": label},
        "value": value,
    }
