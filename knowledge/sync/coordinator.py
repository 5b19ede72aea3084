"""The syncs of one process: a source joins the run that is open, and the last one to end closes it.

Whoever asks for a sync waits for jobs, one for each source. A job goes on while anybody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.interfaces import Source
from knowledge.sync.report import OnProgress, SourceReport, SyncProgress, SyncReport
from knowledge.sync.running.run import SyncRun
from knowledge.sync.signals import Signal, cancel_and_wait

_T = TypeVar("_T")

OpenRun = Callable[[], AbstractAsyncContextManager[SyncRun]]
"""Takes the locks and opens a run for the length of a block; raises ``SyncRunning``, ``StoreError``, …"""


class _OpenedRun:
    """A run from before it is open until after it is closed."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[SyncRun] = asyncio.get_running_loop().create_future()
        self.jobs = 0
        self.waiters = 0
        """Callers who wait for its end."""
        self.closing = False
        """Whether it takes no further job."""
        self.changed = Signal()
        self.task: asyncio.Task[Any]

    def leave(self) -> None:
        """Note that a job has ended."""
        self.jobs -= 1
        self.changed.fire()


class _SyncJob:
    """One sync of one source, for all who wait for it."""

    def __init__(self, source: Source, *, approve: Collection[str]) -> None:
        self.source = source
        self.approve = approve
        self.waiters = 0
        self.listeners: list[OnProgress] = []
        self.opened: _OpenedRun | None = None
        self.repaired = 0
        self.progress: SyncProgress | None = None
        self.task: asyncio.Task[SourceReport]

    @property
    def name(self) -> str:
        return self.source.key.name

    def tell(self, progress: SyncProgress) -> None:
        self.progress = progress
        for listener in tuple(self.listeners):
            listener(progress)

    @contextlib.contextmanager
    def watched(self, on_progress: OnProgress | None) -> Iterator[None]:
        """Wait for it, with or without being told how far it is."""
        self.waiters += 1
        if on_progress is not None:
            self.listeners.append(on_progress)
        try:
            yield
        finally:
            self.waiters -= 1
            if on_progress is not None:
                self.listeners.remove(on_progress)


