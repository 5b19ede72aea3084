"""Report the state of the knowledge to people: its sources, their age, running syncs and the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from knowledge.errors import ErrorCode, KnowledgeError, NothingRead
from knowledge.interfaces import Source, find_place, has_uniform_readers
from knowledge.settings import SourceSpec
from knowledge.sources.narrowing import find_listing_source
from knowledge.sync.index_watch import IndexHealth
from knowledge.sync.manifest.lease import LeaderState
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import (
    IndexGrowth,
    LastRepair,
    PendingDeletion,
    QuarantinedDocument,
    RefusedPassages,
    make_approval_mark,
)
from knowledge.sync.manifest.replica_configurations import ReplicaConfiguration
from knowledge.sync.removed_sources import RemovedSource
from knowledge.sync.report import SyncProgress

MAX_AGE_S = 26 * 3_600.0
"""The maximum age of a source without ``max_age``: a nightly sync, and two hours for it to run."""
_FOR_PEOPLE = frozenset({"push", "pages"})
"""Kinds of sources that have only added documents."""
_PLACE_S = 4.0
_TOLD = 5
"""Failed and pending documents that are named."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state of one source."""

    name: str
    kind: str
    root: str
    documents: int
    chunks: int
    failed: int
    failures: tuple[QuarantinedDocument, ...]
    """The first failed documents, with their reasons."""
    pending_deletions: int
    """The number of documents that a doubtful listing lacked. They stay searchable until approval."""
    synced_at: datetime | None
    """When the last complete listing of a finished sync began; aware, UTC. None if there was none."""
    error: str | None
    """Why the last sync stopped; None if it did not."""
    schedule: str | None
    syncing: SyncProgress | None
    """The progress of a sync in this process or at the leader; None if there is none."""
    first_pending_deletions: tuple[PendingDeletion, ...] = ()
    approval_mark: str = ""
    """Identifies exactly these pending deletions, for an approval (``records.make_approval_mark``); "" for none."""
    age_s: float | None = None
    """Seconds since ``synced_at``; None if there was none."""
    max_age_s: float = MAX_AGE_S
    next_at: datetime | None = None
    """When the schedule syncs it next, if a bot runs; aware. None: never."""
    is_watched: bool = False
    """Whether this process syncs it as soon as it changes."""
    error_code: ErrorCode = ErrorCode.OTHER
    watch_trouble: str | None = None
    """Why it cannot be watched although it should be."""

    has_uniform_readers: bool = False
    """Whether all documents have the same readers. Otherwise nothing is known of the readers of unread ones."""
    unreachable: int = 0
    """The number of documents of which nobody holds a reader; only ``AccessExplainer.add_unreachable`` counts them."""
    unreachable_readers: tuple[str, ...] = ()
    is_removed: bool = False
    """Whether this process's configuration lacks it, so that the deletion of the whole source waits for approval."""
    listed_by: tuple[str, ...] = ()
    """The other hosts whose processes have a removed source."""

    @property
    def late(self) -> bool:
        """Return whether it is older than its maximum age."""
        return self.age_s is not None and self.age_s > self.max_age_s


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The state of the knowledge."""

    store: str
    indexing: bool
    """Whether a new index is growing, because the embedder, the chunker or the terms changed."""
    sources: tuple[SourceStatus, ...]
    growth: IndexGrowth | None = None
    last_repair: LastRepair | None = None
    """When store and manifest were last compared, and how many chunks differed; None if never."""
    refused_passages: RefusedPassages | None = None
    """Passages that the store proposed to people who may not read them, since ``last_repair``; None for none."""
    elsewhere: str | None = None
    """Another process that syncs now (``process 12 on host``), if any."""
    leader: LeaderState | None = None
    """The process that syncs by the clock and for the others; None if there is none now."""
    removed: tuple[SourceStatus, ...] = ()
    """Sources whose deletion waits for approval, because the configuration lacks them or has another root."""
    other_configurations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The sources that other processes have otherwise or not at all, by host."""
    embedder: str = ""
    """Its identity."""
    embedder_trouble: str = ""
    """Why it did not embed the last text, with the next step; "" if it did."""
    uncalibrated: str = ""
    """What the embedder does not do until it is calibrated, and the next step; "" if it is."""
    index: IndexHealth = field(default_factory=IndexHealth)
    """Whether the index that answers can be searched."""

    def approval_marks(self, source: str | None = None) -> dict[str, str]:
        """Return the marks of pending deletions for an approval, of one source or of all."""
        return {
            one.name: one.approval_mark
            for one in (*self.sources, *self.removed)
            if one.pending_deletions and source in {None, one.name}
        }


