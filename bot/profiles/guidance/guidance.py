"""Reads a profile of kind ``guidance``: rules that say which sentence of a guideline warns of what a case mentions.

A rule fires also where the mention is denied ("no dialysis"): a person reads the warning and decides.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bot.answering.markdown.link_policy import strip_invisible_characters
from bot.errors import SettingsError
from bot.profiles.profile import Profile, ProfileError
from knowledge.tables import ROW_MARKER, read_rows

_RULE_KEYS: Final = ("name", "mentions", "values", "quote")
_VALUE_KEYS: Final = ("name", "below", "above")
_BEHIND_CHARS: Final = 400
_WINDOW_CHARS: Final = 40
"""A number that begins so far behind the one before it is no longer a value of this name."""
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_DAY: Final = rf"(?:\d{{1,2}}(?:st|nd|rd|th)?[. ]{{1,2}}{_MONTH}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?)\b"
_NO_VALUE: Final = re.compile(
    r"1[.,]73\s?m(?![a-z])(?:\s?\^?2(?![\d.,]))?"  # of mL/min/1.73 m²
    r"|\bm\^?[23]\b"
    r"|(?:[x×*]\s?)?\b10\s?[\^*e]?\s?(?:3|6|9|12)\s?/\s?[lμu]\b"
    r"|/\s?24\s?h\b"
    r"|(?<![\d.,])(?:\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})|\d{1,2}/\d{1,2}/\d{4})(?![\d.]\d)"
    r"|\d{4}年(?:\d{1,2}月)?(?:\d{1,2}[日号])?|\d{1,2}月\d{1,2}[日号]"
    # A day and its month count only with such a mark: "eGFR 24. May I …" has no date.
    rf"|(?:\b(?:on|since|dated) (?:the )?|(?<![\d.,])){_DAY},? (?:19|20)\d\d\b"
    rf"|\b(?:on|since|dated) (?:the )?{_DAY}|\({_DAY}\)|(?<![\d.,]){_DAY}(?=:)"
    rf"|\b(?:in|since|{_MONTH}),? (?:19|20)\d\d\b",
    re.IGNORECASE,
)
# The value in "eGFR 24. June 2026". The number behind "eGFR 3 May 2026: 88" shows that the day is none.
_FIRST_DAY: Final = re.compile(
    rf"[^\d;\n]{{0,{_WINDOW_CHARS}}}(?<!\bon )(?<!\bsince )(?<!\bdated )(?<!\bthe )(?<!\()"
    rf"(\d{{1,2}})[. ]{{1,2}}{_MONTH},? (?:19|20)\d\d\b(?![\s:=|]{{0,3}}\d)",
    re.IGNORECASE,
)
# Brackets, and whether the value of the name stands behind them.
_BRACKETS: Final = re.compile(
    r"[(\[][^()\[\]]{0,120}[)\]]"
    r"(?=(?P<value>[^\d;,.\n]{0,16}[:=]\s{0,2}\d|\s{0,2}(?:(?:is|was|now|today)\s{1,2}){0,2}\d)?)"
)
# A value at the end of the text before brackets: "4.2 mmol/l H (3.5-5.1)".
_VALUE_BEFORE: Final = re.compile(r"\d\s?[^\s\d()\[\]]{0,16}(?:\s{1,2}[HL*+↑↓]{1,2})?\s{0,3}\Z")
# What brackets, and the head of a column, say of values that are nobody's.
_REFERENCE: Final = re.compile(r"\bref|\bnorm(?:al)?(?: range| values?)?:? ?\d|参考|正常", re.IGNORECASE)
_REFERENCE_HEAD: Final = re.compile(
    r"\W{0,3}(?:ref|norm|range|interval|(?:low(?:er)?|upper|high)(?: limit)?\W{0,3}\Z|参考|正常|[上下]限)",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_RANGE_OR_YEAR: Final = re.compile(rf"(?<![\d.,])\d+(?:[.,]\d+)*\s?(?:[-–—~至]|to)\s?\d+(?:[.,]\d+)*|{_YEAR.pattern}")
_VALUES: Final = re.compile(r"[^\d;\n]{0,60}(?:\n[^\d;\n]{0,24})?;?(\d[^;\n]*)")
"""What follows a name up to the end of a line: one line may end before the first number."""
_OTHER_NAME: Final = re.compile(
    r"\b(?:potassium|sodium|chloride|calcium|creatinine|urea|glucose|ha?emoglobin|HbA1c|Hb|Na|INR|CRP|ALT|AST|TSH"
    r"|eGFR|GFR|BP|HR|pulse|weight|age|aged|BMI|QTc)\b|\bK\+",
    re.IGNORECASE,
)
_LESS: Final = re.compile(
    r"[<≤≦⩽]|\b(?:below|beneath|under|less|lower|at most)\b|低于|小于|少于|不足|不到|以下", re.IGNORECASE
)
_MORE: Final = re.compile(
    r"[>≥≧⩾]|\b(?:above|over|more|greater|higher|exceed(?:s|ed|ing)?|at least)\b|高于|大于|多于|超过|以上",
    re.IGNORECASE,
)
_THOUSANDS: Final = r"[1-9]\d{0,2}(?:[,'’]\d{3})+(?!\d)(?:\.\d+)?"
_READING: Final = re.compile(
    r"(?<![A-Z\d])(?<!\d[.,])"  # not the stage in "CKD3" or "G4"
    rf"({_THOUSANDS}|[1-9]\d{{0,2}}(?:\.\d{{3}})+,\d+|\d+(?:[.,]\d+)?)"
    r"(?P<dose>(?i:\s?-?(?:m?g|[μu]g|mcg|IU|units?|years?|yrs?|months?|weeks?|days?|h|hours?|tablets?)(?:/d(?:ay)?)?"
    r"(?![\w/]))|\s?(?:毫克|岁|个月|周|天))?"
)
_LATIN: Final = 0x24F


@dataclass(frozen=True, slots=True)
class ValueLimit:
    """A measured value, such as an eGFR, and the limit beyond which a rule applies."""

    pattern: re.Pattern[str]
    below: float
    above: float

    def is_crossed(self, text: str) -> bool:
        """Return whether any value of this name in a text is below or above the limit.

        Where several numbers may be the value, one is enough: a person reads the warning and decides.
        """
        places = [found.span() for found in self.pattern.finditer(text)]
        behind = (
            text[begin : min(end, begin + _BEHIND_CHARS)]
            for (_, begin), (end, _) in pairwise([*places, (len(text), 0)])
        )
        return any(self._is_beyond(*reading) for one in behind for reading in _list_readings(one))

    def _is_beyond(self, value: float, words: str) -> bool:
        """Return whether a value is beyond the limit, or is the limit with words such as "below"."""
        if value in {self.below, self.above}:
            return (_LESS if value == self.below else _MORE).search(words) is not None
        return value < self.below or value > self.above


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
        folded = "\n".join(_describe_rows(_fold_forms(text).split("\n")))
        return tuple(dict.fromkeys(rule.quote for rule in self.rules if rule.applies(folded)))


def _describe_rows(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines; after a row of a table also its cells alone, and its heads, which are values in a file without."""
    for line, row in zip(lines, read_rows(lines), strict=True):
        described = line.removeprefix(ROW_MARKER) if line.startswith(ROW_MARKER) else row
        if described is None or "; " not in described:
            yield line if described is None else described
            continue
        pairs = [cell.rpartition(": ") for cell in described.split("; ")]
        heads, _, cells = map(" | ".join, zip(*pairs, strict=True))
        own = " | ".join(cell for head, _, cell in pairs if not _REFERENCE_HEAD.match(head))
        yield f"\n\n{described}\n\n{heads}\n\n{own if any(map(str.isdigit, _NO_VALUE.sub(' ', own))) else cells}\n\n"


