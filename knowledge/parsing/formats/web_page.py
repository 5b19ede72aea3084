"""Parse HTML: the main text under its headings, without scripts, navigation and hidden parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from knowledge.interfaces import Document, Section
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.formats.main_text import MAIN_TEXT, extract_main_text, make_main_text_test
from knowledge.parsing.formats.markup import parse_markup
from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

_DROPPED_TAGS: Final = frozenset({
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas", "audio", "video",
    "select", "datalist", "head", "dialog", "-comment",
})  # fmt: skip
_FURNITURE: Final = frozenset({"nav", "aside", "footer", "header", "form", "menu", "button", "input", "textarea"})
"""Elements that are dropped. A ``header`` or ``footer`` inside the main text stays."""
_FURNITURE_ROLES: Final = frozenset({"navigation", "banner", "contentinfo", "search", "complementary"})
_INLINE: Final = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "label", "mark", "output", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub",
    "sup", "time", "tt", "u", "var", "wbr", "-text", "img", "br", "button", "input",
})  # fmt: skip
_INLINE_MARKS: Final = {"br": "\n", "code": "`"}
_ITEM_MARKS: Final = {"li": "- ", "dd": "  "}
_LAYOUT: Final = "table table, table h1, table h2, table h3, table pre"  # only a table for layout has such elements
_HEADING = re.compile(r"h[1-6]")
_BLOCK = re.compile(r"```.*?\n```|\S(?:(?!\n\n).)*", re.DOTALL)
_HIDING_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:^|;)\s*opacity\s*:\s*0(?:\.0*)?\s*(?:;|$|!)"
    r"|font-size\s*:\s*0(?![.\d]*[1-9])|(?:left|top|right|text-indent)\s*:\s*-\d{4,}",
    re.IGNORECASE,
)
"""Inline styles that hide an element. Style sheets are not read."""
_BLANKS = re.compile(r"\s+")
_DOUBLE = re.compile(r" *\n[ \n]*| {2,}")
_PERMALINK = re.compile(r"(?:(?<!\s)\s+|(?<![\s¶#\uf0c1\u200b]))[¶#\uf0c1\u200b]+\s*$")
_MAX_SPAN = 100
"""A cell is at most over so many columns, and rows: a page could ask for any number."""
_MIN_MAIN_CHARACTERS = 200
"""A ``main`` or single ``article`` with less text than this, next to a larger body, is not the main text."""
_HEADED_CHARACTERS = 200
"""A heading outside the main text ("Related articles") is dropped if less main text than this follows it."""
_MIN_FOUND_SHARE = 0.5
"""If an extracted main text has fewer characters of a marked one than this, it is another part."""
_MIN_MAIN_SHARE = 0.1
"""An extracted main text with less than this share of the page's text is incomplete."""


