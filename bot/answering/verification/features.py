"""How well a passage bears out a sentence, as a few numbers that each say one thing.

Pure. Overlap and likeness speak for a sentence; a number, a name or a condition that the passage does not have speaks
against it, however alike the two are. ``support`` weighs them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.claims import Claims
from bot.answering.verification.lexicon import Concept
from bot.answering.verification.passages import AnalysedPassage, AnalysedSentence, AnalysedText
from bot.answering.verification.quantities import Mention, figures, normal
from bot.answering.verification.word_order import alignment, disorder, known_words, substituted, swapped

FEATURES = (
    "cosine",
    "overlap",
    "shared_names",
    "number",
    "identifier",
    "name",
    "rival",
    "stranger",
    "elsewhere",
    "binding",
    "binding_wide",
    "denied",
    "undenied",
    "negation",
    "new_negation",
    "side",
    "new_side",
    "scope",
    "rate",
    "each",
    "order",
    "swapped",
    "substituted",
    "count",
)
"""What ``compute_features`` returns, in order; the first three speak for a sentence, the others against it.

cosine        likeness to the passage's best stretch (one sentence or two together), 0 to 1
overlap       share of the sentence's words, numbers and names found in that stretch
shared_names  share of the things it names (``lexicon``) that the passage names
number        it states a number that the passage does not
identifier    it has a code, version or address that the passage has not
name          it has a brand, acronym or quoted name that the passage has not
rival         it names one of several that exclude each other, and the passage only another
stranger      it names such a thing, and the passage none of its kind
elsewhere     it names such a thing where the stretch names another, though the passage has both
binding       its number or code stands with other words in the passage than here: share of the words, by clause
binding_wide  the same, by whole sentences and semicolons
denied        it denies what the stretch affirms
undenied      it affirms what the stretch denies
negation      one of the two has a negation and the other has not
new_negation  it has a negation and the whole passage has none
side          it is on the other side of a scale (before, after) than the stretch
new_side      … and the passage is never on its side
scope         it says all, only, any time or automatically, and the passage does not
rate          per second instead of per minute
each          every year instead of every two years
order         nearly all of its words are the stretch's, in another order
swapped       word for word the stretch, but for two that changed places
substituted   word for word the stretch, but for one that the passage does not know
count         "one approval" where the passage counts another number of them
"""


_COSINE_ENOUGH, _COSINE_ENOUGH_ACROSS, _OVERLAP_ENOUGH = 0.90, 0.86, 0.4
"""Likeness counts up to where unrelated texts end (98 % of them are below). Above, it says nothing more: a sentence
with one word changed is more alike to its passage than a good paraphrase."""
_INITIAL = re.compile(r"[a-z]+")
_ONE = re.compile(r"\bone\b|一|单")
_ONE_OF = re.compile(r"\b(?:one|a single|single) ([a-z]+)")
_SOME_OF = re.compile(r"\b(?:two|three|four|five|six|both|[2-9]|\d\d+) (?:[a-z]+ )?([a-z]+?)s\b")


def compute_features(
    sentence: AnalysedSentence, passage: AnalysedPassage, cosines: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the features of ``FEATURES`` for a sentence and a passage.

    Args:
        sentence: what is to be borne out.
        passage: what may bear it out; it has at least one stretch.
        cosines: the sentence's likeness to each stretch, shape ``(stretches,)``.

    """
    across = sentence.chinese != passage.chinese
    index, overlap = _best_stretch(sentence, passage, cosines, across=across)
    stretch, here, there = passage.stretches[index], sentence.whole, passage.whole
    aligned = None if across else alignment(here.text, stretch.whole.text)
    values = {
        "cosine": min(float(cosines[index]), _COSINE_ENOUGH_ACROSS if across else _COSINE_ENOUGH),
        "overlap": overlap if across else min(overlap, _OVERLAP_ENOUGH),
        "shared_names": len(here.names & there.names) / len(here.names) if here.names else 0.7,
        **_missing(here, there),
        **_exclusion(here.names, there.names, stretch.whole.names),
        "binding": _binding(sentence.clauses, _clauses(passage), there, across=across),
        "binding_wide": _binding(sentence.segments, _segments(passage), there, across=across),
        **_polarity(here.claims, there.claims, stretch.whole.claims, across=across),
        "scope": bool(_missing_scope(here.claims, there.claims)),
        "rate": _other_rate(here.claims, there.claims),
        "each": _each(here.claims.numbers, stretch.whole.claims.numbers),
        "order": 0.0 if across else disorder(here.text, stretch.whole.text),
        "swapped": swapped(aligned),
        "substituted": bool(aligned)
        and substituted(aligned, known_words(there.text) | known_words(" ".join(here.claims.names))),
        "count": bool(_counted(_ONE_OF, here) & _counted(_SOME_OF, there) - _counted(_ONE_OF, there)),
    }
    return np.array([float(values[name]) for name in FEATURES])


def _singles(passage: AnalysedPassage) -> Iterable[AnalysedSentence]:
    return (stretch for stretch, single in zip(passage.stretches, passage.single, strict=True) if single)


def _clauses(passage: AnalysedPassage) -> list[AnalysedText]:
    return [clause for stretch in _singles(passage) for clause in stretch.clauses]


def _segments(passage: AnalysedPassage) -> list[AnalysedText]:
    return [segment for stretch in _singles(passage) for segment in stretch.segments]


def _meets(mention: Mention, others: Iterable[Mention]) -> bool:
    return any(mention.meets(other) for other in others)


