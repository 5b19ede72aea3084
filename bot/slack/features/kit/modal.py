"""What every modal provides, and the blocks of which modals are made."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from bot.errors import BotError
from bot.messages.message import Message
from bot.slack.wire.interactions import ModalSubmission
from knowledge.control_characters import strip_control_characters

Block = dict[str, Any]
MAX_TITLE_CHARACTERS = 24
"""Slack's limit of a modal's title and of its buttons."""
MAX_FIELD_CHARACTERS = 3_000
"""Slack's limit of a text in a field."""


class ModalRefused(BotError):
    """A modal is not shown, or its submission has no effect; then it stays open. The text says why."""


class Modal(abc.ABC):
    """One kind of modal."""

    callback_id: str

    def find_errors(self, _submission: ModalSubmission) -> Mapping[str, Message]:
        """Return what is wrong with a submission, by the id of the block; Slack shows it there. It must be fast."""
        return {}

    @abc.abstractmethod
    async def run(self, submission: ModalSubmission) -> None:
        """Do what the person submitted."""


def build_modal(
    callback_id: str, title: str, blocks: Sequence[Block], *, close: str, submit: str = "", metadata: str = ""
) -> dict[str, Any]:
    """Return the view of a modal; one without fields needs no ``submit``."""
    view = {
        "type": "modal",
        "callback_id": callback_id,
        "title": build_plain_text(title[:MAX_TITLE_CHARACTERS]),
        "close": build_plain_text(close),
        "private_metadata": metadata,
        "blocks": list(blocks),
    }
    return view | ({"submit": build_plain_text(submit)} if submit else {})


def build_text_field(
    block_id: str,
    label: str,
    *,
    hint: str = "",
    initial: str = "",
    multiline: bool = False,
    most: int = MAX_FIELD_CHARACTERS,
    optional: bool = False,
) -> Block:
    """Return a field for text."""
    element = {
        "type": "plain_text_input",
        "action_id": block_id,
        "multiline": multiline,
        "max_length": most,
        **({"initial_value": initial} if initial else {}),
    }
    block = {"type": "input", "block_id": block_id, "label": build_plain_text(label), "element": element}
    return block | ({"hint": build_plain_text(hint)} if hint else {}) | ({"optional": True} if optional else {})


def build_checkboxes(
    block_id: str, label: str, options: Mapping[str, str], *, chosen: Sequence[str] = (), hint: str = ""
) -> Block:
    """Return a field of checkboxes that may stay empty; ``options`` has the label of each value."""
    block = _build_choice("checkboxes", block_id, label, options, chosen) | {"optional": True}
    return block | ({"hint": build_plain_text(hint)} if hint else {})


def build_menu(
    block_id: str, label: str, options: Mapping[str, str], *, chosen: str | Sequence[str], hint: str = ""
) -> Block:
    """Return a menu with one chosen value, or one in which several values or none may be chosen."""
    if isinstance(chosen, str):
        block = _build_choice("static_select", block_id, label, options, [chosen])
    else:
        block = _build_choice("multi_static_select", block_id, label, options, chosen) | {"optional": True}
    return block | ({"hint": build_plain_text(hint)} if hint else {})


def build_grouped_menu(
    block_id: str, label: str, groups: Mapping[str, Mapping[str, str]], *, chosen: str, hint: str
) -> Block:
    """Return a menu with one chosen value; ``groups`` has the label of each value, by the label of its group."""
    options = {value: text for group in groups.values() for value, text in group.items()}
    block = build_menu(block_id, label, options, chosen=chosen, hint=hint)
    offered = iter(block["element"].pop("options"))
    block["element"]["option_groups"] = [
        {"label": build_plain_text(name), "options": list(itertools.islice(offered, len(group)))}
        for name, group in groups.items()
    ]
    return block


def _build_choice(kind: str, block_id: str, label: str, options: Mapping[str, str], chosen: Sequence[str]) -> Block:
    offered = [{"text": build_plain_text(text), "value": value} for value, text in options.items()]
    initial: Any = [option for option in offered if option["value"] in chosen]
    element: Block = {"type": kind, "action_id": block_id, "options": offered}
    if initial and kind == "static_select":
        element["initial_option"] = initial[0]
    elif initial:
        element["initial_options"] = initial
    return {"type": "input", "block_id": block_id, "label": build_plain_text(label), "element": element}


def build_date_field(block_id: str, label: str, initial: str) -> Block:
    """Return a field for a day, such as ``2027-01-31``."""
    element = {"type": "datepicker", "action_id": block_id, "initial_date": initial}
    return {"type": "input", "block_id": block_id, "label": build_plain_text(label), "element": element}


def build_plain_text(text: str) -> Block:
    """Return a text object without markup."""
    return {"type": "plain_text", "text": strip_control_characters(text)}
