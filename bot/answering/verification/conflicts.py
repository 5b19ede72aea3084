"""Whether a passage contradicts a sentence: it says nearly the same with another number, name, order or negation. Pure.

A wrongly removed true sentence is the worst error, so a conflict needs many common words.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise

from bot.answering.verification.alignment import Alignment
from bot.answering.verification.claims import carries_meaning
from bot.answering.verification.matching import Match
from bot.answering.verification.quantities import PLAIN, Mention, keep_figures, meets_any

_COMMON_NUMBER, _COMMON = 0.6, 0.75
"""The share of a sentence's words that the stretch has to have: beside another number with a unit, beside others."""
_COMMON_WORDS = 3
_KEPT = 0.6
_UPPER = re.compile(
    r"up to|at most|(?:not?|never) (?:more|longer|later) than|not exceed|below|under|less than|fewer than|within"
    r"|maximum|不超过|不[多高晚]于|至多|最多|[少低]于|以[下内]"
)
_LOWER = re.compile(
    r"at least|(?:not?|never) (?:less|fewer|earlier) than|above|over|more than|exceed|minimum"
    r"|不[少低早]于|不足|至少|最少|超过|[多高]于|以上"
)
_BOUND_BEFORE, _BOUND_AFTER = 16, 3
"""Characters before and behind a number in which its bound stands: "not more than €", 元以上."""
_CONTRAST = re.compile(r", (?:and )?not\b|rather than|instead of|而不是|而非")
"""What it denies is another thing: "two weeks, not three"."""
_CONDITION = re.compile(r"\bunless\b|\bexcept\b|\bonly (?:if|when)\b|除非|否则|只有")
"""It can be said with a negation more or less: "not unless it is on", "only if it is on"."""
_RANGE = re.compile(r"\s*(?:to|through|until|till|-|~|至|到)\s*")
_AND = r"\s*(?:,|、|/|and|or|和|与|及|或)\s*(?:the |an? )?"


def is_contradicted(found: Match) -> bool:
    """Return whether the stretch that a sentence matches contradicts it."""
    here, stretch = found.sentence.claims, found.stretch.claims
    if found.across or not here.words:
        return False
    shared = len(here.words & stretch.words)
    common = shared / len(here.words)
    if common < _COMMON_NUMBER or shared < min(_COMMON_WORDS, len(here.words)):
        return False
    same_polarity = here.negated == stretch.negated  # "not in 1964" agrees with "in 1965"
    if same_polarity and _has_other_number(found, exact=common < _COMMON):
        return True
    alignment = found.alignment
    if common < _COMMON or alignment is None or alignment.kept < _KEPT:
        return False
    if alignment.negated:
        turned = _CONTRAST.search(here.text) or _CONDITION.search(f"{here.text}\n{stretch.text}")
        return not (turned or any(map(_replaces_word, alignment.changed)))
    renames = same_polarity and _renames(alignment, found)
    opposed = alignment.opposed and not alignment.swapped  # both are there, in another order
    return opposed or _swaps(alignment, stretch.text) or renames


def _replaces_word(change: tuple[str, str]) -> bool:
    return all(carries_meaning(word) or word[0].isdigit() for word in change)


def _has_other_number(found: Match, *, exact: bool) -> bool:
    """Return whether the stretch has another number of the same kind in place of one that the passage does not have.

    ``exact`` leaves out numbers without a unit, and years: those may be of anything.
    """
    loose = {PLAIN, "year"} if exact else set()
    mine, theirs = keep_figures(found.sentence.claims.numbers), keep_figures(found.stretch.claims.numbers)
    here, stretch = found.sentence.claims.text, found.stretch.claims.text
    ranges = [(one, two) for one, two in pairwise(theirs) if _RANGE.fullmatch(stretch[one.end : two.start])]
    strange = [
        number
        for number in mine
        if not meets_any(number, found.passage.whole.claims.numbers)
        and not any(_is_between(number, *ends) for ends in ranges)
    ]
    unsaid = [number for number in theirs if not meets_any(number, mine)]
    return any(
        (_kinds(one) & _kinds(other)) - loose and not _is_within(one, here, other, stretch)
        for one in strange
        for other in unsaid
    )


def _is_between(number: Mention, first: Mention, last: Mention) -> bool:
    """Return whether a number is in a range; the first end may be without a unit: 7 of "5 to 10 minutes"."""
    least = min(reading.value for reading in first.readings)
    return any(least <= a.value <= b.value for a in number.readings for b in last.readings if a.kind == b.kind)


def _is_within(number: Mention, text: str, bound: Mention, stretch: str) -> bool:
    """Return whether a number is an instance of a bound: 40 of "up to 50"."""
    at, here = _surroundings(bound, stretch), _surroundings(number, text)
    if _UPPER.search(here) or _LOWER.search(here):
        return False
    values = [(a.value, b.value) for a in number.readings for b in bound.readings if a.kind == b.kind]
    if _UPPER.search(at):
        return any(mine <= most for mine, most in values)
    return _LOWER.search(at) is not None and any(mine >= least for mine, least in values)


def _surroundings(number: Mention, text: str) -> str:
    return text[max(0, number.start - _BOUND_BEFORE) : number.end + _BOUND_AFTER]


def _kinds(number: Mention) -> set[str]:
    return {reading.kind for reading in number.readings}


def _swaps(alignment: Alignment, stretch: str) -> bool:
    """Return whether two words changed places that are not joined by "and": those may stand in any order.

    Where more than two changed places, whole clauses may have.
    """
    if len(alignment.swapped) != 1:
        return False
    (pair,) = alignment.swapped
    one, other = map(re.escape, pair)
    if not all(map(carries_meaning, pair)):
        return False
    return not re.search(rf"{one}\w*{_AND}{other}|{other}\w*{_AND}{one}", stretch)


def _renames(alignment: Alignment, found: Match) -> bool:
    """Return whether a name that the passage does not have stands in place of one that the sentence does not have."""
    here, there = found.sentence.claims, found.stretch.claims
    mine = {name for name in here.identifiers | here.names if not found.passage.whole.claims.holds(name)}
    theirs = {name for name in there.identifiers | there.names if not here.holds(name)}
    return any(
        _is_of(new, mine) and _is_of(old, theirs) and old not in new and new not in old
        for old, new in alignment.changed
    )


def _is_of(word: str, names: Collection[str]) -> bool:
    """Return whether an aligned word, or one of the words of an aligned name, is of a name."""
    return any(part in name for name in names for part in word.split("_"))
