"""Parse Markdown (CommonMark with tables, front matter, and GitHub's anchors for headings) and plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from knowledge.chunking.blocks import iterate_lines
from knowledge.interfaces import Document
from knowledge.parsing.decoding import decode_text
from knowledge.parsing.formats.tables import format_markdown_table
from knowledge.parsing.formats.web_page import extract_visible_text
from knowledge.parsing.outline import Outline, collapse_blanks, make_document, make_title_from_name

_MAX_PARSED_CHARACTERS = 2_000_000
_MAX_PARAGRAPH_CHARACTERS = 50_000
"""In larger text only headings and code fences are recognised, because a full parser takes too long."""
_MAX_LINK_CHARACTERS = 300

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[^\S\n]*\n(.*?)\n\1[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_MATTER_WITHIN = 20_000
_KEY = re.compile(r"^(title|description|summary)[^\S\n]*[:=][^\S\n]*(.*)$", re.MULTILINE | re.IGNORECASE)
_OWN_ANCHOR = re.compile(r"(?<![^\S\n])[^\S\n]*\{#([\w.:-]+)\}\s*$")
_ADMONITION = re.compile(r"^:{3,}[^\S\n]*\w*[^\S\n]*(.*)$", re.MULTILINE)
_MDX_LINE = re.compile(r"(?:import\s++(?:[^'\"]*\sfrom\s+)?['\"].+['\"]|export\s.+);?\s*")
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:(?<![ \t])[ \t]+#+)?$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def parse_markdown(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse Markdown. The title is the front matter's, else a first heading of level 1, else the file's name."""
    matter, body = _split_front_matter(decode_text(data, media_type=media_type))
    writer = _MarkdownWriter(Outline(matter.get("description", "")))
    if _is_parseable(body):
        parser = MarkdownIt("commonmark", {"maxNesting": 40}).enable("table").enable("strikethrough")
        writer.write(SyntaxTreeNode(parser.parse(body)))
    else:
        writer.write_lines(body)
    return make_document(
        matter.get("title") or writer.outline.title or make_title_from_name(document), writer.outline.list_sections()
    )


def parse_text(data: bytes, document: str, media_type: str | None = None) -> Document:
    """Parse plain text of any encoding. The title is the file's name."""
    outline = Outline()
    for paragraph in _split_paragraphs(decode_text(data, media_type=media_type)):
        outline.add_block(paragraph)
    return Document(make_title_from_name(document), outline.list_sections())


def _split_paragraphs(text: str) -> Iterator[str]:
    """Split at blank lines, in linear time."""
    for is_blank, lines in groupby(iterate_lines(text), key=lambda line: not line.strip()):
        if not is_blank:
            yield "\n".join(line.rstrip() for line in lines)


def slugify_heading(heading: str) -> str:
    """Return GitHub's anchor for a heading's text, without a number for repetitions."""
    return _NOT_IN_SLUG.sub("", heading.strip().lower()).replace(" ", "-")


class HeadingAnchors:
    """The anchors of one document's headings, in order."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def make_anchor(self, heading: str) -> str:
        """Return the next heading's anchor, with GitHub's number if it repeats: ``setup``, ``setup-1``."""
        anchor = slugify_heading(heading)
        count = self._seen.get(anchor)
        self._seen[anchor] = 0 if count is None else count + 1
        if count is None:
            return anchor
        numbered = f"{anchor}-{count + 1}"
        self._seen.setdefault(numbered, 0)
        return numbered


def _split_front_matter(text: str) -> tuple[dict[str, str], str]:
    match = _FRONT_MATTER.match(text[:_FRONT_MATTER_WITHIN])
    if not match:
        return {}, text
    found = {key.lower(): _strip_quotes(value) for key, value in _KEY.findall(match.group(2))}
    description = found.get("description") or found.get("summary") or ""
    return {"title": found.get("title", ""), "description": description}, text[match.end() :]


def _strip_quotes(value: str) -> str:
    value = collapse_blanks(value)
    if value in {"|", ">", "|-", ">-"}:
        return ""  # Ignore block scalars, because their lines are not worth a YAML parser.
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _is_parseable(text: str) -> bool:
    return len(text) <= _MAX_PARSED_CHARACTERS and all(
        len(paragraph) <= _MAX_PARAGRAPH_CHARACTERS for paragraph in _split_paragraphs(text)
    )


class _MarkdownWriter:
    """Walks the blocks of one document and writes them as plain text."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._anchors = HeadingAnchors()

    def write(self, root: SyntaxTreeNode) -> None:
        for node in root.children:
            if node.type == "heading":
                self._write_heading(int(node.tag[1:]), _render_plain(node.children))
            else:
                self.outline.add_block(_render_block(node))

    def write_lines(self, text: str) -> None:
        """Write text that is too large for the parser, recognising only headings and fences."""
        fence, held = "", list[str]()
        for line in iterate_lines(text):
            mark = _FENCE.match(line)
            heading = None if fence or mark else _ATX.match(line.rstrip(" \t"))
            if mark and (not fence or mark.group(1).startswith(fence)):
                fence = "" if fence else mark.group(1)
            if line.strip() and not heading:
                held.append(line.rstrip())
                continue
            self.outline.add_block("\n".join(held))
            held = []
            if heading:
                self._write_heading(len(heading.group(1)), heading.group(2) or "")
        self.outline.add_block("\n".join(held))

    def _write_heading(self, level: int, text: str) -> None:
        own = _OWN_ANCHOR.search(text)
        title = collapse_blanks(_OWN_ANCHOR.sub("", text))
        anchor = own.group(1) if own else self._anchors.make_anchor(title)
        self.outline.add_heading(level, title, anchor or None)


