"""What a look at the live web brings home: pages cut into passages, measured against the question. Nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowledge.interfaces import Chunk, OnWeb, WebLook


@dataclass(frozen=True, slots=True)
class PassageScore:
    """How a passage lies to the question."""

    cosine: float
    terms: str = field(repr=False)
    """Its index terms."""


@dataclass(frozen=True, slots=True)
class LivePage:
    """A page in its passages."""

    url: str
    """Where it was in the end."""
    on: OnWeb
    chunks: tuple[Chunk, ...]
    """All of them, in reading order."""
    measured: Mapping[int, PassageScore]
    """Those that may be shown, by their place in ``chunks``; of a long page the likeliest."""
    linked: bool
    """Whether the asker pointed at it."""


@dataclass(frozen=True, slots=True)
class LiveResults:
    """The pages that were read, those that the asker pointed at first, and what is told of the look."""

    pages: tuple[LivePage, ...]
    look: WebLook
