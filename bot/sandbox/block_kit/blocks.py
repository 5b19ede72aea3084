"""Pure: check blocks as Slack does. Each error names its place as Slack's answers do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.sandbox import limits
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import RefusedCall, build_refusal

Complaints = Iterator[str]
_Check = Callable[[Json, str], Complaints]


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
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        yield f"unsupported type: {kind} [json-pointer:{at}/type]"
        return
    yield from _check_length(block, "block_id", limits.ID_LENGTH, at, least=0)
    yield from check(block, at)


def _check_length(holder: Mapping[str, Any], name: str, most: int, at: str, *, least: int = 1) -> Complaints:
    """Add an error for a text outside its bounds; a missing text is fine if it may be empty."""
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


def _check_text(holder: Mapping[str, Any], name: str, most: int, at: str, *kinds: str) -> Complaints:
    """Add the errors of a text object."""
    text = holder.get(name)
    if not isinstance(text, dict):
        yield f"missing required field: {name} [json-pointer:{at}]"
        return
    if text.get("type") not in kinds:
        yield f"unsupported type: {text.get('type')} [json-pointer:{at}/{name}/type]"
    yield from _check_length(text, "text", most, f"{at}/{name}")


def _list_items(block: Json, name: str, most: int, at: str) -> Iterator[tuple[Json, str]]:
    for n, item in enumerate(block.get(name) or ()):
        if isinstance(item, dict) and n < most:
            yield item, f"{at}/{name}/{n}"


def _check_count(block: Json, name: str, most: int, at: str) -> Complaints:
    items = block.get(name)
    if not isinstance(items, list) or not items:
        yield f"missing required field: {name} [json-pointer:{at}]"
    elif len(items) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}/{name}]"


def _check_section(block: Json, at: str) -> Complaints:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from _check_text(block, "text", limits.SECTION_TEXT, at, "mrkdwn", "plain_text")
    if "fields" in block:
        yield from _check_count(block, "fields", limits.SECTION_FIELDS, at)
        for field, place in _list_items(block, "fields", limits.SECTION_FIELDS, at):
            yield from _check_length(field, "text", limits.FIELD_TEXT, place)
    if isinstance(block.get("accessory"), dict):
        yield from _check_element(block["accessory"], f"{at}/accessory")


def _check_header(block: Json, at: str) -> Complaints:
    yield from _check_text(block, "text", limits.HEADER_TEXT, at, "plain_text")


def _check_markdown(block: Json, at: str) -> Complaints:
    yield from _check_length(block, "text", limits.MARKDOWN_TEXT, at)


def _check_context(block: Json, at: str) -> Complaints:
    yield from _check_count(block, "elements", limits.CONTEXT_ELEMENTS, at)
    for element, place in _list_items(block, "elements", limits.CONTEXT_ELEMENTS, at):
        if element.get("type") not in {"mrkdwn", "plain_text", "image"}:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"
        elif element["type"] != "image":
            yield from _check_length(element, "text", limits.SECTION_TEXT, place)


def _check_actions(block: Json, at: str) -> Complaints:
    yield from _check_elements(block, at, limits.ACTIONS_ELEMENTS)


def _check_context_actions(block: Json, at: str) -> Complaints:
    yield from _check_elements(block, at, limits.CONTEXT_ACTIONS_ELEMENTS)
    for element, place in _list_items(block, "elements", limits.CONTEXT_ACTIONS_ELEMENTS, at):
        if element.get("type") not in {"feedback_buttons", "icon_button"}:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"


def _check_elements(block: Json, at: str, most: int) -> Complaints:
    yield from _check_count(block, "elements", most, at)
    ids = [element["action_id"] for element, _ in _list_items(block, "elements", most, at) if element.get("action_id")]
    if len(ids) != len(set(ids)):
        yield f"duplicate action_id [json-pointer:{at}/elements]"
    for element, place in _list_items(block, "elements", most, at):
        yield from _check_element(element, place)


def _check_element(element: Json, at: str) -> Complaints:
    yield from _check_length(element, "action_id", limits.ID_LENGTH, at, least=0)
    if element.get("type") == "button":
        yield from _check_text(element, "text", limits.BUTTON_TEXT, at, "plain_text")
        yield from _check_length(element, "value", limits.BUTTON_VALUE, at, least=0)
        yield from _check_length(element, "url", limits.BUTTON_URL, at, least=0)
        if element.get("style") not in {None, "primary", "danger"}:
            yield f"invalid style [json-pointer:{at}/style]"
    elif element.get("type") == "feedback_buttons":
        yield from _check_feedback_buttons(element, at)
    elif element.get("type") == "icon_button":
        yield from _check_icon_button(element, at)


def _check_feedback_buttons(element: Json, at: str) -> Complaints:
    for name in ("positive_button", "negative_button"):
        button = element.get(name)
        if not isinstance(button, dict):
            yield f"missing required field: {name} [json-pointer:{at}]"
            continue
        yield from _check_text(button, "text", limits.BUTTON_TEXT, f"{at}/{name}", "plain_text")
        yield from _check_length(button, "value", limits.BUTTON_VALUE, f"{at}/{name}")


def _check_icon_button(element: Json, at: str) -> Complaints:
    yield from _check_text(element, "text", limits.BUTTON_TEXT, at, "plain_text")
    yield from _check_length(element, "value", limits.BUTTON_VALUE, at, least=0)
    if element.get("icon") != "trash":  # Slack has no other icon
        yield f"invalid icon [json-pointer:{at}/icon]"
    if len(element.get("visible_to_user_ids") or ()) > limits.ICON_VISIBLE_TO:
        yield f"no more than {limits.ICON_VISIBLE_TO} items allowed [json-pointer:{at}/visible_to_user_ids]"


def _check_table(block: Json, at: str) -> Complaints:
    yield from _check_count(block, "rows", limits.TABLE_ROWS, at)
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
    if cell.get("type") == "raw_text":
        yield from _check_length(cell, "text", limits.TABLE_CHARACTERS, at)
    elif cell.get("type") == "rich_text":
        yield from _check_count(cell, "elements", limits.TABLE_CHARACTERS, at)
        yield from _check_rich_text(cell, at)
    else:
        yield f"unsupported type: {cell.get('type')} [json-pointer:{at}/type]"


def _check_rich_text(block: Json, at: str) -> Complaints:
    element_types = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
    for element, place in _list_items(block, "elements", len(block.get("elements") or ()), at):
        if element.get("type") not in element_types:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"


def _check_task_card(block: Json, at: str) -> Complaints:
    yield from _check_length(block, "task_id", limits.ID_LENGTH, at)
    yield from _check_length(block, "title", limits.SECTION_TEXT, at)
    if block.get("status") not in {None, "pending", "in_progress", "complete", "error"}:
        yield f"invalid status [json-pointer:{at}/status]"


def _check_plan(block: Json, at: str) -> Complaints:
    yield from _check_length(block, "title", limits.SECTION_TEXT, at)
    for task, place in _list_items(block, "tasks", limits.BLOCKS_PER_MESSAGE, at):
        yield from _check_task_card(task, place)


def _check_image(block: Json, at: str) -> Complaints:
    yield from _check_length(block, "alt_text", limits.FIELD_TEXT, at)


def _check_input(block: Json, at: str) -> Complaints:
    yield from _check_text(block, "label", limits.FIELD_TEXT, at, "plain_text")
    if not isinstance(block.get("element"), dict):
        yield f"missing required field: element [json-pointer:{at}]"


def _accept_any(_block: Json, _at: str) -> Complaints:
    return iter(())


_CHECKS: Mapping[str, _Check] = {
    "section": _check_section,
    "header": _check_header,
    "markdown": _check_markdown,
    "context": _check_context,
    "actions": _check_actions,
    "context_actions": _check_context_actions,
    "table": _check_table,
    "rich_text": _check_rich_text,
    "task_card": _check_task_card,
    "plan": _check_plan,
    "image": _check_image,
    "input": _check_input,
    "divider": _accept_any,
    "alert": _accept_any,
    "container": _accept_any,
    "video": _accept_any,
    "file": _accept_any,
    "call": _accept_any,
}
