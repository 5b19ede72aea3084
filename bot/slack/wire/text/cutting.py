"""Cuts rendered Markdown into messages: a code fence is closed and reopened, and a table gets its head again. Pure."""

from __future__ import annotations

import re

MAX_MARKDOWN_CHARACTERS = 11_000
"""The most characters of a markdown block; Slack's limit is 12,000."""
_FENCE = re.compile(r" {0,3}(`{3,32}(?!`)|~{3,32}(?!~))([^\n]*)")
_RULE = re.compile(r" {0,3}(?:\|[ \t]*)?:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*(?:\|[ \t]*)?\n?")
"""The line under the head of a table."""
_MAX_HEAD_CHARACTERS = 1_000
"""A longer head of a table is not repeated."""
FENCE_RESERVE = 34
"""Characters for closing a fence: the end of a line and the longest fence."""
_MAX_INFO_CHARACTERS = 32


def find_fence_after(line: str, fence: str | None) -> str | None:
    """Return the code fence that is open after ``line``, given the open fence before it; None for none."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    ticks, rest = found[1], found[2]
    if fence is None:
        return None if ticks[0] == "`" and "`" in rest else ticks + rest.strip()[:_MAX_INFO_CHARACTERS]
    return None if ticks[0] == fence[0] and len(ticks) >= _fence_length(fence) and not rest.strip() else fence


def find_open_fence(text: str) -> str | None:
    """Return the opening line of the code fence that is still open at the end of the text, or None."""
    fence: str | None = None
    for line in text.split("\n"):
        fence = find_fence_after(line, fence)
    return fence


def make_closing_fence(fence: str, text: str) -> str:
    """Return the text that closes the open fence of a text."""
    return ("" if text.endswith("\n") else "\n") + fence[0] * _fence_length(fence)


def _fence_length(fence: str) -> int:
    return len(fence) - len(fence.lstrip(fence[0]))


_BOUNDARIES = (
    re.compile(r"\n\n"),
    re.compile(r"\n"),
    re.compile(r"[。！？；](?=.)|[.!?;](?=\s)", re.DOTALL),
    re.compile(r"[\s，、]"),
)


def split_head(text: str, limit: int) -> tuple[str, str]:
    """Return a head of at most ``limit`` characters and the rest of the text.

    The head ends with the last paragraph in its second half, or else with a line, a sentence or a word. Without any of
    them, it ends at the limit.
    """
    at = _find_cut(text, limit, 1)
    return text[:at], text[at:]


def _find_cut(text: str, limit: int, least: int) -> int:
    """Return where to cut a text, from ``least`` to ``limit``."""
    if limit <= 0 or len(text) <= limit:
        return max(0, min(limit, len(text)))
    for boundary in _BOUNDARIES:
        found = boundary.finditer(text, max(limit // 2, least - 2), limit + 1)
        if ends := [one.end() for one in found if least <= one.end() <= limit]:
            return ends[-1]
    return limit - 1 if limit > least and text[limit - 1] == "<" else limit


def split_message(text: str, limit: int) -> list[str]:
    """Return the text in pieces of at most ``limit`` characters (200 or more).

    A cut closes and reopens a fence. A piece that continues a table begins with its head.
    """
    pieces: list[str] = []
    opening = ""
    while text or not pieces:
        opening = keep_opening(opening, text) if len(opening) <= limit // 2 else ""
        head, text = split_at_row(opening, text, limit - len(opening) - FENCE_RESERVE)
        piece = opening + head
        fence, opening = find_open_fence(piece), make_opening(piece)
        pieces.append(piece + make_closing_fence(fence, piece) if fence and text else piece)
    return pieces


def make_opening(text: str) -> str:
    """Return the start of the message that follows a text: its open fence, or the head of the table that it cuts."""
    fence = find_open_fence(text)
    if fence:
        return f"{fence}\n"
    return find_table_head(text) if text.endswith("\n") else ""


def keep_opening(opening: str, text: str) -> str:
    """Return the start of a message; "" if it is the head of a table that the text does not continue."""
    return "" if find_table_head(opening) and not count_rows(text) else opening


def find_table_head(text: str) -> str:
    """Return the head of the table in which a text ends, with the line under it; "" if it does not end in one."""
    head = before = ""
    fence: str | None = None
    for line in text.splitlines(keepends=True):
        was_inside, fence = fence is not None, find_fence_after(line, fence)
        if was_inside or fence is not None or "|" not in line:
            head = before = ""
            continue
        if not head and "|" in before and _RULE.fullmatch(line):
            head = before + line
        before = line
    return head if len(head) <= _MAX_HEAD_CHARACTERS else ""


def count_rows(text: str) -> int:
    """Return how many rows of a table a text begins with."""
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if "|" not in line), len(lines))


def split_at_row(before: str, text: str, limit: int, *, may_be_empty: bool = False) -> tuple[str, str]:
    """Cut a text that follows ``before`` in a message as ``split_head`` would cut both, but never in ``before``.

    It cuts no row of a table, and not after a table's head. A row that is longer than the limit is cut, unless the head
    ``may_be_empty``. Then the cut may be at the end of ``before``.
    """
    sent = len(before)
    least = len(before.rstrip()) if may_be_empty and before else sent + 1
    at = max(0, _find_cut(before + text, sent + limit, least) - sent) if limit > 0 else 0
    head, rest = text[:at], text[at:]
    whole = before + head
    if not rest or not (table := find_table_head(whole)):
        return head, rest
    end = whole.rfind("\n") + 1
    if whole[:end].endswith(table):
        end -= len(table)
    if (size := end - len(before)) > 0:
        return text[:size], text[size:]
    return ("", text) if may_be_empty and before.endswith("\n") else (head, rest)
