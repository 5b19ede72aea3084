"""Documents that people add: store them, sync their source, and say whether they can be found."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from bot.config.configuration import ADDED_SOURCE
from bot.errors import SettingsError
from bot.messages.errors import explain_failure
from bot.messages.message import Message
from knowledge.database.content import SharedContent
from knowledge.errors import KnowledgeError, SyncRunning, suggest_nearest
from knowledge.settings import SourceSpec
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadResult, parse_document_name
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import make_approval_mark
from knowledge.sync.report import OnProgress, SyncReport

T = TypeVar("T")

_PATIENCE_S = 300.0  # how long a removal by age waits for a sync that is running
_AGAIN_S = 1.0
"""The pause between two attempts while another sync is running."""


class RefreshableLibrary(Protocol):
    """The part of the library that added documents need."""

    async def refresh(
        self,
        source: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        approve: Mapping[str, str] | None = None,
    ) -> SyncReport:
        """Sync one source; raises ``SyncRunning``."""

    async def status(self) -> LibraryStatus:
        """Return the state of the sources."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that was stored."""

    name: str
    """Its id (``UploadRecord.name``)."""
    result: UploadResult


def choose_push_source(sources: Sequence[SourceSpec], to: str | None = None) -> SourceSpec:
    """Return the source that stores added documents: the named one, or the only one.

    Raises:
        SettingsError: there is no such source, or there are several and none was named.

    """
    takers = {spec.name: spec for spec in sources if spec.kind == "push"}
    if to is not None:
        if to not in takers:
            raise SettingsError(
                f"{to} is not a source that stores added documents.{suggest_nearest(to, takers)} "
                f"Those that do: {', '.join(takers) or 'none'}."
            )
        return takers[to]
    if len(takers) > 1 and ADDED_SOURCE not in takers:
        raise SettingsError(f"Several sources store added documents. Name one with --to: {', '.join(takers)}.")
    if not takers:
        raise SettingsError(
            "No source stores added documents. Add one of kind push to kvasir.toml, as docs/sources.md shows."
        )
    return takers.get(ADDED_SOURCE) or next(iter(takers.values()))


