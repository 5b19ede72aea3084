"""The runner: list, plan, read, parse, hand to the pipeline; a report for each source."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from knowledge.errors import KnowledgeError, ManifestError, ParseError, SourceDenied, SourceError, SourceUnavailable
from knowledge.interfaces import Chunk, Content, Embedder, Listed, Source, SourceKey, Store
from knowledge.sync.pipeline import IndexTerms, Pipeline, Prepared, Stages, discard
from knowledge.sync.plan import Add, Plan, Read, plan, retry_delay_s
from knowledge.sync.records import Failed, Failure, Known, Taken, Touched, both, decode_readers, encode_readers
from knowledge.sync.repair import clean
from knowledge.sync.report import OnProgress, Progress, SourceReport, SyncReport
from knowledge.sync.state import IndexManifest

Passages = Callable[[SourceKey, Listed, Content], Awaitable[tuple[str, Sequence[Chunk]]]]
"""A document's bytes -> its title and its chunks, in order; raises ``ParseError``."""

_PORTION = 500
"""Manifest rows changed in one transaction."""
_TOLD = 10
"""Failures named in a report."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and widths of a sync."""

    listing_s: float = 600.0
    """The gap between two batches of a listing."""
    document_s: float = 900.0
    """Reading, parsing and cutting one document, the wait for the parser's turn included."""
    source_s: float = 86_400.0
    """One source, from its listing to its last chunk."""
    sources: int = 4
    """Sources side by side."""
    documents: int = 4
    """Documents of a source that are read and parsed side by side."""
    progress_s: float = 0.2
    """The least time between two reports of a source's progress."""
    stages: Stages = field(default_factory=Stages)


@dataclass(frozen=True, slots=True)
class Tools:
    """What turns a document into current chunks."""

    embedder: Embedder
    store: Store
    manifest: IndexManifest
    passages: Passages
    index_terms: IndexTerms
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""
    clock: Callable[[], float] = time.monotonic


async def sync(
    tools: Tools,
    sources: Sequence[Source],
    *,
    configured: Collection[str],
    on_progress: OnProgress,
    approve: bool = False,
) -> SyncReport:
    """Bring the store level with these sources, side by side; a source that fails does not stop the others.

    ``configured`` names every source there is (``SourceKey.id``): what belongs to none of them is purged. ``approve``
    deletes what was held before and is still gone now that these sources are listed again (``plan``). The caller
    holds the lock. What was taken in when this is cancelled stays; the next sync cleans up and goes on.

    Raises:
        StoreError, ManifestError: before any source was begun.

    """
    began = tools.clock()
    await tools.manifest.purge(configured)
    repaired = await clean(tools.store, tools.manifest)
    width = asyncio.Semaphore(tools.limits.sources)

    async def one(source: Source) -> SourceReport:
        async with width:
            return await _SourceSync(tools, source, on_progress, approve=approve).run()

    async with asyncio.TaskGroup() as group:
        tasks = {source.key.name: group.create_task(one(source)) for source in sources}
    reports = {name: task.result() for name, task in tasks.items()}
    return SyncReport(reports, tools.clock() - began, repaired)


@dataclass(slots=True)
class _Tally:
    """What is counted while one source runs."""

    listed: int = 0
    unchanged: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    held: int = 0
    resting: int = 0
    written: int = 0
    kept: int = 0
    total: int = 0
    done: int = 0
    failures: list[Failure] = field(default_factory=list)


