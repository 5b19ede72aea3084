"""Answers from guidelines alone: nothing without a source, no web, and the guidelines' own warnings first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Guidance(Protocol):
    """Which sources are guidelines, and what they warn of; ``bot.profiles.guidance`` implements it."""

    @property
    def within(self) -> str:
        """Return the filters that admit guidelines alone."""

    def find_warnings(self, text: str) -> Sequence[str]:
        """Return the sentences of guidelines that warn of what a text mentions, the most important first."""
