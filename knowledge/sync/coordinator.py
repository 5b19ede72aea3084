"""Run the syncs of one process: a source joins the open run, and the last source closes it.

A caller waits for jobs, one for each source. A job continues while at least one caller waits for it.
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
from knowledge.sync.report import OnProgress, OnReport, SourceReport, SyncProgress, SyncReport, ignore_report
from knowledge.sync.running.run import SyncRun
from knowledge.sync.signals import Signal, cancel_and_wait

_T = TypeVar("_T")

OpenRun = Callable[[], AbstractAsyncContextManager[SyncRun]]
"""Leads and opens a run for the length of a block. Raises ``SyncRunning``, ``StoreError``, …"""


class _OpenedRun:
    """A run from before it opens until after it closes."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[SyncRun] = asyncio.get_running_loop().create_future()
        self.jobs = 0
        self.waiters = 0
        self.closing = False
        """Whether it refuses further jobs."""
        self.changed = Signal()
        self.task: asyncio.Task[Any]

    def leave_run(self) -> None:
        """Count one job less."""
        self.jobs -= 1
        self.changed.wake_waiters()


class _SyncJob:
    """One sync of one source, shared by all callers that wait for it."""

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

    def report_progress(self, progress: SyncProgress) -> None:
        self.progress = progress
        for listener in tuple(self.listeners):
            listener(progress)

    @contextlib.contextmanager
    def count_waiter(self, on_progress: OnProgress | None) -> Iterator[None]:
        """Count one caller, and report progress to it, for the length of a block."""
        self.waiters += 1
        try:
            with self.show_progress(on_progress):
                yield
        finally:
            self.waiters -= 1

    @contextlib.contextmanager
    def show_progress(self, on_progress: OnProgress | None) -> Iterator[None]:
        """Report progress to a function, beginning with the last one, for the length of a block."""
        listeners = [] if on_progress is None else [on_progress]
        self.listeners += listeners
        if on_progress is not None and self.progress is not None:
            on_progress(self.progress)
        try:
            yield
        finally:
            for listener in listeners:
                self.listeners.remove(listener)