def restrict_sources(sources: Sequence[SourceStatus], readable: Mapping[str, int]) -> tuple[SourceStatus, ...]:
    """Return the states of the sources of which some viewers may read something (``Library.count_readable``).

    Where they may read only some documents, or unread ones may have other readers, no other number is left.
    """
    return tuple(
        source
        if is_wholly_readable(source, readable)
        else replace(
            source,
            documents=readable[source.name],
            chunks=0,
            failed=0,
            failures=(),
            pending_deletions=0,
            first_pending_deletions=(),
            approval_mark="",
            syncing=None,
        )
        for source in sources
        if source.name in readable
    )


def is_wholly_readable(source: SourceStatus, readable: Mapping[str, int]) -> bool:
    """Return whether every document of a source may be read, also the unread and failed ones."""
    return readable.get(source.name) == source.documents and source.has_uniform_readers


def explain_nothing_read(
    state: LibraryStatus, readable: Collection[str], *, reading: bool = False
) -> NothingRead | None:
    """Return why there is nothing to search, or None if there are documents.

    ``readable`` are the sources of which the person may read something; others are not counted. ``reading`` says that
    the first sync still runs, so there may be more documents later.
    """
    documents = sum(one.documents for one in state.sources)
    if documents and not reading:
        return None
    configured = [one for one in state.sources if one.documents or one.kind not in _FOR_PEOPLE]
    if not configured:
        return NothingRead("no_source")
    syncing = [one.syncing for one in configured if one.syncing is not None]
    if syncing or reading or state.elsewhere is not None:
        uniform = {one.name for one in configured if one.has_uniform_readers}
        counted = [one for one in syncing if one.source in readable and one.source in uniform]
        return NothingRead("reading", sum(one.done for one in counted), sum(one.total for one in counted))
    if any(one.error for one in configured):
        return NothingRead("failed")
    return NothingRead("empty" if any(one.synced_at for one in configured) else "never")


async def read_source_status(
    manifest: Lookups,
    spec: SourceSpec,
    *,
    source: Source,
    now: datetime,
    next_at: datetime | None,
    syncing: SyncProgress | None,
    watched: bool,
    watch_trouble: str | None,
) -> SourceStatus:
    """Return the state of one source.

    Raises:
        DatabaseError: the manifest's database failed.

    """
    key = source.key
    counts = await manifest.count_source(key)
    synced_at = None if counts.listed_at is None else datetime.fromtimestamp(counts.listed_at, UTC)
    return SourceStatus(
        name=key.name,
        kind=key.kind,
        root=key.root,
        documents=counts.documents,
        chunks=counts.chunks,
        failed=counts.failed,
        failures=await manifest.list_failures(key, _TOLD) if counts.failed else (),
        pending_deletions=counts.pending_deletions,
        synced_at=synced_at,
        error=counts.error,
        error_code=counts.error_code,
        schedule=spec.schedule,
        syncing=syncing,
        first_pending_deletions=await manifest.list_pending_deletions(key, _TOLD) if counts.pending_deletions else (),
        approval_mark=make_approval_mark(await manifest.list_pending_names(key)) if counts.pending_deletions else "",
        age_s=None if synced_at is None else max(0.0, (now - synced_at).total_seconds()),
        max_age_s=spec.max_age_s or MAX_AGE_S,
        next_at=next_at,
        is_watched=watched,
        watch_trouble=watch_trouble,
        has_uniform_readers=not spec.rights and has_uniform_readers(find_listing_source(source)),
    )


async def add_lost_place(state: SourceStatus, source: Source) -> SourceStatus:
    """Return the state with the error that the place of the source cannot be seen now, if so and it has no other."""
    try:
        async with asyncio.timeout(_PLACE_S):
            await find_place(source)
    except (KnowledgeError, TimeoutError) as error:
        why = str(error) or f"{state.root} did not answer within {_PLACE_S:g} s. Check that it is mounted."
        return replace(state, error=state.error or why)
    return state


def make_removed_status(removed: RemovedSource, others: Sequence[ReplicaConfiguration]) -> SourceStatus:
    """Return the state of a source that the configuration of this process lacks."""
    return SourceStatus(
        name=removed.name,
        kind=removed.key.kind,
        root=removed.key.root,
        documents=removed.documents,
        chunks=removed.chunks,
        failed=0,
        failures=(),
        pending_deletions=removed.documents,
        synced_at=None,
        error=None,
        schedule=None,
        syncing=None,
        approval_mark=removed.approval_mark,
        is_removed=True,
        listed_by=tuple(sorted({one.host for one in others if removed.key.id in one.sources})),
    )


def find_next_run(lines: Sequence[str | None], now: datetime, timezone: str | None) -> datetime | None:
    """Return when the first of the cron lines is next due, in a time zone or the machine's."""
    from knowledge.sync.schedule import find_due  # noqa: PLC0415 - the scheduler's library takes a while to load

    moments = [moment for line in lines if line and (moment := find_due(line, now, timezone)) is not None]
    return min(moments, default=None)
