"""Notion's blocks and properties to HTML that the parser takes: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from knowledge.sources.hosted.json_form import JsonObject, get_object, get_objects, get_text

_LISTS: Final = {"bulleted_list_item": "ul", "numbered_list_item": "ol", "to_do": "ul"}
_MEDIA: Final = frozenset({
    "image", "video", "file", "pdf", "audio", "embed", "bookmark", "link_preview", "external_object_instance_page",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """A block and what is in it."""

    value: JsonObject
    inside: tuple[Block, ...] = ()

    @property
    def kind(self) -> str:
        """Return its type."""
        return get_text(self.value, "type") or ""

    @property
    def told(self) -> JsonObject:
        """Return what its type says about it."""
        return get_object(self.value, self.kind)


def page_html(page: JsonObject, blocks: Sequence[Block]) -> str:
    """Return a page as HTML: its properties, if it is a row of a database, then its blocks."""
    title = escape(page_title(page))
    return f"<html><head><title>{title}</title></head><body>{_properties(page)}{_blocks(blocks)}</body></html>"


def page_title(page: JsonObject) -> str:
    """Return a page's title, in one line."""
    for value in get_object(page, "properties").values():
        if isinstance(value, Mapping) and value.get("type") == "title":
            told = " ".join(plain(value, "title").split())
            return told or "Untitled"
    return "Untitled"


def plain(value: JsonObject, key: str) -> str:
    """Return rich text as plain text."""
    return "".join(_said(one) for one in get_objects(value, key))


def _said(one: JsonObject) -> str:
    if one.get("type") == "equation":
        return f"${get_text(get_object(one, 'equation'), 'expression') or ''}$"
    said = one.get("plain_text")
    if isinstance(said, str):
        return said
    content = get_object(one, "text").get("content")
    return content if isinstance(content, str) else ""


def _rich(value: JsonObject, key: str = "rich_text") -> str:
    return "".join(map(_marked, get_objects(value, key)))


def _marked(one: JsonObject) -> str:
    said = escape(_said(one)).replace("\n", "<br>")
    return f"<code>{said}</code>" if get_object(one, "annotations").get("code") is True and said.strip() else said


# ── Blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _blocks(blocks: Sequence[Block]) -> str:
    written: list[str] = []
    for kind, run in groupby(blocks, lambda block: _LISTS.get(block.kind, "")):
        inside = "".join(map(_block, run))
        written.append(f"<{kind}>{inside}</{kind}>" if kind else inside)
    return "".join(written)


def _block(block: Block) -> str:
    if block.kind in _MEDIA:
        return _media(block) + _blocks(block.inside)
    write = _WRITTEN.get(block.kind)
    return write(block) if write else _blocks(block.inside)


def _paragraph(block: Block) -> str:
    return f"<p>{_rich(block.told)}</p>{_blocks(block.inside)}"


def _heading(block: Block) -> str:
    level = min(int(block.kind[-1]) + 1, 6)  # the page's title is above them
    anchor = (get_text(block.value, "id") or "").replace("-", "")
    return f'<h{level} id="{escape(anchor)}">{_rich(block.told)}</h{level}>{_blocks(block.inside)}'


def _item(block: Block) -> str:
    return f"<li>{_rich(block.told)}{_blocks(block.inside)}</li>"


def _to_do(block: Block) -> str:
    return (
        f"<li>{'[x]' if block.told.get('checked') is True else '[ ]'} {_rich(block.told)}{_blocks(block.inside)}</li>"
    )


def _toggle(block: Block) -> str:
    return f"<p><strong>{_rich(block.told)}</strong></p><div>{_blocks(block.inside)}</div>"


def _callout(block: Block) -> str:
    sign = get_text(get_object(block.told, "icon"), "emoji")
    head = " ".join(part for part in (escape(sign or ""), _rich(block.told)) if part)
    return f"<div><p>{head}</p>{_blocks(block.inside)}</div>"


def _quote(block: Block) -> str:
    return f"<blockquote><p>{_rich(block.told)}</p>{_blocks(block.inside)}</blockquote>"


def _code(block: Block) -> str:
    caption = _rich(block.told, "caption")
    return f"<pre>{escape(plain(block.told, 'rich_text'))}</pre>" + (f"<p>{caption}</p>" if caption else "")


def _equation(block: Block) -> str:
    return f"<p>{escape('$$' + (get_text(block.told, 'expression') or '') + '$$')}</p>"


