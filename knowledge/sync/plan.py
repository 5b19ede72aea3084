"""Listing x manifest -> what to do: pure, so that every case can be tried without a file or a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import Listed
from knowledge.sync.records import Known, both, decode_readers, encode_readers

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
    """Gone from the source: their chunks go."""
    holds: tuple[Known, ...]
    """Gone from a listing that is not believed: they stay, and keep answering."""
    releases: tuple[Known, ...]
    """Held before, and listed again."""
    kept: int
    """Documents that stay as they are."""
    waiting: int
    """Failed documents whose next attempt has not come."""


def plan(listing: Mapping[str, Listed], known: Sequence[Known], *, now: float, complete: bool = True) -> Plan:
    """Decide what to do with each document.

    ``complete`` is False when the listing broke off: what it names is read, what it does not name is left alone.
    """
    reads: list[Read] = []
    gone: list[Known] = []
    releases: list[Known] = []
    waiting = 0
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
            if now >= row.retry_at:
                reads.append(Retry(listed, row))
            else:
                waiting += 1
    kept = len(known) - len(gone) - len(reads) - waiting
    seen = {row.document for row in known}
    reads.extend(Add(listed) for document, listed in listing.items() if document not in seen)
    deletes, holds = _judge(gone, before=len(known), after=len(listing), complete=complete)
    return Plan(tuple(reads), deletes, holds, tuple(releases), kept, waiting)


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


def _racy(listed: Listed, row: Known) -> bool:
    return listed.modified_at is not None and listed.modified_at.timestamp() > row.read_at - RACY_S


def _judge(
    gone: Sequence[Known], *, before: int, after: int, complete: bool
) -> tuple[tuple[Known, ...], tuple[Known, ...]]:
    """Split what is gone into what may be deleted and what is held."""
    if not complete:
        return (), ()
    if gone and (after == 0 or before - after > max(HELD_COUNT, HELD_SHARE * before)):
        return (), tuple(gone)
    return tuple(gone), ()
