"""Files and messages that come with one question. Nothing of them is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from knowledge.interfaces.documents import Chunk

MATERIAL = "\x1fmaterial\x1f"
"""``Chunk.source`` of a passage of a material, which is not from a source."""
MESSAGE_KIND = "message"
"""``Material.kind`` of a message; a file has its format."""
PICTURE_KINDS: Final = frozenset({"png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "picture"})
"""``Material.kind`` and ``Chunk.kind`` of pictures."""


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
    recognised_pages: int = 0
    """Pages whose text was recognised in their pictures, so that it may have mistakes."""
    unread_pages: int = 0
    """Pages that have only images of text, and were not read."""
    picture: bytes = field(default=b"", repr=False)
    """The file of a picture, if a vision model may see it."""
    is_given: bool = False
    """Whether it comes with the question itself, so that the answer is about it."""
    text: str = field(default="", repr=False)
    """The whole text with its lines, if it is a message or a file of plain text."""


@dataclass(frozen=True, slots=True)
class MaterialOrigin:
    """Where in a question's materials a passage stands."""

    kind: str
    page: int | None
    place: int
    """The position among all passages of the question's materials."""
    anchor: str = ""
    """What comes after ``#`` in a link to the place, with the box of recognised text; "" if the format has none."""