def parse_html(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse HTML. The title is the page's first heading if its ``title`` begins with it, else the ``title``.

    Raises:
        ParseError: as ``parse_markup``.

    """
    html = decode_text(data, media_type=media_type, html=True)
    tree = parse_markup(html, document)
    _remove_hidden(tree)
    main, inside = _find_main_element(tree)
    sections = _extract_sections(main, page_furniture=not inside)
    if MAIN_TEXT in (media_type or ""):
        sections = _extract_main_sections(html, tree, sections)
    return make_document(_find_title(tree, sections) or make_title_from_name(document), sections)


def _remove_hidden(tree: LexborHTMLParser) -> None:
    """Remove what is not displayed. A heading, a table or code is read with everything inside it."""
    chain: set[int] = set()
    outermost: list[LexborNode] = []
    for node in [node for node in tree.css("[hidden], [aria-hidden=true], [style]") if _is_hidden(node)]:
        above = node.parent
        while above is not None and above.mem_id not in chain:
            above = above.parent
        chain.add(node.mem_id)
        if above is None:
            outermost.append(node)
    for node in outermost:  # Elements inside a removed one go with it, and must not be touched later.
        node.decompose()


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDING_STYLE.search(attributes.get("style") or ""))
    )


def _extract_sections(node: LexborNode | None, *, page_furniture: bool) -> tuple[Section, ...]:
    writer = _PageWriter(page_furniture=page_furniture)
    if node is not None:
        writer.write_tree(node)
    return writer.list_sections()


def _extract_main_sections(html: str, tree: LexborHTMLParser, marked: tuple[Section, ...]) -> tuple[Section, ...]:
    """Return the part of the page's main text, or all marked text if too little is found.

    The marked main element of a page often has comments, teasers and buttons too. Some pages put their text into an
    aside, or one form around everything.
    """
    extracted = extract_main_text(html)
    if not extracted:
        return marked
    is_main = make_main_text_test(extracted)
    main_sections = _keep_main_parts(marked, is_main)
    if _count_characters(main_sections) < _MIN_FOUND_SHARE * len(extracted):
        main_sections = _keep_main_parts(_extract_sections(tree.body, page_furniture=False), is_main)
    return main_sections if _count_characters(main_sections) >= _MIN_MAIN_SHARE * _count_characters(marked) else marked


def _keep_main_parts(sections: tuple[Section, ...], is_main: Callable[[str], bool]) -> tuple[Section, ...]:
    return tuple(part for section in sections if (part := _keep_main_part(section, is_main)).text)


def _keep_main_part(section: Section, is_main: Callable[[str], bool]) -> Section:
    """Return a section with its blocks of the main text, and its heading if enough of them follow.

    Code and tables are rarely navigation, so they stay if a neighbour stays.
    """
    blocks = _BLOCK.findall(section.text)
    main = [is_main(block) for block in blocks]
    main_blocks = [block for block, is_it in zip(blocks, main, strict=True) if is_it or block.startswith(("```", "| "))]
    text = "\n\n".join(main_blocks) if any(main) else ""
    headed = len(text) >= _HEADED_CHARACTERS or not section.headings or is_main(section.headings[-1])
    return replace(section, headings=section.headings if headed else section.headings[:-1], text=text)


def _count_characters(sections: tuple[Section, ...]) -> int:
    return sum(len(section.text) for section in sections)


def extract_visible_text(html: str) -> str:
    """Return the text of a fragment, with blank lines between blocks."""
    if "<" not in html:
        return html
    sections = _extract_sections(parse_markup(html, "A part of the document").body, page_furniture=False)
    return "\n\n".join(part for section in sections for part in (*section.headings[-1:], section.text))


def _find_main_element(tree: LexborHTMLParser) -> tuple[LexborNode | None, bool]:
    """Return the element with the main text, and whether it is less than the whole body."""
    for selector in ("main", "[role=main]", "article"):
        found = tree.css(selector)
        if len(found) == 1 and len(found[0].text(deep=True)) >= _MIN_MAIN_CHARACTERS:
            return found[0], True
    return tree.body, False


def _find_title(tree: LexborHTMLParser, sections: tuple[Section, ...]) -> str | None:
    node = tree.css_first("head > title")
    element_title = collapse_blanks(node.text(deep=True)) if node is not None else ""
    first = sections[0].headings[0] if sections and sections[0].headings else None
    if first and (not element_title or element_title.casefold().startswith(first.casefold())):
        return first
    return element_title or None


class _PageWriter:
    """Walks elements without recursion, so that deep nesting is safe, and writes their text into an outline."""

    def __init__(self, *, page_furniture: bool) -> None:
        self._outline = Outline()
        self._drop_furniture = page_furniture
        self._line: list[str] = []
        self._prefix = ""

    def list_sections(self) -> tuple[Section, ...]:
        self._flush_block()
        return self._outline.list_sections()

    def write_tree(self, root: LexborNode) -> None:
        node = root.first_child
        while node is not None:
            child = node.first_child if self._enter_node(node) else None
            if child is not None:
                node = child
                continue
            node = self._leave_to_next(node, root)

    def _leave_to_next(self, node: LexborNode, root: LexborNode) -> LexborNode | None:
        """Leave elements until one has a next sibling, and return it; None at the end."""
        current: LexborNode | None = node
        # Nodes compare by their whole HTML, so compare their addresses, which is fast.
        while current is not None and current.mem_id != root.mem_id:
            self._leave_node(current)
            if current.next is not None:
                return current.next
            current = current.parent
        return None

    def _enter_node(self, node: LexborNode) -> bool:
        """Write the text of one node, and return whether to walk its children."""
        tag = node.tag or ""
        if tag == "-text":
            self._line.append(_BLANKS.sub(" ", node.text_content or ""))
            return False
        if self._is_dropped(node, tag):
            return False
        if tag in _INLINE:
            self._line.append((node.attributes.get("alt") or "") if tag == "img" else _INLINE_MARKS.get(tag, ""))
            return tag not in {"br", "img"}
        return self._enter_block(node, tag)

    def _enter_block(self, node: LexborNode, tag: str) -> bool:
        self._flush_block()
        if _HEADING.fullmatch(tag):
            self._outline.add_heading(int(tag[1]), _PERMALINK.sub("", node.text(deep=True)), _find_anchor(node))
        elif tag == "pre":
            self._outline.add_block(f"```\n{node.text(deep=True).strip(chr(10)).rstrip()}\n```")
        elif tag == "table" and node.css_first(_LAYOUT) is None:
            self._outline.add_block(format_markdown_table(list(_read_table_rows(node))))
        else:
            self._prefix = _ITEM_MARKS.get(tag, self._prefix)
            return True
        return False

    def _leave_node(self, node: LexborNode) -> None:
        if node.tag == "code":
            self._line.append("`")
        elif node.tag not in _INLINE:
            self._flush_block()
        if node.tag in _ITEM_MARKS:
            self._prefix = ""

    def _flush_block(self) -> None:
        text = _DOUBLE.sub(lambda blanks: "\n" if "\n" in blanks.group() else " ", "".join(self._line)).strip()
        self._line = []
        if text and self._prefix:
            self._outline.add_item(self._prefix + text)
            self._prefix = ""
        elif text:
            self._outline.add_block(text)

    def _is_dropped(self, node: LexborNode, tag: str) -> bool:
        if tag in _DROPPED_TAGS or (self._drop_furniture and tag in _FURNITURE):
            return True
        attributes = node.attributes
        if not attributes:
            return False
        return _is_hidden(node) or attributes.get("role") in _FURNITURE_ROLES


def _find_anchor(heading: LexborNode) -> str | None:
    """Return the id of the heading, of a link target in it, or of the section that it opens."""
    own = heading.attributes.get("id")
    if own:
        return own
    for link in heading.css("a[id], a[name]"):
        return link.attributes.get("id") or link.attributes.get("name")
    parent = heading.parent
    if parent is None or parent.tag not in {"section", "div", "article"} or _follows_element(heading):
        return None
    return parent.attributes.get("id")


def _follows_element(node: LexborNode) -> bool:
    before = node.prev
    while before is not None and before.tag in {"-text", "-comment"}:
        before = before.prev
    return before is not None


def _read_table_rows(table: LexborNode) -> Iterator[list[str]]:
    """Yield the cells of each row, each in its column; an empty head comes first if the names are in the first column.

    A cell over several rows is repeated in each. One over several columns is in the first of them.
    """
    below: dict[int, tuple[int, str]] = {}
    for number, row in enumerate(table.css("tr")):
        nodes = row.css("td, th")
        if not number and {node.tag for node in nodes} == {"td", "th"} and nodes[0].tag == "th":
            yield [""]
        cells: list[str] = []
        for node in nodes:
            _add_from_above(cells, below)
            text = collapse_blanks(node.text(deep=True, separator=" "))
            further_rows = _read_span(node, "rowspan") - 1
            for part in (text, *[""] * (_read_span(node, "colspan") - 1)):
                if further_rows:
                    below[len(cells)] = further_rows, part
                cells.append(part)
        _add_from_above(cells, below)
        while cells and not cells[-1]:  # a cell may span more columns than the table has
            cells.pop()
        if cells:
            yield cells


def _add_from_above(cells: list[str], below: dict[int, tuple[int, str]]) -> None:
    """Add the cells of earlier rows that continue in the next columns."""
    while len(cells) in below:
        rows, text = below.pop(len(cells))
        if rows > 1:
            below[len(cells)] = rows - 1, text
        cells.append(text)


def _read_span(cell: LexborNode, name: str) -> int:
    """Return over how many columns or rows a cell goes."""
    value = cell.attributes.get(name) or ""
    return max(1, min(int(value), _MAX_SPAN)) if re.fullmatch(r"[0-9]{1,9}", value) else 1
