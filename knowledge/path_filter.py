"""Which paths a source takes, by patterns as people write them: pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

_WILD = re.compile(r"[*?]")


def compile_path_filter(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether a path is taken.

    A pattern starts at the root and takes what is below it too: ``docs``, ``docs/*.md``, ``**/guides``. ``*`` and ``?``
    stay within one name, ``**`` goes through any number of folders, ``!`` in front leaves out what an earlier pattern
    took. The last pattern that matches decides; where only exceptions are named, everything else is taken.
    """
    rules = [(not pattern.startswith("!"), _compile_pattern(pattern.removeprefix("!"))) for pattern in patterns]
    default = all(not takes for takes, _ in rules)

    def takes(path: str) -> bool:
        return next((taken for taken, rule in reversed(rules) if rule.fullmatch(path)), default)

    return takes


def find_literal_roots(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return folders or files below which lies all that the patterns take; none means that it may lie anywhere."""
    taking = [pattern.strip("/") for pattern in patterns if not pattern.startswith("!")]
    roots = ["/".join(_take_literal_parts(pattern.split("/"))) for pattern in taking]
    return tuple(dict.fromkeys(roots)) if roots and all(roots) else ()


def _take_literal_parts(parts: Iterable[str]) -> list[str]:
    found: list[str] = []
    for part in parts:
        if _WILD.search(part):
            break
        found.append(part)
    return found


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    parts = pattern.strip("/").split("/")
    wanted = "".join("(?:[^/]+/)*" if part == "**" else f"{_translate_name(part)}/" for part in parts[:-1])
    last = ".*" if parts[-1] == "**" else f"{_translate_name(parts[-1])}(?:/.*)?"
    return re.compile(wanted + last, re.DOTALL)


def _translate_name(part: str) -> str:
    """Return the expression for one name."""
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in part)
