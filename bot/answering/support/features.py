"""How well a passage supports a sentence, as a few numbers that each say one thing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bot.answering.support.claims import Claims
from bot.answering.support.matching import AnalysedPassage, Match
from bot.answering.support.quantities import meets_any, normalise_text
from knowledge.embedding.calibration import SupportWeights
from knowledge.lexical.terms import stem

FEATURES = (
    "similarity",
    "overlap",
    "number",
    "identifier",
    "name",
    "binding",
    "denial",
    "negation",
    "opposite",
    "swapped",
    "renamed",
)
"""What ``compute_features`` returns, in order; the first two speak for a sentence, the others against it.

similarity    of the embeddings of the sentence and the passage's best stretch (one or two sentences), up to a limit
overlap       share of the sentence's words, numbers and names that stand in that stretch
number        it states a number that the passage does not, or has only in a table for another year or another row
identifier    it has a code, version or address that the passage has not
name          it has a brand, acronym or quoted name that the passage has not
binding       its number stands with other words in the passage than here: share of the words
denial        it denies what the closest sentence affirms, or affirms what that denies
negation      it has a negation and the passage's likely sentences have none (1), or fewer (0.5)
opposite      word for word the stretch, but for a word that was replaced by its opposite (before, after)
swapped       word for word the stretch, but for two that changed places
renamed       word for word the stretch, but for a name in place of another
"""
_INITIAL = re.compile(r"[a-z]+")


def compute_features(found: Match, question: Claims | None = None) -> NDArray[np.float64]:
    """Return the features of ``FEATURES``; what the question names is no strange name."""
    here, there, across, alignment = found.sentence, found.passage.whole, found.across, found.alignment
    closest = max(found.near, key=lambda other: len(here.words & other.words))
    missing = find_missing_facts(here, there, question)
    values = {
        "similarity": found.similarity,
        "overlap": found.overlap,
        **missing,
        "number": missing["number"] or misplaces_figure(here, found.passage),
        "binding": not across and _measure_binding(here, found.near, there),
        "denial": (alignment is not None and alignment.is_negated) or (not across and is_denial(here, there, closest)),
        "negation": _adds_negation(found),
        "opposite": alignment is not None and alignment.has_opposite,
        "swapped": alignment is not None and bool(alignment.swapped_words),
        "renamed": alignment is not None and bool(alignment.renamed_names),
    }
    return np.array([float(values[name]) for name in FEATURES])


def compute_margin(weights: SupportWeights, features: NDArray[np.float64]) -> float:
    """Return the logit of the sentence's support."""
    return weights.bias + float(features @ np.array([weights.of.get(name, 0.0) for name in FEATURES]))


def find_missing_facts(here: Claims, there: Claims, question: Claims | None = None) -> dict[str, bool]:
    """Return which kinds of facts a text states that another one does not; the question may have named names."""
    texts = [text for text in (there, question) if text is not None]
    return {
        "number": any(not meets_any(number, there.numbers) for number in here.figures),
        "identifier": not all(any(one.holds_name(name) for one in texts) for name in here.identifiers),
        "name": not all(
            any(one.holds_name(name) for one in texts)
            or stem(name) in there.all_words
            or is_abbreviation(name, there.text)
            for name in here.names
        ),
    }


def misplaces_figure(here: Claims, passage: AnalysedPassage) -> bool:
    """Return whether a text takes a figure of a table from the column of another year, or from another row.

    A figure that also stands in the column of that year, in the name of a row or in a sentence is not misplaced. The
    other row has fewer words of the text in its name than one that the text names whole and takes no figure from.
    """
    rows = passage.table_rows
    if not any(row.cells for row in rows):
        return False
    heads = {year for row in rows for years, _ in row.cells for year in years}
    said = {one.value for number in here.figures for one in number.readings if one.kind == "year"} & heads
    figures = [n for n in here.figures if not any(one.kind == "year" and one.value in said for one in n.readings)]
    named = [row for row in rows if row.name and row.name <= here.all_words]
    unused = [
        len(row.name) for row in named if not any(map(row.find_cells, figures)) and any(own for _, own in row.cells)
    ]
    for figure in figures:
        stated = [(row, years) for row in rows for years in row.find_cells(figure)]
        if not stated or any(meets_any(figure, row.named_numbers) for row in rows) or passage.states_in_prose(figure):
            continue
        if said and all(years and not years & said for _, years in stated):
            return True
        if max(unused, default=0) > max(len(row.name & here.all_words) for row, _ in stated):
            return True
    return False


def is_abbreviation(name: str, text: str) -> bool:
    """Return whether a name is made of the initials of words that a text has side by side (SSO, single sign-on)."""
    if not (name.isascii() and name.isalpha() and 1 < len(name) < 6):  # noqa: PLR2004 - an acronym's length
        return False
    return name in "".join(word[0] for word in _INITIAL.findall(normalise_text(text)))


def _measure_binding(here: Claims, near: Sequence[Claims], passage: Claims) -> float:
    """Return how much better a number's surroundings fit a sentence of the passage that has another number.

    This is what shows that two figures were swapped: each is in the passage, but not with these words.
    """
    common = [(len(here.words & other.words), other.figures) for other in near]
    gaps = [0]
    for number in here.figures:
        if meets_any(number, passage.numbers):
            own = max((shared for shared, numbers in common if meets_any(number, numbers)), default=0)
            others = (shared for shared, numbers in common if numbers and not meets_any(number, numbers))
            gaps.append(max(others, default=0) - own)
    return max(gaps) / max(1, len(here.words))


def _adds_negation(found: Match) -> float:
    """Return how surely the sentence denies what the passage does not."""
    if found.sentence.negations <= found.stretch.negations:
        return 0.0
    return 0.5 if found.stretch.may_deny or any(other.is_negated for other in found.near) else 1.0


def is_denial(here: Claims, there: Claims, stretch: Claims) -> bool:
    """Return whether a sentence denies what the stretch affirms, or affirms what it denies."""
    if here.is_negated == stretch.is_negated:
        return False
    (denied, affirmed), (their_denied, their_affirmed) = here.polarity, stretch.polarity
    newly_denied = (denied & their_affirmed) - there.polarity[0]
    newly_affirmed = ((affirmed - denied) & their_denied) - their_affirmed
    return bool(newly_denied or newly_affirmed)
