"""Markers like ``[1]``: read in every form that models write them, checked, and put where they belong. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKER = re.compile(
    r"[ \t]*(?<![A-Za-z0-9_\])])(?P<free>[\[【［]\s*(?:\^|(?:source|passage|来源|资料|段落)\s*)?"
    r"(?P<numbers>\d{1,3}(?:\s*[,，、;和–-]\s*\d{1,3})*)(?:†[^\]】\n]{0,40})?\s*[\]】］])(?:\((?P<link>[^()\s]{0,300})\))?"
    r"|(?P<tight>[\[【［]\s*\^?(?P<more>\d{1,3}(?:\s*[,，、;–-]\s*\d{1,3})*)\s*[\]】］])(?:\([^()\s]{0,300}\))?",
    re.IGNORECASE,
)
_RANGE = re.compile(r"(\d{1,3})\s*[–-]\s*(\d{1,3})")
_CODE = re.compile(r"(`+)(?:(?!\1).)*\1", re.DOTALL)
_LAST_CELL = re.compile(r"\s*\|\s*$")


def numbers(text: str) -> tuple[int, ...]:
    """Return the passage numbers that a text cites, each once, in order; code is left aside."""
    bare = _blank_code(text)
    found = [match for match in _MARKER.finditer(bare) if not (match["tight"] and _is_index(bare, match))]
    return tuple(dict.fromkeys(n for match in found for n in _listed(match)))


def strip(text: str) -> str:
    """Return the text without its markers, code untouched."""
    bare = _blank_code(text)
    out, cursor = [], 0
    for match in _MARKER.finditer(bare):
        if match["tight"] and _is_index(bare, match):
            continue
        out.append(text[cursor : match.start()])
        cursor = match.end()
    return "".join((*out, text[cursor:])).rstrip()


def mark(text: str, passages: Sequence[int], *, table_row: bool = False) -> str:
    """Put markers behind a text, inside the last cell of a table's row."""
    markers = "".join(f"[{n}]" for n in passages)
    if not markers:
        return text
    if table_row and (cell := _LAST_CELL.search(text)):
        return f"{text[: cell.start()]} {markers} |"
    return f"{text} {markers}" if text[-1:].isascii() else f"{text}{markers}"


def _blank_code(text: str) -> str:
    return _CODE.sub(lambda match: "\0" * len(match[0]), text)


def _listed(match: re.Match[str]) -> list[int]:
    listed = match["numbers"] or match["more"]
    found: list[int] = []
    for first, last in _RANGE.findall(listed):
        found += range(int(first), min(int(last), int(first) + 20) + 1)
    return found + [int(number) for number in re.findall(r"\d+", _RANGE.sub(" ", listed))]


def _is_index(text: str, match: re.Match[str]) -> bool:
    """Tell an index like ``items[0]`` from a marker that was written close to its word."""
    return _listed(match) == [0] and match.start() > 0 and text[match.start() - 1].isascii()