class DocumentAdditions:
    """Adds documents to one source and removes them."""

    def __init__(
        self, spec: SourceSpec, home: Path, library: RefreshableLibrary, content: SharedContent | None = None
    ) -> None:
        """``content`` is what several hosts share, if they do."""
        self.source = spec.name
        self.store = open_upload_store(spec, home, content)
        self._library = library

    async def store_document(self, name: str, data: bytes, *, by: str, title: str | None = None) -> StoredDocument:
        """Store a document on disk, for all readers of the source. Searches find it after the next sync.

        Raises:
            KnowledgeError: Kvasir does not read this kind, it is too large, or the disk refuses it.

        """
        put = await self.store.run(lambda: self.store.store_document(name, data, by=by, title=title))
        return StoredDocument(parse_document_name(name), put)

    async def store_message_file(
        self, name: str, data: bytes, *, sender: str, origin: str, title: str | None
    ) -> StoredDocument:
        """Store a file of a message (``origin``), for its sender alone. Searches find it after the next sync.

        Raises:
            KnowledgeError: as for ``store_document``.

        """

        def store_file() -> StoredDocument:
            document = self.store.find_document_id(name, sender)
            put = self.store.store_document(
                name, data, by=sender, title=title, readers=[sender], origin=origin, document=document
            )
            return StoredDocument(document, put)

        return await self.store.run(store_file)

    async def change_readers(self, origin: str, *, sender: str, readers: Sequence[str] | None) -> list[str]:
        """Change who may read the files that a person sent in a message; return their names.

        ``readers`` are principals; None stands for all readers of the source. A sync makes it count everywhere.

        Raises:
            KnowledgeError: the disk refuses it.

        """
        return await self.store.run(lambda: self.store.change_readers(origin, sender, readers))

    async def sync_documents(
        self, names: Collection[str], on_progress: OnProgress | None = None, *, patience_s: float = 0.0
    ) -> Mapping[str, Message]:
        """Sync the source and return the reasons why documents cannot be found, by their names.

        Documents that can be found are left out. Waits up to ``patience_s`` for a sync that is running.

        Raises:
            SyncRunning: that sync takes longer. It or the next one reads the documents.
            KnowledgeError: the sync cannot start.

        """
        failures, error = await sync_source(self._library, self.source, on_progress, patience_s)
        if error is not None:
            return dict.fromkeys(names, error)
        return {name: failures[name] for name in names if name in failures}

    async def remove_documents(
        self, names: Collection[str], on_progress: OnProgress | None = None, *, patience_s: float = 0.0
    ) -> list[str]:
        """Remove documents from the store and the index; return the names that did not exist.

        Raises as ``sync_removals``.
        """
        named = {unicodedata.normalize("NFC", name): name for name in names}
        removed = await self.store.run(lambda: self.store.remove_documents(lambda record: record.name in named))
        if removed:
            await self.sync_removals(removed, on_progress, patience_s=patience_s)
        return [name for normalized, name in named.items() if normalized not in removed]

    async def sync_removals(
        self, names: Collection[str], on_progress: OnProgress | None = None, *, patience_s: float = 0.0
    ) -> None:
        """Sync the source after documents were removed from the store.

        Bulk deletions wait for approval. Kvasir approves them here if they are only the documents just removed.
        Waits up to ``patience_s`` for a sync that is running.

        Raises:
            SyncRunning: that sync takes longer. It or the next one deletes the documents.
            KnowledgeError: the sync or the manifest failed.

        """
        done = await wait_for_sync(lambda: self._library.refresh(self.source, on_progress), patience_s)
        if error := done.sources[self.source].error:
            raise KnowledgeError(error)
        status = next(one for one in (await self._library.status()).sources if one.name == self.source)
        are_all_shown = status.pending_deletions == len(status.first_pending_deletions)
        are_ours = are_all_shown and {one.document for one in status.first_pending_deletions} <= set(names)
        if status.pending_deletions and (are_ours or status.approval_mark == make_approval_mark(names)):
            await self._library.refresh(self.source, on_progress, approve={self.source: status.approval_mark})

    async def remove_older(self, before: float) -> int:
        """Remove the documents that were added before a time; return their number. Raises as ``remove_documents``."""
        names = await self.store.run(lambda: self.store.remove_documents(lambda record: record.added_at < before))
        if names:
            await self.sync_removals(names, patience_s=_PATIENCE_S)
        return len(names)


async def sync_source(
    library: RefreshableLibrary, source: str, on_progress: OnProgress | None, patience_s: float
) -> tuple[Mapping[str, Message], Message | None]:
    """Sync a source; return why documents of it cannot be found, by their names, and why the sync failed.

    If a sync is running, wait up to ``patience_s`` for its end first.

    Raises:
        SyncRunning: another sync takes longer than ``patience_s``.
        KnowledgeError: the sync cannot start.

    """
    report = (await wait_for_sync(lambda: library.refresh(source, on_progress), patience_s)).sources[source]
    status = next(one for one in (await library.status()).sources if one.name == source)
    failures = (*status.failures, *report.failures)
    return (
        {failure.document: explain_failure(failure.code, failure.reason) for failure in failures},
        None if report.error is None else explain_failure(report.error_code, report.error),
    )


async def wait_for_sync(work: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Do some work that no sync may disturb; wait up to ``patience_s`` for the end of one that is running.

    Raises:
        SyncRunning: it takes longer.

    """
    ends = time.monotonic() + patience_s
    while True:
        try:
            return await work()
        except SyncRunning:
            if time.monotonic() >= ends:
                raise
        await asyncio.sleep(_AGAIN_S)
