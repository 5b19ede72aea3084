"""Keeps the words that askers let a search engine see, from a button to the answer. In memory only, bounded in size."""

from __future__ import annotations

from bot.storage.turns.questions import QuestionKey
from knowledge.latest_entries import LatestEntries

_MAX_ENTRIES = 1_000


class ApprovedWords:
    """Words by the question that needs them. If they are lost, the next answer shows them again."""

    def __init__(self) -> None:
        self._kept: LatestEntries[QuestionKey, str] = LatestEntries(_MAX_ENTRIES)

    def keep_words(self, key: QuestionKey, words: str) -> None:
        """Keep the words for a question, in place of others; "" for none."""
        self._kept.pop(key, None)
        if words:
            self._kept[key] = words

    def take_words(self, key: QuestionKey) -> str:
        """Return the words for a question once; "" if there are none."""
        return self._kept.pop(key, "")
