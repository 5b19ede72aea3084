"""Convert Notion's blocks and properties to HTML for the parser. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from knowledge.sources.hosted.json_form import JsonObject, get_object, get_objects, get_text

_LIST_TAGS: Final = {"bulleted_list_item": "ul", "numbered_list_item": "ol", "to_do": "ul"}
_MEDIA_KINDS: Final = frozenset({
    "image", "video", "file", "pdf", "audio", "embed", "bookmark", "link_preview", "external_object_instance_page",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotionBlock:
    """A block and its children."""

    value: JsonObject
    children: tuple[NotionBlock, ...] = ()

    @property
    def kind(self) -> str:
        """Return the block's type."""
        return get_text(self.value, "type") or ""

    @property
    def content(self) -> JsonObject:
        """Return the content that the block's type defines."""
        return get_object(self.value, self.kind)


def render_page_html(page: JsonObject, blocks: Sequence[NotionBlock]) -> str:
    """Return a page as HTML: the properties of a database row, then the blocks."""
    title = escape(get_page_title(page))
    body = _render_properties(page) + _render_blocks(blocks)
    return f"<html><head><title>{title}</title></head><body>{body}</body></html>"


def get_page_title(page: JsonObject) -> str:
    """Return a page's title on one line."""
    for value in get_object(page, "properties").values():
        if isinstance(value, Mapping) and value.get("type") == "title":
            return " ".join(get_plain_text(value, "title").split()) or "Untitled"
    return "Untitled"


def get_plain_text(value: JsonObject, key: str) -> str:
    """Return rich text as plain text."""
    return "".join(_run_text(one) for one in get_objects(value, key))


def _run_text(one: JsonObject) -> str:
    if one.get("type") == "equation":
        return f"${get_text(get_object(one, 'equation'), 'expression') or ''}$"
    said = one.get("plain_text")
    if isinstance(said, str):
        return said
    content = get_object(one, "text").get("content")
    return content if isinstance(content, str) else ""


def _render_rich_text(value: JsonObject, key: str = "rich_text") -> str:
    return "".join(map(_render_run, get_objects(value, key)))


def _render_run(one: JsonObject) -> str:
    said = escape(_run_text(one)).replace("\n", "<br>")
    return f"<code>{said}</code>" if get_object(one, "annotations").get("code") is True and said.strip() else said


# ── Blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _render_blocks(blocks: Sequence[NotionBlock]) -> str:
    parts: list[str] = []
    for kind, run in groupby(blocks, lambda block: _LIST_TAGS.get(block.kind, "")):
        inside = "".join(map(_render_block, run))
        parts.append(f"<{kind}>{inside}</{kind}>" if kind else inside)
    return "".join(parts)


def _render_block(block: NotionBlock) -> str:
    if block.kind in _MEDIA_KINDS:
        return _render_media(block) + _render_blocks(block.children)
    if form := _FORMS.get(block.kind):
        return form.format(text=_render_rich_text(block.content), children=_render_blocks(block.children))
    write = _RENDERERS.get(block.kind)
    return write(block) if write else _render_blocks(block.children)


def _render_heading(block: NotionBlock) -> str:
    level = min(int(block.kind[-1]) + 1, 6)  # the page's title is the first level
    anchor = (get_text(block.value, "id") or "").replace("-", "")
    return (
        f'<h{level} id="{escape(anchor)}">{_render_rich_text(block.content)}</h{level}>{_render_blocks(block.children)}'
    )


def _render_to_do(block: NotionBlock) -> str:
    mark = "[x]" if block.content.get("checked") is True else "[ ]"
    return f"<li>{mark} {_render_rich_text(block.content)}{_render_blocks(block.children)}</li>"


def _render_callout(block: NotionBlock) -> str:
    sign = get_text(get_object(block.content, "icon"), "emoji")
    head = " ".join(part for part in (escape(sign or ""), _render_rich_text(block.content)) if part)
    return f"<div><p>{head}</p>{_render_blocks(block.children)}</div>"


def _render_code(block: NotionBlock) -> str:
    caption = _render_rich_text(block.content, "caption")
    return f"<pre>{escape(get_plain_text(block.content, 'rich_text'))}</pre>" + (f"<p>{caption}</p>" if caption else "")


def _render_equation(block: NotionBlock) -> str:
    return f"<p>{escape('$$' + (get_text(block.content, 'expression') or '') + '$$')}</p>"


def _render_media(block: NotionBlock) -> str:
    """Render the name of a picture, a file or a link; addresses in Notion's own store expire and are left out."""
    names = [get_text(block.content, "name"), get_plain_text(block.content, "caption"), get_text(block.content, "url")]
    names += [get_text(get_object(block.content, "external"), "url")]
    said = " — ".join(dict.fromkeys(one for one in names if one))
    return f"<p>{escape(said)}</p>" if said else ""