def _list_readings(behind: str) -> Iterator[tuple[float, str]]:
    """Yield the numbers that may be the value of the name before this text, each with the words around it."""
    if day := _FIRST_DAY.match(behind):
        yield float(day[1]), ""
    cleaned = _NO_VALUE.sub(" ", behind)
    found = _VALUES.match(_BRACKETS.sub(_clean_brackets, cleaned)) or _VALUES.match(cleaned)
    if found is None:
        return
    other = _OTHER_NAME.search(found.string, found.start(1), found.end())
    text, last = found.string[: other.start() if other else found.end()], found.start(1)
    readings = list(_READING.finditer(text, last))
    for reading in readings:
        # The dose of a medicine or an age follows many values; it counts only if the value itself is one.
        if reading.start() - last < _WINDOW_CHARS and (not reading["dose"] or readings[0]["dose"]):
            yield (
                _parse_number(reading[1]),
                text[max(0, reading.start() - _WINDOW_CHARS) : reading.end() + _WINDOW_CHARS],
            )
            last = reading.end()


def _clean_brackets(found: re.Match[str]) -> str:
    """Return brackets without years, and without a range if the value stands next to it; "" if no number is left."""
    before = found.string[max(0, found.start() - _WINDOW_CHARS) : found.start()]
    is_reference = found["value"] or _REFERENCE.search(found[0]) or _VALUE_BEFORE.search(before)
    left = (_RANGE_OR_YEAR if is_reference else _YEAR).sub(" ", found[0])
    return left if any(map(str.isdigit, left)) else ""


def _parse_number(text: str) -> float:
    """Return a number. Three digits behind a comma are thousands, as in 1,200; otherwise a comma is for decimals."""
    if re.fullmatch(_THOUSANDS, text):
        return float(re.sub("[,'’]", "", text))
    whole, comma, decimals = text.rpartition(",")
    return float(f"{whole.replace('.', '')}.{decimals}" if comma else text)


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
            return ValueLimit(_compile_words(table["name"], before_digit=True), float(below), float(above))
    raise ProfileError(
        f'{profile.path}: each of the values of {where} needs names and a limit: {{name = ["eGFR"], below = 30}}.'
    )


def _is_words(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word.strip() for word in value)


def _compile_words(words: Sequence[str], *, before_digit: bool = False) -> re.Pattern[str]:
    """Return a pattern of any of these words; a Latin word stands alone, and any space may stand for another.

    ``before_digit`` says that a number may follow without a space.
    """
    bounded = (_bound_word(_fold_forms(word), before_digit=before_digit) for word in words)
    return re.compile("|".join(bounded), re.IGNORECASE)


def _bound_word(word: str, *, before_digit: bool) -> str:
    text, last = r"\s+".join(map(re.escape, word.split())), word.strip()[-1]
    behind = r"(?![^\W\d_])" if before_digit and not last.isdigit() else r"(?![^\W_])"
    return ("" if ord(word.strip()[0]) > _LATIN else r"(?<![^\W_])") + text + ("" if ord(last) > _LATIN else behind)


def _fold_forms(text: str) -> str:
    """Return a text with ordinary characters in place of full-width and raised ones, and without invisible ones."""
    return strip_invisible_characters(unicodedata.normalize("NFKC", re.sub(r"[\v\f\x85]", "\n", text)))
