"""Count what happens while one source is synced, and report its progress."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from knowledge.errors import ErrorCode, KnowledgeError
from knowledge.interfaces import EVERYONE, narrow_readers
from knowledge.sync.manifest.records import KnownDocument, QuarantinedDocument, decode_readers, encode_readers
from knowledge.sync.plan import DocumentRead, SyncPlan
from knowledge.sync.report import OnProgress, SourceReport, SyncProgress
from knowledge.sync.running.flow import PreparedDocument

_REPORTED_FAILURES = 10


@dataclass(slots=True)
class SyncTally:
    """Counts and progress of one source."""

    source: str
    on_progress: OnProgress
    every_s: float
    began: float = field(default_factory=time.monotonic)
    listed: int = 0
    unchanged: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    pending_deletions: int = 0
    pending_retries: int = 0
    chunks_written: int = 0
    chunks_kept: int = 0
    total: int = 0
    done: int = 0
    never_read: int = 0
    """Failed documents with no searchable version."""
    failures: list[QuarantinedDocument] = field(default_factory=list)
    readers_changed: tuple[str, ...] = ()
    _reported_at: float = float("-inf")

    def count_plan(self, todo: SyncPlan) -> None:
        """Count the decisions of a plan."""
        self.unchanged = todo.unchanged_count
        self.pending_deletions = len(todo.pending_deletions)
        self.pending_retries = todo.pending_retries
        self.total = len(todo.reads)
        self.readers_changed = tuple(
            one.record.document
            for one in todo.reads
            if one.record is not None and encode_readers(one.entry.readers) != one.record.readers
        )
        read = sum(one.record.chunks for one in todo.reads if one.record is not None)
        self.chunks_kept = todo.chunks - read

    def count_unchanged(self, record: KnownDocument) -> None:
        """Count a document that was read and had not changed."""
        self.unchanged += 1
        self.chunks_kept += record.chunks
        self._count_documents()

    def count_current(self, prepared: PreparedDocument) -> None:
        """Count a document that is now current."""
        self.chunks_written += len(prepared.fresh)
        self.chunks_kept += len(prepared.document.chunks) - len(prepared.fresh)
        if prepared.replaces:
            self.updated += 1
        else:
            self.added += 1
        self._count_documents()

    def count_failure(self, read: DocumentRead, error: KnowledgeError) -> None:
        """Count a document that could not be indexed."""
        record = read.record
        self.never_read += record is None or not record.answers
        readers = (
            read.entry.readers if record is None else narrow_readers(decode_readers(record.readers), read.entry.readers)
        )
        self.failures.append(
            QuarantinedDocument(read.entry.document, str(error), public=readers >= EVERYONE, code=error.code)
        )
        self.chunks_kept += record.chunks if record else 0
        self._count_documents()

    def count_deletions(self, rows: Sequence[KnownDocument]) -> None:
        """Count deleted documents."""
        self.deleted += len(rows)
        self.chunks_kept -= sum(row.chunks for row in rows)

    def report_progress(self, *, last: bool = False) -> None:
        """Report the progress, unless the last report is very recent."""
        now = time.monotonic()
        if not last and now - self._reported_at < self.every_s:
            return
        self._reported_at = now
        seconds = now - self.began
        eta_s = seconds / self.done * (self.total - self.done) if self.done else None
        self.on_progress(
            SyncProgress(self.source, self.listed, self.done, len(self.failures), self.total, seconds, eta_s)
        )

    def make_report(self, error: KnowledgeError | None) -> SourceReport:
        """Return the final report."""
        return SourceReport(
            listed=self.listed,
            unchanged=self.unchanged,
            added=self.added,
            updated=self.updated,
            deleted=self.deleted,
            pending_deletions=self.pending_deletions,
            failed=self.pending_retries + len(self.failures),
            chunks_written=self.chunks_written,
            chunks_kept=self.chunks_kept,
            seconds=time.monotonic() - self.began,
            error=None if error is None else str(error),
            error_code=ErrorCode.OTHER if error is None else error.code,
            failures=tuple(sorted(self.failures, key=lambda failure: failure.document)[:_REPORTED_FAILURES]),
            readers_changed=self.readers_changed,
        )

    def _count_documents(self) -> None:
        self.done += 1
        self.report_progress()
