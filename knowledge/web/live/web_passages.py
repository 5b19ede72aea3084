"""The pages and passages that the live web contributes to one question. Nothing of it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowledge.errors import EmbedderError
from knowledge.interfaces import Chunk, WebOrigin, WebSearchReport


@dataclass(frozen=True, slots=True)
class PassageScore:
    """How well a passage matches the question."""

    cosine: float
    terms: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LivePage:
    """A page in passages."""

    url: str
    web: WebOrigin
    chunks: tuple[Chunk, ...]
    scores: Mapping[int, PassageScore]
    """The scores of passages that may be shown, by their place in ``chunks``; of a long page, the likeliest ones."""
    is_linked: bool


@dataclass(frozen=True, slots=True)
class LiveResults:
    """The pages that were read, linked ones first, and a report for the answer."""

    pages: tuple[LivePage, ...]
    look: WebSearchReport
    trouble: EmbedderError | None = None
    """Why there are no cosines."""
