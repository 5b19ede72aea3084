"""Confluence's concepts, the same for both of its editions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from knowledge.interfaces import EVERYONE
from knowledge.sources.hosted.json_form import JsonObject, get_object, require_text
from knowledge.sources.hosted.retry_policy import ServiceResponse

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Space:
    """A space, by id and key."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class ContentRef:
    """A node in the tree of a space: a page, or the folder, whiteboard or database that holds pages."""

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class ConfluencePage:
    """A page or blog post from a listing."""

    ref: ContentRef
    title: str
    version: int
    link: str
    """Where a person opens it."""
    parent: ContentRef | None = None
    """The node that holds it; None at the top of its space."""
    modified_at: datetime | None = None
    labels: frozenset[str] | None = None
    """None if the listing does not contain labels."""
    restriction: frozenset[str] | None = None
    """The readers whom the page's own view restriction admits; None if the listing does not contain restrictions."""
    attachments: tuple[Attachment, ...] | None = None
    """None if the listing does not contain files."""
    space: str = ""
    """The id of its space, if the page was fetched alone."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a page."""

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
    """Relative to the service's address, if the edition names one."""


@dataclass(frozen=True, slots=True)
class PageBody:
    """A page's title, version and content."""

    title: str
    version: int
    storage: str = field(repr=False)

    @classmethod
    def from_json(cls, content: JsonObject) -> Self:
        """Return the body in a content object of either edition."""
        storage = get_object(content, "body", "storage").get("value")
        return cls(require_text(content, "title"), parse_version(content), storage if isinstance(storage, str) else "")


def parse_version(content: JsonObject) -> int:
    """Return the version number of a content object."""
    return int(require_text(get_object(content, "version"), "number"))


@dataclass(frozen=True, slots=True)
class TreeNode:
    """The restriction and the parent of a node in the tree."""

    restriction: frozenset[str] = EVERYONE
    parent: ContentRef | None = None


class Edition(Protocol):
    """The API of one edition; its methods raise as ``HttpApi`` does."""

    async def list_spaces(self, keys: Collection[str]) -> Sequence[Space]:
        """Return the spaces with these keys that exist; without keys, all except personal spaces."""

    def list_pages(self, space: Space, kind: str) -> AsyncIterator[Sequence[ConfluencePage]]:
        """Yield the current pages (``page``) or posts (``blogpost``) of a space."""

    def list_attachments(self, pages: Mapping[str, ConfluencePage]) -> AsyncIterator[Sequence[Attachment]]:
        """Yield the files attached to these pages."""

    async def fetch_page(self, ref: ContentRef) -> ConfluencePage:
        """Return a page or post with its own restriction and its space.

        Raises:
            CallRefused: with status 404 if it is gone, in the trash or in the archive.

        """

    async def fetch_node(self, ref: ContentRef) -> TreeNode:
        """Return a node that the listing of pages does not contain."""

    async def fetch_space_readers(self, space: Space) -> frozenset[str]:
        """Return the readers of a space."""

    async def fetch_members(self, group: str) -> frozenset[str]:
        """Return the members of a group, which is given as a reader."""

    async def fetch_body(self, ref: ContentRef) -> PageBody:
        """Return a page's current body.

        Raises:
            CallRefused: with status 404 if the page is gone, in the trash or in the archive.

        """

    async def fetch_attachment(self, page: str, attachment: str) -> Attachment:
        """Return a file's current properties."""

    async def download_file(self, file: Attachment, document: str, limit: int) -> ServiceResponse:
        """Return the bytes of a file."""

    async def fetch_names(self, people: Collection[str]) -> Mapping[str, str]:
        """Return people's display names by id; those that cannot be found are missing."""

    def make_anchor(self, title: str, heading: str) -> str:
        """Return the anchor of a heading, which follows ``#`` in a link."""
