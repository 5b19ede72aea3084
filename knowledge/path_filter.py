"""Match a source's paths against patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from unicodedata import normalize

_WILD = re.compile(r"[*?]")


def compile_path_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that decides whether a path is included.

    A pattern starts at the root and includes everything below it: ``docs``, ``docs/*.md``, ``**/guides``. ``*`` and
    ``?`` stay within one name, ``**`` spans any number of folders, and a leading ``!`` excludes what an earlier pattern
    included. The last matching pattern decides. If all patterns are exceptions, everything else is included. An accent
    matches in both forms of Unicode, because macOS stores names in the other one than keyboards type.
    """
    rules = [(not pattern.startswith("!"), _compile_pattern(pattern.removeprefix("!"))) for pattern in patterns]
    default = all(not matches_path for matches_path, _ in rules)

    def matches_path(path: str) -> bool:
        composed = normalize("NFC", path)
        return next((taken for taken, rule in reversed(rules) if rule.fullmatch(composed)), default)

    return matches_path


def compile_exclusion(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that decides whether a path is excluded; without patterns, none is."""
    return compile_path_filter(patterns) if patterns else lambda _: False


def find_literal_roots(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return folders or files that contain everything that the patterns include; none if it may be anywhere."""
    taking = [_strip_slashes(pattern) for pattern in patterns if not pattern.startswith("!")]
    roots = ["/".join(_take_literal_parts(pattern.split("/"))) for pattern in taking]
    return tuple(dict.fromkeys(roots)) if roots and all(roots) else ()


def _take_literal_parts(parts: Iterable[str]) -> list[str]:
    """Return the first parts that match one spelling only."""
    return list(takewhile(lambda part: not _WILD.search(part) and normalize("NFD", part) == part, parts))


def _strip_slashes(pattern: str) -> str:
    return pattern.removeprefix("./").strip("/")


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    parts = _strip_slashes(normalize("NFC", pattern)).split("/")
    wanted = "".join("(?:[^/]+/)*" if part == "**" else f"{_translate_name(part)}/" for part in parts[:-1])
    last = ".*" if parts[-1] == "**" else f"{_translate_name(parts[-1])}(?:/.*)?"
    return re.compile(wanted + last, re.DOTALL)


def _translate_name(part: str) -> str:
    """Return the expression for one name."""
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)
