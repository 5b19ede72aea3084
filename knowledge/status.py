"""How the knowledge is, as a person is told: what is held, how fresh it is, what is under way, what comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.errors import NothingRead
from knowledge.interfaces import SourceKey
from knowledge.search.scope import may_read
from knowledge.settings import SourceSpec
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import (
    IndexGrowth,
    LastRepair,
    PendingDeletion,
    QuarantinedDocument,
    decode_readers,
    make_approval_mark,
)
from knowledge.sync.report import SyncProgress

MAX_AGE_S = 26 * 3_600.0
"""How old a source may be unless its ``max_age`` says otherwise: a nightly sync, and two hours for it to run."""
_TITLES = 5
"""Of documents, to say what a source holds."""
_LISTED = 100
"""Documents among which those are chosen."""
_FOR_PEOPLE = frozenset({"push", "pages"})
"""Kinds of sources that hold only what people add."""
_TOLD = 5
"""Failed and held documents that are named."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source as a person is told of it."""

    name: str
    kind: str
    root: str
    documents: int
    chunks: int
    failed: int
    """Documents in quarantine."""
    failures: tuple[QuarantinedDocument, ...]
    """The first of them, with their reasons."""
    pending_deletions: int
    """Documents that a suspiciously short listing lacked; they are kept, and answer."""
    synced_at: datetime | None
    """Begin of the last complete listing that was worked off; aware, UTC. None: never yet."""
    error: str | None
    """Why the last sync stopped, None when it did not."""
    schedule: str | None
    syncing: SyncProgress | None
    """How far a sync of this process is, None when none is running."""
    first_pending_deletions: tuple[PendingDeletion, ...] = ()
    """The first of the held documents, by name."""
    approval_mark: str = ""
    """Identifies exactly these pending deletions, for an approval (``records.make_approval_mark``); "" for none."""
    age_s: float | None = None
    """Since ``synced_at``; None: never yet."""
    max_age_s: float = MAX_AGE_S
    """The target that ``age_s`` is held against."""
    next_at: datetime | None = None
    """When it is synced next by the clock, where a bot is running; aware. None: never."""
    watched: bool = False
    """Whether this process syncs it as soon as something in it changes."""
    watch_trouble: str | None = None
    """Why it cannot be watched though it should be."""

    @property
    def late(self) -> bool:
        """Whether it is older than its target age."""
        return self.age_s is not None and self.age_s > self.max_age_s


@dataclass(frozen=True, slots=True)
class SourceDocuments:
    """What a source holds for some readers."""

    name: str
    kind: str
    documents: int
    """How many they may read."""
    synced_at: datetime | None
    """As ``SourceStatus.synced_at``."""
    titles: tuple[str, ...]
    """Of some of them, by weight and name."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The knowledge as a person is told of it."""

    store: str
    """The store's kind."""
    indexing: bool
    """Whether a new index is growing (the embedder, the chunker or the terms have changed)."""
    sources: tuple[SourceStatus, ...]
    growth: IndexGrowth | None = None
    """How far the new index is, None when none is growing."""
    repaired: LastRepair | None = None
    """When store and manifest were compared last, and how many chunks differed; None: never yet."""
    elsewhere: str | None = None
    """Who syncs into this state directory beside this process (``process 12, since 02:30:00 UTC``), if anybody does."""

    def approval_marks(self, source: str | None = None) -> dict[str, str]:
        """Return what is held now as an approval names it: of one source, or of all of which something is held."""
        return {
            one.name: one.approval_mark for one in self.sources if one.pending_deletions and source in {None, one.name}
        }


def explain_nothing_read(state: LibraryStatus, *, reading: bool = False) -> NothingRead | None:
    """Return why there is nothing to search, or None where there are documents.

    ``reading`` says that the documents are being read for the first time: then those that were read are not all.
    """
    documents = sum(one.documents for one in state.sources)
    if documents and not reading:
        return None
    configured = [one for one in state.sources if one.documents or one.kind not in _FOR_PEOPLE]
    if not configured:
        return NothingRead("no_source")
    syncing = [one.syncing for one in configured if one.syncing is not None]
    if syncing or reading or state.elsewhere is not None:
        return NothingRead("reading", sum(one.done for one in syncing), sum(one.total for one in syncing))
    if any(one.error for one in configured):
        return NothingRead("failed")
    return NothingRead("empty" if any(one.synced_at for one in configured) else "never")


async def read_source_status(
    manifest: Lookups,
    spec: SourceSpec,
    *,
    key: SourceKey,
    now: datetime,
    nightly: str | None,
    syncing: SyncProgress | None,
    watched: bool,
    watch_trouble: str | None,
) -> SourceStatus:
    """Return how one source is.

    Raises:
        DatabaseError: the manifest's database failed.

    """
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
        schedule=spec.schedule,
        syncing=syncing,
        first_pending_deletions=await manifest.list_pending_deletions(key, _TOLD) if counts.pending_deletions else (),
        approval_mark=make_approval_mark(await manifest.list_pending_names(key)) if counts.pending_deletions else "",
        age_s=None if synced_at is None else max(0.0, (now - synced_at).total_seconds()),
        max_age_s=spec.max_age_s or MAX_AGE_S,
        next_at=find_next_run([line for line in (spec.schedule, nightly) if line is not None], now),
        watched=watched,
        watch_trouble=watch_trouble,
    )


async def read_source_documents(
    manifest: Lookups, key: SourceKey, readers: frozenset[str], weight: Callable[[str, str], float]
) -> SourceDocuments:
    """Return what a source holds that every one of the readers may read.

    ``weight`` tells what a document weighs by its source (``SourceKey.id``) and name: the lightest are named last.

    Raises:
        DatabaseError: the manifest's database failed.

    """
    audiences = {
        audience: count
        for audience, count in (await manifest.count_audiences(key)).items()
        if may_read(readers, decode_readers(audience))
    }
    listed_at = (await manifest.count_source(key)).listed_at
    listed = await manifest.list_titles(key, audiences, _LISTED)
    by_weight = sorted(listed, key=lambda one: -weight(key.id, one[0]))
    titles = dict.fromkeys(title or document for document, title in by_weight)
    return SourceDocuments(
        name=key.name,
        kind=key.kind,
        documents=sum(audiences.values()),
        synced_at=None if listed_at is None else datetime.fromtimestamp(listed_at, UTC),
        titles=tuple(titles)[:_TITLES],
    )


def find_next_run(lines: Sequence[str], now: datetime) -> datetime | None:
    """Return when the first of the cron lines is due next; a line that is none is told where it is scheduled."""
    from knowledge.sync.schedule import find_due  # noqa: PLC0415 - the scheduler's library takes a while to load

    moments = [moment for line in lines if (moment := find_due(line, now)) is not None]
    return min(moments, default=None)
