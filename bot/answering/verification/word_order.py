"""How a sentence comes about from a stretch of a passage: words that changed places or were replaced. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot.answering.verification.quantities import normal

_TOKEN = re.compile(r"[a-z0-9]+(?:[.'_-][a-z0-9]+)*|[㐀-鿿]")
_ALIKE, _ALIGNED_TOKENS = 0.7, 80


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a sentence comes about from a stretch of a passage at the least cost."""

    changed: frozenset[tuple[str, str]]
    """The words of the stretch that were replaced, with those that stand in their place."""
    kept: float
    """The share of the sentence's words that are the stretch's, in order."""


def align(sentence: str, stretch: str) -> Alignment | None:
    """Align a sentence with a stretch of a passage; return None if they are not nearly the same words."""
    mine, theirs = _TOKEN.findall(normal(sentence)), _TOKEN.findall(normal(stretch))
    common = (Counter(mine) & Counter(theirs)).total()
    if not mine or max(len(mine), len(theirs)) > _ALIGNED_TOKENS or common < _ALIKE * len(mine):
        return None
    changed, kept = _replaced(theirs, mine)
    return Alignment(frozenset(changed), kept / len(mine))


def is_swapped(found: Alignment | None) -> bool:
    """Return whether two words stand in each other's place."""
    return found is not None and any((new, old) in found.changed for old, new in found.changed)


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