def _media(block: Block) -> str:
    """Say what a picture, a file or a link is called; an address of Notion's own store expires, and is left out."""
    told = [get_text(block.told, "name"), plain(block.told, "caption"), get_text(block.told, "url")]
    told += [get_text(get_object(block.told, "external"), "url")]
    said = " — ".join(dict.fromkeys(one for one in told if one))
    return f"<p>{escape(said)}</p>" if said else ""


def _table(block: Block) -> str:
    header = block.told.get("has_column_header") is True
    rows = (
        "".join(f"<{tag}>{_cell(cell)}</{tag}>" for cell in _cells(row) for tag in ["th" if header and not n else "td"])
        for n, row in enumerate(block.inside)
    )
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cells(row: Block) -> Sequence[object]:
    cells = row.told.get("cells")
    return cells if isinstance(cells, list) else ()


def _cell(cell: object) -> str:
    return _rich({"cell": cell}, "cell")


def _titled(block: Block) -> str:
    return f"<p>{escape(get_text(block.told, 'title') or '')}</p>"


def _meeting(block: Block) -> str:
    title = _rich(block.told, "title")
    return (f"<p><strong>{title}</strong></p>" if title else "") + _blocks(block.inside)


_WRITTEN: Final[Mapping[str, Callable[[Block], str]]] = {
    "paragraph": _paragraph,
    "heading_1": _heading,
    "heading_2": _heading,
    "heading_3": _heading,
    "heading_4": _heading,
    "bulleted_list_item": _item,
    "numbered_list_item": _item,
    "to_do": _to_do,
    "toggle": _toggle,
    "template": _toggle,
    "callout": _callout,
    "quote": _quote,
    "code": _code,
    "equation": _equation,
    "table": _table,
    "divider": lambda _: "<hr>",
    "child_page": _titled,
    "child_database": _titled,
    "meeting_notes": _meeting,
    "transcription": _meeting,
}


# ── Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _properties(page: JsonObject) -> str:
    rows = [
        f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>"
        for name, value in get_object(page, "properties").items()
        if isinstance(value, Mapping) and value.get("type") != "title" and (said := _value(value))
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _value(value: JsonObject) -> str:
    """Return a property's value in words; relations, which are ids, and what cannot be told are left out."""
    kind = get_text(value, "type") or ""
    read = _VALUES.get(kind)
    return read(value, kind).strip() if read else ""


def _scalar(value: JsonObject, kind: str) -> str:
    found = value.get(kind)
    if isinstance(found, bool):
        return "yes" if found else "no"
    return str(found) if isinstance(found, (str, int, float)) else ""


def _named(value: JsonObject, kind: str) -> str:
    return get_text(get_object(value, kind), "name") or ""


def _names(value: JsonObject, kind: str) -> str:
    return ", ".join(filter(None, (get_text(one, "name") for one in get_objects(value, kind))))


def _date(value: JsonObject, kind: str) -> str:
    date = get_object(value, kind)
    return " – ".join(filter(None, (get_text(date, "start"), get_text(date, "end"))))


def _computed(value: JsonObject, kind: str) -> str:
    return _value(get_object(value, kind))


def _rollup(value: JsonObject, kind: str) -> str:
    told = get_object(value, kind)
    if told.get("type") == "array":
        return ", ".join(filter(None, map(_value, get_objects(told, "array"))))
    return _value(told)


def _number(value: JsonObject, kind: str) -> str:
    told = get_object(value, kind)
    return "-".join(str(part) for part in (told.get("prefix"), told.get("number")) if part is not None)


_VALUES: Final[Mapping[str, Callable[[JsonObject, str], str]]] = {
    "title": plain,
    "rich_text": plain,
    **dict.fromkeys(
        ("number", "checkbox", "url", "email", "phone_number", "created_time", "string", "boolean"), _scalar
    ),
    **dict.fromkeys(("select", "status", "created_by", "last_edited_by", "button"), _named),
    **dict.fromkeys(("multi_select", "people", "files"), _names),
    "date": _date,
    "formula": _computed,
    "rollup": _rollup,
    "unique_id": _number,
}


def child_ids(blocks: Sequence[Block]) -> Iterator[tuple[str, str]]:
    """Yield the kind (``child_page``, ``child_database``) and the id of what hangs under a page."""
    todo = list(blocks)
    while todo:
        block = todo.pop()
        if block.kind in {"child_page", "child_database"}:
            yield block.kind, get_text(block.value, "id") or ""
        todo += block.inside