def _render_block(node: SyntaxTreeNode) -> str:
    """Return a block as plain text, with blank lines between its inner blocks."""
    render = _RENDERERS.get(node.type)
    if render:
        return render(node)
    return _render_blocks(node.children) if node.children else ""


def _render_blocks(nodes: Sequence[SyntaxTreeNode]) -> str:
    return "\n\n".join(text for text in map(_render_block, nodes) if text.strip())


def _format_paragraph(text: str) -> str:
    text = _ADMONITION.sub(r"\1", text).strip()
    return "" if all(map(_MDX_LINE.fullmatch, text.splitlines())) else text


def _render_fence(node: SyntaxTreeNode) -> str:
    return f"```{node.info.strip()}\n{node.content.rstrip()}\n```"


def _render_table(node: SyntaxTreeNode) -> str:
    rows = (row for part in node.children for row in part.children)
    return format_markdown_table([[_render_inline(cell.children) for cell in row.children] for row in rows])


def _render_list(node: SyntaxTreeNode) -> str:
    number = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    lines = []
    for offset, item in enumerate(node.children):
        mark = "-" if number is None else f"{number + offset}."
        text = "\n".join(map(_render_block, item.children))
        indent = "\n" + " " * (len(mark) + 1)
        lines.append(f"{mark} {text.strip()}".replace("\n", indent))
    return "\n".join(lines)


_RENDERERS: Final[dict[str, Callable[[SyntaxTreeNode], str]]] = {
    "paragraph": lambda node: _format_paragraph(_render_inline(node.children)),
    "heading": lambda node: _render_inline(node.children),
    "fence": _render_fence,
    "code_block": _render_fence,
    "html_block": lambda node: extract_visible_text(node.content),
    "bullet_list": _render_list,
    "ordered_list": _render_list,
    "table": _render_table,
}


def _render_inline(nodes: Sequence[SyntaxTreeNode]) -> str:
    return "".join(piece for node in nodes for piece in _iterate_inline(node))


def _render_plain(nodes: Sequence[SyntaxTreeNode]) -> str:
    """Return the text of a heading, without addresses and code marks."""
    return "".join(
        "\n" if each.type in {"softbreak", "hardbreak"} else "" if each.type == "html_inline" else each.content
        for node in nodes
        for each in node.walk()
        if not each.children or each.type == "image"
    )


def _iterate_inline(node: SyntaxTreeNode) -> Iterator[str]:
    match node.type:
        case "text":
            yield node.content
        case "code_inline":
            yield f"`{node.content}`"
        case "softbreak" | "hardbreak":
            yield "\n"
        case "image":
            yield node.content
        case "html_inline":
            yield "\n" if node.content.lower().startswith("<br") else ""
        case "link":
            yield _render_link(_render_inline(node.children), str(node.attrs.get("href", "")))
        case _:
            for child in node.children:
                yield from _iterate_inline(child)


def _render_link(text: str, target: str) -> str:
    """Keep an address outside the documents, because a question may ask for it."""
    has_address = target.startswith(("https://", "http://", "mailto:")) and len(target) <= _MAX_LINK_CHARACTERS
    if not has_address or target.removeprefix("mailto:") == text:
        return text
    return f"[{text}]({target})" if text else target
