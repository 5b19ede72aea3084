"""Convert Confluence's storage format to HTML for the parser. Pure: nothing is fetched or executed.

HTML of macros, and pages that are not well-formed, go to the parser as they are: only its process may parse HTML.

Macros that Confluence fills from other pages (tables of contents, included pages, issue lists) stay empty, because
those pages may have other readers.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from html import escape
from html.entities import html5
from typing import Final

_AC, _RI = "{urn:ac}", "{urn:ri}"
_ROOT = '<root xmlns:ac="urn:ac" xmlns:ri="urn:ri">{}</root>'
_MAX_DEPTH = 150
"""Elements below this depth become their plain text."""

_CDATA = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z))", re.DOTALL)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31});")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_INVALID_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_MENTION = re.compile(r'<ri:user\b[^<>]*?\bri:(?:account-id|userkey|username)="([^"<>]{1,200})"')

_KEPT_TAGS: Final = frozenset({
    "p", "ul", "ol", "li", "table", "tbody", "thead", "tfoot", "tr", "th", "td", "code", "blockquote", "strong", "em",
    "b", "i", "u", "s", "del", "sub", "sup", "div", "span", "dl", "dt", "dd", "a", "small", "big", "caption", "kbd",
})  # fmt: skip
_DROPPED_TAGS: Final = frozenset({"script", "style", "iframe", "object", "embed", "form", "col", "colgroup", "svg"})
_BOX_LABELS: Final = {"info": "Info", "note": "Note", "tip": "Tip", "warning": "Warning", "error": "Error"}
_FORMULA_MACROS: Final = frozenset({
    "mathblock", "mathinline", "easy-math-block", "easy-math-inline", "eazy-math-block", "eazy-math-inline", "latex",
    "latex-formatting", "mathjax-block-macro", "mathjax-inline-macro",
})  # fmt: skip
_CODE_MACROS: Final = frozenset({"code", "noformat", "markdown", "plantuml", "mermaid", "mermaid-macro", "sql"})
_POINTER_MACROS: Final = frozenset({
    "include", "excerpt-include", "view-file", "viewpdf", "viewdoc", "viewppt", "viewxls", "multimedia", "widget",
})  # fmt: skip
"""Macros that show other content; only its name is kept."""
_SILENT_ELEMENTS: Final = frozenset({"parameter", "task-id", "task-uuid", "placeholder", "adf-attribute", "adf-mark"})
_HEADING: Final = re.compile("h[1-6]")


def find_mentions(storage: str) -> frozenset[str]:
    """Return the ids of the people whom a page mentions."""
    return frozenset(_MENTION.findall(storage))


def render_page_html(title: str, storage: str, names: Mapping[str, str], anchor: Callable[[str], str]) -> str:
    """Return a page as HTML.

    ``names`` holds people's names by id; ``anchor`` returns the anchor of a heading.
    """
    body = _StorageFormatWriter(names, anchor).write_html(storage)
    return f"<html><head><title>{escape(title)}</title></head><body>{body}</body></html>"


def _parse_storage(storage: str) -> ET.Element | None:
    """Parse a page; None if it is not well-formed, which Confluence does not store."""
    pieces = _CDATA.split(_INVALID_IN_XML.sub("", storage))
    pieces[::2] = [_ENTITY.sub(_unescape_entity, piece) for piece in pieces[::2]]
    try:
        # The page is inside our own root element, where a DTD is not allowed: only XML's own entities exist.
        return ET.fromstring(_ROOT.format("".join(pieces)))  # noqa: S314
    except ET.ParseError:
        return None


def _unescape_entity(entity: re.Match[str]) -> str:
    name = entity[1]
    return entity[0] if name in _XML_ENTITIES else escape(html5.get(f"{name};", f"&{name};"))


class _StorageFormatWriter:
    """Converts one page."""

    def __init__(self, names: Mapping[str, str], anchor: Callable[[str], str]) -> None:
        self._names = names
        self._anchor = anchor
        self._in_cell = 0

    def write_html(self, storage: str) -> str:
        root = _parse_storage(storage)
        if root is None:
            return _CDATA.sub(lambda cdata: escape(cdata[0][9:].removesuffix("]]>")), storage)
        return self._write_children(root, 0)

    def _write_children(self, node: ET.Element, depth: int) -> str:
        return escape(node.text or "") + "".join(
            self._write_node(child, depth) + escape(child.tail or "") for child in node
        )

    def _write_node(self, node: ET.Element, depth: int) -> str:
        if depth > _MAX_DEPTH:
            return escape(_inner_text(node))
        if node.tag.startswith(_AC):
            return self._write_confluence_element(node, node.tag.removeprefix(_AC), depth + 1)
        return self._write_element(node, node.tag.lower(), depth + 1)

    def _write_element(self, node: ET.Element, tag: str, depth: int) -> str:
        if tag in _DROPPED_TAGS or tag.startswith(_RI):
            return ""
        if tag in {"td", "th"}:
            return self._write_cell(node, tag, depth)
        if _HEADING.fullmatch(tag):
            return self._write_heading(node, tag, depth)
        if write := _ELEMENT_WRITERS.get(tag):
            return write(self, node)
        inside = self._write_children(node, depth)
        return f"<{tag}>{inside}</{tag}>" if tag in _KEPT_TAGS else inside

    def _write_cell(self, node: ET.Element, tag: str, depth: int) -> str:
        self._in_cell += 1
        inside = self._write_children(node, depth)
        self._in_cell -= 1
        return f"<{tag}>{inside}</{tag}>"

    def _write_heading(self, node: ET.Element, tag: str, depth: int) -> str:
        inside = self._write_children(node, depth)
        if self._in_cell:  # the parser would take a table with headings for a layout
            return f"<p><strong>{inside}</strong></p>"
        return f'<{tag} id="{escape(self._anchor(_inner_text(node)))}">{inside}</{tag}>'

    def _write_confluence_element(self, node: ET.Element, name: str, depth: int) -> str:
        if name in _SILENT_ELEMENTS:
            return ""
        if write := _CONFLUENCE_WRITERS.get(name):
            return write(self, node, depth)
        inside = self._write_children(node, depth)
        return f"<ul>{inside}</ul>" if name == "task-list" else inside

    def _write_image(self, node: ET.Element, depth: int) -> str:
        caption = node.find(f"{_AC}caption")
        image = _image_tag(node.get(f"{_AC}alt") or node.get(f"{_AC}title"))
        return image + (f"<p>{self._write_children(caption, depth)}</p>" if caption is not None else "")

    def _write_fallback(self, node: ET.Element, depth: int) -> str:
        fallback = node.find(f"{_AC}adf-fallback")
        return self._write_children(node if fallback is None else fallback, depth)

    def _write_task(self, node: ET.Element, depth: int) -> str:
        done = (node.findtext(f"{_AC}task-status") or "").strip() == "complete"
        body = node.find(f"{_AC}task-body")
        return f"<li>{'[x]' if done else '[ ]'} {self._write_children(body, depth) if body is not None else ''}</li>"

    def _write_link(self, node: ET.Element, depth: int) -> str:
        for name in ("link-body", "plain-text-link-body"):
            body = node.find(_AC + name)
            if body is not None and _inner_text(body).strip():
                return f"<a>{self._write_children(body, depth)}</a>"
        return escape(self._find_target_name(node) or node.get(f"{_AC}anchor") or "")

    def _find_target_name(self, node: ET.Element) -> str:
        """Return the name of the person or thing to which a resource identifier points."""
        for found in node:
            if found.tag == f"{_RI}user":
                ids = [found.get(_RI + key) or "" for key in ("account-id", "userkey", "username")]
                return "@" + next((self._names[one] for one in ids if one in self._names), "someone")
            for key in ("content-title", "filename", "value", "space-key"):
                if called := found.get(_RI + key):
                    return called
        return ""

    def _write_macro(self, node: ET.Element, depth: int) -> str:
        name = (node.get(f"{_AC}name") or "").lower()
        parameters = {one.get(f"{_AC}name") or "": one for one in node.findall(f"{_AC}parameter")}
        plain = node.findtext(f"{_AC}plain-text-body")
        if name in _FORMULA_MACROS:
            body = plain if plain is not None else _parameter_text(parameters, "body")
            return f"<span>{escape(f'${body.strip()}$')}</span>"
        if name in {"html", "html-include"}:
            return f"<div>{plain or ''}</div>"
        if name in {"status", "jira"}:
            return escape(
                " ".join(_parameter_text(parameters, key) for key in ("title", "key", "jqlQuery") if key in parameters)
            )
        if name in _POINTER_MACROS:
            return escape(next(filter(None, map(self._find_pointer_name, parameters.values())), ""))
        rich = node.find(f"{_AC}rich-text-body")
        inside = self._write_children(rich, depth) if rich is not None else ""
        return self._write_box(name, _parameter_text(parameters, "title").strip(), plain, inside)

    def _write_box(self, name: str, title: str, plain: str | None, rich: str) -> str:
        label = ": ".join(part for part in (_BOX_LABELS.get(name, ""), title) if part)
        head = f"<p><strong>{escape(label)}</strong></p>" if label and (plain or rich) else ""
        if plain is not None and (name in _CODE_MACROS or not rich):
            return head + self._write_code(plain)
        return f"<div>{head}{rich}</div>" if rich else ""

    def _find_pointer_name(self, node: ET.Element) -> str:
        link = node.find(f"{_AC}link")
        return self._find_target_name(node if link is None else link)

    def _write_code(self, code: str) -> str:
        if self._in_cell and "\n" not in code.strip("\n"):
            return f"<code>{escape(code.strip())}</code>"
        return f"<pre>{escape(code)}</pre>" if code.strip() else ""


_ELEMENT_WRITERS: Final[Mapping[str, Callable[[_StorageFormatWriter, ET.Element], str]]] = {
    "br": lambda _page, _node: "<br>",
    "hr": lambda _page, _node: "<hr>",
    "img": lambda _page, node: _image_tag(node.get("alt")),
    "pre": lambda page, node: page._write_code(_inner_text(node)),  # noqa: SLF001 - the class's own
    "time": lambda _page, node: escape(node.get("datetime") or _inner_text(node)),
}
_CONFLUENCE_WRITERS: Final[Mapping[str, Callable[[_StorageFormatWriter, ET.Element, int], str]]] = {
    "structured-macro": _StorageFormatWriter._write_macro,  # noqa: SLF001 - the class's own
    "macro": _StorageFormatWriter._write_macro,  # noqa: SLF001 - the class's own
    "link": _StorageFormatWriter._write_link,  # noqa: SLF001 - the class's own
    "image": _StorageFormatWriter._write_image,  # noqa: SLF001 - the class's own
    "task": _StorageFormatWriter._write_task,  # noqa: SLF001 - the class's own
    "adf-extension": _StorageFormatWriter._write_fallback,  # noqa: SLF001 - the class's own
    "emoticon": lambda _page, node, _depth: escape(node.get(f"{_AC}emoji-fallback") or ""),
}


def _parameter_text(parameters: Mapping[str, ET.Element], key: str) -> str:
    return _inner_text(parameters[key]) if key in parameters else ""


def _inner_text(node: ET.Element) -> str:
    return "".join(node.itertext())


def _image_tag(alt: str | None) -> str:
    return f'<img alt="{escape(alt)}">' if alt else ""
