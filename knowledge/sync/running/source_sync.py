"""One source within a run: list, plan, mark, take in, let go; and a report, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence

from knowledge.defects import describe_defect, unwrap_group
from knowledge.errors import KnowledgeError, ManifestError, ParseError, SourceDenied, SourceError, SourceUnavailable
from knowledge.interfaces import EVERYONE, ListedDocument, Source
from knowledge.sync.manifest.records import (
    FailedDocument,
    KnownDocument,
    QuarantinedDocument,
    UnchangedDocument,
    is_storable,
)
from knowledge.sync.plan import AddDocument, DocumentRead, SyncPlan, compute_retry_delay_s, make_plan
from knowledge.sync.report import OnProgress, SourceReport
from knowledge.sync.running.flow import SourceFlow
from knowledge.sync.running.pipeline import Pipeline, discard_rows
from knowledge.sync.running.preparation import DocumentPreparer, DocumentTimeout
from knowledge.sync.running.shadow_index import find_restricted
from knowledge.sync.running.tally import SyncTally
from knowledge.sync.running.tools import SyncTools

_log = logging.getLogger(__name__)

_PORTION = 500
"""Manifest rows changed in one transaction."""


class SourceSync:
    """One sync of one source."""

    def __init__(
        self,
        tools: SyncTools,
        source: Source,
        preparer: DocumentPreparer,
        pipeline: Pipeline,
        on_progress: OnProgress,
        *,
        approve: Collection[str],
    ) -> None:
        self._tools = tools
        self._source = source
        self._key = source.key
        self._preparer = preparer
        self._pipeline = pipeline
        self._approve = approve
        self._stopped: SourceError | None = None
        self._silent = 0
        self._touched: list[UnchangedDocument] = []
        self._failed: list[FailedDocument] = []
        self._tally = SyncTally(source.key.name, on_progress, tools.clock, tools.limits.progress_s)

    async def run(self) -> SourceReport:
        """Bring the source up to date as far as it goes; whatever stops it is in the report, a defect among it."""
        error: str | None = None
        try:
            async with asyncio.timeout(self._tools.limits.source_s) as deadline:
                try:
                    await self._sync()
                finally:
                    await self._close()
        except* KnowledgeError as group:
            error = str(unwrap_group(group))
        except* Exception as group:  # noqa: BLE001 (a plug-in may raise anything)
            error = error or (self._too_long() if deadline.expired() else self._defect(unwrap_group(group)))
        if error is not None:
            # The manifest may be what failed; the report carries the error in any case.
            with contextlib.suppress(ManifestError):
                await self._tools.manifest.record_sync_end(self._key, listed_at=None, error=error)
                if self._tools.beside is not None:
                    await self._tools.beside.manifest.record_sync_end(self._key, listed_at=None, error=error)
        self._tally.tell(last=True)
        return self._tally.report(error)

    def _too_long(self) -> str:
        return (
            f"The source {self._key.name} took over {self._tools.limits.source_s / 3600:.0f} h and was stopped. "
            "What it brought so far stays; the next sync goes on from there."
        )

    def _defect(self, defect: BaseException) -> str:
        """Tell of an error that is none of ours: it stops this source alone, and is tried again in its turn."""
        _log.error("The sync of %s met a defect: %s", self._key.name, describe_defect(defect))
        return (
            f"The sync of {self._key.name} stopped at a defect ({type(defect).__name__}). Nothing was deleted for it; "
            "the log says where it is, and the next sync tries again."
        )

    async def _close(self) -> None:
        """Let the source let go; one that cannot is no reason to wait."""
        async with self._closing():
            await self._source.close()

    async def _sync(self) -> None:
        listed_at = self._tools.now()
        listing, broken = await self._listing()
        known = await self._tools.manifest.list_documents(self._key)
        # In a thread: over a hundred thousand documents it takes a third of a second.
        todo = await asyncio.to_thread(
            make_plan, listing, known, now=listed_at, complete=broken is None, approve=self._approve
        )
        self._tally.planned(todo, known)
        await self._mark(todo, listed_at)
        old = await self._mark_beside(listing, listed_at, complete=broken is None)
        if not todo.brings_new:
            await self._let_go(todo, listed_at)
        await self._take_in(todo.reads)
        stopped = broken or self._stopped
        if stopped is not None:
            raise stopped
        if todo.brings_new:
            await self._let_go(todo.doubted(self._tally.never_read), listed_at)
        await self._let_go_beside(old, listed_at)
        await self._tools.manifest.record_sync_end(self._key, listed_at=listed_at, error=None)

    async def _listing(self) -> tuple[dict[str, ListedDocument], SourceError | None]:
        """Return what the source lists, and why it stopped early if it did."""
        listing: dict[str, ListedDocument] = {}
        batches, gap = None, asyncio.timeout(None)
        try:
            batches = aiter(self._source.list())
            while True:
                async with asyncio.timeout(self._tools.limits.listing_s) as gap:
                    batch = await anext(batches, None)
                if batch is None:
                    return listing, None
                listing.update((listed.document, listed) for listed in batch if self._takes(listed))
                self._tally.listed = len(listing)
                self._tally.tell()
        except SourceError as error:
            return listing, error
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            if not gap.expired():
                return listing, SourceError(self._defect(error))
            return listing, SourceError(
                f"The source {self._key.name} listed nothing for {self._tools.limits.listing_s:.0f} s. "
                "Look whether it answers; nothing of it was deleted."
            )
        finally:
            if isinstance(batches, AsyncGenerator):
                async with self._closing():
                    await batches.aclose()

    @contextlib.asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        """Give the source its time to let go of something; what it does wrong then changes no result."""
        limit_s = self._tools.limits.close_s
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError:
            _log.warning("%s did not let go of its connections within %.0f s; they are left.", self._key.name, limit_s)
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            if not isinstance(error, SourceError):
                _log.error("%s met a defect when it let go: %s", self._key.name, describe_defect(error))

    def _takes(self, listed: ListedDocument) -> bool:
        """Tell whether the manifest can hold what is listed; what it cannot is told, and left out."""
        good = all(map(is_storable, (listed.document, listed.version, listed.url or "", *listed.readers)))
        if not good:
            name = listed.document.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
            reason = f"{name} has a name or a link with characters that no database takes. Rename it in its source."
            self._tally.failures.append(QuarantinedDocument(name, reason, public=listed.readers >= EVERYONE))
        return good

    async def _mark(self, todo: SyncPlan, now: float) -> None:
        """Do what needs no reading: hold, release, restrict."""
        manifest = self._tools.manifest
        await manifest.mark_pending_deletions(
            [row.row for row in todo.pending_deletions if not row.pending_deletion], now
        )
        await manifest.mark_pending_deletions([row.row for row in todo.restored], None)
        await manifest.restrict_readers(dict(find_restricted(todo.reads)))

    async def _let_go(self, todo: SyncPlan, now: float) -> None:
        """Delete what is gone; once what is new is there, because that may be the same under another name."""
        manifest = self._tools.manifest
        await manifest.mark_pending_deletions(
            [row.row for row in todo.pending_deletions if not row.pending_deletion], now
        )
        self._tally.pending_deletions = len(todo.pending_deletions)
        for rows in _slice_rows((*todo.approved, *todo.deletes)):
            old = await manifest.remove_documents([row.row for row in rows])
            self._tally.removed(rows)
            await discard_rows(self._tools.store, manifest, old)

    async def _mark_beside(
        self, listing: Mapping[str, ListedDocument], now: float, *, complete: bool
    ) -> SyncPlan | None:
        beside = self._tools.beside
        if beside is None:
            return None
        return await beside.mark(self._key, listing, now=now, complete=complete, approve=self._approve)

    async def _let_go_beside(self, todo: SyncPlan | None, now: float) -> None:
        beside = self._tools.beside
        if beside is not None and todo is not None:
            await beside.let_go(self._key, todo.doubted(self._tally.never_read), self._tools.manifest, now)
            await beside.manifest.record_sync_end(self._key, listed_at=None, error=None)

    async def _take_in(self, reads: Sequence[DocumentRead]) -> None:
        if not reads:
            return
        async with self._pipeline.flow(self._key, self._tally.taken) as flow, asyncio.TaskGroup() as group:
            broken = group.create_task(flow.broken())
            await self._prepare_all(reads, flow)
            await flow.drained()
            broken.cancel()

    async def _prepare_all(self, reads: Sequence[DocumentRead], flow: SourceFlow) -> None:
        shared = iter(reads)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._tools.limits.documents, len(reads))):
                    group.create_task(self._prepare_some(shared, flow))
        finally:
            await self._write_down(least=1)

    async def _prepare_some(self, reads: Iterator[DocumentRead], flow: SourceFlow) -> None:
        for read in reads:
            if self._stopped is not None:
                return  # What was read already goes on into the store.
            await self._prepare(read, flow)
            await self._write_down(least=_PORTION)

    async def _prepare(self, read: DocumentRead, flow: SourceFlow) -> None:
        try:
            touched = await self._preparer.through(read, flow)
        except (SourceUnavailable, SourceDenied) as error:
            # Of no use to try ten thousand documents one by one, or to let each of them rest.
            self._stopped = error
            return
        except DocumentTimeout as error:
            self._fail(read, str(error))
            self._hangs()
            return
        except (SourceError, ParseError) as error:
            self._fail(read, str(error))
        else:
            if touched is not None and not isinstance(read, AddDocument):
                self._touched.append(touched)
                self._tally.touched(read.known)
        self._silent = 0

    def _hangs(self) -> None:
        """Count what took too long in a row, and give the source up when it is too much."""
        self._silent += 1
        if self._silent >= self._tools.limits.silent:
            self._stopped = SourceUnavailable(
                f"{self._silent} documents of {self._key.name} in a row took over "
                f"{self._tools.limits.document_s:.0f} s to read: the source hangs. Look whether it answers; the next "
                "sync goes on from here."
            )

    def _fail(self, read: DocumentRead, reason: str) -> None:
        known = None if isinstance(read, AddDocument) else read.known
        attempts = (known.attempts if known else 0) + 1
        retry_at = self._tools.now() + compute_retry_delay_s(attempts)
        self._failed.append(FailedDocument(read.listed, reason, attempts, retry_at))
        self._tally.failed(read, reason)

    async def _write_down(self, *, least: int) -> None:
        """Write what was touched and what failed into the manifest, once there is enough of it."""
        if len(self._touched) + len(self._failed) >= least:
            touched, self._touched = self._touched, []
            failed, self._failed = self._failed, []
            await self._tools.manifest.record_unchanged(touched)
            await self._tools.manifest.record_failures(self._key, failed)


def _slice_rows(rows: Sequence[KnownDocument]) -> Iterator[Sequence[KnownDocument]]:
    return (rows[start : start + _PORTION] for start in range(0, len(rows), _PORTION))
