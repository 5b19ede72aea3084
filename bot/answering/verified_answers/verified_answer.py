"""A verified answer: what an owner vouches for, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.answering.events import Passage
from bot.answering.markdown.citations import find_cited_numbers
from bot.languages.registry import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAnswer:
    """An answer that an owner has verified for a question and for other words of it."""

    id: str
    team: str
    question: str = field(repr=False)
    phrasings: tuple[str, ...] = field(default=(), repr=False)
    answer: str = field(repr=False)
    """Markdown with the numbers of ``passages``."""
    language: Language
    passages: tuple[Passage, ...] = field(repr=False)
    """What it cites, without texts. Only people who may read all of them get the answer."""
    owner: str
    owner_name: str = field(repr=False)
    verified_at: float
    expires_at: float
    needs_review: bool = False
    """Whether a passage has changed or vanished since."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the question in all its words."""
        return (self.question, *self.phrasings)

    @property
    def chunks(self) -> frozenset[str]:
        """Return the ids of all that it cites."""
        return frozenset(chunk for passage in self.passages for chunk in passage.chunks)

    @property
    def cited(self) -> tuple[Passage, ...]:
        """Return the passages whose numbers the owner left in the answer, all if there is none."""
        numbers = find_cited_numbers(self.answer)
        return tuple(one for one in self.passages if one.n in numbers) or self.passages

    @property
    def verified_on(self) -> str:
        """Return the day on which it was verified."""
        return f"{datetime.fromtimestamp(self.verified_at, UTC):%Y-%m-%d}"

    @property
    def expires_on(self) -> str:
        """Return the day after which it is not shown."""
        return f"{datetime.fromtimestamp(self.expires_at, UTC):%Y-%m-%d}"

    def is_active(self, now: float) -> bool:
        """Return whether it may be shown: it is not expired, and needs no review."""
        return not self.needs_review and now < self.expires_at
