"""Buttons under an answer: what each of them provides, and its block."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bot.answering.events import Finished
from bot.languages.registry import Language
from bot.slack.wire.interactions import ButtonPress
from knowledge.control_characters import strip_control_characters

MAX_VALUE_CHARACTERS = 2_000
_RATED_ROUTES = frozenset({"engine", "passages", "closest", "verified"})
_CONTEXT_TYPES = frozenset({"feedback_buttons", "icon_button"})
"""Slack shows these elements in a block of their own kind."""


class CompleteAnswer(NamedTuple):
    """An answer that gets buttons."""

    finished: Finished
    question_ts: str
    language: Language
    channel: str = ""
    thread_ts: str = ""
    asker: str = ""
    offered_id: str = ""
    """The id of the verified answer to a similar question, "" if there is none."""
    is_unasked: bool = False
    share_name: str = ""
    """The name of the channel in which a private answer may be shared, "" for none."""
    is_confidential: bool = False
    """Whether nothing of the answer may be kept outside its messages."""

    @property
    def is_rated(self) -> bool:
        """Return whether people may vote on it: it says something about the documents."""
        return self.finished.route in _RATED_ROUTES and not self.is_confidential

    def is_shown_to_any(self, people: Collection[str]) -> bool:
        """Return whether one of some people may see the answer: in direct messages only the asker does."""
        return self.asker in people if self.channel.startswith("D") else bool(people)


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
        "text": {"type": "plain_text", "text": strip_control_characters(label)},
        "value": value,
    }


def arrange_buttons(elements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks of the buttons under an answer: ordinary buttons first, then votes and icons."""
    context = [element for element in elements if element["type"] in _CONTEXT_TYPES]
    actions = [element for element in elements if element["type"] not in _CONTEXT_TYPES]
    blocks = {"actions": actions, "context_actions": context}
    return [{"type": kind, "elements": of_kind} for kind, of_kind in blocks.items() if of_kind]
