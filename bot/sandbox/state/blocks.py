"""Pure: are these blocks such as Slack takes? Every complaint names its place as Slack's answers do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.sandbox import limits
from bot.sandbox.state.model import Json
from bot.sandbox.state.refusals import Refused, invalid

Complaints = Iterator[str]
_Check = Callable[[Json, str], Complaints]


def checked(blocks: Any, *, most: int = limits.BLOCKS_PER_MESSAGE) -> list[Json]:  # noqa: ANN401
    """Return the blocks, each with a ``block_id``.

    Raises:
        Refused: ``invalid_blocks_format`` if it is no list of objects, else ``invalid_blocks``, ``msg_too_long``.

    """
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise Refused("invalid_blocks_format")
    complaints = list(_all(blocks, most))
    if complaints:
        raise invalid("invalid_blocks", complaints)
    if markdown_length(blocks) > limits.MARKDOWN_TEXT:
        raise Refused("msg_too_long")
    return [{"block_id": block.get("block_id") or secrets.token_urlsafe(4)[:5], **block} for block in blocks]


def markdown_length(blocks: Sequence[Json]) -> int:
    """Count the characters of all markdown blocks together."""
    return sum(len(str(block.get("text", ""))) for block in blocks if block.get("type") == "markdown")


def _all(blocks: Sequence[Json], most: int) -> Complaints:
    if len(blocks) > most:
        yield f"no more than {most} items allowed [json-pointer:/blocks]"
    if sum(block.get("type") == "table" for block in blocks) > 1:
        yield "only_one_table_allowed [json-pointer:/blocks]"
    ids = [block["block_id"] for block in blocks if block.get("block_id")]
    if len(ids) != len(set(ids)):
        yield "duplicate block_id [json-pointer:/blocks]"
    for n, block in enumerate(blocks):
        yield from _block(block, f"/blocks/{n}")


def _block(block: Json, at: str) -> Complaints:
    kind = block.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        yield f"unsupported type: {kind} [json-pointer:{at}/type]"
        return
    yield from _length(block, "block_id", limits.ID_LENGTH, at, least=0)
    yield from check(block, at)


def _length(holder: Mapping[str, Any], name: str, most: int, at: str, *, least: int = 1) -> Complaints:
    """Complain about a text outside its bounds; a missing one is fine where it may be empty."""
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


def _text(holder: Mapping[str, Any], name: str, most: int, at: str, *kinds: str) -> Complaints:
    """Complain about a text object."""
    text = holder.get(name)
    if not isinstance(text, dict):
        yield f"missing required field: {name} [json-pointer:{at}]"
        return
    if text.get("type") not in kinds:
        yield f"unsupported type: {text.get('type')} [json-pointer:{at}/{name}/type]"
    yield from _length(text, "text", most, f"{at}/{name}")


def _items(block: Json, name: str, most: int, at: str) -> Iterator[tuple[Json, str]]:
    for n, item in enumerate(block.get(name) or ()):
        if isinstance(item, dict) and n < most:
            yield item, f"{at}/{name}/{n}"


def _count(block: Json, name: str, most: int, at: str) -> Complaints:
    items = block.get(name)
    if not isinstance(items, list) or not items:
        yield f"missing required field: {name} [json-pointer:{at}]"
    elif len(items) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}/{name}]"


def _section(block: Json, at: str) -> Complaints:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from _text(block, "text", limits.SECTION_TEXT, at, "mrkdwn", "plain_text")
    if "fields" in block:
        yield from _count(block, "fields", limits.SECTION_FIELDS, at)
        for field, place in _items(block, "fields", limits.SECTION_FIELDS, at):
            yield from _length(field, "text", limits.FIELD_TEXT, place)
    if isinstance(block.get("accessory"), dict):
        yield from _element(block["accessory"], f"{at}/accessory")


def _header(block: Json, at: str) -> Complaints:
    yield from _text(block, "text", limits.HEADER_TEXT, at, "plain_text")


def _markdown(block: Json, at: str) -> Complaints:
    yield from _length(block, "text", limits.MARKDOWN_TEXT, at)


def _context(block: Json, at: str) -> Complaints:
    yield from _count(block, "elements", limits.CONTEXT_ELEMENTS, at)
    for element, place in _items(block, "elements", limits.CONTEXT_ELEMENTS, at):
        if element.get("type") not in {"mrkdwn", "plain_text", "image"}:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"
        elif element["type"] != "image":
            yield from _length(element, "text", limits.SECTION_TEXT, place)


def _actions(block: Json, at: str) -> Complaints:
    yield from _interactive(block, at, limits.ACTIONS_ELEMENTS)


def _context_actions(block: Json, at: str) -> Complaints:
    yield from _interactive(block, at, limits.CONTEXT_ACTIONS_ELEMENTS)
    for element, place in _items(block, "elements", limits.CONTEXT_ACTIONS_ELEMENTS, at):
        if element.get("type") not in {"feedback_buttons", "icon_button"}:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"


def _interactive(block: Json, at: str, most: int) -> Complaints:
    yield from _count(block, "elements", most, at)
    ids = [element["action_id"] for element, _ in _items(block, "elements", most, at) if element.get("action_id")]
    if len(ids) != len(set(ids)):
        yield f"duplicate action_id [json-pointer:{at}/elements]"
    for element, place in _items(block, "elements", most, at):
        yield from _element(element, place)


def _element(element: Json, at: str) -> Complaints:
    yield from _length(element, "action_id", limits.ID_LENGTH, at, least=0)
    if element.get("type") == "button":
        yield from _text(element, "text", limits.BUTTON_TEXT, at, "plain_text")
        yield from _length(element, "value", limits.BUTTON_VALUE, at, least=0)
        yield from _length(element, "url", limits.BUTTON_URL, at, least=0)
        if element.get("style") not in {None, "primary", "danger"}:
            yield f"invalid style [json-pointer:{at}/style]"


def _table(block: Json, at: str) -> Complaints:
    yield from _count(block, "rows", limits.TABLE_ROWS, at)
    for n, row in enumerate(block.get("rows") or ()):
        if not isinstance(row, list) or len(row) > limits.TABLE_COLUMNS:
            yield f"no more than {limits.TABLE_COLUMNS} items allowed [json-pointer:{at}/rows/{n}]"


def _rich_text(block: Json, at: str) -> Complaints:
    known = {"rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"}
    for element, place in _items(block, "elements", len(block.get("elements") or ()), at):
        if element.get("type") not in known:
            yield f"unsupported type: {element.get('type')} [json-pointer:{place}/type]"


def _task_card(block: Json, at: str) -> Complaints:
    yield from _length(block, "task_id", limits.ID_LENGTH, at)
    yield from _length(block, "title", limits.SECTION_TEXT, at)
    if block.get("status") not in {None, "pending", "in_progress", "complete", "error"}:
        yield f"invalid status [json-pointer:{at}/status]"


def _plan(block: Json, at: str) -> Complaints:
    yield from _length(block, "title", limits.SECTION_TEXT, at)
    for task, place in _items(block, "tasks", limits.BLOCKS_PER_MESSAGE, at):
        yield from _task_card(task, place)


def _image(block: Json, at: str) -> Complaints:
    yield from _length(block, "alt_text", limits.FIELD_TEXT, at)


def _input(block: Json, at: str) -> Complaints:
    yield from _text(block, "label", limits.FIELD_TEXT, at, "plain_text")
    if not isinstance(block.get("element"), dict):
        yield f"missing required field: element [json-pointer:{at}]"


def _anything(_block: Json, _at: str) -> Complaints:
    return iter(())


_CHECKS: Mapping[str, _Check] = {
    "section": _section,
    "header": _header,
    "markdown": _markdown,
    "context": _context,
    "actions": _actions,
    "context_actions": _context_actions,
    "table": _table,
    "rich_text": _rich_text,
    "task_card": _task_card,
    "plan": _plan,
    "image": _image,
    "input": _input,
    "divider": _anything,
    "alert": _anything,
    "container": _anything,
    "video": _anything,
    "file": _anything,
    "call": _anything,
}
