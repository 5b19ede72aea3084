"""Reports of a sync: its progress while it runs, and its results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from knowledge.errors import ErrorCode
from knowledge.sync.manifest.records import QuarantinedDocument


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """The progress of one source."""

    source: str
    listed: int
    done: int
    """Documents that were read so far, including failed ones."""
    failed: int
    total: int
    """Documents that must be read; 0 until the listing has ended."""
    seconds: float
    eta_s: float | None
    """Estimated seconds to the end, None while unknown."""


OnProgress = Callable[[SyncProgress], None]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The result of one source's sync.

    After a successful sync, ``listed`` is the sum of unchanged, added, updated and failed.
    """

    listed: int = 0
    unchanged: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    pending_deletions: int = 0
    """Documents that the listing lacks but that stay, because it lacks too many."""
    failed: int = 0
    """Failed documents, tried in this run or waiting for their retry."""
    chunks_written: int = 0
    chunks_kept: int = 0
    """Chunks that were current before and still are. They were neither embedded nor written again."""
    seconds: float = 0.0
    error: str | None = None
    """Why the sync of this source stopped early, in a sentence for a person; None if it did not."""
    error_code: ErrorCode = ErrorCode.OTHER
    failures: tuple[QuarantinedDocument, ...] = ()
    readers_changed: tuple[str, ...] = ()
    """Known documents that the source listed with other readers than before."""

    @property
    def ok(self) -> bool:
        """Return whether every listed document was indexed."""
        return self.error is None and self.failed == 0


OnReport = Callable[[str, SourceReport, int], Awaitable[None]]
"""Gets the name of a source, the report of each sync of it, and how many of its deletions a person had approved."""


async def ignore_report(_source: str, _report: SourceReport, _approved: int) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of a sync, with a report for each source's name."""

    sources: Mapping[str, SourceReport]
    seconds: float
    repaired: int = 0
    """Chunks by which the store differed from the manifest."""

    @property
    def ok(self) -> bool:
        """Return whether every source ended well and no document failed."""
        return all(report.ok for report in self.sources.values())
