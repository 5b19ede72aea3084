"""Whether a sentence has a passage's words in another order, or two of them in each other's place. Pure."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.answering.verification.claims import carries_meaning, content_sequence, stem
from bot.answering.verification.quantities import normal

_TOKEN = re.compile(r"[a-z0-9]+(?:[.'_-][a-z0-9]+)*|[㐀-鿿]")
_ALIKE, _ALIGNED_TOKENS, _WORD_FOR_WORD = 0.7, 120, 0.77


def disorder(sentence: str, stretch: str) -> float:
    """Return the share of words out of order, if nearly all of the sentence's words are the stretch's; else 0."""
    mine, theirs = content_sequence(sentence), content_sequence(stretch)
    place = {word: position for position, word in reversed(list(enumerate(theirs)))}
    found = [place[word] for word in mine if word in place]
    if len(found) < 3 or len(found) < 0.7 * len(mine):  # noqa: PLR2004 - too few to have an order
        return 0.0
    return 1.0 - _longest_rise(found) / len(found)


def _longest_rise(values: Sequence[int]) -> int:
    """Return the length of the longest strictly rising subsequence (patience sorting)."""
    tops: list[int] = []
    for value in values:
        index = bisect.bisect_left(tops, value)
        tops[index : index + 1] = [value]
    return len(tops)


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a sentence comes about from a stretch of a passage at the least cost."""

    changed: frozenset[tuple[str, str]]
    """The words that were replaced, with those that stand in their place."""
    kept: float
    """The share of the sentence's words that are the stretch's, in order."""


def alignment(sentence: str, stretch: str) -> Alignment | None:
    """Align a sentence with a stretch of a passage, or return None if they are not nearly the same words."""
    mine, theirs = _TOKEN.findall(normal(sentence)), _TOKEN.findall(normal(stretch))
    common = (Counter(mine) & Counter(theirs)).total()
    if not mine or max(len(mine), len(theirs)) > _ALIGNED_TOKENS or common < _ALIKE * len(mine):
        return None
    changed, kept = _replaced(theirs, mine)
    return Alignment(frozenset(changed), kept / len(mine))


def swapped(found: Alignment | None) -> bool:
    """Tell whether two words stand in each other's place."""
    return found is not None and any((new, old) in found.changed for old, new in found.changed)


def substituted(found: Alignment | None, known: Collection[str]) -> bool:
    """Tell whether the sentence is the stretch word for word, but for one that the passage does not know.

    Args:
        found: the alignment.
        known: the passage's words, as ``claims.content_sequence`` gives them, single characters for Chinese.

    """
    if found is None or found.kept < _WORD_FOR_WORD:
        return False
    return any(carries_meaning(old) and carries_meaning(new) and stem(new) not in known for old, new in found.changed)


def known_words(text: str) -> frozenset[str]:
    """Return the words of a passage as ``substituted`` looks them up."""
    return frozenset(stem(token) for token in _TOKEN.findall(normal(text)))


def _replaced(old: Sequence[str], new: Sequence[str]) -> tuple[set[tuple[str, str]], int]:
    """Return which words the cheapest way from one text to the other replaces by which (Wagner and Fischer, 1974).

    And how many it keeps.
    """
    costs = [list(range(len(new) + 1))]
    for i, word in enumerate(old, 1):
        above, row = costs[-1], [i]
        for j, other in enumerate(new, 1):
            row.append(min(above[j - 1] + (word != other), above[j] + 1, row[j - 1] + 1))
        costs.append(row)
    i, j, kept, found = len(old), len(new), 0, set()
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + (old[i - 1] != new[j - 1]):
            i, j = i - 1, j - 1
            kept += old[i] == new[j]
            if old[i] != new[j]:
                found.add((old[i], new[j]))
        elif costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return found, kept
