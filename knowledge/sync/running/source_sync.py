"""Sync one source within a run: list, plan, mark, index and delete. It always returns a report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from functools import lru_cache
from typing import cast

from knowledge.defects import describe_defect, unwrap_group
from knowledge.errors import (
    DatabaseError,
    DocumentScanned,
    ErrorCode,
    KnowledgeError,
    LeaseLost,
    ParseError,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from knowledge.interfaces import EVERYONE, ListedDocument, Source, find_place, lists_rights
from knowledge.sync.manifest.records import (
    FailedDocument,
    QuarantinedDocument,
    SourceOrigin,
    UnchangedDocument,
    is_storable,
)
from knowledge.sync.manifest.rows import slice_items
from knowledge.sync.plan import DocumentRead, SyncPlan, compute_retry_delay_s
from knowledge.sync.report import OnProgress, SourceReport
from knowledge.sync.running.flow import SourceFlow
from knowledge.sync.running.pipeline import Pipeline, discard_rows
from knowledge.sync.running.preparation import DocumentPreparer, DocumentTimeout
from knowledge.sync.running.shadow_index import mark_changes, mark_pending_deletions, plan_sync
from knowledge.sync.running.tally import SyncTally
from knowledge.sync.running.tools import SyncTools

_log = logging.getLogger(__name__)

_TRANSACTION_ROWS = 500


class SyncTimeout(SourceError):
    """The sync of a source took too long."""

    code = ErrorCode.TIMEOUT


class SyncDefect(SourceError):
    """A defect stopped the sync of a source."""

    code = ErrorCode.DEFECT


@lru_cache(maxsize=1024)
def _are_storable(readers: frozenset[str]) -> bool:
    return all(map(is_storable, readers))


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
        self._timeouts = 0
        self._scans: list[DocumentRead] = []
        """Documents with images of text, which are read after all others."""
        self._unchanged: list[UnchangedDocument] = []
        self._failed: list[FailedDocument] = []
        self._tally = SyncTally(source.key.name, on_progress, tools.limits.progress_s)

    async def run(self) -> SourceReport:
        """Sync the source as far as possible. The report has any error, including a defect."""
        error: KnowledgeError | None = None
        try:
            async with asyncio.timeout(self._tools.limits.source_s) as deadline:
                try:
                    await self._sync_source()
                finally:
                    async with self._limit_closing():
                        await self._source.close()
        except* KnowledgeError as group:
            error = cast("KnowledgeError", unwrap_group(group))
        except* Exception as group:  # noqa: BLE001 (a plug-in may raise anything)
            error = error or (self._describe_timeout() if deadline.expired() else self._log_defect(unwrap_group(group)))
        if error is not None:
            # The manifest itself may have failed. The report has the error in any case.
            with contextlib.suppress(DatabaseError, LeaseLost):
                await self._tools.manifest.record_sync_end(self._key, listed_at=None, error=error)
                if self._tools.shadow is not None:
                    await self._tools.shadow.manifest.record_sync_end(self._key, listed_at=None, error=error)
        self._tally.report_progress(last=True)
        return self._tally.make_report(error)

    def _describe_timeout(self) -> SyncTimeout:
        return SyncTimeout(
            f"The source {self._key.name} took over {self._tools.limits.source_s / 3600:.0f} h and was stopped. "
            "Indexed documents stay; the next sync continues from there."
        )

    def _log_defect(self, defect: BaseException) -> SyncDefect:
        """Log an unexpected error, and return one for a person. It stops only this source."""
        _log.error("A defect stopped the sync of %s: %s", self._key.name, describe_defect(defect))
        return SyncDefect(
            f"The sync of {self._key.name} stopped because of a defect ({type(defect).__name__}). Nothing was deleted; "
            "the log has the details, and the next sync tries again."
        )

    async def _sync_source(self) -> None:
        listed_at = self._tools.now()
        listing, broken = await self._read_listing()
        place, is_elsewhere = ("", False) if broken is not None else await self._find_place()
        is_trusted = not is_elsewhere and self._key.id not in self._tools.conflicts
        todo = await plan_sync(
            self._tools.manifest,
            self._key,
            listing,
            now=listed_at,
            complete=broken is None,
            trusted=is_trusted,
            approve=self._approve,
        )
        self._tally.count_plan(todo)
        await mark_changes(self._tools.manifest, todo, listed_at)
        shadow = self._tools.shadow
        old: SyncPlan | None = None
        if shadow is not None:
            old = await shadow.mark_changes(
                self._key,
                listing,
                now=listed_at,
                complete=broken is None,
                trusted=is_trusted,
                approve=self._approve,
            )
        if not todo.brings_new:
            await self._delete_missing(todo, listed_at)
        await self._index_documents(todo.reads)
        stopped = broken or self._stopped
        if stopped is not None:
            raise stopped
        if todo.brings_new:
            await self._delete_missing(todo.recheck_deletions(self._tally.never_read), listed_at)
        if shadow is not None and old is not None:
            gone = old.recheck_deletions(self._tally.never_read)
            await shadow.delete_missing(self._key, gone, self._tools.manifest, listed_at)
            await shadow.manifest.record_sync_end(self._key, listed_at=None, error=None)
        if is_elsewhere and (pending := todo.pending_deletions or (old.pending_deletions if old is not None else ())):
            raise SourceUnavailable(
                f"The source {self._key.name} is on another disk or host than at its last sync, and {len(pending)} of "
                "its documents are missing there. Mount the right disk. If they are gone for good, delete them: "
                f"kvasir sync --approve {self._key.name}"
            )
        await self._tools.manifest.record_sync_end(
            self._key,
            listed_at=listed_at,
            error=None,
            configured=self._tools.readers_keys.get(self._key.id, ""),
            origin=SourceOrigin(place, self._tools.configurations.get(self._key.id, "")),
            lists_rights=lists_rights(self._source),
        )

    async def _find_place(self) -> tuple[str, bool]:
        """Return the place of the source, and whether the last sync saw another one."""
        place = await find_place(self._source)
        searched = self._tools.manifest if self._tools.shadow is None else self._tools.shadow.manifest
        return place, (await searched.read_origin(self._key.id)).is_elsewhere(place)

    async def _read_listing(self) -> tuple[dict[str, ListedDocument], SourceError | None]:
        """Return what the source lists, and the error that stopped the listing, if any."""
        listing: dict[str, ListedDocument] = {}
        batches, gap = None, asyncio.timeout(None)
        try:
            batches = aiter(self._source.list())
            while True:
                async with asyncio.timeout(self._tools.limits.listing_s) as gap:
                    batch = await anext(batches, None)
                if batch is None:
                    return listing, None
                listing.update((listed.document, listed) for listed in batch if self._accepts_document(listed))
                self._tally.listed = len(listing)
                self._tally.report_progress()
        except SourceError as error:
            return listing, error
        except (DatabaseError, LeaseLost):
            raise  # from its memory
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            if not gap.expired():
                return listing, SourceError(self._log_defect(error))
            return listing, SourceError(
                f"The source {self._key.name} listed nothing for {self._tools.limits.listing_s:.0f} s. "
                "Check whether it is reachable. Nothing was deleted."
            )
        finally:
            if isinstance(batches, AsyncGenerator):
                async with self._limit_closing():
                    await batches.aclose()

    @contextlib.asynccontextmanager
    async def _limit_closing(self) -> AsyncIterator[None]:
        """Limit the time that a source takes to close something. Errors in it change no result."""
        limit_s = self._tools.limits.close_s
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError:
            _log.warning(
                "%s did not close its connections within %.0f s; the sync continues.",
                self._key.name,
                limit_s,
            )
        except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
            if not isinstance(error, SourceError):
                _log.error("A defect of %s occurred while it closed: %s", self._key.name, describe_defect(error))

    def _accepts_document(self, listed: ListedDocument) -> bool:
        """Return whether the manifest can store a listed document. If it cannot, report it as failed."""
        good = is_storable(f"{listed.document}{listed.version}{listed.url or ''}") and _are_storable(listed.readers)
        if not good:
            name = listed.document.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
            reason = f"{name} has a name or link with characters that a database cannot store. Rename it in its source."
            self._tally.failures.append(
                QuarantinedDocument(name, reason, public=listed.readers >= EVERYONE, code=ErrorCode.SOURCE)
            )
        return good

    async def _delete_missing(self, todo: SyncPlan, now: float) -> None:
        """Delete missing documents, after new ones are indexed because they may be renames."""
        manifest = self._tools.manifest
        await mark_pending_deletions(manifest, todo, now)
        self._tally.pending_deletions = len(todo.pending_deletions)
        for rows in slice_items((*todo.approved_deletions, *todo.deletes), _TRANSACTION_ROWS):
            old = await manifest.remove_documents([row.row for row in rows])
            self._tally.count_deletions(rows)
            await discard_rows(self._tools.store, manifest, old)

    async def _index_documents(self, reads: Sequence[DocumentRead]) -> None:
        if not reads:
            return
        async with self._pipeline.open_flow(self._key, self._tally.count_current) as flow, asyncio.TaskGroup() as group:
            broken = group.create_task(flow.wait_for_failure())
            await self._prepare_all(reads, flow)
            await flow.wait_until_drained()
            broken.cancel()

    async def _prepare_all(self, reads: Sequence[DocumentRead], flow: SourceFlow) -> None:
        shared = iter(reads)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._tools.limits.documents, len(reads))):
                    group.create_task(self._prepare_some(shared, flow))
            await self._prepare_some(iter(self._scans), flow, recognises=True)
        finally:
            await self._flush_records(least=1)

    async def _prepare_some(self, reads: Iterator[DocumentRead], flow: SourceFlow, *, recognises: bool = False) -> None:
        for read in reads:
            if self._stopped is not None:
                return  # Documents that were read already still go into the store.
            await self._prepare_document(read, flow, recognises=recognises)
            await self._flush_records(least=_TRANSACTION_ROWS)

    async def _prepare_document(self, read: DocumentRead, flow: SourceFlow, *, recognises: bool) -> None:
        try:
            touched = await self._preparer.prepare_document(read, flow, recognises=recognises)
        except (SourceUnavailable, SourceDenied) as error:
            # Trying thousands of documents one by one, or delaying each of them, would not help.
            self._stopped = error
            return
        except DocumentTimeout as error:
            self._record_failure(read, error)
            self._count_timeout()
            return
        except (SourceError, ParseError) as error:
            if isinstance(error, DocumentScanned) and self._tools.recognises and not recognises:
                self._scans.append(read)
            else:
                self._record_failure(read, error)
        else:
            if touched is not None and read.record is not None:
                self._unchanged.append(touched)
                self._tally.count_unchanged(read.record)
        self._timeouts = 0

    def _count_timeout(self) -> None:
        """Count timeouts in a row, and stop the source if there are too many."""
        self._timeouts += 1
        if self._timeouts >= self._tools.limits.silent:
            self._stopped = SourceUnavailable(
                f"{self._timeouts} documents of {self._key.name} in a row took over "
                f"{self._tools.limits.document_s:.0f} s to read: the source hangs. Check whether it is reachable; the "
                "next sync continues from here."
            )

    def _record_failure(self, read: DocumentRead, error: KnowledgeError) -> None:
        attempts = (read.record.attempts if read.record else 0) + 1
        retry_at = self._tools.now() + compute_retry_delay_s(attempts)
        bytes_key = error.bytes_key if isinstance(error, ParseError) else ""
        self._failed.append(FailedDocument(read.entry, str(error), attempts, retry_at, error.code, bytes_key))
        self._tally.count_failure(read, error)

    async def _flush_records(self, *, least: int) -> None:
        """Write unchanged and failed documents into the manifest, if there are at least so many."""
        if len(self._unchanged) + len(self._failed) >= least:
            touched, self._unchanged = self._unchanged, []
            failed, self._failed = self._failed, []
            await self._tools.manifest.record_unchanged(touched)
            if failed:
                await self._tools.manifest.record_failures(self._key, failed)
