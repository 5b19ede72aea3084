"""All that the bot sees of the knowledge room: search, refresh, status, and questions to begin with."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from knowledge import terms
from knowledge.defects import first_of, told_of
from knowledge.errors import HeldChanged, KnowledgeError, SyncRunning, UnknownSource
from knowledge.interfaces import (
    EVERYONE,
    Embedder,
    Hit,
    Live,
    Matrix,
    Scope,
    SearchResult,
    Source,
    Watched,
)
from knowledge.search.documents import Documents
from knowledge.search.federated import Asking, Question, Web
from knowledge.search.hybrid import may_see
from knowledge.search.query import Query, named, parse
from knowledge.search.weights import weigh_documents
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.status import LibraryStatus, SourceContents, SourceStatus, source_contents, source_status
from knowledge.suggestions import questions
from knowledge.sync.coordinator import Conductor
from knowledge.sync.lock import holder, sync_lock
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.records import decode_readers, held_mark
from knowledge.sync.report import OnProgress, Progress, SyncReport
from knowledge.sync.running.repair import Drift, repair
from knowledge.sync.running.run import Passages, Run, Tools, open_run
from knowledge.sync.running.shadow_index import Beside
from knowledge.sync.watch import Watch

if TYPE_CHECKING:
    from knowledge.sync.schedule import Schedule

__all__ = ["Library", "LibraryStatus", "SourceStatus", "TextEmbedder"]

_log = logging.getLogger(__name__)

_HEADINGS = 2000
"""Passages whose headings are looked at for suggestions."""
_TRIES = 40
"""Questions that are searched for, at most, to find good suggestions."""
_TURN_S = 60.0
"""How long a scheduled run rests when another sync is running."""
_TURNS = 180


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
        web: Web | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sources = {source.key.name: source for source in sources}
        self._indexes = indexes
        self._embedder = embedder
        self._passages = passages
        self._sleep = sleep
        self._lock = settings.home / "sync.lock"
        self._conductor = Conductor(self._open_run)
        self._watch: Watch | None = None
        weigh = {self._sources[spec.name].key.id: weigh_documents(spec) for spec in settings.sources}
        self._documents = Documents(indexes, embedder, weigh)
        self._asking = Asking(self._documents, web)

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
        join: bool = True,
        live: Live | None = None,
    ) -> SearchResult:
        """Return the best current passages for a question, best first.

        Filters that stand in the question narrow the search further (``knowledge.search.query``). ``readers`` are all
        who will see the answer: a passage is returned only if every one of them may read it. ``sources`` are names,
        None for all. ``join`` puts what stands around a hit into ``Hit.around``. ``live`` is how the live web may be
        asked (``knowledge.search.federated``), where it is on at all.

        Raises:
            UnknownSource: a name is not configured, or not among ``sources``.
            BadFilter: a filter in the question cannot be read.
            StoreError, EmbedderError, ManifestError: that part failed, and the web has no answer.

        """
        asked = parse(query, datetime.now(UTC))
        scope = self._scope(asked, self._chosen(sources), readers)
        question = Question(query, asked.words, scope, limit, join)
        return await self._asking.search(question, live)

    async def still(self, chunks: Collection[str], readers: Collection[str] = EVERYONE) -> frozenset[str]:
        """Return those of the chunks (``Hit.chunks``) that are current now and that every one of ``readers`` may read.

        Raises:
            ManifestError: it cannot be read.

        """
        rows = await (await self._documents.searched()).manifest.current(chunks, self._keys())
        return frozenset(row.id for row in rows if may_see(frozenset(readers), decode_readers(row.readers)))

    async def passage(self, chunks: Sequence[str], readers: Collection[str] = EVERYONE) -> Hit | None:
        """Return what is current of ``Hit.chunks`` and may be read by every reader; None where nothing is left.

        Raises:
            StoreError, ManifestError: that part failed.

        """
        return await self._documents.passage(chunks, readers)

    def _scope(self, asked: Query, allowed: Sequence[Source], readers: Collection[str]) -> Scope:
        """Return where to look: within what the caller allows, what the question's filters leave."""
        keys = {source.key.name: source.key.id for source in allowed}
        chosen = named(asked.sources, list(keys)) if asked.sources else keys.keys()
        ids = frozenset(keys[name] for name in chosen)
        return Scope(ids, frozenset(readers), asked.kinds, asked.after, asked.before)

    async def refresh(
        self,
        source: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        approve: Mapping[str, str] | None = None,
    ) -> SyncReport:
        """Bring one source, or every source, up to date, beside whatever other sources are being synced.

        With ``None``, a source that is being synced already is waited for. ``approve`` says what a person was
        shown and agreed to (``LibraryStatus.held_marks``): exactly those documents are deleted, if they are still gone
        now that their source is listed again. ``on_progress`` is called on this loop some times a second for
        each source, and raises nothing. Cancelled or killed, it leaves what it had taken in, and stops what nobody
        else waits for; the next one goes on from there.

        Raises:
            SyncRunning: all that was asked for is being synced already here, or another process syncs into this state
                directory or database.
            UnknownSource: the name is not configured.
            HeldChanged: other documents are held by now than were shown; nothing was begun.
            StoreError, ManifestError: nothing could be begun; later failures are in the report.

        """
        chosen = self._chosen(None if source is None else [source])
        return await self._conductor.refresh(chosen, on_progress, approve=await self._agreed(approve or {}))

    async def _agreed(self, shown: Mapping[str, str]) -> dict[str, frozenset[str]]:
        """Return the documents that a person was shown, by their source; as names, so that no sync can add to them."""
        agreed: dict[str, frozenset[str]] = {}
        for source in self._chosen(shown.keys()):
            agreed[source.key.name] = held = await (await self._documents.searched()).manifest.held_names(source.key)
            if held_mark(held) != shown[source.key.name]:
                raise HeldChanged(
                    f"What is held of {source.key.name} has changed since it was shown. Look at it again, and approve "
                    "that."
                )
        return agreed

    async def repair(self) -> Drift:
        """Compare store and manifest row by row and mend what differs; what cannot be mended is read by the next sync.

        Raises:
            SyncRunning: a sync is running, here or elsewhere.
            StoreError, ManifestError: that side failed; nothing is lost by it.

        """
        return await self._conductor.alone(self._repair)

    async def status(self) -> LibraryStatus:
        """Return what is held of each source, how fresh it is, and how its last sync went.

        Raises:
            ManifestError: the manifest's database failed.

        """
        searched = await self._documents.searched()
        now = datetime.now(UTC)
        progress = self._conductor.progress
        states = [
            await source_status(
                searched.manifest,
                spec,
                key=self._sources[spec.name].key,
                now=now,
                nightly=self._settings.nightly,
                syncing=_begun(spec.name, progress[spec.name]) if spec.name in progress else None,
                watched=self._watch is not None and spec.name in self._watch.watched,
                watch_trouble=None if self._watch is None else self._watch.troubles.get(spec.name),
            )
            for spec in self._settings.sources
        ]
        return LibraryStatus(
            searched.store.kind,
            not self._indexes.settled,
            tuple(states),
            growth=await self._indexes.growth([source.key for source in self._sources.values()]),
            repaired=await searched.manifest.repaired(),
            elsewhere=holder(self._lock),
        )

    async def contents(self, readers: Collection[str] = EVERYONE, within: str = "") -> tuple[SourceContents, ...]:
        """Return what the sources hold that every one of ``readers`` may read; a source without any is left out.

        Of ``within``, filters as a channel has them, the sources count.

        Raises:
            BadFilter, UnknownSource: ``within`` cannot be read.
            ManifestError: the manifest's database failed.

        """
        chosen = parse(f"{within} x", datetime.now(UTC)).sources if within else ()
        scope = named(chosen, list(self._sources)) if chosen else self._sources.keys()
        manifest = (await self._documents.searched()).manifest
        found = [
            await source_contents(manifest, source.key, frozenset(readers), self._documents.weight)
            for name, source in self._sources.items()
            if name in scope
        ]
        return tuple(one for one in found if one.documents)

    async def suggestions(self, n: int = 3) -> list[str]:
        """Return up to ``n`` questions that the documents answer, the same ones as long as the documents are the same.

        They are made of headings, and each was searched for: it is answerable, and its best hit is the passage under
        that heading. Documents of less weight give none.
        """
        headings = await (await self._documents.searched()).manifest.headings(self._keys(), _HEADINGS)
        usual = [one for one in headings if self._documents.weight(one.source, one.document) >= 1]
        found: list[str] = []
        for tries, (question, heading) in enumerate(questions(usual)):
            if len(found) == n or tries == _TRIES:
                break
            result = await self.search(question, limit=2, join=False)
            first = [(hit.document, hit.heading) for hit in result.hits[:1]]
            if result.answerable and first == [(heading.document, heading.heading)]:
                found.append(question)
        return found

    async def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Embed texts to be compared with each other, before any passage that waits; shape ``(texts, dimensions)``."""
        return await self._embedder.embed_queries(texts)

    @contextlib.asynccontextmanager
    async def scheduled(self) -> AsyncIterator[Schedule]:
        """Refresh by the clock within this block: the nightly run, and each source's own cron line.

        The nightly run begins by comparing store and manifest (``repair``).

        Raises:
            SourceMisconfigured: a line is no cron line.

        """
        from knowledge.sync.schedule import Schedule  # noqa: PLC0415 - only a bot that stays needs it

        lines = {spec.name: spec.schedule for spec in self._settings.sources if spec.schedule is not None}
        schedule = Schedule(self._by_the_clock, nightly=self._settings.nightly, sources=lines)
        schedule.start()
        try:
            yield schedule
        finally:
            await schedule.stop()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Refresh a source as soon as something in it changes, within this block, where it can tell that."""
        watched = {name: source for name, source in self._sources.items() if isinstance(source, Watched)}
        self._watch = Watch(watched, self._once_more, sleep=self._sleep)
        try:
            async with self._watch.running():
                yield
        finally:
            self._watch = None

    async def close(self) -> None:
        """Stop every sync; what they took in stays."""
        await self._conductor.close()

    async def _by_the_clock(self, source: str | None) -> None:
        """Refresh one source, or compare store and manifest and refresh every source."""
        if source is None:
            await self._in_turn(self._repair_by_the_clock, "The nightly comparison of store and manifest")
        await self._once_more(source)

    async def _repair_by_the_clock(self) -> None:
        drift = await self.repair()
        if drift.differed:
            _log.warning("Store and manifest differed by %d chunks, %d mended at once", drift.differed, drift.mended)

    async def _once_more(self, source: str | None) -> None:
        """Refresh after whatever sync of it is running here."""

        async def refresh() -> None:
            _tell(await self._conductor.refresh(self._chosen(source and [source]), None, queue=True))

        await self._in_turn(refresh, f"The sync of {source or 'every source'}")

    async def _in_turn(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Wait for a sync that is in the way instead of leaving this out; what fails is logged."""
        for _ in range(_TURNS):
            try:
                await work()
            except SyncRunning:
                await self._sleep(_TURN_S)
            except KnowledgeError as error:
                _log.warning("%s failed: %s", name, error)
                return
            except Exception as error:  # noqa: BLE001 (nobody waits for it, and a watch must go on)
                _log.error("%s met a defect: %s", name, told_of(first_of(error)))
                return
            else:
                return
        _log.warning("%s was left out: another sync has been running for hours.", name)

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

    def _keys(self) -> list[str]:
        return [source.key.id for source in self._sources.values()]

    @contextlib.asynccontextmanager
    async def _open_run(self) -> AsyncIterator[Run]:
        async with self._alone():
            async with open_run(self._tools(), self._keys()) as run:
                yield run
            await self._indexes.switch([source.key for source in self._sources.values()])

    async def _repair(self) -> Drift:
        async with self._alone():
            written = self._indexes.written
            return await repair(written.store, written.manifest, thorough=True)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Keep the syncs of other processes out, and write the index that is to be written."""
        with sync_lock(self._lock):
            async with self._indexes.alone():
                await self._indexes.follow()
                await self._indexes.check()
                yield

    def _tools(self) -> Tools:
        written, searched = self._indexes.written, self._indexes.searched
        beside = None if searched.row.id == written.row.id else Beside(searched.store, searched.manifest)
        return Tools(self._embedder, written.store, written.manifest, self._passages, terms.index_terms, beside=beside)


def _begun(source: str, progress: Progress | None) -> Progress:
    return progress or Progress(source, 0, 0, 0, 0, 0.0, None)


def _tell(report: SyncReport) -> None:
    """Log how a sync that nobody asked for ended, a line for each source."""
    for name, source in report.sources.items():
        counts = f"{source.added} added, {source.updated} updated, {source.deleted} deleted"
        if source.error is not None:
            _log.warning("The sync of %s stopped: %s", name, source.error)
        elif source.failed or source.held:
            _log.warning("Synced %s: %s, %d failed, %d held", name, counts, source.failed, source.held)
        else:
            _log.info("Synced %s in %.1f s: %s", name, source.seconds, counts)