class SyncCoordinator:
    """Starts, joins, queues and cancels syncs. ``close`` ends everything that it started."""

    def __init__(self, open_run: OpenRun) -> None:
        self._open_run = open_run
        self.on_report: OnReport = ignore_report
        self._opened: _OpenedRun | None = None
        self._jobs: dict[str, _SyncJob] = {}
        self._queued: dict[str, _SyncJob] = {}
        """Jobs that begin when the current job of the same source has ended."""

    @property
    def progress(self) -> Mapping[str, SyncProgress | None]:
        """Return the progress of each source in a sync, None before its listing begins."""
        return {name: job.progress for name, job in self._jobs.items()}

    async def refresh(
        self,
        sources: Sequence[Source],
        on_progress: OnProgress | None,
        *,
        approve: Mapping[str, Collection[str]] | None = None,
        queue: bool = False,
    ) -> SyncReport:
        """Sync these sources concurrently, in the open run or in a new one.

        ``approve`` names the pending deletions of a source that a person approved (``make_plan``).

        A caller joins a running sync of a source, unless it asked for that source only or gave approvals. With
        ``queue``, the source is synced once more afterwards, and all queued callers share that sync; meanwhile they get
        the progress of the running one. Cancellation stops the jobs that no other caller waits for.

        Raises:
            SyncRunning: every requested source, or one with approvals, is being synced; or another process syncs.
            StoreError, DatabaseError: the run could not be opened or closed.

        """
        began = time.monotonic()
        busy = [source.key.name for source in sources if source.key.name in {*self._jobs, *self._queued}]
        if busy and not queue and (approve or len(busy) == len(sources)):
            raise SyncRunning(busy)
        agreed = approve or {}
        running = [self._jobs[name] for name in busy if queue and name in self._jobs]
        jobs = [self._join_job(source, approve=agreed.get(source.key.name, ()), queue=queue) for source in sources]
        with contextlib.ExitStack() as stack:
            for job in running:
                stack.enter_context(job.show_progress(on_progress))
            await self._wait_for_jobs(jobs, on_progress)
        reports = {job.name: _get_result(job.task) for job in jobs}
        repaired = max((job.repaired for job in jobs), default=0)
        return SyncReport(reports, time.monotonic() - began, repaired)

    async def run_exclusively(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do some work while no run is open; syncs that are requested meanwhile wait.

        Raises:
            SyncRunning: a run is open.

        """
        if self._opened is not None:
            raise SyncRunning
        self._opened = opened = _OpenedRun()
        opened.closing = True
        opened.task = task = asyncio.create_task(self._run_alone(opened, work), name="sync alone")
        try:
            return await asyncio.shield(task)
        finally:
            await cancel_and_wait([task])

    async def close(self) -> None:
        """Stop everything. Documents that were indexed stay."""
        await cancel_and_wait([job.task for job in (*self._queued.values(), *self._jobs.values())])
        if self._opened is not None:
            await cancel_and_wait([self._opened.task])

    def _join_job(self, source: Source, *, approve: Collection[str], queue: bool) -> _SyncJob:
        """Return the job to wait for: an existing one, or a new one."""
        name = source.key.name
        current = self._jobs.get(name)
        if name in self._queued:
            return self._queued[name]
        if current is not None and not queue and not current.task.cancelling():
            return current
        job = _SyncJob(source, approve=approve)
        (self._jobs if current is None else self._queued)[name] = job
        job.task = asyncio.create_task(self._run_job(job, current), name=f"sync {name}")
        job.task.add_done_callback(lambda _task: self._remove_job(job))
        return job

    def _remove_job(self, job: _SyncJob) -> None:
        """Remove a job, also one that was cancelled before it began."""
        for jobs in (self._jobs, self._queued):
            if jobs.get(job.name) is job:
                del jobs[job.name]
        if not job.task.cancelled():
            job.task.exception()  # Mark the exception as retrieved, because the waiters may have left.

    async def _run_job(self, job: _SyncJob, after: _SyncJob | None) -> SourceReport:
        if after is not None:
            await asyncio.wait([after.task])
            del self._queued[job.name]
            self._jobs[job.name] = job
        job.opened = opened = await self._join_run()
        try:
            run = await asyncio.shield(opened.ready)
            job.repaired = run.repaired
            report = await run.sync_source(job.source, job.report_progress, approve=job.approve)
            await self.on_report(job.name, report, len(job.approve))
            return report
        finally:
            opened.leave_run()

    async def _join_run(self) -> _OpenedRun:
        """Join the open run, or open one. Wait first if a run is closing."""
        while self._opened is not None and self._opened.closing:
            await asyncio.wait([self._opened.task])
        if self._opened is None:
            self._opened = _OpenedRun()
            self._opened.task = asyncio.create_task(self._serve_run(self._opened), name="sync run")
        self._opened.jobs += 1
        return self._opened

    async def _serve_run(self, opened: _OpenedRun) -> None:
        """Keep a run open while it has jobs."""
        try:
            async with self._open_run() as run:
                opened.ready.set_result(run)
                await opened.changed.wait_until(lambda: not opened.jobs)
                opened.closing = True
        except BaseException as error:
            if not opened.ready.done():
                opened.ready.set_exception(error if isinstance(error, Exception) else _make_stopping_error())
                opened.ready.exception()  # Mark the exception as retrieved, because its jobs may have left.
            raise
        finally:
            self._mark_closed(opened)

    async def _run_alone(self, opened: _OpenedRun, work: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await work()
        finally:
            self._mark_closed(opened)

    def _mark_closed(self, opened: _OpenedRun) -> None:
        opened.closing = True
        if self._opened is opened:
            self._opened = None

    async def _wait_for_jobs(self, jobs: Sequence[_SyncJob], on_progress: OnProgress | None) -> None:
        """Wait for jobs, and for the end of their run if they were its last."""
        with contextlib.ExitStack() as stack:
            for job in jobs:
                stack.enter_context(job.count_waiter(on_progress))
            try:
                await asyncio.wait([job.task for job in jobs])
                await self._wait_for_runs(jobs)
            except BaseException:
                stack.close()
                await self._cancel_unwanted(jobs)
                raise

    async def _wait_for_runs(self, jobs: Sequence[_SyncJob]) -> None:
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
    async def _cancel_unwanted(jobs: Collection[_SyncJob]) -> None:
        """Cancel the jobs and runs that no caller waits for."""
        await cancel_and_wait([job.task for job in jobs if not job.waiters])
        runs = [opened for opened in _list_runs(jobs) if not opened.jobs and not opened.waiters]
        for opened in runs:
            opened.closing = True  # Stopping may take a while. New callers wait for it, then open another run.
        await cancel_and_wait([opened.task for opened in runs])


def _list_runs(jobs: Iterable[_SyncJob]) -> list[_OpenedRun]:
    return list(dict.fromkeys(job.opened for job in jobs if job.opened is not None))


def _get_result(task: asyncio.Task[SourceReport]) -> SourceReport:
    if task.cancelled():
        raise _make_stopping_error()
    return task.result()


def _make_stopping_error() -> KnowledgeError:
    return KnowledgeError(
        "Kvasir is stopping, or another process leads now, so the sync stopped. The next sync continues from here."
    )