def _render_table(block: NotionBlock) -> str:
    header = block.content.get("has_column_header") is True
    rows = (
        "".join(
            f"<{tag}>{_render_rich_text({'cell': cell}, 'cell')}</{tag}>"
            for cell in _table_cells(row)
            for tag in ["th" if header and not n else "td"]
        )
        for n, row in enumerate(block.children)
    )
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _table_cells(row: NotionBlock) -> Sequence[object]:
    cells = row.content.get("cells")
    return cells if isinstance(cells, list) else ()


def _render_child_title(block: NotionBlock) -> str:
    return f"<p>{escape(get_text(block.content, 'title') or '')}</p>"


def _render_meeting(block: NotionBlock) -> str:
    title = _render_rich_text(block.content, "title")
    return (f"<p><strong>{title}</strong></p>" if title else "") + _render_blocks(block.children)


_FORMS: Final = {
    "paragraph": "<p>{text}</p>{children}",
    "bulleted_list_item": "<li>{text}{children}</li>",
    "numbered_list_item": "<li>{text}{children}</li>",
    "toggle": "<p><strong>{text}</strong></p><div>{children}</div>",
    "template": "<p><strong>{text}</strong></p><div>{children}</div>",
    "quote": "<blockquote><p>{text}</p>{children}</blockquote>",
}
_RENDERERS: Final[Mapping[str, Callable[[NotionBlock], str]]] = {
    "heading_1": _render_heading,
    "heading_2": _render_heading,
    "heading_3": _render_heading,
    "heading_4": _render_heading,
    "to_do": _render_to_do,
    "callout": _render_callout,
    "code": _render_code,
    "equation": _render_equation,
    "table": _render_table,
    "divider": lambda _: "<hr>",
    "child_page": _render_child_title,
    "child_database": _render_child_title,
    "meeting_notes": _render_meeting,
    "transcription": _render_meeting,
}


# ── Properties ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _render_properties(page: JsonObject) -> str:
    rows = [
        f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>"
        for name, value in get_object(page, "properties").items()
        if isinstance(value, Mapping) and value.get("type") != "title" and (said := _property_text(value))
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _property_text(value: JsonObject) -> str:
    """Return a property's value as text; relations, which are ids, and unknown kinds are left out."""
    kind = get_text(value, "type") or ""
    read = _PROPERTY_READERS.get(kind)
    return read(value, kind).strip() if read else ""


def _scalar_text(value: JsonObject, kind: str) -> str:
    found = value.get(kind)
    if isinstance(found, bool):
        return "yes" if found else "no"
    return str(found) if isinstance(found, (str, int, float)) else ""


def _names_text(value: JsonObject, kind: str) -> str:
    return ", ".join(filter(None, (get_text(one, "name") for one in get_objects(value, kind))))


def _date_text(value: JsonObject, kind: str) -> str:
    date = get_object(value, kind)
    return " – ".join(filter(None, (get_text(date, "start"), get_text(date, "end"))))


def _computed_text(value: JsonObject, kind: str) -> str:
    computed = get_object(value, kind)
    if computed.get("type") == "array":
        return ", ".join(filter(None, map(_property_text, get_objects(computed, "array"))))
    return _property_text(computed)


def _unique_id_text(value: JsonObject, kind: str) -> str:
    unique_id = get_object(value, kind)
    return "-".join(str(part) for part in (unique_id.get("prefix"), unique_id.get("number")) if part is not None)


_PROPERTY_READERS: Final[Mapping[str, Callable[[JsonObject, str], str]]] = {
    "title": get_plain_text,
    "rich_text": get_plain_text,
    **dict.fromkeys(
        ("number", "checkbox", "url", "email", "phone_number", "created_time", "string", "boolean"), _scalar_text
    ),
    **dict.fromkeys(
        ("select", "status", "created_by", "last_edited_by", "button"),
        lambda value, kind: get_text(get_object(value, kind), "name") or "",
    ),
    **dict.fromkeys(("multi_select", "people", "files"), _names_text),
    "date": _date_text,
    "formula": _computed_text,
    "rollup": _computed_text,
    "unique_id": _unique_id_text,
}


def iterate_children(blocks: Sequence[NotionBlock]) -> Iterator[tuple[str, str]]:
    """Yield the kind (``child_page``, ``child_database``) and the id of each child of a page."""
    todo = list(blocks)
    while todo:
        block = todo.pop()
        if block.kind in {"child_page", "child_database"}:
            yield block.kind, get_text(block.value, "id") or ""
        todo += block.children
