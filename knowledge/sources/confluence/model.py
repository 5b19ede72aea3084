"""Confluence's concepts, the same for both of its editions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from knowledge.interfaces import EVERYONE
from knowledge.sources.hosted.http_call import ApiCall
from knowledge.sources.hosted.json_form import JsonObject, get_object, get_text, require_objects, require_text

NOBODY: frozenset[str] = frozenset()
USER, GROUP = "confluence:user:", "confluence:group:"
"""Prefixes of readers: people by account id (Cloud) or user name (Data Center), groups by id or name."""


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
    parent: ContentRef | None = None
    modified_at: datetime | None = None
    labels: frozenset[str] | None = None
    """Its labels; None if the listing does not contain labels."""
    restriction: frozenset[str] | None = None
    """The readers whom the page's own view restriction admits; None if the listing does not contain restrictions."""
    attachments: tuple[Attachment, ...] | None = None
    """Its files; None if the listing does not contain files."""
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
    modified_at: datetime | None = None
    download_path: str = ""
    """The path of its bytes below the service's address, if the edition names one."""


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


def next_page_by_start(call: ApiCall, page: JsonObject, *, overlap: int = 0) -> ApiCall | None:
    """Return the call for the page after this one, None after the last; ``overlap`` results are listed again."""
    count = len(require_objects(page, "results"))
    if not count or not get_text(get_object(page, "_links"), "next"):
        return None
    return advance_start(call, max(count - overlap, 1))


def advance_start(call: ApiCall, step: int) -> ApiCall:
    """Return the same call with a larger ``start``."""
    return call.with_params(start=int(dict(call.params)["start"]) + step)


def parse_named_readers(read: JsonObject, user_id: Callable[[JsonObject], str], group_key: str) -> set[str] | None:
    """Return the readers that an expanded restriction names; None if their lists are missing."""
    people, groups = (get_object(read, "restrictions", kind).get("results") for kind in ("user", "group"))
    if not isinstance(people, list) or not isinstance(groups, list):
        return None
    named = {USER + user_id(one) for one in people if isinstance(one, Mapping)}
    return named | {GROUP + (get_text(one, group_key) or "?") for one in groups if isinstance(one, Mapping)}
