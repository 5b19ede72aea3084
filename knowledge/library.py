"""The face of the knowledge package for the bot: search, refresh, status and suggested questions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from knowledge.access import AccessExplainer
from knowledge.embedding import explain_uncalibrated, find_calibration
from knowledge.embedding.calibration import EmbedderCalibration
from knowledge.errors import IndexRebuilding, StoreError
from knowledge.interfaces import (
    ANY_MEMBER,
    Embedder,
    Hit,
    LiveWebRequest,
    Material,
    Priority,
    RightsSource,
    SearchResult,
    Source,
    Vector,
    Viewers,
)
from knowledge.materials import MaterialLoader
from knowledge.readable import ReadableDocuments, RecentDocument, SourceDocuments
from knowledge.search.documents import DocumentSearch
from knowledge.search.federated import WebSearcher, search_documents_and_web
from knowledge.search.hybrid import Reranker
from knowledge.search.material_passages import MaterialIndex, index_material
from knowledge.search.plan import plan_query
from knowledge.search.query import match_sources, parse_query, separate_filters
from knowledge.search.source_rules import make_rules
from knowledge.search.with_materials import search_with_materials
from knowledge.settings import KnowledgeSettings
from knowledge.sources.identities import make_identity_map
from knowledge.status import LibraryStatus, add_lost_place, find_next_run, make_removed_status, read_source_status
from knowledge.suggestions import generate_questions
from knowledge.sync.index_watch import IndexWatch
from knowledge.sync.library_sync import LibrarySync, select_sources
from knowledge.sync.manifest.embedder_records import EmbedderRecords
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.indexes import Indexes
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.manifest.replica_configurations import ReplicaConfigurations
from knowledge.sync.removed_sources import find_removed_sources
from knowledge.sync.report import OnProgress, SyncReport
from knowledge.sync.rights import RightsChecker
from knowledge.sync.running.run import IndexWriter
from knowledge.sync.running.workbench import Workbench
from knowledge.sync.stored_rows import StoredRows

_FIRST_HITS = 3
"""The passages on which an answer mostly depends."""
_MAX_HEADINGS = 2000
"""The number of passages from whose headings suggestions are made."""
_MAX_TRIES = 40
"""The number of questions that are searched at most, to find good suggestions."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, which tests replace."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""