class SyncCoordinator:
    """Starts, joins, queues and cancels syncs. Everything it starts has ended once ``close`` returns."""

    def __init__(self, open_run: OpenRun, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_run = open_run
        self._clock = clock
        self._opened: _OpenedRun | None = None
        self._jobs: dict[str, _SyncJob] = {}
        self._queued: dict[str, _SyncJob] = {}
        """Jobs that begin once the one of the same source has ended."""

    @property
    def progress(self) -> Mapping[str, SyncProgress | None]:
        """Return the sources that are being synced, and how far they are (None: not begun to list)."""
        return {name: job.progress for name, job in self._jobs.items()}

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._opened is None

    async def refresh(
        self,
        sources: Sequence[Source],
        on_progress: OnProgress | None,
        *,
        approve: Mapping[str, Collection[str]] | None = None,
        queue: bool = False,
    ) -> SyncReport:
        """Sync these sources side by side, in the run that is open or in a new one.

        ``approve`` names the held documents of a source that a person agreed to (``plan``).

        A source that is being synced already is waited for, unless it is all that was asked for, or ``approve`` is.
        With ``queue``, it is synced once more afterwards instead; several who queue share that one sync. Cancelled, it
        stops what nobody else waits for.

        Raises:
            SyncRunning: see above; or another process syncs.
            StoreError, ManifestError: no run could be opened, or it could not be closed well.

        """
        began = self._clock()
        busy = [source.key.name for source in sources if source.key.name in {*self._jobs, *self._queued}]
        if busy and not queue and (approve or len(busy) == len(sources)):
            raise SyncRunning(f"A sync of {', '.join(busy)} is running already. Wait until it has ended.")
        agreed = approve or {}
        jobs = [self._job(source, approve=agreed.get(source.key.name, ()), queue=queue) for source in sources]
        await self._wait(jobs, on_progress)
        reports = {job.name: _get_result(job.task) for job in jobs}
        repaired = max((job.repaired for job in jobs), default=0)
        return SyncReport(reports, self._clock() - began, repaired)

    async def alone(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do something while no run is open; what is asked for meanwhile waits.

        Raises:
            SyncRunning: a run is open.

        """
        if self._opened is not None:
            raise SyncRunning("A sync is running already. Wait until it has ended.")
        self._opened = opened = _OpenedRun()
        opened.closing = True
        opened.task = task = asyncio.create_task(self._alone(opened, work), name="sync alone")
        try:
            return await asyncio.shield(task)
        finally:
            await cancel_and_wait([task])

    async def close(self) -> None:
        """Stop everything; what was taken in stays."""
        await cancel_and_wait([job.task for job in (*self._queued.values(), *self._jobs.values())])
        if self._opened is not None:
            await cancel_and_wait([self._opened.task])

    def _job(self, source: Source, *, approve: Collection[str], queue: bool) -> _SyncJob:
        """Return the job to wait for; it may be one that is there already."""
        name = source.key.name
        current = self._jobs.get(name)
        if name in self._queued:
            return self._queued[name]
        if current is not None and not queue:
            return current
        job = _SyncJob(source, approve=approve)
        (self._jobs if current is None else self._queued)[name] = job
        job.task = asyncio.create_task(self._work(job, current), name=f"sync {name}")
        job.task.add_done_callback(lambda _task: self._forget(job))
        return job

    def _forget(self, job: _SyncJob) -> None:
        """Also where it was cancelled before it began."""
        for jobs in (self._jobs, self._queued):
            if jobs.get(job.name) is job:
                del jobs[job.name]
        if not job.task.cancelled():
            job.task.exception()  # Taken note of: its waiters may have gone.

    async def _work(self, job: _SyncJob, after: _SyncJob | None) -> SourceReport:
        if after is not None:
            await asyncio.wait([after.task])
            del self._queued[job.name]
            self._jobs[job.name] = job
        job.opened = opened = await self._entered()
        try:
            run = await asyncio.shield(opened.ready)
            job.repaired = run.repaired
            return await run.sync(job.source, job.tell, approve=job.approve)
        finally:
            opened.leave()

    async def _entered(self) -> _OpenedRun:
        """Join the run that is open, or open one; wait for one that is closing."""
        while self._opened is not None and self._opened.closing:
            await asyncio.wait([self._opened.task])
        if self._opened is None:
            self._opened = _OpenedRun()
            self._opened.task = asyncio.create_task(self._serve(self._opened), name="sync run")
        self._opened.jobs += 1
        return self._opened

    async def _serve(self, opened: _OpenedRun) -> None:
        """Hold a run open while it has jobs."""
        try:
            async with self._open_run() as run:
                opened.ready.set_result(run)
                await opened.changed.until(lambda: not opened.jobs)
                opened.closing = True
        except BaseException as error:
            if not opened.ready.done():
                opened.ready.set_exception(error if isinstance(error, Exception) else _make_stopping_error())
                opened.ready.exception()  # Taken note of: its jobs may have gone.
            raise
        finally:
            self._closed(opened)

    async def _alone(self, opened: _OpenedRun, work: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await work()
        finally:
            self._closed(opened)

    def _closed(self, opened: _OpenedRun) -> None:
        opened.closing = True
        if self._opened is opened:
            self._opened = None

    async def _wait(self, jobs: Sequence[_SyncJob], on_progress: OnProgress | None) -> None:
        """Wait for jobs, and for the end of their run if they were its last."""
        with contextlib.ExitStack() as stack:
            for job in jobs:
                stack.enter_context(job.watched(on_progress))
            try:
                await asyncio.wait([job.task for job in jobs])
                await self._run_ended(jobs)
            except BaseException:
                stack.close()
                await self._left(jobs)
                raise

    async def _run_ended(self, jobs: Sequence[_SyncJob]) -> None:
        for opened in _list_runs(jobs):
            if opened.jobs:
                continue
            opened.waiters += 1
            try:
                await asyncio.wait([opened.task])
            finally:
                opened.waiters -= 1
            error = None if opened.task.cancelled() else opened.task.exception()
            if error is not None:
                raise error

    @staticmethod
    async def _left(jobs: Collection[_SyncJob]) -> None:
        """Stop what nobody waits for any more."""
        await cancel_and_wait([job.task for job in jobs if not job.waiters])
        runs = [opened for opened in _list_runs(jobs) if not opened.jobs and not opened.waiters]
        for opened in runs:
            opened.closing = True  # It may take a while to stop: whoever comes meanwhile waits, and opens another.
        await cancel_and_wait([opened.task for opened in runs])


def _list_runs(jobs: Iterable[_SyncJob]) -> list[_OpenedRun]:
    return list(dict.fromkeys(job.opened for job in jobs if job.opened is not None))


def _get_result(task: asyncio.Task[SourceReport]) -> SourceReport:
    if task.cancelled():
        raise _make_stopping_error()
    return task.result()


def _make_stopping_error() -> KnowledgeError:
    return KnowledgeError("Kvasir is stopping, and the sync with it. The next sync goes on from there.")
