"""Reads a profile of kind ``guidance``: rules that say which sentence of a guideline warns of what a case mentions.

A rule fires also where the mention is denied ("no dialysis"): a person reads the warning and decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from bot.errors import SettingsError
from bot.profiles.profile import Profile, ProfileError

_RULE_KEYS: Final = ("name", "mentions", "values", "quote")
_VALUE_KEYS: Final = ("name", "below", "above")
_GAP: Final = r"[^\d\n]{0,24}?"
_NUMBER: Final = r"(\d+(?:[.,]\d+)?)"
_LATIN: Final = 0x24F


@dataclass(frozen=True, slots=True)
class ValueLimit:
    """A measured value, such as an eGFR, and the limit beyond which a rule applies."""

    pattern: re.Pattern[str]
    below: float
    above: float

    def is_crossed(self, text: str) -> bool:
        """Return whether any value of this name in a text is below or above the limit."""
        values = [float(found[1].replace(",", ".")) for found in self.pattern.finditer(text)]
        return any(value < self.below or value > self.above for value in values)


@dataclass(frozen=True, slots=True)
class Rule:
    """A warning of a guideline, and when it applies: each group is mentioned, and each limit is crossed."""

    name: str
    quote: str
    """The sentence of the guideline, word for word."""
    mentions: tuple[re.Pattern[str], ...]
    """One for each group of words, of which one is enough."""
    limits: tuple[ValueLimit, ...]

    def applies(self, text: str) -> bool:
        """Return whether the rule applies to what is said about a case."""
        return all(group.search(text) for group in self.mentions) and all(one.is_crossed(text) for one in self.limits)


@dataclass(frozen=True, slots=True)
class WarningRules:
    """The rules of a profile; implements ``bot.answering.guidance.Guidance`` together with the names of sources."""

    rules: tuple[Rule, ...]
    within: str = ""

    def find_warnings(self, text: str) -> Sequence[str]:
        """Return the sentences of the rules that apply, in the order of the file."""
        return tuple(dict.fromkeys(rule.quote for rule in self.rules if rule.applies(text)))


def read_guidance(profile: Profile) -> WarningRules:
    """Return the rules of a profile.

    Raises:
        ProfileError: a key is unknown, or a rule is wrong; the rule is named.

    """
    profile.refuse_unknown_keys(profile.table, ("rule",), "the file")
    rules = profile.table.get("rule", [])
    if not isinstance(rules, list):
        raise ProfileError(f"{profile.path}: write rules with two brackets: [[rule]].")
    return WarningRules(tuple(_read_rule(profile, table, n) for n, table in enumerate(rules, 1)))


def select_guidelines(rules: WarningRules, sources: Collection[str], where: str) -> WarningRules:
    """Return the rules for the sources that are marked as guidelines.

    Raises:
        SettingsError: no source is marked.

    """
    if not sources:
        raise SettingsError(
            f'{where} answers from guidelines alone, but no source is one. Write kind_of = "guideline" into the'
            " [[source]] tables of your guidelines."
        )
    return WarningRules(rules.rules, " ".join(f'in:"{name}"' for name in sorted(sources)))


def _read_rule(profile: Profile, table: object, n: int) -> Rule:
    where = f"rule {n}"
    if not isinstance(table, dict):
        raise ProfileError(f"{profile.path}: {where} should be a table.")
    profile.refuse_unknown_keys(table, _RULE_KEYS, where)
    name, quote = table.get("name"), table.get("quote")
    if not (isinstance(name, str) and name.strip() and isinstance(quote, str) and quote.strip()):
        raise ProfileError(f"{profile.path}: {where} needs a name, and as its quote a sentence of the guideline.")
    groups, values = table.get("mentions", []), table.get("values", [])
    if not (isinstance(groups, list) and all(_is_words(group) for group in groups) and isinstance(values, list)):
        raise ProfileError(f'{profile.path}: mentions of {where} should be lists of words such as [["metformin"]].')
    if not groups:
        raise ProfileError(f"{profile.path}: {where} would always apply. Write at least one list of mentions.")
    limits = tuple(_read_limit(profile, value, where) for value in values)
    return Rule(name, " ".join(quote.split()), tuple(map(_compile_words, groups)), limits)


def _read_limit(profile: Profile, table: object, where: str) -> ValueLimit:
    if isinstance(table, dict):
        profile.refuse_unknown_keys(table, _VALUE_KEYS, f"values of {where}")
        limits = [table.get(key) for key in ("below", "above")]
        numbers = [limit for limit in limits if isinstance(limit, int | float) and not isinstance(limit, bool)]
        if _is_words(table.get("name")) and numbers == [limit for limit in limits if limit is not None] != []:
            below, above = table.get("below", -math.inf), table.get("above", math.inf)
            return ValueLimit(_compile_words(table["name"], f"{_GAP}{_NUMBER}"), float(below), float(above))
    raise ProfileError(
        f'{profile.path}: each of the values of {where} needs names and a limit: {{name = ["eGFR"], below = 30}}.'
    )


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word.strip() for word in value)


def _compile_words(words: Sequence[str], behind: str = "") -> re.Pattern[str]:
    """Return a pattern of any of these words; a Latin word stands alone, and any space may stand for another."""
    return re.compile(f"(?:{'|'.join(map(_bound_word, words))}){behind}", re.IGNORECASE)


def _bound_word(word: str) -> str:
    text = r"\s+".join(map(re.escape, word.split()))
    return (
        ("" if ord(word.strip()[0]) > _LATIN else r"(?<![^\W_])")
        + text
        + ("" if ord(word.strip()[-1]) > _LATIN else r"(?![^\W_])")
    )
