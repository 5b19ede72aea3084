"""Listing x manifest -> what to do: pure, so that every case can be tried without a file or a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.interfaces import Listed
from knowledge.sync.manifest.records import Known, both, decode_readers, encode_readers

RACY_S = 2.0
"""A file may change again within its clock's tick (2 s on FAT) without a new version."""

HELD_SHARE = 0.2
HELD_COUNT = 10
"""A listing that is shorter by more than the larger of the two deletes nothing."""

RETRY_FIRST_S = 300.0
RETRY_LAST_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Add:
    """Read a document that the manifest does not have."""

    listed: Listed


@dataclass(frozen=True, slots=True)
class Update:
    """Read a document whose version, link or readers changed, or that was read while it may have been changing."""

    listed: Listed
    known: Known


@dataclass(frozen=True, slots=True)
class Retry:
    """Read a document again that failed before; its time has come."""

    listed: Listed
    known: Known


Read = Add | Update | Retry


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one sync of one source does."""

    reads: tuple[Read, ...]
    deletes: tuple[Known, ...]
    """Gone from the source: their chunks go, after what is new was taken in (a rename looks like that)."""
    holds: tuple[Known, ...]
    """Gone from a listing that is not believed: they stay, and keep answering."""
    approved: tuple[Known, ...]
    """Held before, still gone, and a person agreed: they go too, and no guard asks again."""
    releases: tuple[Known, ...]
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
        return any(isinstance(read, Add) or not read.known.answers for read in self.reads)

    def doubted(self, failed: int) -> Plan:
        """Return the plan once so many new documents could not be read: it may delete less now, never more.

        A source whose documents all have new names, none of which can be read, would lose everything otherwise.
        """
        if not failed or believed(self.before, self.after - failed):
            return self
        return replace(self, deletes=(), holds=self.holds + self.deletes)


def plan(
    listing: Mapping[str, Listed],
    known: Sequence[Known],
    *,
    now: float,
    complete: bool = True,
    approve: Collection[str] = frozenset(),
) -> Plan:
    """Decide what to do with each document.

    ``complete`` is False when the listing broke off: what it names is read, what it does not name is left alone.
    ``approve`` names the held documents that a person was shown and agreed to: of those, what is still gone is deleted.
    Whatever else is gone is judged as ever, because nobody was shown it.
    """
    reads: list[Read] = []
    gone: list[Known] = []
    releases: list[Known] = []
    waiting = never_read = 0
    for row in known:
        listed = listing.get(row.document)
        if listed is None:
            gone.append(row)
            continue
        if row.held:
            releases.append(row)
        if _changed(listed, row):
            reads.append(Update(listed, row))
        elif row.reason is not None:
            if _rested(row, now):
                reads.append(Retry(listed, row))
            else:
                waiting += 1
                never_read += not row.answers
    kept = len(known) - len(gone) - len(reads) - waiting
    seen = {row.document for row in known}
    reads.extend(Add(listed) for document, listed in listing.items() if document not in seen)
    approved = tuple(row for row in gone if row.held and row.document in approve) if complete else ()
    agreed = {row.document for row in approved}
    others = [row for row in gone if row.document not in agreed]
    before = sum(row.answers for row in known) - sum(row.answers for row in approved)
    after = len(listing) - never_read
    deletes, holds = _judge(others, before=before, after=after, complete=complete)
    return Plan(tuple(reads), deletes, holds, approved, tuple(releases), kept, waiting, before, after)


def believed(before: int, after: int) -> bool:
    """Whether a listing of so many documents may delete some of those that there were before."""
    return after > 0 and before - after <= max(HELD_COUNT, HELD_SHARE * before)


def retry_delay_s(attempts: int) -> float:
    """Return how long a document rests after so many failed attempts: 5 min, 20 min, 80 min … at most a day."""
    return float(min(RETRY_FIRST_S * 4 ** min(max(attempts - 1, 0), 10), RETRY_LAST_S))


def _changed(listed: Listed, row: Known) -> bool:
    if row.reason is not None:
        # What answers keeps its link and readers until it can be read; only fewer readers count at once.
        return listed.version != row.version or encode_readers(_allowed(listed, row)) != row.readers
    return (
        listed.version != row.version
        or listed.url != row.url
        or encode_readers(listed.readers) != row.readers
        or _racy(listed, row)
    )


def _allowed(listed: Listed, row: Known) -> frozenset[str]:
    return both(decode_readers(row.readers), listed.readers)


def _rested(row: Known, now: float) -> bool:
    """Whether a failed document's time has come; a time that no delay reaches was set by a clock that was wrong."""
    return not now < row.retry_at <= now + RETRY_LAST_S


def _racy(listed: Listed, row: Known) -> bool:
    return listed.modified_at is not None and listed.modified_at.timestamp() > row.read_at - RACY_S


def _judge(
    gone: Sequence[Known], *, before: int, after: int, complete: bool
) -> tuple[tuple[Known, ...], tuple[Known, ...]]:
    """Split what is gone into what may be deleted and what is held."""
    if not complete:
        return (), ()
    return (tuple(gone), ()) if believed(before, after) else ((), tuple(gone))
