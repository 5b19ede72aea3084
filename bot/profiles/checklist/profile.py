"""A profile of kind ``checklist``: statements, each with rules for the clauses that entail or contradict it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from bot.languages.registry import Language
from bot.profiles.key_checks import KeyChecks
from bot.profiles.profile import Profile

KIND: Final = "checklist"
_PROFILE_KEYS: Final = ("instructions", "words", "common_words", "statements")
_STATEMENT_KEYS: Final = (
    "name", "title", "statement", "search", "entailed", "contradicted", "exclude", "prefer", "most",
)  # fmt: skip
_MAX_STATEMENTS: Final = 100
_MAX_CLAUSES: Final = 20
_COMMON_SHARE: Final = 0.05
_WORD: Final = re.compile(r"[^\W\d_]+")

Side = Literal["entailed", "contradicted"]
SIDES: Final[tuple[Side, ...]] = ("entailed", "contradicted")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a lawyer wants to know of a contract, worded as a statement."""

    name: str
    title: Mapping[Language, str]
    text: Mapping[Language, str]
    search: Mapping[Language, str]
    patterns: Mapping[Side, tuple[re.Pattern[str], ...]] = field(repr=False)
    """Rules that find clauses which entail or contradict it."""
    exclude: tuple[re.Pattern[str], ...] = field(repr=False)
    """A clause that one of these finds something in says nothing about it."""
    prefer: Side
    """What holds where clauses of both sides are found: an exception may be either."""
    most: int

    @property
    def has_rules(self) -> bool:
        """Return whether it can be answered without the engine."""
        return any(self.patterns.values())


@dataclass(frozen=True, slots=True)
class Checklist:
    """The statements of a profile, and what the engine is told."""

    profile: Profile
    statements: tuple[Statement, ...]
    instructions: Mapping[Language, str] = field(repr=False)
    common_words: frozenset[str] = field(default=frozenset(), repr=False)
    """Words that stand everywhere in the language of the rules; without any, the rules read every text."""

    def reads_text(self, texts: Sequence[str]) -> bool:
        """Return whether a contract is in the language of the rules: enough of its words are common ones."""
        words = [word for text in texts for word in _WORD.findall(text.lower())]
        return sum(word in self.common_words for word in words) >= _COMMON_SHARE * len(words) or not self.common_words

    def without_rules(self) -> Checklist:
        """Return the checklist as only an engine can answer it."""
        return replace(
            self, statements=tuple(replace(one, patterns=dict.fromkeys(SIDES, ())) for one in self.statements)
        )


def read_checklist(profile: Profile) -> Checklist:
    """Return the checklist of a profile.

    Raises:
        ProfileError: a key or a file is wrong.

    """
    table = profile.table
    profile.refuse_unknown_keys(table, _PROFILE_KEYS, "the profile")
    check = KeyChecks(profile)
    words = check.read_word_lists(table)
    statements = check.read_named_tables(
        table, "statements", _MAX_STATEMENTS, lambda one: _read_statement(check, one, words)
    )
    instructions = check.read_texts(table, "instructions", "the profile", required=True)
    common = check.take(table, "common_words", list, default=[])
    if not all(isinstance(one, str) for one in common):
        raise check.fail("common_words is a list of words in the language of the rules.")
    return Checklist(profile, statements, instructions, frozenset(one.lower() for one in common))


def _read_statement(check: KeyChecks, table: Mapping[str, Any], words: Mapping[str, str]) -> Statement:
    name = check.read_name(table, "statement")
    where = f"the statement {name!r}"
    check.profile.refuse_unknown_keys(table, _STATEMENT_KEYS, where)
    prefer = table.get("prefer", "entailed")
    if prefer not in SIDES:
        raise check.fail(f"{where}: prefer is one of {', '.join(SIDES)}.")
    return Statement(
        name,
        check.read_texts(table, "title", where, required=True),
        check.read_texts(table, "statement", where, required=True),
        check.read_texts(table, "search", where, required=True),
        {side: check.compile_patterns(table, side, words, where) for side in SIDES},
        check.compile_patterns(table, "exclude", words, where),
        prefer,
        check.read_most(table, 3, _MAX_CLAUSES, where),
    )
