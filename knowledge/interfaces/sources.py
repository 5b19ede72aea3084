"""Where documents come from: the interface of a source, and what it is built with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from knowledge.interfaces.audiences import EVERYONE
from knowledge.web.http.settings import WebSettings

if TYPE_CHECKING:
    from knowledge.database.content import SharedContent


@dataclass(frozen=True, slots=True)
class SourceKey:
    """The identity of a source: name, kind and root. Another root is another source, and starts empty."""

    name: str
    kind: str
    root: str

    @property
    def id(self) -> str:
        """Return the form that the manifest and the rows of the store contain."""
        return f"{self.name}\x1f{self.kind}\x1f{self.root}"


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as its source lists it, before it is read."""

    document: str
    """Its id, relative to the source's root, ``/`` between parts; what people see."""
    version: str
    """A cheap token (size and mtime, ETag, commit) that changes when the content may have; compared for equality."""
    size_bytes: int | None = None
    modified_at: datetime | None = None
    url: str | None = None
    readers: frozenset[str] = EVERYONE


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """The bytes of a document, with the version that they had when they were read."""

    data: bytes = field(repr=False)
    media_type: str | None
    """As the source says; None if the parser has to find out by name and content."""
    version: str
    title: str | None = None
    """As the source says (a page's title, the first words of a thread); it wins over a title in the text."""
    name: str = ""
    """What errors call it, "" for its id."""


class Source(Protocol):
    """A place that documents come from. Each kind is a folder of ``knowledge/sources``; the registry builds it.

    A listing is always complete. A source that can ask for changes keeps the last listing in its ``Memory`` and applies
    the changes to it. So a cursor only saves time, and a failed run cannot lose a document.
    """

    @property
    def key(self) -> SourceKey:
        """Return the source's identity."""

    def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the documents in batches.

        Raises:
            SourceError: the listing failed or ended early, so nothing may be deleted.

        """

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one document.

        Raises:
            SourceError: it cannot be read (gone, no right, over the size limit).

        """

    async def close(self) -> None:
        """Close connections and release what this sync needed. The source is used again by the next sync."""


@runtime_checkable
class WatchableSource(Protocol):
    """A source that notices changes."""

    def changes(self) -> AsyncIterator[None]:
        """Yield after something has changed; a burst of changes may be one.

        Ends, or raises ``SourceError``, when it cannot watch; the schedule refreshes in any case.
        """


@runtime_checkable
class RightsSource(Protocol):
    """A source that can say who may read some documents now, for much less than a listing costs."""

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str] | None]:
        """Return the readers of these documents as a listing would now; at most about 50 documents a call.

        A document that is missing is gone: nobody may see it from now on. None says that this process cannot see the
        document: it is left out of this answer, and nothing changes.

        Raises:
            SourceError: the source does not answer, or refuses.

        """


def lists_rights(source: Source) -> bool:
    """Return whether a listing of a ``RightsSource`` counts as its answer, as its attribute ``lists_rights`` says.

    Without the attribute it does not: a listing from memory, or by a late change feed, may name former readers.
    """
    return isinstance(source, RightsSource) and bool(getattr(source, "lists_rights", False))


def has_uniform_readers(source: Source) -> bool:
    """Return whether all documents have the configured readers of the source, as its attribute of this name says."""
    return bool(getattr(source, "has_uniform_readers", False))


async def find_place(source: object) -> str:
    """Return on which disks of which host the documents of a source lie, as its method of this name says.

    It is "" for a source that every host sees alike. If it differs from the place of the last sync, a document that is
    missing here is not gone.

    Raises:
        SourceError: the place cannot be seen.

    """
    find: Callable[[], Awaitable[str]] | None = getattr(source, "find_place", None)
    return "" if find is None else await find()


@dataclass(frozen=True, slots=True)
class RightsLimit:
    """One thing that limits the readers of a document; a person must be admitted by all of them."""

    what: str
    """In words, such as ``its page restriction``."""
    readers: frozenset[str]


@runtime_checkable
class ExplainingSource(Protocol):
    """A source that can say why somebody may not read a document."""

    async def explain_rights(self, document: str) -> Sequence[RightsLimit]:
        """Return what limits the readers of a document now; none if it is gone.

        Raises:
            SourceError: the source does not answer, or refuses.

        """


class Memory(Protocol):
    """What a source remembers from one listing to the next. Without it, the next listing is only slower.

    It is in the manifest's database, so replicas share it.
    """

    async def load(self) -> bytes | None:
        """Return what was saved last, None if nothing was."""

    async def save(self, data: bytes) -> None:
        """Replace all of it: after a complete listing, or earlier if the next listing can continue from there."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the registry passes to a source, apart from the source's own keys."""

    name: str
    base_dir: Path
    """Where relative paths start: the folder of ``kvasir.toml``."""
    state_dir: Path
    """A folder of this source alone, for files that outlive a sync (a clone). The source creates it."""
    memory: Callable[[SourceKey], Memory]
    readers: frozenset[str] = EVERYONE
    """As configured. A source with rights of its own can only narrow them (``intersect_readers``)."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values of the environment variables that keys ending in ``_env`` name: ``token_env`` gives ``token``."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    web: WebSettings = field(default_factory=WebSettings)
    content: SharedContent | None = None
    """What several hosts share; None where sources keep everything on this host."""
