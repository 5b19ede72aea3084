"""Keeps what the model thought before its answers: in memory only, for an hour, bounded in size."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bot.storage.turns.questions import QuestionKey

MAX_CHARACTERS = 20_000
_MAX_ENTRIES = 1_000
_LIFETIME_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The reasoning behind one answer."""

    asker: str
    text: str = field(repr=False)
    is_cut: bool
    chunks: frozenset[str]
    """The parts of documents that the model had read."""
    kept_at: float


class ReasoningMemory:
    """The reasoning of this process's answers, the oldest first."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kept: OrderedDict[QuestionKey, Reasoning] = OrderedDict()

    def keep_reasoning(self, key: QuestionKey, asker: str, text: str, chunks: Iterable[str]) -> None:
        """Keep the reasoning behind the answer to a question, in place of an earlier one.

        ``chunks`` are those of the passages and of the earlier answers that the model had read.
        """
        self._kept.pop(key, None)
        self._forget_old()
        if text:
            is_cut = len(text) > MAX_CHARACTERS
            self._kept[key] = Reasoning(asker, text[:MAX_CHARACTERS], is_cut, frozenset(chunks), self._now())

    def find_reasoning(self, key: QuestionKey) -> Reasoning | None:
        """Return the reasoning behind an answer, None if there is none any more."""
        self._forget_old()
        return self._kept.get(key)

    def forget_reasoning(self, key: QuestionKey | None) -> None:
        """Erase the reasoning behind an answer, or behind all."""
        if key is None:
            self._kept.clear()
        else:
            self._kept.pop(key, None)

    def _forget_old(self) -> None:
        since = self._now() - _LIFETIME_S
        while self._kept and (len(self._kept) >= _MAX_ENTRIES or next(iter(self._kept.values())).kept_at <= since):
            self._kept.popitem(last=False)