def _best_stretch(
    sentence: AnalysedSentence, passage: AnalysedPassage, cosines: NDArray[np.float32], *, across: bool
) -> tuple[int, float]:
    """Return the stretch that speaks of the same most likely, and the overlap with it."""
    overlaps = [_overlap(sentence.whole, stretch.whole, across=across) for stretch in passage.stretches]
    # A pair of sentences has to be the better by a little, since it holds whatever its halves hold.
    handicap = np.where(passage.single, 0.0, 0.03)
    index = int(np.argmax(5.0 * cosines + np.array(overlaps) - handicap))
    return index, overlaps[index]


def _overlap(one: AnalysedText, other: AnalysedText, *, across: bool) -> float:
    here, there = one.claims, other.claims
    numbers, literal = figures(here.numbers), here.identifiers | here.names
    shared = len(one.names & other.names) + sum(_meets(number, there.numbers) for number in numbers)
    shared += sum(there.holds(name) for name in literal)
    total = len(one.names) + len(numbers) + len(literal)
    if not across:
        shared, total = shared + len(here.words & there.words), total + len(here.words)
    return shared / max(1, total)


def _missing(here: AnalysedText, there: AnalysedText) -> dict[str, bool]:
    numbers = figures(here.claims.numbers)
    return {
        "number": any(not _meets(number, there.claims.numbers) for number in numbers),
        "identifier": not all(there.claims.holds(name) for name in here.claims.identifiers),
        "name": not all(there.claims.holds(name) or _abbreviates(name, there.text) for name in here.claims.names),
    }


def _abbreviates(name: str, text: str) -> bool:
    """Tell whether a name is made of the initials of words that a text has side by side (SSO, single sign-on)."""
    if not (name.isascii() and name.isalpha() and 1 < len(name) < 6):  # noqa: PLR2004 - an acronym's length
        return False
    return name in "".join(word[0] for word in _INITIAL.findall(normal(text)))


def _exclusion(here: Collection[Concept], there: Collection[Concept], stretch: Collection[Concept]) -> dict[str, bool]:
    mine = {concept for concept in here if concept.exclusive}
    strange = {concept for concept in mine if concept not in there}
    shared_groups = {concept.group for concept in mine if concept in there}
    groups = {concept.group for concept in there}
    rival = any(concept.group in groups - shared_groups for concept in strange)
    local = {concept.group for concept in stretch}
    return {
        "rival": rival,
        "stranger": bool(strange) and not rival,
        "elsewhere": any(c in there and c not in stretch and c.group in local for c in mine),
    }


def _common(one: AnalysedText, other: AnalysedText, *, across: bool) -> int:
    words = 0 if across else len(one.claims.words & other.claims.words)
    return words + len(one.names & other.names)


def _binding(
    mine: Sequence[AnalysedText], theirs: Sequence[AnalysedText], passage: AnalysedText, *, across: bool
) -> float:
    """Return how much better a number's or code's surroundings fit a part of the passage that has another one.

    This is what shows that two figures were swapped: each is in the passage, but not with these words.
    """
    worst = 0.0
    for piece in mine:
        size = (0 if across else len(piece.claims.words)) + len(piece.names)
        if not size:
            continue
        common = [_common(piece, other, across=across) for other in theirs]
        for number in figures(piece.claims.numbers):
            if _meets(number, passage.claims.numbers):
                own = [_meets(number, other.claims.numbers) for other in theirs]
                worst = max(worst, _gap(common, own, [bool(figures(o.claims.numbers)) for o in theirs]) / size)
        for code in piece.claims.identifiers & passage.claims.identifiers:
            own = [code in other.claims.identifiers for other in theirs]
            worst = max(worst, _gap(common, own, [bool(o.claims.identifiers) for o in theirs]) / size)
    return worst


def _gap(common: Sequence[int], own: Sequence[bool], has_any: Sequence[bool]) -> float:
    with_it = max((n for n, mine in zip(common, own, strict=True) if mine), default=0)
    rival = max((n for n, mine, some in zip(common, own, has_any, strict=True) if some and not mine), default=0)
    return float(max(0, rival - with_it))


def _polarity(here: Claims, there: Claims, stretch: Claims, *, across: bool) -> dict[str, bool]:
    turned = [
        (name, side)
        for name, side in here.sides
        if (name, 1 - side) in stretch.sides and (name, 1 - side) not in here.sides
    ]
    unlike = bool(here.negations) != bool(stretch.negations)
    return {
        "denied": not across and unlike and bool((here.denied & stretch.affirmed) - there.denied),
        "undenied": not across and unlike and bool(((here.affirmed - here.denied) & stretch.denied) - stretch.affirmed),
        "negation": unlike,
        "new_negation": bool(here.negations) and not there.negations,
        "side": any(side not in stretch.sides for side in turned),
        "new_side": any(side not in there.sides for side in turned),
    }


def _each(mine: Iterable[Mention], theirs: Sequence[Mention]) -> bool:
    """Tell whether "every year" stands where the stretch has another number of years."""
    figures_there = figures(theirs)
    return any(
        mention.each
        and not _meets(mention, theirs)
        and any({r.kind for r in mention.readings} & {r.kind for r in other.readings} for other in figures_there)
        for mention in mine
    )


def _missing_scope(mine: Claims, theirs: Claims) -> frozenset[str]:
    missing = mine.scope - theirs.scope
    return missing - {"single"} if _ONE.search(theirs.text) else missing


def _other_rate(mine: Claims, theirs: Claims) -> bool:
    """Tell whether there is a "per second" where the passage only has others; its "a day" counts as one."""
    return bool(mine.rates - theirs.rates - theirs.loose_rates) and bool(theirs.rates - mine.rates - mine.loose_rates)


def _counted(pattern: re.Pattern[str], text: AnalysedText) -> set[str]:
    return {word.rstrip("s") for word in pattern.findall(text.claims.text)}
