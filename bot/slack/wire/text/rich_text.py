"""Turns parsed Markdown within a line into the elements of Slack's rich text, which can ping nobody. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])

Element = dict[str, Any]

_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}
_ADDRESS = re.compile(r"(https?://[^\s<>()|，。；：！？、]*[^\s<>()|.,;:!?'\"*_~，。；：！？、])")


def build_rich_text(tokens: Sequence[Token], *, bold: bool = False) -> list[Element]:
    """Return the elements of a line: texts with their styles, and links to web pages."""
    elements: list[Element] = []
    style = {"bold": True} if bold else {}
    url = ""
    for token in tokens:
        kind, _, edge = token.type.rpartition("_")
        if kind in _STYLES and edge == "open":
            style = style | {_STYLES[kind]: True}
        elif kind in _STYLES and edge == "close" and not (bold and kind == "strong"):
            style = {name: value for name, value in style.items() if name != _STYLES[kind]}
        elif kind == "link":
            href = str(token.attrs.get("href", "")) if edge == "open" else ""
            url = href if href.startswith(("http://", "https://")) else ""
        else:
            token_style = style | {"code": True} if token.type == "code_inline" else style
            _add_text(
                elements, " " if edge == "softbreak" or token.type == "softbreak" else token.content, token_style, url
            )
    return elements


def _add_text(elements: list[Element], text: str, style: dict[str, bool], url: str) -> None:
    styled = {"style": style} if style else {}
    if url:
        parts = [{"type": "link", "url": url, "text": text}]
    else:
        pieces = [text] if "code" in style else _ADDRESS.split(text)
        parts = [
            {"type": "link", "url": piece} if number % 2 else {"type": "text", "text": piece}
            for number, piece in enumerate(pieces)
            if piece
        ]
    for part in parts:
        before = elements[-1] if elements else {}
        same = ("type", "url", "style")
        if part.get("text") and all(before.get(name) == (part | styled).get(name) for name in same):
            before["text"] += part["text"]
        elif part.get("text") != "":
            elements.append(part | styled)


def read_plain_text(markdown: str) -> str:
    """Return a line of Markdown as people see it, without markup and addresses of links."""
    lines = (token.children or () for token in PARSER.parseInline(markdown))
    elements = (element for tokens in lines for element in build_rich_text(tokens))
    return "".join(str(element.get("text", element.get("url", ""))) for element in elements)
