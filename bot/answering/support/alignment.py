"""How a sentence comes about from a stretch of a passage: the words replaced, put in and left out. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from bot.answering.support.claims import carries_meaning, strip_bounds
from bot.answering.support.quantities import normalise_text
from knowledge.lexical.terms import stem

_TOKEN = re.compile(r"[a-z0-9]+(?:[.'_-][a-z0-9]+)*|[㐀-鿿]")
_NAME = re.compile(r"[A-Z][\w'’]*(?: [A-Z][\w'’]*)*")
_ALIKE, _ALIGNED_TOKENS = 0.7, 150
_SHORT_EDIT = 4
"""A longer one puts in or leaves out a clause, with its own negation."""
_NOT = frozenset(["not", "no", "never", "cannot", "without", "neither", "nor", "none", "nobody", *"不没未无非勿"])
_AUXILIARIES = frozenset(["do", "does", "did"])
_OPPOSITES = (
    "before/after first/last more/less most/least early/late earlier/later above/below over/under high/low "
    "higher/lower maximum/minimum increase/decrease increase/reduce rise/fall up/down on/off open/close "
    "enable/disable start/end begin/end start/stop inside/outside internal/external include/exclude allow/forbid "
    "accept/reject require/optional public/private always/never all/none north/south east/west left/right "
    "large/small long/short old/new fast/slow success/failure succeed/fail win/lose buy/sell male/female man/woman "
    "husband/wife positive/negative "
    "前/后 先/后 上/下 高/低 大/小 多/少 增/减 加/减 早/晚 早/迟 内/外 东/西 南/北 左/右 开/关 长/短 新/旧 快/慢 男/女 "
    "升/降 进/出 买/卖 胜/败 允/禁 首/末"
)
_OPPOSITE = frozenset(
    pair for one, other in (pair.split("/") for pair in _OPPOSITES.split())
    for pair in ((stem(one), stem(other)), (stem(other), stem(one)))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a sentence comes about from a stretch at the least cost."""

    changed_words: frozenset[tuple[str, str]]
    """The words of the stretch that were replaced, with those that stand in their place."""
    is_negated: bool
    """Whether a negation was put in or left out, not with a clause of its own."""
    renamed_names: frozenset[str]
    """The names of the sentence that stand in place of others, as stems joined by "_"; the stretch has none of them."""
    kept_share: float
    """The share of the sentence's words that are the stretch's, in order."""

    @property
    def swapped_words(self) -> frozenset[tuple[str, str]]:
        """Return the pairs of words that stand in each other's place, each once."""
        return frozenset(
            (old, new) for old, new in self.changed_words if (new, old) in self.changed_words and old < new
        )

    @property
    def has_opposite(self) -> bool:
        """Return whether a word was replaced by its opposite."""
        return any((old, new) in _OPPOSITE for old, new in self.changed_words)


def align_texts(sentence: str, stretch: str) -> Alignment | None:
    """Align a sentence with a stretch of a passage; return None if they are not nearly the same words."""
    sentence, stretch = _join_names(sentence), _join_names(stretch)
    mine, theirs = _list_stems(sentence), _list_stems(stretch)
    common = (Counter(mine) & Counter(theirs)).total()
    if not mine or max(len(mine), len(theirs)) > _ALIGNED_TOKENS or common < _ALIKE * len(mine):
        return None
    steps = _cheapest_steps(theirs, mine)
    runs = [(same, list(run)) for same, run in groupby(steps, key=lambda step: step[0] == step[1])]
    edits = [run for place, (same, run) in enumerate(runs) if not same and 0 < place < len(runs) - 1]
    if not runs[0][0]:
        edits.append([("", new) for _, new in runs[0][1] if new])  # a sentence may begin in the middle of the stretch
    negations = sum(
        word in _NOT or word.endswith("n't")
        for edit in edits
        if len(edit) <= _SHORT_EDIT
        for step in edit
        for word in step
    )
    changed = frozenset((old, new) for old, new in steps if old and new and old != new)
    return Alignment(
        changed_words=changed,
        renamed_names=_find_renamed(changed, _list_names(sentence), _list_names(stretch)),
        is_negated=negations % 2 == 1,
        kept_share=sum(len(run) for same, run in runs if same) / len(mine),
    )


def _join_names(text: str) -> str:
    """Return a text with the words of each name joined, so that a name is replaced or moved as one word."""

    def join(found: re.Match[str]) -> str:
        first, _, rest = found[0].partition(" ")
        glue = "_" if carries_meaning(first.lower()) else " "
        return f"{first}{glue}{rest.replace(' ', '_')}" if rest else first

    return _NAME.sub(join, text)


def _list_names(text: str) -> frozenset[str]:
    """Return the names of a text; its first word is one only if it has several words."""
    found = (name[0] for name in _NAME.finditer(text) if name.start() or "_" in name[0])
    return frozenset(stem(normalise_text(name)) for name in found)


def _find_renamed(
    changed: Iterable[tuple[str, str]], mine: AbstractSet[str], theirs: AbstractSet[str]
) -> frozenset[str]:
    """Return the names that stand in place of other ones, if neither text has both."""
    return frozenset(
        new
        for old, new in changed
        if old in theirs - mine and new in mine - theirs and not set(old.split("_")) & set(new.split("_"))
    )


def _list_stems(text: str) -> list[str]:
    """Return a text's words as they are aligned: English stems and Chinese characters, without "do"."""
    return [
        word if word in _NOT else stem(word)
        for word in _TOKEN.findall(strip_bounds(normalise_text(text)))
        if word not in _AUXILIARIES
    ]


def _cheapest_steps(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Return the cheapest way from one text to the other (Wagner and Fischer, 1974).

    Each step keeps or replaces a word, leaves one out ("old", "") or puts one in ("", "new").
    """
    places = np.arange(len(new) + 1)
    words = np.array(new, dtype=object)
    costs = [places]
    for row, word in enumerate(old, 1):
        above = costs[-1]
        best = np.append(row, np.minimum(above[:-1] + (words != word), above[1:] + 1))
        costs.append(np.minimum.accumulate(best - places) + places)
    steps, i, j = [], len(old), len(new)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + (old[i - 1] != new[j - 1]):
            i, j = i - 1, j - 1
            steps.append((old[i], new[j]))
        elif i and costs[i][j] == costs[i - 1][j] + 1:
            i -= 1
            steps.append((old[i], ""))
        else:
            j -= 1
            steps.append(("", new[j]))
    return steps[::-1]
