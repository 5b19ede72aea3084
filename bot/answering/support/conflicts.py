"""Find contradictions: a passage says nearly the same with another number, name, order or negation. Pure.

A wrongly removed true sentence is the worst error, so a conflict needs many common words.
"""

from __future__ import annotations

import re

from bot.answering.support.alignment import Alignment
from bot.answering.support.claims import Claims, carries_meaning
from bot.answering.support.matching import Match
from bot.answering.support.quantities import PLAIN, Mention, meets_any
from knowledge.lexical.terms import stem

_COMMON_NUMBER, _COMMON = 0.6, 0.75
"""The least share of a sentence's words in the stretch: for numbers with a unit, and for other contradictions."""
_COMMON_WORDS = 3
_KEPT = 0.6
_BOUND = re.compile(
    r"up to|at (?:most|least)|(?:more|less|fewer|longer|later|earlier) than|exceed|below|under|above|over|within"
    r"|(?:max|min)imum|[多少高低晚早]于|至[多少]|最[多少]|超过|不足|以[下内上]"
    r"|\d\s*(?:to|through|until|till|-|~)\s*\d"
    r"|[\d一二三四五六七八九十百千万年月日号时点分天元岁%]\s*[至到]\s*[\d一二三四五六七八九十]"
)
"""What makes a number a bound or a range, of which another may be an instance: 40 of "up to 50", 7 of "5 to 10"."""
_BOUND_BEFORE, _BOUND_AFTER = 16, 6
"""Characters before and after a number in which its bound stands: "not more than €", 元以上, "5 to 10"."""
_OWN_NEGATION = re.compile(
    r", (?:and )?not\b|rather than|instead of|而不是|而非|\bunless\b|\bexcept\b|\bonly (?:if|when)\b|除非|否则|只有"
)
"""What denies something else ("two weeks, not three"), or says without "not" the same ("only if it is on")."""
_AND = r"\s*(?:,|、|/|and|or|和|与|及|或)\s*(?:the |an? )?"


def is_contradicted(found: Match) -> bool:
    """Return whether the stretch that a sentence matches contradicts it."""
    here, stretch = found.sentence, found.stretch
    if found.across or not here.words:
        return False
    shared = len(here.words & stretch.words)
    common = shared / len(here.words)
    if common < _COMMON_NUMBER or shared < min(_COMMON_WORDS, len(here.words)):
        return False
    same_polarity = here.is_negated == stretch.is_negated  # "not in 1964" agrees with "in 1965"
    # The negation in one cell of a row says nothing of its numbers.
    if (same_polarity or (found.is_row and not here.is_negated)) and _has_other_number(found, exact=common < _COMMON):
        return True
    alignment = found.alignment
    if common < _COMMON or alignment is None or alignment.kept_share < _KEPT:
        return False
    if alignment.is_negated:
        own = _OWN_NEGATION.search(f"{here.text}\n{stretch.text}")
        return not (own or any(map(_replaces_word, alignment.changed_words)))
    opposed = alignment.has_opposite and not alignment.swapped_words  # both are there, in another order
    # A passage that has the name elsewhere may say the same of it: "The same holds for Dublin."
    strange = (
        name
        for name in alignment.renamed_names
        if not found.passage.whole.all_words.issuperset(map(stem, name.split("_")))
    )
    return opposed or _has_swap(alignment, stretch.text) or (same_polarity and any(strange))


def _replaces_word(change: tuple[str, str]) -> bool:
    return all(carries_meaning(word) or word[0].isdigit() for word in change)


def _has_other_number(found: Match, *, exact: bool) -> bool:
    """Return whether the stretch has another number of the same kind in place of one that the passage does not have.

    If the stretch is a row with none of the sentence's numbers, a number of another row counts as another number.
    ``exact`` leaves out numbers without a unit, and years: those may be of anything.
    """
    loose = {PLAIN, "year"} if exact else set()
    mine = found.sentence.figures
    is_other_row = found.is_row and not any(meets_any(number, found.stretch.numbers) for number in mine)
    known = found.stretch.numbers if is_other_row else found.passage.whole.numbers
    strange = [number for number in mine if not meets_any(number, known)]
    unsaid = [number for number in found.stretch.figures if not meets_any(number, mine)]
    return any(
        (one.kinds & other.kinds) - loose and _is_bound(one, found.sentence) == _is_bound(other, found.stretch)
        for one in strange
        for other in unsaid
    )


def _is_bound(number: Mention, claims: Claims) -> bool:
    surroundings = claims.text[max(0, number.start - _BOUND_BEFORE) : number.end + _BOUND_AFTER]
    return _BOUND.search(surroundings) is not None


def _has_swap(alignment: Alignment, stretch: str) -> bool:
    """Return whether two words changed places that are not joined by "and": those may stand in any order.

    Where more than two changed places, whole clauses may have.
    """
    if len(alignment.swapped_words) != 1:
        return False
    (pair,) = alignment.swapped_words
    one, other = map(re.escape, pair)
    if not all(map(carries_meaning, pair)):
        return False
    return not re.search(rf"{one}\w*{_AND}{other}|{other}\w*{_AND}{one}", stretch)
