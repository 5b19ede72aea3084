"""Which things a text names, from a small bilingual list: a department, a weekday, a channel, common words of work.

Names that exclude each other make the difference between "approved by finance" and "approved by legal" visible, and the
list lets an English and a Chinese text be compared word by word where embeddings only say that they are alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

_IDEOGRAPH = re.compile(r"[㐀-鿿]")


@dataclass(frozen=True, slots=True)
class Concept:
    """Something that a text names."""

    group: str
    member: int
    exclusive: bool
    """Whether the members of the group exclude each other."""


@dataclass(frozen=True, slots=True)
class _Lexicon:
    english: re.Pattern[str]
    chinese: re.Pattern[str]
    concepts: dict[str, tuple[Concept, ...]]


@lru_cache(maxsize=4096)
def concepts(text: str) -> frozenset[Concept]:
    """Return what a text names; ``text`` has passed through ``quantities.normal``."""
    lexicon = _lexicon()
    found = [match[1] for match in lexicon.english.finditer(text)]
    found += [match[0] for match in lexicon.chinese.finditer(text)]
    return frozenset(concept for name in found for concept in lexicon.concepts[name])


@cache
def _lexicon() -> _Lexicon:
    names: dict[str, set[Concept]] = {}
    for line in resources.files("bot.answering.verification").joinpath("lexicon.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            _read(line, names)
    _close(names)
    longest_first = sorted(names, key=len, reverse=True)
    english = "|".join(re.escape(name) for name in longest_first if not _IDEOGRAPH.search(name))
    chinese = "|".join(re.escape(name) for name in longest_first if _IDEOGRAPH.search(name))
    return _Lexicon(
        re.compile(rf"\b({english})(?:e?s|e?d|ing|r)?\b"),
        re.compile(chinese),
        {name: tuple(found) for name, found in names.items()},
    )


def _close(names: dict[str, set[Concept]]) -> None:
    """Let a longer name ("annual rate") mean what the names inside it do ("annual"), except within its own group."""
    for name, meant in names.items():
        groups = {concept.group for concept in meant}
        for inner in _inner(name, names):
            meant |= {concept for concept in names[inner] if concept.group not in groups}


def _inner(name: str, names: dict[str, set[Concept]]) -> list[str]:
    if _IDEOGRAPH.search(name):
        pieces = {name[i:j] for i in range(len(name)) for j in range(i + 2, len(name) + 1)}
    else:
        words = name.split()
        pieces = {" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    return sorted((pieces & names.keys()) - {name})


def _read(line: str, names: dict[str, set[Concept]]) -> None:
    """Add one line's names: "!group: english, english / 中文，中文 | …"."""
    group, _, members = line.partition(":")
    for number, member in enumerate(members.split("|")):
        for name in re.split(r"[,/，]", member):
            if name.strip():
                concept = Concept(group.strip("! "), number, group.startswith("!"))
                names.setdefault(name.strip().lower(), set()).add(concept)
