"""One source within a run: list, plan, mark, take in, let go; and a report, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence

from knowledge.defects import first_of, told_of
from knowledge.errors import KnowledgeError, ManifestError, ParseError, SourceDenied, SourceError, SourceUnavailable
from knowledge.interfaces import EVERYONE, Listed, Source
from knowledge.sync.manifest.records import Failed, Failure, Known, Touched, storable
from knowledge.sync.plan import Add, Plan, Read, plan, retry_delay_s
from knowledge.sync.report import OnProgress, SourceReport
from knowledge.sync.running.flow import Flow
from knowledge.sync.running.pipeline import Pipeline, discard
from knowledge.sync.running.preparation import Preparer, TookTooLong
from knowledge.sync.running.shadow_index import restricted
from knowledge.sync.running.tally import Tally
from knowledge.sync.running.tools import Tools

_log = logging.getLogger(__name__)

_PORTION = 500
"""Manifest rows changed in one transaction."""


class SourceSync:
    """One sync of one source."""

    def __init__(
        self,
        tools: Tools,
        source: Source,
        preparer: Preparer,
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
        self._touched: list[Touched] = []
        self._failed: list[Failed] = []
        self._tally = Tally(source.key.name, on_progress, tools.clock, tools.limits.progress_s)

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
            error = str(first_of(group))
        except* Exception as group:  # noqa: BLE001 (a plug-in may raise anything)
            error = error or (self._too_long() if deadline.expired() else self._defect(first_of(group)))
        if error is not None:
            # The manifest may be what failed; the report carries the error in any case.
            with contextlib.suppress(ManifestError):
                await self._tools.manifest.finish(self._key, listed_at=None, error=error)
                if self._tools.beside is not None:
                    await self._tools.beside.manifest.finish(self._key, listed_at=None, error=error)
        self._tally.tell(last=True)
        return self._tally.report(error)

    def _too_long(self) -> str:
        return (
            f"The source {self._key.name} took over {self._tools.limits.source_s / 3600:.0f} h and was stopped. "
            "What it brought so far stays; the next sync goes on from there."
        )

    def _defect(self, defect: BaseException) -> str:
        """Tell of an error that is none of ours: it stops this source alone, and is tried again in its turn."""
        _log.error("The sync of %s met a defect: %s", self._key.name, told_of(defect))
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
        known = await self._tools.manifest.known(self._key)
        # In a thread: over a hundred thousand documents it takes a third of a second.
        todo = await asyncio.to_thread(
            plan, listing, known, now=listed_at, complete=broken is None, approve=self._approve
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
        await self._tools.manifest.finish(self._key, listed_at=listed_at, error=None)

    async def _listing(self) -> tuple[dict[str, Listed], SourceError | None]:
        """Return what the source lists, and why it stopped early if it did."""
        listing: dict[str, Listed] = {}
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
                _log.error("%s met a defect when it let go: %s", self._key.name, told_of(error))

    def _takes(self, listed: Listed) -> bool:
        """Tell whether the manifest can hold what is listed; what it cannot is told, and left out."""
        good = all(map(storable, (listed.document, listed.version, listed.url or "", *listed.readers)))
        if not good:
            name = listed.document.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
            reason = f"{name} has a name or a link with characters that no database takes. Rename it in its source."
            self._tally.failures.append(Failure(name, reason, public=listed.readers >= EVERYONE))
        return good

    async def _mark(self, todo: Plan, now: float) -> None:
        """Do what needs no reading: hold, release, restrict."""
        manifest = self._tools.manifest
        await manifest.hold([row.row for row in todo.holds if not row.held], now)
        await manifest.hold([row.row for row in todo.releases], None)
        await manifest.restrict(dict(restricted(todo.reads)))

    async def _let_go(self, todo: Plan, now: float) -> None:
        """Delete what is gone; once what is new is there, because that may be the same under another name."""
        manifest = self._tools.manifest
        await manifest.hold([row.row for row in todo.holds if not row.held], now)
        self._tally.held = len(todo.holds)
        for rows in _portions((*todo.approved, *todo.deletes)):
            old = await manifest.remove([row.row for row in rows])
            self._tally.removed(rows)
            await discard(self._tools.store, manifest, old)

    async def _mark_beside(self, listing: Mapping[str, Listed], now: float, *, complete: bool) -> Plan | None:
        beside = self._tools.beside
        if beside is None:
            return None
        return await beside.mark(self._key, listing, now=now, complete=complete, approve=self._approve)

    async def _let_go_beside(self, todo: Plan | None, now: float) -> None:
        beside = self._tools.beside
        if beside is not None and todo is not None:
            await beside.let_go(self._key, todo.doubted(self._tally.never_read), self._tools.manifest, now)
            await beside.manifest.finish(self._key, listed_at=None, error=None)

    async def _take_in(self, reads: Sequence[Read]) -> None:
        if not reads:
            return
        async with self._pipeline.flow(self._key, self._tally.taken) as flow, asyncio.TaskGroup() as group:
            broken = group.create_task(flow.broken())
            await self._prepare_all(reads, flow)
            await flow.drained()
            broken.cancel()

    async def _prepare_all(self, reads: Sequence[Read], flow: Flow) -> None:
        shared = iter(reads)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._tools.limits.documents, len(reads))):
                    group.create_task(self._prepare_some(shared, flow))
        finally:
            await self._write_down(least=1)

    async def _prepare_some(self, reads: Iterator[Read], flow: Flow) -> None:
        for read in reads:
            if self._stopped is not None:
                return  # What was read already goes on into the store.
            await self._prepare(read, flow)
            await self._write_down(least=_PORTION)

    async def _prepare(self, read: Read, flow: Flow) -> None:
        try:
            touched = await self._preparer.through(read, flow)
        except (SourceUnavailable, SourceDenied) as error:
            # Of no use to try ten thousand documents one by one, or to let each of them rest.
            self._stopped = error
            return
        except TookTooLong as error:
            self._fail(read, str(error))
            self._hangs()
            return
        except (SourceError, ParseError) as error:
            self._fail(read, str(error))
        else:
            if touched is not None and not isinstance(read, Add):
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

    def _fail(self, read: Read, reason: str) -> None:
        known = None if isinstance(read, Add) else read.known
        attempts = (known.attempts if known else 0) + 1
        retry_at = self._tools.now() + retry_delay_s(attempts)
        self._failed.append(Failed(read.listed, reason, attempts, retry_at))
        self._tally.failed(read, reason)

    async def _write_down(self, *, least: int) -> None:
        """Write what was touched and what failed into the manifest, once there is enough of it."""
        if len(self._touched) + len(self._failed) >= least:
            touched, self._touched = self._touched, []
            failed, self._failed = self._failed, []
            await self._tools.manifest.touch(touched)
            await self._tools.manifest.fail(self._key, failed)


def _portions(rows: Sequence[Known]) -> Iterator[Sequence[Known]]:
    return (rows[start : start + _PORTION] for start in range(0, len(rows), _PORTION))
