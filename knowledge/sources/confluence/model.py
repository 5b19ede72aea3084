"""What Confluence is made of, however its two editions spell it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from knowledge.interfaces import EVERYONE
from knowledge.web.crawling.retry_policy import ServiceResponse

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Space:
    """A space."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Ref:
    """Something in the tree of a space: a page, or a folder, whiteboard or database that pages hang under."""

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page or blog post as it is listed."""

    ref: Ref
    title: str
    version: int
    link: str
    """Where a person opens it."""
    above: Ref | None = None
    """What it hangs under, None at the top of its space."""
    modified_at: datetime | None = None
    labels: frozenset[str] | None = None
    """None where the listing does not tell."""
    restriction: frozenset[str] | None = None
    """Whom the page's own view restriction admits, everyone where it has none; None where the listing does not tell."""
    attachments: tuple[Attachment, ...] | None = None
    """None where the listing does not tell."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that hangs on a page."""

    id: str
    page: str
    title: str
    version: int
    media_type: str | None
    size_bytes: int | None
    link: str
    """Where a person opens it."""
    modified_at: datetime | None = None
    download: str = ""
    """Relative to the service's address, where the edition names one."""


@dataclass(frozen=True, slots=True)
class Body:
    """A page as it is read."""

    title: str
    version: int
    storage: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """What is known of something in the tree: whom its own restriction admits, and what it hangs under."""

    restriction: frozenset[str] = EVERYONE
    above: Ref | None = None


class Edition(Protocol):
    """How one edition's interface answers; the methods raise as ``HttpApi`` does."""

    async def spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return these spaces, as far as they are there; without keys, all that are nobody's own."""

    def pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[Page]]:
        """Yield the current pages (``page``) or posts (``blogpost``) of a space."""

    def attachments(self, pages: Mapping[str, Page]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files of these pages."""

    async def node(self, ref: Ref) -> Node:
        """Return what is known of something that the listing of the pages does not have."""

    async def space_readers(self, space: Space) -> frozenset[str]:
        """Return who may see the space."""

    async def members(self, group: str) -> frozenset[str]:
        """Return the readers who are in a group (given as a reader's id)."""

    async def body(self, ref: Ref) -> Body:
        """Return a page as it is now.

        Raises:
            Refused: with 404 where it is gone, in the trash or in the archive.

        """

    async def attachment(self, page: str, attachment: str) -> Attachment:
        """Return what is known of a file now."""

    async def download(self, file: Attachment, document: str, limit: int) -> ServiceResponse:
        """Return a file's bytes."""

    async def names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return what people are called, by id, as far as it can be told."""

    def anchor(self, title: str, heading: str) -> str:
        """Return what leads to a heading, after ``#``."""


class Untold(Protocol):
    """What an edition is asked for whose listing of pages does not tell it; the methods raise as ``HttpApi`` does."""

    async def labelled(self, space: Space, labels: Collection[str]) -> frozenset[str]:
        """Return the ids of what has one of these labels."""

    async def restrictions(self, space: Space, pages: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return whom each one's own restriction admits."""
