"""Plan a sync from a listing and the manifest, without I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.interfaces import ListedDocument, narrow_readers
from knowledge.sync.manifest.records import KnownDocument, decode_readers, encode_readers

RACY_S = 2.0
"""A file may change again within one tick of its clock (2 s on FAT) without a new version."""

GUARD_SHARE = 0.2
GUARD_COUNT = 10
"""A listing that lacks more documents than the larger of these two deletes nothing."""

RETRY_FIRST_S = 300.0
RETRY_LAST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """Read a document that is new, changed, or may have changed while it was read; or a failed one again."""

    entry: ListedDocument
    record: KnownDocument | None = None
    """None if the manifest does not have it."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """All actions of one sync of one source."""

    reads: tuple[DocumentRead, ...]
    deletes: tuple[KnownDocument, ...]
    """The source no longer lists them. They are deleted after new documents are indexed, because some may be
    renames."""
    pending_deletions: tuple[KnownDocument, ...]
    """A doubtful listing lacks them. They stay searchable until a person approves their deletion."""
    approved_deletions: tuple[KnownDocument, ...]
    """Pending deletions that a person approved and the source still does not list. They are deleted."""
    restored_documents: tuple[KnownDocument, ...]
    """Pending deletions that the source lists again."""
    unchanged_count: int
    """The number of documents that do not change."""
    pending_retries: int
    """The number of failed documents whose retry is not due."""
    before: int = 0
    """The number of searchable documents, without the approved deletions."""
    after: int = 0
    """The number of listed documents, without those that never could be read and are not due for a retry."""
    chunks: int = 0
    """The number of current chunks."""

    @property
    def brings_new(self) -> bool:
        """Return whether it reads documents with no searchable version. Each may be a renamed document."""
        return any(read.record is None or not read.record.answers for read in self.reads)

    def recheck_deletions(self, failed: int) -> SyncPlan:
        """Return the plan after some new documents could not be read: it deletes the same or less.

        Otherwise a source whose documents are all renamed and unreadable would lose everything.
        """
        if not failed or is_believable(self.before, self.after - failed):
            return self
        return replace(self, deletes=(), pending_deletions=self.pending_deletions + self.deletes)


class Planner:
    """Decides what to do with each document, from a listing and records that come some at a time.

    It keeps only the records of documents that change, because all of them would take a gigabyte for a million.
    """

    def __init__(self, listing: Mapping[str, ListedDocument], *, now: float) -> None:
        self._listing = listing
        self._now = now
        self._new = set(listing)
        self._reads: list[DocumentRead] = []
        self._missing: list[KnownDocument] = []
        self._restored: list[KnownDocument] = []
        self._unchanged = self._pending_retries = self._never_read = self._answering = self._chunks = 0

    def add_records(self, records: Iterable[KnownDocument]) -> None:
        """Compare some documents of the manifest with the listing."""
        for row in records:
            self._answering += row.answers
            self._chunks += row.chunks
            listed = self._listing.get(row.document)
            if listed is None:
                self._missing.append(row)
                continue
            self._new.discard(row.document)
            if row.pending_deletion:
                self._restored.append(row)
            if _has_changed(listed, row) or (row.reason is not None and _is_retry_due(row, self._now)):
                self._reads.append(DocumentRead(listed, row))
            elif row.reason is not None:
                self._pending_retries += 1
                self._never_read += not row.answers
            else:
                self._unchanged += 1

    def make_plan(
        self, *, complete: bool = True, trusted: bool = True, approve: Collection[str] = frozenset()
    ) -> SyncPlan:
        """Return the plan, after all records were added.

        ``complete`` is False if the listing stopped early. Then documents that it does not name stay. ``trusted`` is
        False if the source lies on another disk than before, or another process has it with other keys. Then the
        deletion of each missing document waits for approval.

        ``approve`` names the pending deletions that a person saw and approved. They are deleted if the source still
        does not list them. Other documents that are missing pass the usual check, because the person did not see them.
        """
        new = (DocumentRead(listed) for document, listed in self._listing.items() if document in self._new)
        reads = (*self._reads, *new)
        missing = self._missing
        approved = tuple(row for row in missing if row.pending_deletion and row.document in approve) if complete else ()
        approved_names = {row.document for row in approved}
        others = [row for row in missing if row.document not in approved_names]
        before = self._answering - sum(row.answers for row in approved)
        after = len(self._listing) - self._never_read
        deletes, holds = _split_missing(others, believable=trusted and is_believable(before, after), complete=complete)
        return SyncPlan(
            reads,
            deletes,
            holds,
            approved,
            tuple(self._restored),
            self._unchanged,
            self._pending_retries,
            before,
            after,
            self._chunks,
        )


def is_believable(before: int, after: int) -> bool:
    """Return whether a listing of ``after`` documents may delete documents, if there were ``before``."""
    return after > 0 and before - after <= max(GUARD_COUNT, GUARD_SHARE * before)


def compute_retry_delay_s(attempts: int) -> float:
    """Return the delay after so many failed attempts: 5 min, 20 min, 80 min … at most a day."""
    return float(min(RETRY_FIRST_S * 4 ** min(max(attempts - 1, 0), 10), RETRY_LAST_S))


def _has_changed(listed: ListedDocument, row: KnownDocument) -> bool:
    if row.reason is not None:
        # A document keeps its link until it can be read again. Only a smaller audience counts at once.
        narrowed = narrow_readers(decode_readers(row.readers), listed.readers)
        return listed.version != row.version or encode_readers(narrowed) != row.readers
    return (
        listed.version != row.version
        or listed.url != row.url
        or encode_readers(listed.readers) != row.readers
        or (listed.modified_at is not None and listed.modified_at.timestamp() > row.read_at - RACY_S)
    )


def _is_retry_due(row: KnownDocument, now: float) -> bool:
    """Return whether a retry is due. A time that is later than any delay comes from a wrong clock, so it is due."""
    return not now < row.retry_at <= now + RETRY_LAST_S


def _split_missing(
    missing: Sequence[KnownDocument], *, believable: bool, complete: bool
) -> tuple[tuple[KnownDocument, ...], tuple[KnownDocument, ...]]:
    """Split missing documents into those to delete and those whose deletion waits for approval."""
    if not complete:
        return (), ()
    return (tuple(missing), ()) if believable else ((), tuple(missing))
