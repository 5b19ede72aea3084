"""Pure: check blocks as Slack does. Each error names its place as Slack's answers do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from bot.sandbox import limits
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall, build_refusal

Complaints = Iterator[str]
_Check = Callable[[Json, str], Complaints]
_PLAIN_TEXT = ("plain_text",)
_ANY_TEXT = ("mrkdwn", "plain_text")


def check_blocks(blocks: Any, *, most: int = limits.BLOCKS_PER_MESSAGE) -> list[Json]:  # noqa: ANN401
    """Return the blocks, each with a ``block_id``.

    Raises:
        RefusedCall: ``invalid_blocks_format`` if it is not a list of objects, else ``invalid_blocks``,
            ``msg_too_long``.

    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise RefusedCall("invalid_blocks_format")
    complaints = list(_check_all(blocks, most))
    if complaints:
        raise build_refusal("invalid_blocks", complaints)
    markdown = (str(block.get("text", "")) for block in blocks if block.get("type") == "markdown")
    if sum(map(len, markdown)) > limits.MARKDOWN_TEXT:
        raise RefusedCall("msg_too_long")
    return [{"block_id": block.get("block_id") or secrets.token_urlsafe(4)[:5], **block} for block in blocks]


def _check_all(blocks: Sequence[Json], most: int) -> Complaints:
    if len(blocks) > most:
        yield f"no more than {most} items allowed [json-pointer:/blocks]"
    if sum(block.get("type") == "table" for block in blocks) > 1:
        yield "only_one_table_allowed [json-pointer:/blocks]"
    ids = [block["block_id"] for block in blocks if block.get("block_id")]
    if len(ids) != len(set(ids)):
        yield "duplicate block_id [json-pointer:/blocks]"
    for n, block in enumerate(blocks):
        yield from _check_block(block, f"/blocks/{n}")


def _check_block(block: Json, at: str) -> Complaints:
    kind = block.get("type")
    checks = _BLOCKS.get(kind) if isinstance(kind, str) else None
    if checks is None:
        yield f"unsupported type: {kind} [json-pointer:{at}/type]"
        return
    yield from _check_length("block_id", limits.ID_LENGTH, block, at, least=0)
    yield from _run_checks(checks, block, at)


def _run_checks(checks: Sequence[_Check], holder: Json, at: str) -> Complaints:
    for check in checks:
        yield from check(holder, at)


def _check_length(name: str, most: int, holder: Json, at: str, *, least: int = 1) -> Complaints:
    """Complain about a text outside its bounds; a missing text is fine if it may be empty."""
    text = holder.get(name)
    if text is None:
        if least:
            yield f"missing required field: {name} [json-pointer:{at}]"
    elif not isinstance(text, str):
        yield f"must provide a string [json-pointer:{at}/{name}]"
    elif len(text) > most:
        yield f"must be less than {most + 1} characters [json-pointer:{at}/{name}]"
    elif len(text) < least:
        yield f"must be more than {least - 1} characters [json-pointer:{at}/{name}]"


def _check_text(name: str, most: int, kinds: Sequence[str], holder: Json, at: str) -> Complaints:
    """Complain about a text object."""
    text = holder.get(name)
    if not isinstance(text, dict):
        yield f"missing required field: {name} [json-pointer:{at}]"
        return
    yield from _check_type(kinds, text, f"{at}/{name}")
    yield from _check_length("text", most, text, f"{at}/{name}")


def _check_type(kinds: Sequence[str], holder: Json, at: str) -> Complaints:
    if holder.get("type") not in kinds:
        yield f"unsupported type: {holder.get('type')} [json-pointer:{at}/type]"


def _check_choice(name: str, choices: Sequence[str | None], holder: Json, at: str) -> Complaints:
    if holder.get(name) not in choices:
        yield f"invalid {name} [json-pointer:{at}/{name}]"


def _check_object(name: str, holder: Json, at: str) -> Complaints:
    if not isinstance(holder.get(name), dict):
        yield f"missing required field: {name} [json-pointer:{at}]"


def _list_items(block: Json, name: str, most: int, at: str) -> Iterator[tuple[Json, str]]:
    for n, item in enumerate(block.get(name) or ()):
        if isinstance(item, dict) and n < most:
            yield item, f"{at}/{name}/{n}"


def _check_count(name: str, most: int, block: Json, at: str) -> Complaints:
    items = block.get(name)
    if not isinstance(items, list) or not items:
        yield f"missing required field: {name} [json-pointer:{at}]"
    elif len(items) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}/{name}]"


def _check_section(block: Json, at: str) -> Complaints:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from _check_text("text", limits.SECTION_TEXT, _ANY_TEXT, block, at)
    if "fields" in block:
        yield from _check_count("fields", limits.SECTION_FIELDS, block, at)
        for field, place in _list_items(block, "fields", limits.SECTION_FIELDS, at):
            yield from _check_length("text", limits.FIELD_TEXT, field, place)
    if isinstance(block.get("accessory"), dict):
        yield from _check_element(block["accessory"], f"{at}/accessory")


def _check_context(block: Json, at: str) -> Complaints:
    yield from _check_count("elements", limits.CONTEXT_ELEMENTS, block, at)
    for element, place in _list_items(block, "elements", limits.CONTEXT_ELEMENTS, at):
        yield from _check_type((*_ANY_TEXT, "image"), element, place)
        if element.get("type") in _ANY_TEXT:
            yield from _check_length("text", limits.SECTION_TEXT, element, place)


