"""Download the files of a listing into a folder: in parallel, with resume and verification."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.errors import InstallError
from engine.notes import EngineNote, NoteCode, estimate_wait
from engine.planning.variant import GIB
from engine.weights.listing import RemoteFile
from engine.weights.origin import Origin, TransientOriginError
from engine.weights.worker_threads import WorkerThreads

_T = TypeVar("_T")

_MAX_PARALLEL = 4
_BLOCK_BYTES = 4 * 2**20
"""Bytes of one write; a kill loses at most this of each file."""
_MIN_PROGRESS_BYTES = 2**20
"""An attempt with fewer bytes counts as a failure."""
_REPORT_S = 1.0


@dataclass(frozen=True, slots=True)
class DownloadRetryPolicy:
    """How often downloads are retried, and the delays between."""

    max_attempts: int = 8
    """Attempts in a row without progress."""
    first_delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_retry_after_s: float = 600.0

    def compute_delay_s(self, failures: int, asked_s: float | None) -> float:
        """Return the delay after so many failures in a row (from 1); it doubles, and respects Retry-After."""
        own = min(self.first_delay_s * 2.0 ** (failures - 1), self.max_delay_s)
        return max(own, min(asked_s or 0.0, self.max_retry_after_s))


class DownloadProgress:
    """Reports the progress of a download about once a second."""

    def __init__(
        self, total: int, here: int, report: Callable[[float | None, EngineNote], None], step: EngineNote,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """``total`` and ``here`` are in bytes; each report completes ``step``."""
        self._total = total
        self._downloaded = self._downloaded_before = here
        self._report = report
        self._step = step
        self._now = now
        self._started_s = now()
        self._reported_s = float("-inf")

    def add_bytes(self, count: int) -> None:
        """Count downloaded bytes; negative for bytes that have to be downloaded again."""
        self._downloaded += count
        now = self._now()
        if now - self._reported_s >= _REPORT_S:
            self._reported_s = now
            step = self._step.code.fill(
                **self._step.fields,
                done_gib=self._downloaded / GIB,
                total_gib=self._total / GIB,
                left=self._estimate_time_left(now),
            )
            self._report(min(1.0, self._downloaded / max(1, self._total)), step)

    def format_amount(self) -> str:
        """Return the downloaded amount in words."""
        return f"{self._downloaded / GIB:.1f} of {self._total / GIB:.1f} GiB"

    def _estimate_time_left(self, now: float) -> EngineNote | str:
        """Return the estimated remaining time, from the bytes of this download only."""
        came, took = self._downloaded - self._downloaded_before, now - self._started_s
        if came <= 0 or took < _REPORT_S:
            return ""
        left_s = (self._total - self._downloaded) * took / came
        return NoteCode.TIME_LEFT.fill(wait=estimate_wait(left_s)) if left_s >= 1 else ""


class Downloader:
    """Downloads files of one model at one revision."""

    def __init__(
        self, origin: Origin, repo: str, revision: str, folder: Path, progress: DownloadProgress,
        threads: WorkerThreads, *, retry_policy: DownloadRetryPolicy, sleep: Callable[[float], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._origin = origin
        self._repo = repo
        self._revision = revision
        self._folder = folder
        self._progress = progress
        self._threads = threads
        self._retry_policy = retry_policy
        self._sleep = sleep

    async def download_files(self, files: Iterable[RemoteFile], done: Callable[[str], None]) -> None:
        """Download the files; a thread calls ``done`` with the name of each verified file.

        Raises:
            InstallError: a file cannot be downloaded; parts of the others are kept.

        """
        gate = asyncio.Semaphore(_MAX_PARALLEL)

        async def download_one(file: RemoteFile) -> None:
            async with gate:
                await self._download_file(file)
                await self._threads.run_to_end(lambda: done(file.name))

        try:
            async with asyncio.TaskGroup() as group:
                for file in files:
                    group.create_task(download_one(file))
        except* (InstallError, OSError) as failed:
            raise failed.exceptions[0] from None

    async def _download_file(self, file: RemoteFile) -> None:
        """Download one file; if its hash is wrong, download it once more."""
        part = self._folder / file.part_name
        for _ in range(2):
            await self._complete_part(part, file)
            if file.digest is None or await self._threads.matches_digest(part, file.digest):
                await self._threads.run_to_end(lambda: _finish_part(part, self._folder / file.name))
                return
            await self._threads.run_to_end(part.unlink)
            self._progress.add_bytes(-file.size_bytes)
        raise InstallError(
            NoteCode.ARRIVED_DAMAGED.fill(
                file=file.name, repo=self._repo, origin=self._origin.label, size_bytes=file.size_bytes
            )
        )

    async def _complete_part(self, part: Path, file: RemoteFile) -> None:
        """Download a part until it is complete."""
        part.touch()
        failures = 0
        while (have := part.stat().st_size) < file.size_bytes:
            why, asked_s = "the connection was cut", None
            try:
                await self._append_stream(part, file, have)
            except TransientOriginError as passing:
                why, asked_s = str(passing), passing.retry_after_s
            gained = part.stat().st_size - have
            if have + gained >= file.size_bytes:
                break
            failures = 1 if gained >= _MIN_PROGRESS_BYTES else failures + 1
            if failures >= self._retry_policy.max_attempts:
                raise InstallError(
                    NoteCode.DOWNLOAD_FAILED.fill(
                        origin=self._origin.label,
                        attempts=_count_attempts(self._retry_policy),
                        why=why,
                        repo=self._repo,
                        done=self._progress.format_amount(),
                    )
                )
            await self._sleep(self._retry_policy.compute_delay_s(failures, asked_s))

    async def _append_stream(self, part: Path, file: RemoteFile, have: int) -> None:
        """Append the origin's stream to a part until the stream ends."""
        block = bytearray()
        try:
            async with aclosing(self._origin.read(self._repo, self._revision, file, have)) as chunks:
                async for chunk in chunks:
                    have += len(chunk)
                    if have > file.size_bytes:
                        raise InstallError(NoteCode.LONGER_THAN_LISTED.fill(origin=self._origin.label, file=file.name))
                    block += chunk
                    self._progress.add_bytes(len(chunk))
                    if len(block) >= _BLOCK_BYTES:
                        content, block = block, bytearray()
                        await self._threads.run_to_end(partial(_append_block, part, content))
        finally:
            # Keep the received bytes after any end of the stream; the write is short, so it is not awaited.
            _append_block(part, block)


async def retry_call(
    call: Callable[[], Awaitable[_T]],
    label: str,
    retry_policy: DownloadRetryPolicy,
    sleep: Callable[[float], Awaitable[None]],
) -> _T:
    """Return the result of a call, with retries after transient errors.

    Raises:
        InstallError: all attempts failed.

    """
    for failures in range(1, retry_policy.max_attempts + 1):
        try:
            return await call()
        except TransientOriginError as passing:
            why = str(passing)
            if failures < retry_policy.max_attempts:
                await sleep(retry_policy.compute_delay_s(failures, passing.retry_after_s))
    raise InstallError(NoteCode.ORIGIN_UNREACHABLE.fill(origin=label, attempts=_count_attempts(retry_policy), why=why))


def _count_attempts(retry_policy: DownloadRetryPolicy) -> EngineNote:
    count = retry_policy.max_attempts
    return NoteCode.TIMES.fill(count=count) if count > 1 else NoteCode.ONCE.fill()


def _append_block(part: Path, block: bytearray) -> None:
    if block:
        with part.open("ab") as file:
            file.write(block)


def _finish_part(part: Path, path: Path) -> None:
    """Move a complete part to its place, after an fsync."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