class _SourceSync:
    """One sync of one source."""

    def __init__(self, tools: Tools, source: Source, on_progress: OnProgress, *, approve: bool) -> None:
        self._tools = tools
        self._source = source
        self._key = source.key
        self._on_progress = on_progress
        self._approve = approve
        self._stopped: SourceError | None = None
        self._never_read = 0
        self._tally = _Tally()
        self._touched: list[Touched] = []
        self._failed: list[Failed] = []
        self._began = tools.clock()
        self._told = float("-inf")

    async def run(self) -> SourceReport:
        error: str | None = None
        try:
            async with asyncio.timeout(self._tools.limits.source_s) as deadline:
                try:
                    await self._sync()
                finally:
                    await self._source.close()
        except* KnowledgeError as group:
            error = str(_first(group))
        except* TimeoutError:
            if not deadline.expired():
                raise
            error = (
                f"The source {self._key.name} took over {self._tools.limits.source_s / 3600:.0f} h and was stopped. "
                "What it brought so far stays; the next sync goes on from there."
            )
        if error is not None:
            # The manifest may be what failed; the report carries the error in any case.
            with contextlib.suppress(ManifestError):
                await self._tools.manifest.finish(self._key, listed_at=None, error=error)
        self._tell(last=True)
        return self._report(error)

    async def _sync(self) -> None:
        listed_at = self._tools.now()
        listing, broken = await self._listing()
        known = await self._tools.manifest.known(self._key)
        # In a thread: over a hundred thousand documents it takes a third of a second.
        todo = await asyncio.to_thread(
            plan, listing, known, now=listed_at, complete=broken is None, approve=self._approve
        )
        self._count(todo, known)
        await self._mark(todo, listed_at)
        if not todo.brings_new:
            await self._let_go(todo, listed_at)
        await self._take_in(todo.reads)
        stopped = broken or self._stopped
        if stopped is not None:
            raise stopped
        if todo.brings_new:
            await self._let_go(todo.doubted(self._never_read), listed_at)
        await self._tools.manifest.finish(self._key, listed_at=listed_at, error=None)

    async def _listing(self) -> tuple[dict[str, Listed], SourceError | None]:
        """Return what the source lists, and why it stopped early if it did."""
        listing: dict[str, Listed] = {}
        batches = aiter(self._source.list())
        try:
            while True:
                async with asyncio.timeout(self._tools.limits.listing_s):
                    batch = await anext(batches, None)
                if batch is None:
                    return listing, None
                listing.update((listed.document, listed) for listed in batch)
                self._tally.listed = len(listing)
                self._tell()
        except SourceError as error:
            return listing, error
        except TimeoutError:
            return listing, SourceError(
                f"The source {self._key.name} listed nothing for {self._tools.limits.listing_s:.0f} s. "
                "Look whether it answers; nothing of it was deleted."
            )
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    def _count(self, todo: Plan, known: Sequence[Known]) -> None:
        tally = self._tally
        tally.unchanged = todo.kept
        tally.held = len(todo.holds)
        tally.resting = todo.waiting
        tally.total = len(todo.reads)
        tally.kept = sum(row.chunks for row in known) - sum(row.chunks for row in _known(todo.reads))

    async def _mark(self, todo: Plan, now: float) -> None:
        """Do what needs no reading: hold, release, restrict."""
        manifest = self._tools.manifest
        await manifest.hold([row.row for row in todo.holds if not row.held], now)
        await manifest.hold([row.row for row in todo.releases], None)
        await manifest.restrict(dict(_restricted(todo.reads)))

    async def _let_go(self, todo: Plan, now: float) -> None:
        """Delete what is gone; once what is new is there, because that may be the same under another name."""
        manifest = self._tools.manifest
        await manifest.hold([row.row for row in todo.holds if not row.held], now)
        self._tally.held = len(todo.holds)
        for rows in _portions((*todo.approved, *todo.deletes)):
            old = await manifest.remove([row.row for row in rows])
            self._tally.deleted += len(rows)
            self._tally.kept -= sum(row.chunks for row in rows)
            await discard(self._tools.store, manifest, old)

    async def _take_in(self, reads: Sequence[Read]) -> None:
        if not reads:
            return
        tools = self._tools
        pipeline = Pipeline(
            self._key,
            embedder=tools.embedder,
            store=tools.store,
            manifest=tools.manifest,
            index_terms=tools.index_terms,
            stages=tools.limits.stages,
            on_taken=self._taken,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline.run())
            group.create_task(self._prepare_all(reads, pipeline))

    async def _prepare_all(self, reads: Sequence[Read], pipeline: Pipeline) -> None:
        shared = iter(reads)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._tools.limits.documents):
                group.create_task(self._prepare_some(shared, pipeline))
        await self._write_down(least=1)
        pipeline.end()

    async def _prepare_some(self, reads: Iterator[Read], pipeline: Pipeline) -> None:
        for read in reads:
            if self._stopped is not None:
                return  # What was read already goes on into the store.
            prepared = await self._prepared(read)
            if prepared is not None:
                await pipeline.put(prepared)
            else:
                await self._write_down(least=_PORTION)

    async def _prepared(self, read: Read) -> Prepared | None:
        """Read and cut a document; None when it has not changed, or failed."""
        try:
            async with asyncio.timeout(self._tools.limits.document_s) as deadline:
                return await self._prepare(read)
        except (SourceUnavailable, SourceDenied) as error:
            # Of no use to try ten thousand documents one by one, or to let each of them rest.
            self._stopped = error
        except (SourceError, ParseError) as error:
            self._fail(read, str(error))
        except TimeoutError:
            if not deadline.expired():
                raise
            self._fail(
                read,
                f"{read.listed.document} took over {self._tools.limits.document_s:.0f} s to read. "
                "Split it, or leave it out; it is tried again later.",
            )
        return None

    async def _prepare(self, read: Read) -> Prepared | None:
        known = None if isinstance(read, Add) else read.known
        read_at = self._tools.now()
        content = await self._source.read(read.listed)
        sha256 = await asyncio.to_thread(_sha256, content.data)
        moved = known is not None and _moved(read.listed, known)
        if known is not None and sha256 == known.sha256 and not moved:
            self._touch(Touched(known.row, content.version, read_at), known)
            return None
        title, chunks = await self._tools.passages(self._key, read.listed, content)
        _check_text(read.listed.document, title, chunks)
        before = frozenset(await self._tools.manifest.places(known.row)) if known and known.chunks else frozenset[str]()
        # A link, an audience or a title is part of a row: with a new one, every row is made anew.
        anew = moved or (known is not None and known.title != title)
        fresh = tuple(chunk for chunk in chunks if anew or chunk.id not in before)
        taken = Taken(read.listed, content.version, sha256, title, read_at, tuple(chunks))
        return Prepared(taken, before, fresh, replaces=known is not None and known.answers)

    def _touch(self, touched: Touched, known: Known) -> None:
        self._touched.append(touched)
        self._tally.unchanged += 1
        self._tally.kept += known.chunks
        self._done()

    def _taken(self, prepared: Prepared) -> None:
        tally = self._tally
        tally.written += len(prepared.fresh)
        tally.kept += len(prepared.taken.chunks) - len(prepared.fresh)
        if prepared.replaces:
            tally.updated += 1
        else:
            tally.added += 1
        self._done()

    def _fail(self, read: Read, reason: str) -> None:
        known = None if isinstance(read, Add) else read.known
        self._never_read += known is None or not known.answers
        attempts = (known.attempts if known else 0) + 1
        retry_at = self._tools.now() + retry_delay_s(attempts)
        self._failed.append(Failed(read.listed, reason, attempts, retry_at))
        self._tally.failures.append(Failure(read.listed.document, reason))
        self._tally.kept += known.chunks if known else 0
        self._done()

    async def _write_down(self, *, least: int) -> None:
        """Write what was touched and what failed into the manifest, once there is enough of it."""
        if len(self._touched) + len(self._failed) >= least:
            touched, self._touched = self._touched, []
            failed, self._failed = self._failed, []
            await self._tools.manifest.touch(touched)
            await self._tools.manifest.fail(self._key, failed)

    def _done(self) -> None:
        self._tally.done += 1
        self._tell()

    def _tell(self, *, last: bool = False) -> None:
        now = self._tools.clock()
        if not last and now - self._told < self._tools.limits.progress_s:
            return
        self._told = now
        tally, seconds = self._tally, now - self._began
        eta_s = seconds / tally.done * (tally.total - tally.done) if tally.done else None
        failed = len(tally.failures)
        self._on_progress(Progress(self._key.name, tally.listed, tally.done, failed, tally.total, seconds, eta_s))

    def _report(self, error: str | None) -> SourceReport:
        tally = self._tally
        return SourceReport(
            listed=tally.listed,
            unchanged=tally.unchanged,
            added=tally.added,
            updated=tally.updated,
            deleted=tally.deleted,
            held=tally.held,
            failed=tally.resting + len(tally.failures),
            chunks_written=tally.written,
            chunks_kept=tally.kept,
            seconds=self._tools.clock() - self._began,
            error=error,
            failures=tuple(sorted(tally.failures, key=lambda failure: failure.document)[:_TOLD]),
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_text(document: str, title: str, chunks: Sequence[Chunk]) -> None:
    """Refuse what a database would refuse, together with all the documents of the same transaction.

    Raises:
        ParseError: a text holds a NUL, or is no Unicode (half a surrogate pair).

    """
    for text in (title, *(part for chunk in chunks for part in (chunk.title, chunk.heading, chunk.text))):
        if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
            raise ParseError(
                f"{document} yields text with characters that no database takes. Export it again from what made it, "
                "or leave it out."
            )


def _known(reads: Sequence[Read]) -> Iterator[Known]:
    return (read.known for read in reads if not isinstance(read, Add))


def _moved(listed: Listed, known: Known) -> bool:
    return listed.url != known.url or encode_readers(listed.readers) != known.readers


def _restricted(reads: Sequence[Read]) -> Iterator[tuple[int, str]]:
    """Yield the documents whose audience changes, with the readers who may see both the old rows and the new."""
    for read in reads:
        if not isinstance(read, Add) and encode_readers(read.listed.readers) != read.known.readers:
            yield read.known.row, encode_readers(both(decode_readers(read.known.readers), read.listed.readers))


def _portions(rows: Sequence[Known]) -> Iterator[Sequence[Known]]:
    return (rows[start : start + _PORTION] for start in range(0, len(rows), _PORTION))


def _first(group: BaseExceptionGroup[KnowledgeError]) -> KnowledgeError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, KnowledgeError)  # noqa: S101 - what the group is made of
    return error
