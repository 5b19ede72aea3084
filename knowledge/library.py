"""All that the bot sees of the knowledge room: search, refresh, status, and questions to begin with."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from knowledge import terms
from knowledge.errors import KnowledgeError, StoreError, SyncRunning, UnknownSource
from knowledge.interfaces import (
    EVERYONE,
    Current,
    Embedder,
    Matrix,
    SearchResult,
    Source,
)
from knowledge.search.hybrid import HybridSearch
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.suggestions import questions
from knowledge.sync.indexes import Indexes, OpenIndex
from knowledge.sync.lock import sync_lock
from knowledge.sync.records import CurrentRow, Failure, decode_readers
from knowledge.sync.report import OnProgress, Progress, SyncReport
from knowledge.sync.run import Passages, Tools, sync

_log = logging.getLogger(__name__)

_HEADINGS = 2000
"""Passages whose headings are looked at for suggestions."""
_TRIES = 40
"""Questions that are searched for, at most, to find good suggestions."""
_TOLD = 5
"""Failed documents named in a source's status."""
_TURN_S = 60.0
"""How long a scheduled run rests when another sync is running."""
_TURNS = 180


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source as a person is told of it."""

    name: str
    kind: str
    root: str
    documents: int
    chunks: int
    failed: int
    """Documents in quarantine."""
    failures: tuple[Failure, ...]
    """The first of them, with their reasons."""
    held: int
    """Documents that a suspiciously short listing lacked; they are kept, and answer."""
    synced_at: datetime | None
    """Begin of the last complete listing that was worked off; aware, UTC. None: never yet."""
    error: str | None
    """Why the last sync stopped, None when it did not."""
    schedule: str | None
    syncing: Progress | None
    """How far a sync of this process is, None when none is running."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The knowledge as a person is told of it."""

    store: str
    """The store's kind."""
    indexing: bool
    """Whether a new index is growing (the embedder, the chunker or the terms have changed)."""
    sources: tuple[SourceStatus, ...]


