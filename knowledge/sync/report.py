"""What a sync tells while it runs and when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from knowledge.sync.manifest.records import QuarantinedDocument


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far one source is."""

    source: str
    """Its name."""
    listed: int
    """Documents listed so far."""
    done: int
    """Documents worked off of those that had to be read, the failed ones among them."""
    failed: int
    """Of those, the ones that failed."""
    total: int
    """Documents that had to be read; 0 until the listing has ended."""
    seconds: float
    """Since this source began."""
    eta_s: float | None
    """Seconds to the end at the pace so far, None while it cannot be said."""


OnProgress = Callable[[SyncProgress], None]


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source's sync did. ``listed`` is the sum of unchanged, added, updated and failed when it ended well."""

    listed: int = 0
    unchanged: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    pending_deletions: int = 0
    """Documents that the listing lacks and that were kept, because it lacks too many."""
    failed: int = 0
    """Documents in quarantine, tried in this run or resting until their next attempt."""
    chunks_written: int = 0
    chunks_kept: int = 0
    """Chunks that were current before and still are, neither embedded nor written again."""
    seconds: float = 0.0
    error: str | None = None
    """Why the source's sync stopped before its end, for a person; None when it did not."""
    failures: tuple[QuarantinedDocument, ...] = ()
    """The first of the failed documents, with their reasons."""

    @property
    def ok(self) -> bool:
        """Whether everything that is listed was taken in."""
        return self.error is None and self.failed == 0


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, a report for each source's name."""

    sources: Mapping[str, SourceReport]
    seconds: float
    repaired: int = 0
    """Chunks that the store had too many or too few of, against the manifest."""

    @property
    def ok(self) -> bool:
        """Whether every source ended well and no document failed; a run with failures is no plain success."""
        return all(report.ok for report in self.sources.values())