def _check_elements(most: int, kinds: Sequence[str], block: Json, at: str) -> Complaints:
    """Complain about interactive elements; with ``kinds``, only these are allowed."""
    yield from _check_count("elements", most, block, at)
    elements = list(_list_items(block, "elements", most, at))
    ids = [element["action_id"] for element, _ in elements if element.get("action_id")]
    if len(ids) != len(set(ids)):
        yield f"duplicate action_id [json-pointer:{at}/elements]"
    for element, place in elements:
        yield from _check_element(element, place)
        if kinds:
            yield from _check_type(kinds, element, place)


def _check_element(element: Json, at: str) -> Complaints:
    yield from _check_length("action_id", limits.ID_LENGTH, element, at, least=0)
    yield from _run_checks(_ELEMENTS.get(str(element.get("type")), ()), element, at)


def _check_feedback_button(name: str, element: Json, at: str) -> Complaints:
    yield from _check_object(name, element, at)
    if isinstance(element.get(name), dict):
        yield from _check_text("text", limits.BUTTON_TEXT, _PLAIN_TEXT, element[name], f"{at}/{name}")
        yield from _check_length("value", limits.BUTTON_VALUE, element[name], f"{at}/{name}")


def _check_visibility(element: Json, at: str) -> Complaints:
    if len(element.get("visible_to_user_ids") or ()) > limits.ICON_VISIBLE_TO:
        yield f"no more than {limits.ICON_VISIBLE_TO} items allowed [json-pointer:{at}/visible_to_user_ids]"


def _check_table(block: Json, at: str) -> Complaints:
    yield from _check_count("rows", limits.TABLE_ROWS, block, at)
    for n, row in enumerate(block.get("rows") or ()):
        if not isinstance(row, list) or len(row) > limits.TABLE_COLUMNS:
            yield f"no more than {limits.TABLE_COLUMNS} items allowed [json-pointer:{at}/rows/{n}]"
            continue
        for column, cell in enumerate(row):
            yield from _check_cell(cell, f"{at}/rows/{n}/{column}")
    if sum(map(_count_characters, block.get("rows") or ())) > limits.TABLE_CHARACTERS:
        yield f"must be less than {limits.TABLE_CHARACTERS + 1} characters [json-pointer:{at}/rows]"


def _count_characters(part: Any) -> int:  # noqa: ANN401 - a part of a table
    """Count the characters that people see in a row or a cell."""
    if isinstance(part, list):
        return sum(map(_count_characters, part))
    return len(str(part.get("text", ""))) + sum(map(_count_characters, part.get("elements") or ()))


def _check_cell(cell: Json, at: str) -> Complaints:
    yield from _check_type(("raw_text", "rich_text"), cell, at)
    if cell.get("type") == "raw_text":
        yield from _check_length("text", limits.TABLE_CHARACTERS, cell, at)
    elif cell.get("type") == "rich_text":
        yield from _check_count("elements", limits.TABLE_CHARACTERS, cell, at)
        yield from _check_rich_text(cell, at)


def _check_rich_text(block: Json, at: str) -> Complaints:
    kinds = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
    for element, place in _list_items(block, "elements", len(block.get("elements") or ()), at):
        yield from _check_type(kinds, element, place)


def _check_tasks(block: Json, at: str) -> Complaints:
    for task, place in _list_items(block, "tasks", limits.BLOCKS_PER_MESSAGE, at):
        yield from _run_checks(_TASK, task, place)


_BUTTON_TEXT = partial(_check_text, "text", limits.BUTTON_TEXT, _PLAIN_TEXT)
_BUTTON_VALUE = partial(_check_length, "value", limits.BUTTON_VALUE, least=0)
_TITLE = partial(_check_length, "title", limits.SECTION_TEXT)
_TASK: Sequence[_Check] = (
    partial(_check_length, "task_id", limits.ID_LENGTH),
    _TITLE,
    partial(_check_choice, "status", (None, "pending", "in_progress", "complete", "error")),
)
_ELEMENTS: Mapping[str, Sequence[_Check]] = {
    "button": (
        _BUTTON_TEXT,
        _BUTTON_VALUE,
        partial(_check_length, "url", limits.BUTTON_URL, least=0),
        partial(_check_choice, "style", (None, "primary", "danger")),
    ),
    "feedback_buttons": (
        partial(_check_feedback_button, "positive_button"),
        partial(_check_feedback_button, "negative_button"),
    ),
    "icon_button": (
        _BUTTON_TEXT,
        _BUTTON_VALUE,
        partial(_check_choice, "icon", ("trash",)),  # Slack has no other icon
        _check_visibility,
    ),
}
_BLOCKS: Mapping[str, Sequence[_Check]] = {
    "section": (_check_section,),
    "header": (partial(_check_text, "text", limits.HEADER_TEXT, _PLAIN_TEXT),),
    "markdown": (partial(_check_length, "text", limits.MARKDOWN_TEXT),),
    "context": (_check_context,),
    "actions": (partial(_check_elements, limits.ACTIONS_ELEMENTS, ()),),
    "context_actions": (
        partial(_check_elements, limits.CONTEXT_ACTIONS_ELEMENTS, ("feedback_buttons", "icon_button")),
    ),
    "table": (_check_table,),
    "rich_text": (_check_rich_text,),
    "task_card": _TASK,
    "plan": (_TITLE, _check_tasks),
    "image": (partial(_check_length, "alt_text", limits.FIELD_TEXT),),
    "input": (
        partial(_check_text, "label", limits.FIELD_TEXT, _PLAIN_TEXT),
        partial(_check_object, "element"),
    ),
    **dict.fromkeys(("divider", "alert", "container", "video", "file", "call"), ()),
}
