"""Carry out a query plan: embed, get candidates, check them against the manifest, rank, join and pick."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from knowledge.embedding.calibration import SearchCalibration
from knowledge.errors import EmbedderError, StoreError
from knowledge.interfaces import Candidate, Chunk, CurrentChunk, Embedder, Scope, SearchResult, Store, Vector
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.access.scope import is_in_scope, is_refused
from knowledge.search.passages import CurrentChunks, JoinedPassage, JoinResult, Neighbours, find_damaged, join_passages
from knowledge.search.plan import QueryPlan, plan_words
from knowledge.search.ranking.candidates import PreparedQuery, Ranking, pick_ranked, rank_candidates
from knowledge.search.ranking.fusion import ROWS_UNKNOWN, ScoredCandidate, profile_query
from knowledge.search.results import PER_DOCUMENT, DocumentResults, make_empty_results
from knowledge.stores.common import run_both

_MAX_LOOKUPS = 8
"""The number of lookups at the store before a search returns what it has. Four widen the pool to its limit."""


class Reranker(Protocol):
    """Scores the passages that the manifest has admitted, before some are picked. It reads no others."""

    async def rerank(self, question: str, ranked: Sequence[ScoredCandidate], /) -> Sequence[ScoredCandidate]:
        """Return the same candidates with scores from 0 to 1, best first; as they are if it fails."""


@dataclass(frozen=True, slots=True)
class Breadth:
    """How many candidates a search considers."""

    pool: int = 50
    """Rows of each retriever at first, and at least three times the limit. A row that BM25 misses counts as 0 there.
    Of the questions to a real documentation, 50 find 1 to 2 % more than 30, and 70 find no more. The public sets do
    not differ.
    """
    widest_pool: int = 800
    """The largest pool, if the manifest keeps dropping what the store proposes."""
    per_document: int = PER_DOCUMENT
    count_for_s: float = 60.0
    """How long a count of the rows is used at most; only its logarithm matters."""
    growth_rows_s: float = 1000.0
    """Rows that a sync adds in a second at most. A small count is used only until it may have doubled."""


@dataclass(frozen=True, slots=True)
class _RankedCandidates:
    """The result of one search of store and manifest: all that may be shown, and the best of it."""

    usable: Sequence[Candidate]
    current: Mapping[str, CurrentChunk]
    ranking: Ranking
    picks: Sequence[ScoredCandidate]
    all_of: frozenset[str] | None = None
    """The ids of all rows in the scope, if the store returned all of them; else None."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The rows that the store should not have proposed, because the viewers may not read them: id and source's name."""
    damaged: frozenset[str] = frozenset()
    """The rows with another text than the manifest says."""


