"""Whether a passage contradicts a sentence: it says nearly the same with another number, name, order or negation. Pure.

A wrongly removed true sentence is the worst error, so a conflict needs many common words.
"""

from __future__ import annotations

import re

from bot.answering.verification.claims import carries_meaning
from bot.answering.verification.features import denies, missing, opposed
from bot.answering.verification.matching import Match
from bot.answering.verification.quantities import Mention, figures, meets_any
from bot.answering.verification.word_order import Alignment

_COMMON_NUMBER, _COMMON = 0.6, 0.75
"""The share of a sentence's words that the stretch has to have: beside another number, and beside anything else."""
_COMMON_WORDS = 3
_KEPT = 0.6
_AND = r"\s*(?:,|、|/|and|or|和|与|及|或)\s*(?:the |an? )?"


def contradicts(found: Match) -> bool:
    """Return whether the stretch that a sentence matches contradicts it."""
    here, stretch = found.sentence.claims, found.stretch.claims
    if found.across or not here.words:
        return False
    shared = len(here.words & stretch.words)
    common = shared / len(here.words)
    if common < _COMMON_NUMBER or shared < min(_COMMON_WORDS, len(here.words)):
        return False
    if _has_other_number(found):
        return True
    if common < _COMMON:
        return False
    if denies(here, found.passage.whole.claims, stretch) or opposed(here, stretch) - found.passage.whole.claims.sides:
        return True
    return _has_other_word(found)


def _has_other_number(found: Match) -> bool:
    """Return whether the stretch has another number of the same kind in place of one that the passage does not have."""
    mine, theirs = figures(found.sentence.claims.numbers), figures(found.stretch.claims.numbers)
    strange = [number for number in mine if not meets_any(number, found.passage.whole.claims.numbers)]
    unsaid = [number for number in theirs if not meets_any(number, mine)]
    return any(_kinds(one) & _kinds(other) for one in strange for other in unsaid)


def _kinds(number: Mention) -> set[str]:
    return {reading.kind for reading in number.readings}


def _has_other_word(found: Match) -> bool:
    """Return whether two words changed places, or a name stands in place of another one."""
    alignment = found.alignment
    if alignment is None:
        return False
    return _swaps(alignment, found.stretch.claims.text) or (
        any(missing(found.sentence, found.passage.whole)[kind] for kind in ("identifier", "name"))
        and _renames(alignment, found)
    )


def _swaps(alignment: Alignment, stretch: str) -> bool:
    """Return whether two words changed places that are not joined by "and": those may stand in any order.

    Where more than two changed places, whole clauses may have.
    """
    pairs = [(old, new) for old, new in alignment.changed if (new, old) in alignment.changed and old < new]
    if len(pairs) != 1 or alignment.kept < _KEPT or not all(map(carries_meaning, pairs[0])):
        return False
    one, other = map(re.escape, pairs[0])
    return not re.search(f"{one}{_AND}{other}|{other}{_AND}{one}", stretch)


def _renames(alignment: Alignment, found: Match) -> bool:
    here, there = found.sentence.claims, found.stretch.claims
    mine = {name for name in here.identifiers | here.names if not found.passage.whole.claims.holds(name)}
    theirs = {name for name in there.identifiers | there.names if not here.holds(name)}
    return any(
        any(new in name for name in mine) and any(old in name for name in theirs) for old, new in alignment.changed
    )
