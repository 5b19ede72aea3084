"""Documents that people hand to Kvasir: kept, synced at once, and told when they can be found, or why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.config.configuration import ADDED_SOURCE
from bot.config.tables import suggest_nearest
from bot.errors import SettingsError
from knowledge.errors import SyncRunning
from knowledge.settings import SourceSpec
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadResult, UploadStore, parse_document_name
from knowledge.status import LibraryStatus
from knowledge.sync.report import OnProgress, SyncReport

_AGAIN_S = 1.0
"""Between two tries while another sync is running."""


class RefreshableLibrary(Protocol):
    """What adding needs of the knowledge."""

    async def refresh(
        self,
        source: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        approve: Mapping[str, str] | None = None,
    ) -> SyncReport:
        """Bring one source up to date; raises ``SyncRunning``."""

    async def status(self) -> LibraryStatus:
        """Return how the knowledge is."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that lies in its folder now."""

    name: str
    result: UploadResult


def choose_push_source(sources: Sequence[SourceSpec], to: str | None = None) -> SourceSpec:
    """Return the source that takes added documents: the named one, or the only one.

    Raises:
        SettingsError: there is no such source, or none was named where there are several.

    """
    takers = {spec.name: spec for spec in sources if spec.kind == "push"}
    if to is not None:
        if to not in takers:
            raise SettingsError(
                f"{to} is no source that takes documents.{suggest_nearest(to, takers)} "
                f"Those that do: {', '.join(takers) or 'none'}."
            )
        return takers[to]
    if len(takers) > 1 and ADDED_SOURCE not in takers:
        raise SettingsError(f"Several sources take documents. Name one with --to: {', '.join(takers)}.")
    if not takers:
        raise SettingsError("No source takes documents. Add one of kind push to kvasir.toml; docs/sources.md shows it.")
    return takers.get(ADDED_SOURCE) or next(iter(takers.values()))


class DocumentAdditions:
    """Adds documents to one source, and takes them away."""

    def __init__(self, spec: SourceSpec, home: Path, library: RefreshableLibrary) -> None:
        self.source = spec.name
        self._store: UploadStore = open_upload_store(spec, home)
        self._library = library

    @property
    def store(self) -> UploadStore:
        """Return the folder in which the documents lie."""
        return self._store

    async def store_document(
        self, name: str, data: bytes, *, by: str, title: str | None = None, media_type: str | None = None
    ) -> StoredDocument:
        """Keep a document; it survives whatever happens to this process, and is found after the next sync.

        Raises:
            KnowledgeError: it is of no kind that is read, too large, or the disk does not take it.

        """
        put = await asyncio.to_thread(self._store.put, name, data, by=by, title=title, media_type=media_type)
        return StoredDocument(parse_document_name(name), put)

    async def sync_documents(
        self, names: Collection[str], on_progress: OnProgress | None = None, *, patience_s: float = 0.0
    ) -> Mapping[str, str]:
        """Sync the source; returns why documents cannot be found, by their names; those that can are left out.

        Waits up to ``patience_s`` for a sync that is running.

        Raises:
            SyncRunning: it runs longer; it, or the next one, takes the documents in.
            KnowledgeError: nothing could be begun.

        """
        report = await refresh_source(self._library, self.source, on_progress, patience_s)
        told = report.sources[self.source]
        status = next(one for one in (await self._library.status()).sources if one.name == self.source)
        why = {failure.document: failure.reason for failure in (*status.failures, *told.failures)}
        if told.error is not None:
            return dict.fromkeys(names, told.error)
        return {name: why[name] for name in names if name in why}

    async def remove_documents(self, names: Collection[str], on_progress: OnProgress | None = None) -> list[str]:
        """Remove documents and have them stop answering; returns the names that were not there.

        The guard holds what is gone if it is much; what was taken away on purpose is approved along with it.

        Raises:
            SyncRunning: a sync is running; it, or the next one, notices.
            KnowledgeError: the folder or the manifest failed.

        """
        absent = [name for name in names if not await asyncio.to_thread(self._store.remove, name)]
        if len(absent) == len(names):
            return absent
        await self._library.refresh(self.source, on_progress)
        status = next(one for one in (await self._library.status()).sources if one.name == self.source)
        removed = set(names) - set(absent)
        if (
            status.pending_deletions
            and status.pending_deletions == len(status.first_pending_deletions)
            and {d.document for d in status.first_pending_deletions} <= removed
        ):
            await self._library.refresh(self.source, on_progress, approve={self.source: status.approval_mark})
        return absent


async def refresh_source(
    library: RefreshableLibrary,
    source: str,
    on_progress: OnProgress | None,
    patience_s: float,
    now: Callable[[], float] = time.monotonic,
) -> SyncReport:
    """Sync a source, after the sync that is running if that ends within ``patience_s``.

    Raises:
        SyncRunning: it does not.
        KnowledgeError: nothing could be begun.

    """
    ends = now() + patience_s
    while True:
        try:
            return await library.refresh(source, on_progress)
        except SyncRunning:
            if now() >= ends:
                raise
        await asyncio.sleep(_AGAIN_S)