class HybridSearch:
    """Searches one open store. Its only state is the number of rows; many tasks may use it at once.

    Args:
        embedder: the one that the index was built with; None if that was another one, so that only BM25 finds rows.
        store: open. current: returns what the manifest lists (``CurrentChunks``). calibration: the constants of the
        embedder. breadth: how many candidates to consider. neighbours: returns the neighbours of chunks from the
        manifest; without it nothing is joined. classes: chooses what the store may propose; without them everything,
        and only the manifest decides. reranker: orders admitted candidates; without it their fused scores do.

    """

    def __init__(
        self,
        embedder: Embedder | None,
        store: Store,
        current: CurrentChunks,
        calibration: SearchCalibration,
        *,
        breadth: Breadth | None = None,
        neighbours: Neighbours | None = None,
        classes: AudienceClasses | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._current = current
        self._calibration = calibration
        self._breadth = breadth or Breadth()
        self._neighbours = neighbours
        self._classes = classes
        self._reranker = reranker
        self._rows = 0
        self._rows_counted_at = -math.inf

    async def search(self, query: str, *, scope: Scope, limit: int = 8, join: bool = False) -> SearchResult:
        """Return the passages that answer a question without filters and that all viewers may see, best first.

        Raises:
            StoreError, DatabaseError: that part failed. Without the embedder, words alone find passages.

        """
        started = time.perf_counter()
        found = await self.find_documents(plan_words(query, scope, limit=limit, join=join))
        return replace(found.to_result(), seconds=time.perf_counter() - started)

    async def find_documents(self, plan: QueryPlan) -> DocumentResults:
        """Return the result of ``search`` with its candidates.

        If a document changes meanwhile, its passage would be mixed or incomplete, so the search starts again. A row
        that the store has lost looks like a change, and costs one more search.
        """
        if plan.is_empty:
            return make_empty_results(plan, self._calibration)
        (vector, trouble), rows = await run_both(self._embed_text(plan.words), self._count_and_refresh(plan.scope))
        profile = profile_query(plan.words, plan.terms, rows, self._calibration, dense=vector is not None)
        question = PreparedQuery(plan, vector, profile, trouble)
        missing: frozenset[str] = frozenset()
        for _ in range(_MAX_LOOKUPS):
            found = await self._find_candidates(question)
            if not plan.join or self._neighbours is None or not found.picks:
                break
            chunks = {one.chunk.id: one.chunk for one in found.usable}
            joined = await join_passages(
                self._store, self._current, self._neighbours, _list_chunks(found.picks), chunks
            )
            before, missing = missing, _find_missing(found, joined)
            if missing <= before and all(
                _is_unchanged(one.candidate, found, joined, plan.scope) for one in found.picks
            ):
                return self._make_results(question, found, joined)
        return self._make_results(question, found, None)

    async def _find_candidates(self, question: PreparedQuery) -> _RankedCandidates:
        """Widen the pool until the manifest leaves enough, or the store has no more.

        Rows that the manifest does not list may have been replaced between the two answers. Then both are read again,
        because otherwise neither version would be found. Rows of a dead sync look the same, and cost one more search
        until the next sync removes them. Rows that it refuses may have got other readers in between, so they are not
        counted if this process wrote meanwhile.
        """
        plan = question.plan
        pool = max(self._breadth.pool, 3 * plan.limit)
        missing_rows: set[str] = set()
        refused: dict[str, str] = {}
        for lookups in itertools.count(1):
            scope, writes = await self._narrow_scope(plan.scope), self._count_writes()
            proposed = await self._store.find_candidates(question.vector, plan.terms, pool=pool, scope=scope)
            current = await self._current([candidate.chunk.id for candidate in proposed])
            before, missing_rows = missing_rows, {one.chunk.id for one in proposed if one.chunk.id not in current}
            if self._count_writes() == writes:
                refused |= {id_: one.source_name for id_, one in current.items() if is_refused(one, scope)}
            found = replace(self._rank_candidates(question, proposed, current), refused=refused)
            exhausted = len(proposed) < pool  # The dense leg alone returns a full pool while there are more rows.
            if exhausted and question.vector is not None:
                found = replace(found, all_of=frozenset(one.chunk.id for one in proposed))
            if len(found.picks) < plan.limit and not exhausted and pool < self._breadth.widest_pool:
                pool = min(2 * pool, self._breadth.widest_pool)
            elif missing_rows <= before or lookups >= _MAX_LOOKUPS:
                break
        if self._reranker is not None:
            ranked = await self._reranker.rerank(plan.words, found.ranking.ranked)
            picks = self._pick_passages(question, ranked, found.current, plan.limit)
            found = replace(found, ranking=replace(found.ranking, ranked=ranked), picks=picks)
        return found

    def _rank_candidates(
        self, question: PreparedQuery, proposed: Sequence[Candidate], current: Mapping[str, CurrentChunk]
    ) -> _RankedCandidates:
        damaged = find_damaged((one.chunk for one in proposed), current)
        intact = (one for one in proposed if one.chunk.id not in damaged)
        usable = [one for one in intact if is_in_scope(current.get(one.chunk.id), question.plan.scope)]
        ranking = rank_candidates(usable, question, current)
        picked = self._pick_passages(question, ranking.ranked, current, question.plan.limit)
        return _RankedCandidates(usable, current, ranking, picked, damaged=damaged)

    def _pick_passages(
        self,
        question: PreparedQuery,
        ranked: Sequence[ScoredCandidate],
        current: Mapping[str, CurrentChunk],
        limit: int,
    ) -> list[ScoredCandidate]:
        return pick_ranked(ranked, question, current, limit=limit, per_document=self._breadth.per_document)

    def _make_results(
        self, question: PreparedQuery, found: _RankedCandidates, joined: JoinResult | None
    ) -> DocumentResults:
        """Return the hits to show. Others take the places of hits within the passage of a better one."""
        passages: Mapping[str, JoinedPassage] = {} if joined is None else joined.passages
        hits: Sequence[ScoredCandidate] = found.picks
        if joined is not None and (inside := {hit.id for hit in _list_chunks(found.picks) if hit.id not in passages}):
            scope = question.plan.scope
            ranked = [
                one for one in found.ranking.ranked if is_in_scope(joined.current.get(one.candidate.chunk.id), scope)
            ]
            joined_ids = {id_ for passage in passages.values() for id_ in passage.chunks}
            wider = self._pick_passages(question, ranked, found.current, question.plan.limit + len(joined_ids))
            chosen = {one.candidate.chunk.id for one in found.picks}
            more = [one for one in wider if one.candidate.chunk.id not in joined_ids | chosen]
            picks = [one for one in found.picks if one.candidate.chunk.id not in inside]
            hits = sorted([*picks, *more[: len(inside)]], key=lambda one: -one.score)
        refused = Counter(found.refused.values())
        return DocumentResults(
            question,
            self._breadth.per_document,
            found.usable,
            hits,
            found.current,
            passages,
            found.ranking.trust,
            refused,
            found.damaged if joined is None else found.damaged | joined.damaged,
        )

    async def _embed_text(self, text: str) -> tuple[Vector | None, EmbedderError | None]:
        """Return the vector of a question, or why there is none."""
        try:
            return None if self._embedder is None else await self._embedder.embed_query(text), None
        except EmbedderError as error:
            return None, error

    async def _count_and_refresh(self, scope: Scope) -> int:
        """Return the number of rows. Meanwhile the audience classes are read, so that no lookup waits for them."""
        rows, _ = await run_both(self._count_rows(), self._narrow_scope(scope))
        return rows

    async def _narrow_scope(self, scope: Scope) -> Scope:
        """Return the scope with what the store may propose."""
        return scope if self._classes is None else await self._classes.narrow_scope(scope, self._store)

    def _count_writes(self) -> int:
        return 0 if self._classes is None else self._classes.count_writes()

    async def _count_rows(self) -> int:
        now = time.perf_counter()
        known_for_s = min(self._breadth.count_for_s, self._rows / self._breadth.growth_rows_s)
        if now - self._rows_counted_at > known_for_s:
            try:
                self._rows = await self._store.count()
            except StoreError:
                # A cluster that lost nodes answers searches, but not counts.
                return self._rows or ROWS_UNKNOWN
            self._rows_counted_at = now
        return self._rows


def _is_unchanged(candidate: Candidate, found: _RankedCandidates, joined: JoinResult, scope: Scope) -> bool:
    """Return whether a hit's document still has the version in which it was found."""
    was, is_ = found.current[candidate.chunk.id], joined.current.get(candidate.chunk.id)
    same = is_ is not None and (is_.row, is_.place, is_.synced_at) == (was.row, was.place, was.synced_at)
    return same and is_in_scope(is_, scope)


def _find_missing(found: _RankedCandidates, joined: JoinResult) -> frozenset[str]:
    """Return the neighbours of hits that were not found, or have vanished."""
    unseen = frozenset() if found.all_of is None else joined.neighbours_of_hits - found.all_of
    return joined.missing | unseen


def _list_chunks(picked: Sequence[ScoredCandidate]) -> list[Chunk]:
    return [one.candidate.chunk for one in picked]