class TextEmbedder(Embedder, Protocol):
    """The embedder, with the way in for short texts that an answer waits for."""

    async def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embed texts that are compared with each other."""


class Library:
    """Documents, kept fresh and searched. Made by ``open_library``; every method may be called from several tasks."""

    def __init__(
        self,
        settings: KnowledgeSettings,
        *,
        sources: Sequence[Source],
        indexes: Indexes,
        embedder: TextEmbedder,
        passages: Passages,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sources = {source.key.name: source for source in sources}
        self._indexes = indexes
        self._embedder = embedder
        self._passages = passages
        self._sleep = sleep
        self._running: dict[str, Progress] = {}
        self._hybrid: tuple[OpenIndex, HybridSearch] | None = None

    def sources(self) -> tuple[SourceSpec, ...]:
        """Return the configured sources."""
        return self._settings.sources

    async def search(
        self,
        query: str,
        *,
        limit: int = 8,
        readers: Collection[str] = EVERYONE,
        sources: Collection[str] | None = None,
    ) -> SearchResult:
        """Return the best current passages for a question, best first.

        ``readers`` are all who will see the answer: a passage is returned only if every one of them may read it.
        ``sources`` are names, None for all.

        Raises:
            UnknownSource: a name is not configured.
            StoreError, EmbedderError, ManifestError: that part failed.

        """
        keys = [source.key.id for source in self._chosen(sources)]
        while True:
            index = await self._searched()
            if self._hybrid is None or self._hybrid[0] is not index:
                self._hybrid = index, self._search_of(index)
            try:
                result = await self._hybrid[1].search(query, limit=limit, readers=readers, sources=keys)
            except StoreError:
                await self._indexes.follow(lost=True)
                if self._indexes.searched is index:
                    raise
            else:
                if await self._searched() is index:
                    return result
            # A switch dropped the index in mid-search: what it held is in the new one.

    async def refresh(self, source: str | None = None, on_progress: OnProgress | None = None) -> SyncReport:
        """Bring one source, or every source, up to date.

        ``on_progress`` is called in this task some times a second for each source. Cancelled or killed, it leaves what
        it had taken in; the next one goes on from there.

        Raises:
            SyncRunning: a sync of this state directory is running already, here or in another process.
            UnknownSource: the name is not configured.
            StoreError, ManifestError: nothing could be begun; later failures are in the report.

        """
        chosen = self._chosen(None if source is None else [source])
        with sync_lock(self._settings.home / "sync.lock"):
            async with self._indexes.alone():
                return await self._refresh(chosen, on_progress)

    async def _refresh(self, chosen: Sequence[Source], on_progress: OnProgress | None) -> SyncReport:
        try:
            await self._indexes.follow()
            await self._indexes.check()
            report = await sync(self._tools(), chosen, configured=self._keys(), on_progress=self._noted(on_progress))
            await self._indexes.switch([source.key for source in self._sources.values()])
        finally:
            self._running.clear()
        return report

    async def status(self) -> LibraryStatus:
        """Return what is held of each source, and how its last sync went.

        Raises:
            ManifestError: the manifest's database failed.

        """
        searched = await self._searched()
        manifest = searched.manifest
        states: list[SourceStatus] = []
        for spec in self._settings.sources:
            key = self._sources[spec.name].key
            counts = await manifest.counts(key)
            states.append(
                SourceStatus(
                    name=key.name,
                    kind=key.kind,
                    root=key.root,
                    documents=counts.documents,
                    chunks=counts.chunks,
                    failed=counts.failed,
                    failures=await manifest.failures(key, _TOLD) if counts.failed else (),
                    held=counts.held,
                    synced_at=None if counts.listed_at is None else datetime.fromtimestamp(counts.listed_at, UTC),
                    error=counts.error,
                    schedule=spec.schedule,
                    syncing=self._running.get(key.name),
                )
            )
        return LibraryStatus(searched.store.kind, not self._indexes.settled, tuple(states))

    async def suggestions(self, n: int = 3) -> list[str]:
        """Return up to ``n`` questions that the documents answer, the same ones as long as the documents are the same.

        They are made of headings, and each was searched for: its best hit is the passage under that heading.
        """
        headings = await (await self._searched()).manifest.headings(self._keys(), _HEADINGS)
        found: list[str] = []
        for tries, (question, heading) in enumerate(questions(headings)):
            if len(found) == n or tries == _TRIES:
                break
            hits = (await self.search(question, limit=1)).hits
            if hits and (hits[0].document, hits[0].heading) == (heading.document, heading.heading):
                found.append(question)
        return found

    async def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embed texts to be compared with each other, before any passage that waits; shape ``(texts, dimensions)``."""
        return await self._embedder.embed_queries(texts)

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed texts as passages are embedded, behind those that wait; shape ``(texts, dimensions)``."""
        return await self._embedder.embed_passages(texts)

    @contextlib.asynccontextmanager
    async def scheduled(self) -> AsyncIterator[None]:
        """Refresh by the clock within this block: the nightly run, and each source's own cron line.

        Raises:
            SourceMisconfigured: a line is no cron line.

        """
        from knowledge.sync.schedule import Schedule  # noqa: PLC0415 - only a bot that stays needs it

        lines = {spec.name: spec.schedule for spec in self._settings.sources if spec.schedule is not None}
        schedule = Schedule(self._by_the_clock, nightly=self._settings.nightly, sources=lines)
        schedule.start()
        try:
            yield
        finally:
            schedule.stop()

    async def _by_the_clock(self, source: str | None) -> None:
        """Refresh; wait for a sync that is running instead of leaving this one out."""
        for _ in range(_TURNS):
            try:
                report = await self.refresh(source)
            except SyncRunning:
                await self._sleep(_TURN_S)
            except KnowledgeError as error:
                _log.warning("The scheduled sync of %s failed: %s", source or "every source", error)
                return
            else:
                _tell(report)
                return

    def _chosen(self, names: Collection[str] | None) -> list[Source]:
        if names is None:
            return list(self._sources.values())
        for name in names:
            if name not in self._sources:
                near = difflib.get_close_matches(name, list(self._sources), n=1)
                meant = f" Did you mean “{near[0]}”?" if near else ""
                raise UnknownSource(
                    f"There is no source “{name}”.{meant} Sources are: {', '.join(self._sources) or 'none'}."
                )
        return [source for name, source in self._sources.items() if name in names]

    async def _searched(self) -> OpenIndex:
        """Return the index to search, after a switch of another process the new one."""
        await self._indexes.follow()
        return self._indexes.searched

    def _search_of(self, index: OpenIndex) -> HybridSearch:
        async def current(ids: Collection[str]) -> dict[str, Current]:
            rows = await index.manifest.current(ids, self._keys())
            return {row.id: _current(row) for row in rows}

        return HybridSearch(self._embedder, index.store, current, dense=index.dense)

    def _keys(self) -> list[str]:
        return [source.key.id for source in self._sources.values()]

    def _noted(self, on_progress: OnProgress | None) -> OnProgress:
        def note(progress: Progress) -> None:
            self._running[progress.source] = progress
            if on_progress is not None:
                on_progress(progress)

        return note

    def _tools(self) -> Tools:
        written = self._indexes.written
        return Tools(self._embedder, written.store, written.manifest, self._passages, terms.index_terms)


def _tell(report: SyncReport) -> None:
    """Log how a scheduled sync ended, a line for each source."""
    for name, source in report.sources.items():
        counts = f"{source.added} added, {source.updated} updated, {source.deleted} deleted"
        if source.error is not None:
            _log.warning("The scheduled sync of %s stopped: %s", name, source.error)
        elif source.failed or source.held:
            _log.warning("Synced %s: %s, %d failed, %d held", name, counts, source.failed, source.held)
        else:
            _log.info("Synced %s in %.1f s: %s", name, source.seconds, counts)


def _current(row: CurrentRow) -> Current:
    return Current(
        source_name=row.source.partition("\x1f")[0],
        readers=decode_readers(row.readers),
        synced_at=datetime.fromtimestamp(row.confirmed_at, UTC),
        row=row.row,
        place=row.place,
        kind=row.kind,
        modified_at=None if row.modified_at is None else datetime.fromtimestamp(row.modified_at, UTC),
    )
