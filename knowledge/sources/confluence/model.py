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
class ContentRef:
    """Something in the tree of a space: a page, or a folder, whiteboard or database that pages hang under."""

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class ConfluencePage:
    """A page or blog post as it is listed."""

    ref: ContentRef
    title: str
    version: int
    link: str
    """Where a person opens it."""
    parent: ContentRef | None = None
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
    download_path: str = ""
    """Relative to the service's address, where the edition names one."""


@dataclass(frozen=True, slots=True)
class PageBody:
    """A page as it is read."""

    title: str
    version: int
    storage: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TreeNode:
    """What is known of something in the tree: whom its own restriction admits, and what it hangs under."""

    restriction: frozenset[str] = EVERYONE
    parent: ContentRef | None = None


class Edition(Protocol):
    """How one edition's interface answers; the methods raise as ``HttpApi`` does."""

    async def list_spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return these spaces, as far as they are there; without keys, all that are nobody's own."""

    def list_pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[ConfluencePage]]:
        """Yield the current pages (``page``) or posts (``blogpost``) of a space."""

    def list_attachments(self, pages: Mapping[str, ConfluencePage]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files of these pages."""

    async def fetch_node(self, ref: ContentRef) -> TreeNode:
        """Return what is known of something that the listing of the pages does not have."""

    async def fetch_space_readers(self, space: Space) -> frozenset[str]:
        """Return who may see the space."""

    async def fetch_members(self, group: str) -> frozenset[str]:
        """Return the readers who are in a group (given as a reader's id)."""

    async def fetch_body(self, ref: ContentRef) -> PageBody:
        """Return a page as it is now.

        Raises:
            Refused: with 404 where it is gone, in the trash or in the archive.

        """

    async def fetch_attachment(self, page: str, attachment: str) -> Attachment:
        """Return what is known of a file now."""

    async def download(self, file: Attachment, document: str, limit: int) -> ServiceResponse:
        """Return a file's bytes."""

    async def fetch_names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return what people are called, by id, as far as it can be told."""

    def make_anchor(self, title: str, heading: str) -> str:
        """Return what leads to a heading, after ``#``."""


class PageLookups(Protocol):
    """What an edition is asked for whose listing of pages does not tell it; the methods raise as ``HttpApi`` does."""

    async def find_labelled(self, space: Space, labels: Collection[str]) -> frozenset[str]:
        """Return the ids of what has one of these labels."""

    async def fetch_restrictions(self, space: Space, pages: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return whom each one's own restriction admits."""