class Library:
    """Searches documents and keeps them fresh. ``open_library`` makes it; several tasks may use it at once."""

    def __init__(  # noqa: PLR0913 - ``open_library`` names each
        self,
        settings: KnowledgeSettings,
        *,
        sources: Sequence[Source],
        indexes: Indexes,
        embedder: Embedder,
        calibration: EmbedderCalibration | None = None,
        bench: Workbench,
        web: WebSearcher | None = None,
        reranker: Reranker | None = None,
        clock: Clock | None = None,
        lease: Lease | None = None,
    ) -> None:
        """``lease`` is that of the leader, None for one of this process by default.

        ``calibration`` has the constants of the embedder, None for the declared ones.
        """
        clock = clock or Clock(now=indexes.manifest.database.now)
        self.content = indexes.manifest.content
        """What sources share with other hosts, None if they share nothing."""
        self._settings = settings
        self._sources = {source.key.name: source for source in sources}
        self._indexes = indexes
        self.embedder = embedder
        self.calibration = calibration = calibration or find_calibration(embedder.identity)
        """The constants of the embedder."""
        self.identities = make_identity_map(settings.identity_file, sources)
        """Adds to people's principals those of other systems."""
        self._rules = make_rules(settings.sources, self._sources)
        configurations = {self._sources[spec.name].key.id: spec.configuration_key for spec in settings.sources}
        lease = lease or Lease(indexes.manifest.database, namespace=settings.namespace)
        self.configurations = ReplicaConfigurations(
            indexes.manifest.database,
            indexes.manifest.namespace,
            configurations,
            is_dead=lease.owner.is_dead,
            sleep=clock.sleep,
        )
        """Tells other processes what this one has, and what they have."""
        self._rights = RightsChecker(
            {source.key.id: source for source in sources if isinstance(source, RightsSource)},
            configurations,
            now=clock.now,
        )
        self.index_watch = IndexWatch(indexes, sleep=clock.sleep)
        """Knows whether the index can be searched."""
        self.syncs = LibrarySync(
            settings,
            self._sources,
            lease,
            lambda leader: IndexWriter(
                indexes,
                [source.key for source in sources],
                leader,
                bench,
                configured={key: rules.readers_key for key, rules in self._rules.items()},
                configurations=self.configurations,
                now=clock.now,
                recognises=settings.recognises_text,
            ),
            self._rights,
            self._find_searched,
            index_watch=self.index_watch,
            sleep=clock.sleep,
        )
        self.rows = StoredRows(indexes)
        """The rows of the store, for a backup."""
        self._documents = DocumentSearch(indexes, calibration.search, self._rules, self._rights, reranker=reranker)
        self.access = AccessExplainer(self._documents, self._sources, self._rules, self.identities)
        self._readable = ReadableDocuments(self._rules.values(), self._rights, self._find_searched)
        self._web = web
        self.materials = MaterialLoader(embedder.count_tokens, recognises=settings.recognises_text)

    async def search(
        self,
        query: str,
        *,
        limit: int = 8,
        viewers: Viewers = ANY_MEMBER,
        sources: Collection[str] | None = None,
        join: bool = True,
        live: LiveWebRequest | None = None,
        materials: Sequence[Material] = (),
    ) -> SearchResult:
        """Return the best current passages for a question, best first.

        Filters in the question narrow the search (``knowledge.search.query``). ``viewers`` are all who will see the
        answer: a passage is returned only if each of them may read it. ``sources`` are names, None for all. ``join``
        adds the neighbours of a hit to ``Hit.context``. ``live`` is what may be asked of the live web, if it is
        enabled (``knowledge.search.federated``). ``materials`` come with the question (``with_materials``).

        Raises:
            UnknownSource: a name is not configured, not among ``sources``, or a filter names a source of which the
                viewers may read nothing.
            InvalidFilter: a filter in the question cannot be read.
            StoreError, DatabaseError: that part failed, and the web has no answer. Without the embedder, words alone
                find passages (``SearchResult.trouble``).

        """
        allowed = {source.key.name: source.key.id for source in select_sources(self._sources, sources)}
        if "in" in separate_filters(query)[1]:
            readable = await self._readable.list_sources(viewers)
            allowed = {name: id_ for name, id_ in allowed.items() if name in readable}
        plan = plan_query(query, allowed, datetime.now(UTC), viewers=viewers, limit=limit, join=join)

        async def search_rest(live: LiveWebRequest | None) -> SearchResult:
            return await search_documents_and_web(
                self._documents.search, self._web, self.calibration.search, plan, live
            )

        found = await search_with_materials(search_rest, self.embedder, self.calibration.search, plan, live, materials)
        rebuild = await self.index_watch.find_rebuild() if found.trouble is None else None
        return found if rebuild is None else replace(found, trouble=IndexRebuilding(rebuild.share))

    async def index_material(self, material: Material) -> MaterialIndex:
        """Return a file that is searched for many questions; nothing of it is stored.

        Raises:
            EmbedderError: its passages cannot be embedded.

        """
        return await index_material(self.embedder, self.calibration.search, material)

    async def filter_current(self, chunks: Collection[str], viewers: Viewers = ANY_MEMBER) -> frozenset[str]:
        """Return the chunks (``Hit.chunks``) that are current now and that all ``viewers`` may read.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return await self._documents.filter_current(chunks, viewers)

    async def list_current(self, chunks: Collection[str]) -> frozenset[str]:
        """Return the chunks that are current now, without a check of rights; show nobody anything of them before one.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return await self._documents.list_current(chunks)

    async def list_named_principals(self) -> frozenset[str]:
        """Return the principals that open documents which not every full member may read.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        return await self._documents.list_named_principals()

    async def find_rights_key(self, viewers: Viewers) -> str:
        """Return a key that is equal for viewers who may read the same documents; "" if it is unknown.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        return await self._documents.find_rights_key(viewers)

    async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
        """Return whether a person's own answer to a question would differ from that for other viewers.

        It would if one of the first passages answers the question, and is not for the others.

        Raises:
            UnknownSource, InvalidFilter, StoreError, DatabaseError: as for ``search``.

        """
        if await self.find_rights_key(person) == await self.find_rights_key(others):
            return False
        found = await self.search(query, viewers=person, join=False)
        first = {hit.id for hit in found.hits[:_FIRST_HITS] if hit.confidence >= self.calibration.search.answerable}
        return found.answerable and bool(first - await self.filter_current(first, others))

    async def read_passage(self, chunks: Sequence[str], viewers: Viewers = ANY_MEMBER) -> Hit | None:
        """Return what is current of ``Hit.chunks`` for all viewers; None if nothing is left.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        return await self._documents.read_passage(chunks, viewers)

    async def refresh(
        self,
        source: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        approve: Mapping[str, str] | None = None,
    ) -> SyncReport:
        """Sync one source, or every source, here or at the process that leads.

        Syncs of other sources go on at the same time. If ``source`` is None, syncs that already run are awaited too.
        ``approve`` names the pending deletions that a person approved (``LibraryStatus.approval_marks``). Exactly
        those documents are deleted, if a new listing still lacks them. ``on_progress`` is called on this loop several
        times a second for each source, and must not raise. After a cancellation or a kill, indexed documents stay,
        and the next sync continues from there. Syncs that nobody else waits for are stopped.

        Raises:
            SyncRunning: the source is being synced already.
            NobodyLeads: this process never leads, and no other does.
            UnknownSource: the name is not configured.
            PendingDeletionsChanged: the pending deletions differ from the approved ones; nothing was started.
            StoreError, EmbedderError, DatabaseError: nothing could be started; later failures are in the report.

        """
        return await self.syncs.refresh(source, on_progress, approve=approve or {})

    async def status(self) -> LibraryStatus:
        """Return the documents, the age and the last sync of each source.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        searched = await self._documents.follow_active_index()
        now, leader = datetime.now(UTC), await self.syncs.leader.lease.find_leader()
        elsewhere = {} if leader is None or leader.is_this_process else leader.progress
        keys = [source.key for source in self._sources.values()]
        removed, others = await find_removed_sources(searched.manifest, keys), await self.configurations.list_others()
        states = [
            await read_source_status(
                searched.manifest,
                spec,
                source=self._sources[spec.name],
                now=now,
                next_at=find_next_run([spec.schedule, self._settings.nightly], now, self._settings.timezone),
                syncing=self.syncs.find_progress(spec.name) or elsewhere.get(spec.name),
                watched=spec.name in self.syncs.watcher.watched,
                watch_trouble=self.syncs.watcher.troubles.get(spec.name),
            )
            for spec in self._settings.sources
        ]
        return LibraryStatus(
            searched.row.store,
            not self._indexes.is_settled,
            tuple(states),
            growth=await self._indexes.measure_growth(keys),
            last_repair=await searched.manifest.read_last_repair(),
            refused_passages=await searched.manifest.read_refused(),
            elsewhere=leader.label if leader is not None and elsewhere else None,
            leader=leader,
            removed=tuple(make_removed_status(one, others) for one in removed.values()),
            other_configurations=self.configurations.list_differences(others),
            embedder=self.embedder.identity,
            embedder_trouble=self.embedder.trouble,
            uncalibrated=explain_uncalibrated(self.embedder.identity, self.calibration),
            index=await self.index_watch.find_health(),
        )

    async def check(self) -> LibraryStatus:
        """Return the status after a search, and after a look for the place of each source.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        with contextlib.suppress(StoreError):  # then the check of the index says so
            await self.search("Kvasir", limit=1)
        state = await self.status()
        return replace(state, sources=tuple([await add_lost_place(s, self._sources[s.name]) for s in state.sources]))

    async def list_documents(self, viewers: Viewers = ANY_MEMBER, within: str = "") -> tuple[SourceDocuments, ...]:
        """Return the documents that all ``viewers`` may see, by source; sources without any are left out.

        ``within`` has the filters of a channel. Only its sources count.

        Raises:
            InvalidFilter, UnknownSource: ``within`` cannot be read.
            DatabaseError: the manifest's database failed.

        """
        return await self._readable.describe_sources(viewers, self._choose_sources(within))

    async def list_recent(self, viewers: Viewers, within: str, limit: int) -> tuple[RecentDocument, ...]:
        """Return the documents that all ``viewers`` may see and that changed last.

        ``within`` has the filters of a channel. Only its sources count.

        Raises:
            InvalidFilter, UnknownSource: ``within`` cannot be read.
            DatabaseError: the manifest's database failed.

        """
        return await self._readable.list_recent(viewers, self._choose_sources(within), limit)

    def _choose_sources(self, within: str) -> Collection[str]:
        """Return the names of the sources that the filters of a channel allow."""
        chosen = parse_query(f"{within} x", datetime.now(UTC)).sources if within else ()
        return match_sources(chosen, list(self._sources)) if chosen else self._sources.keys()

    async def count_readable(self, viewers: Viewers) -> Mapping[str, int]:
        """Return how many documents of each source all viewers may read; sources without any are left out.

        Only these sources may be named to the viewers.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return await self._readable.count_documents(viewers)

    async def suggest_questions(self, n: int = 3) -> dict[str, str]:
        """Return up to ``n`` questions that the documents answer, with the chunk that answers each.

        The same documents give the same questions.

        Headings become questions, and each is searched: it must be answerable, and its best hit must be the passage
        under that heading. Documents of less weight give no questions.
        """
        headings = await (await self._documents.follow_active_index()).manifest.list_headings(
            [source.key.id for source in self._sources.values()], _MAX_HEADINGS
        )
        usual = [one for one in headings if self._documents.weigh_document(one.source, one.document) >= 1]
        questions: dict[str, str] = {}
        for tries, (question, heading) in enumerate(generate_questions(usual)):
            if len(questions) == n or tries == _MAX_TRIES:
                break
            result = await self.search(question, limit=2, join=False)
            first = [(hit.document, hit.heading) for hit in result.hits[:1]]
            if result.answerable and first == [(heading.document, heading.heading)]:
                questions[question] = result.hits[0].id
        return questions

    async def compare_texts(self, question: str, texts: Sequence[str]) -> Vector:
        """Return how similar a question is to each of some short texts of documents (``extract_scale``).

        Raises:
            EmbedderError: they cannot be embedded.

        """
        vector = await self.embedder.embed_query(question)
        similarities: Vector = await self.embedder.embed_passages(texts, priority=Priority.ANSWER) @ vector
        return similarities * self.calibration.extract_scale

    async def check_written_store(self) -> None:
        """Check the store that syncs write to, which may not answer questions yet.

        Raises:
            StoreError: it cannot be used.

        """
        await self._indexes.written.store.check()

    async def calibrate(self) -> bool:
        """Fit the constants of the embedder, and store them for the next start of each process.

        Return False if its vectors do not separate the committed texts, so that nothing is stored.

        Raises:
            EmbedderError: the texts cannot be embedded.
            DatabaseError: the manifest's database failed.

        """
        from knowledge.embedding.fitting import fit_calibration  # noqa: PLC0415 - rarely

        fitted = await fit_calibration(self.embedder)
        if fitted is not None:
            manifest = self._indexes.manifest
            records = EmbedderRecords(manifest.database, manifest.namespace)
            await records.save_calibration(self.embedder.identity, fitted)
        return fitted is not None

    async def scrub_store(self) -> None:
        """Remove deleted documents from the files of an embedded store, while no sync writes to it.

        Raises:
            SyncRunning: a sync is running, here or at the process that leads.
            NobodyLeads: this process never leads, and no other does.
            StoreError: the store fails.

        """
        await self.syncs.scrub_store()

    async def close(self) -> None:
        """Stop every sync. Indexed documents stay."""
        await self._rights.close()
        await self.syncs.close()
        await self.materials.close()

    async def _find_searched(self) -> IndexManifest:
        return (await self._documents.follow_active_index()).manifest
