"""Files and messages that come with one question. Nothing of them is stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from knowledge.interfaces.documents import Chunk

MATERIAL = "\x1fmaterial\x1f"
"""``Chunk.source`` of a passage of a material, which is not from a source."""
MESSAGE_KIND = "message"
"""``Material.kind`` of a message; a file has its format."""


@dataclass(frozen=True, slots=True)
class Material:
    """A file or a message in passages."""

    id: str
    title: str
    url: str | None
    kind: str
    chunks: tuple[Chunk, ...] = field(repr=False)
    terms: tuple[str, ...] = field(repr=False)
    pages: tuple[int | None, ...]
    """The page, slide or sheet of each passage, from 1; None if the format has none."""
    is_cut: bool = False
    """Whether the end was too long and is missing."""
    is_central: bool = False
    """Whether its beginning is always shown if it is given, because it says what the answer is about."""
    is_given: bool = False
    """Whether it comes with the question itself, so that the answer is about it."""


@dataclass(frozen=True, slots=True)
class MaterialOrigin:
    """Where in a question's materials a passage stands."""

    kind: str
    page: int | None
    place: int
    """The position among all passages of the question's materials."""
