"""Listing x manifest -> what to do: pure, so that every case can be tried without a file or a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.interfaces import ListedDocument
from knowledge.sync.manifest.records import KnownDocument, decode_readers, encode_readers, intersect_readers

RACY_S = 2.0
"""A file may change again within its clock's tick (2 s on FAT) without a new version."""

GUARD_SHARE = 0.2
GUARD_COUNT = 10
"""A listing that is shorter by more than the larger of the two deletes nothing."""

RETRY_FIRST_S = 300.0
RETRY_LAST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class AddDocument:
    """Read a document that the manifest does not have."""

    listed: ListedDocument


@dataclass(frozen=True, slots=True)
class UpdateDocument:
    """Read a document whose version, link or readers changed, or that was read while it may have been changing."""

    listed: ListedDocument
    known: KnownDocument


@dataclass(frozen=True, slots=True)
class RetryDocument:
    """Read a document again that failed before; its time has come."""

    listed: ListedDocument
    known: KnownDocument


DocumentRead = AddDocument | UpdateDocument | RetryDocument


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """Everything that one sync of one source does."""

    reads: tuple[DocumentRead, ...]
    deletes: tuple[KnownDocument, ...]
    """Gone from the source: their chunks go, after what is new was taken in (a rename looks like that)."""
    pending_deletions: tuple[KnownDocument, ...]
    """Gone from a listing that is not believed: they stay, and keep answering."""
    approved: tuple[KnownDocument, ...]
    """Held before, still gone, and a person agreed: they go too, and no guard asks again."""
    restored: tuple[KnownDocument, ...]
    """Held before, and listed again."""
    kept: int
    """Documents that stay as they are."""
    waiting: int
    """Failed documents whose next attempt has not come."""
    before: int = 0
    """Documents of which some version answers, but those that were approved."""
    after: int = 0
    """Documents of the listing, but those that could not be read so far and rest."""

    @property
    def brings_new(self) -> bool:
        """Whether it reads documents of which no version answers: any of them may be one that is gone, renamed."""
        return any(isinstance(read, AddDocument) or not read.known.answers for read in self.reads)

    def doubted(self, failed: int) -> SyncPlan:
        """Return the plan once so many new documents could not be read: it may delete less now, never more.

        A source whose documents all have new names, none of which can be read, would lose everything otherwise.
        """
        if not failed or is_believable(self.before, self.after - failed):
            return self
        return replace(self, deletes=(), pending_deletions=self.pending_deletions + self.deletes)


def make_plan(
    listing: Mapping[str, ListedDocument],
    known: Sequence[KnownDocument],
    *,
    now: float,
    complete: bool = True,
    approve: Collection[str] = frozenset(),
) -> SyncPlan:
    """Decide what to do with each document.

    ``complete`` is False when the listing broke off: what it names is read, what it does not name is left alone.
    ``approve`` names the held documents that a person was shown and agreed to: of those, what is still gone is deleted.
    Whatever else is gone is judged as ever, because nobody was shown it.
    """
    reads: list[DocumentRead] = []
    gone: list[KnownDocument] = []
    releases: list[KnownDocument] = []
    waiting = never_read = 0
    for row in known:
        listed = listing.get(row.document)
        if listed is None:
            gone.append(row)
            continue
        if row.pending_deletion:
            releases.append(row)
        if _has_changed(listed, row):
            reads.append(UpdateDocument(listed, row))
        elif row.reason is not None:
            if _is_retry_due(row, now):
                reads.append(RetryDocument(listed, row))
            else:
                waiting += 1
                never_read += not row.answers
    kept = len(known) - len(gone) - len(reads) - waiting
    seen = {row.document for row in known}
    reads.extend(AddDocument(listed) for document, listed in listing.items() if document not in seen)
    approved = tuple(row for row in gone if row.pending_deletion and row.document in approve) if complete else ()
    agreed = {row.document for row in approved}
    others = [row for row in gone if row.document not in agreed]
    before = sum(row.answers for row in known) - sum(row.answers for row in approved)
    after = len(listing) - never_read
    deletes, holds = _split_gone(others, before=before, after=after, complete=complete)
    return SyncPlan(tuple(reads), deletes, holds, approved, tuple(releases), kept, waiting, before, after)


def is_believable(before: int, after: int) -> bool:
    """Whether a listing of so many documents may delete some of those that there were before."""
    return after > 0 and before - after <= max(GUARD_COUNT, GUARD_SHARE * before)


def compute_retry_delay_s(attempts: int) -> float:
    """Return how long a document rests after so many failed attempts: 5 min, 20 min, 80 min … at most a day."""
    return float(min(RETRY_FIRST_S * 4 ** min(max(attempts - 1, 0), 10), RETRY_LAST_S))


def _has_changed(listed: ListedDocument, row: KnownDocument) -> bool:
    if row.reason is not None:
        # What answers keeps its link and readers until it can be read; only fewer readers count at once.
        return listed.version != row.version or encode_readers(_intersect_known_readers(listed, row)) != row.readers
    return (
        listed.version != row.version
        or listed.url != row.url
        or encode_readers(listed.readers) != row.readers
        or _is_racy(listed, row)
    )


def _intersect_known_readers(listed: ListedDocument, row: KnownDocument) -> frozenset[str]:
    return intersect_readers(decode_readers(row.readers), listed.readers)


def _is_retry_due(row: KnownDocument, now: float) -> bool:
    """Whether a failed document's time has come; a time that no delay reaches was set by a clock that was wrong."""
    return not now < row.retry_at <= now + RETRY_LAST_S


def _is_racy(listed: ListedDocument, row: KnownDocument) -> bool:
    return listed.modified_at is not None and listed.modified_at.timestamp() > row.read_at - RACY_S


def _split_gone(
    gone: Sequence[KnownDocument], *, before: int, after: int, complete: bool
) -> tuple[tuple[KnownDocument, ...], tuple[KnownDocument, ...]]:
    """Split what is gone into what may be deleted and what is held."""
    if not complete:
        return (), ()
    return (tuple(gone), ()) if is_believable(before, after) else ((), tuple(gone))
