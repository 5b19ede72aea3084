"""Whether a sentence has a passage's words in another order, or two of them in each other's place. Pure."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Sequence

from bot.answering.claims import content_sequence
from bot.answering.quantities import normal

_TOKEN = re.compile(r"[a-z0-9]+(?:[.'_-][a-z0-9]+)*|[㐀-鿿]")
_ALIKE, _ALIGNED_TOKENS = 0.7, 80


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


def swapped(sentence: str, stretch: str) -> bool:
    """Tell whether the sentence is nearly the stretch, with two of its words in each other's place."""
    mine, theirs = _TOKEN.findall(normal(sentence)), _TOKEN.findall(normal(stretch))
    longest = max(len(mine), len(theirs))
    common = (Counter(mine) & Counter(theirs)).total()
    if longest > _ALIGNED_TOKENS or common < _ALIKE * longest:
        return False
    changed = substitutions(theirs, mine)
    return any((new, old) in changed for old, new in changed)


def substitutions(old: Sequence[str], new: Sequence[str]) -> set[tuple[str, str]]:
    """Return which words the cheapest way from one text to the other replaces by which (Wagner and Fischer, 1974)."""
    costs = [list(range(len(new) + 1))]
    for i, word in enumerate(old, 1):
        above, row = costs[-1], [i]
        for j, other in enumerate(new, 1):
            row.append(min(above[j - 1] + (word != other), above[j] + 1, row[j - 1] + 1))
        costs.append(row)
    i, j, found = len(old), len(new), set()
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + (old[i - 1] != new[j - 1]):
            i, j = i - 1, j - 1
            if old[i] != new[j]:
                found.add((old[i], new[j]))
        elif costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return found
