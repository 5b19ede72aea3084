"""Patterns in the form of ``.gitignore`` that leave files of a folder out. Pure.

The rules are git's own, and tests compare them with git. ``pathspec`` 1.1 differs from git: ``[!a]`` matches ``/``,
``a**/b`` does not match ``ab``, and an invalid range such as ``[b-a]`` raises ``re.error``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

IGNORE_FILE = ".kvasirignore"
"""The file at a source's root that holds such patterns, one a line."""


@dataclass(frozen=True, slots=True)
class _Rule:
    ignores: bool
    folders_only: bool
    matches: Callable[[str], re.Match[str] | None]


class IgnoreRules:
    """Decides which paths are left out; paths are relative to the root, with ``/`` between their parts.

    The last matching pattern decides; a leading ``!`` includes again what an earlier pattern left out. A pattern with a
    slash at its start or inside starts at the root; any other matches at every depth. A pattern with a trailing slash
    matches only folders. ``*`` and ``?`` stay within one name, ``[a-z]`` is one of these letters, and ``**/`` is any
    number of folders. Nothing below an ignored folder can be included again.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        rules = [_parse_rule(pattern) for pattern in patterns]
        self._rules = [rule for rule in reversed(rules) if rule is not None]

    def ignores_entry(self, path: str, *, folder: bool) -> bool:
        """Return whether a file or folder is left out, given that its parent folder is not."""
        for rule in self._rules:
            if (folder or not rule.folders_only) and rule.matches(path):
                return rule.ignores
        return False


def parse_patterns(text: str) -> list[str]:
    """Return the patterns of an ignore file."""
    return text.removeprefix("\ufeff").splitlines()


def _parse_rule(line: str) -> _Rule | None:
    """Return the rule of a line; None for a comment, an empty line or an invalid pattern."""
    pattern = _strip_end_blanks(line)
    if not pattern or pattern.startswith("#"):
        return None
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    anchored = "/" in pattern
    pattern = pattern.removeprefix("/")
    if not pattern:
        return None
    literal = len(re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]) if anchored else 0
    expression = _make_expression(pattern, literal)
    if expression is None:
        return None
    start = "" if anchored else "(?:.*/)?"
    return _Rule(ignores, folders_only, re.compile(start + expression, re.DOTALL).fullmatch)


def _strip_end_blanks(line: str) -> str:
    r"""Remove spaces at the end of a line, unless ``\`` escapes them."""
    line = line.rstrip("\r\n")
    stripped = line.rstrip(" ")
    quoted = len(stripped) - len(stripped.rstrip("\\"))
    return f"{stripped} " if quoted % 2 and len(stripped) < len(line) else stripped


def _make_expression(pattern: str, literal: int) -> str | None:
    """Return the regular expression of a pattern without its outer slashes; None if the pattern is invalid.

    ``**`` means folders after a slash and at the start. Git compares the first ``literal`` letters separately and
    starts after them, so ``a**/b`` matches ``ab`` and ``a/x/b`` as well.
    """
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        begins = place in {0, literal} or pattern[place - 1] == "/"
        folders = re.compile(r"\*{2,}(/|$)").match(pattern, place) if begins else None
        if folders:
            parts.append("(?:.*/)?" if folders[1] else ".*")
            place = folders.end()
        else:
            piece, place = _parse_piece(pattern, place)
            if piece is None:
                return None
            parts.append(piece)
    return "".join(parts)


def _parse_piece(pattern: str, place: int) -> tuple[str | None, int]:
    """Return the expression of the next letter or wildcard, and the position after it."""
    letter = pattern[place]
    if letter == "*":
        return "[^/]*", place + len(pattern[place:]) - len(pattern[place:].lstrip("*"))
    if letter == "?":
        return "[^/]", place + 1
    if letter == "[":
        return _parse_letters(pattern, place)
    if letter == "\\":
        return (re.escape(pattern[place + 1]), place + 2) if place + 1 < len(pattern) else (None, place + 1)
    return re.escape(letter), place + 1


def _parse_letters(pattern: str, place: int) -> tuple[str | None, int]:
    """Return the expression of ``[…]``; one without an end matches nothing."""
    start = place + 1
    negated = pattern[start : start + 1] in {"!", "^"}
    start += negated
    end = pattern.find("]", start + 1)
    if end < 0:
        return None, len(pattern)
    body = re.sub(r"[\\\[\]^&~|]", lambda mark: f"\\{mark[0]}", pattern[start:end])
    if any(found[1] > found[2] for found in re.finditer(r"(.)-(.)", pattern[start:end], re.DOTALL)):
        return None, end + 1  # a range that ends before it starts, which a regular expression must not have
    return f"(?!/)[{'^' if negated else ''}{body}]", end + 1
