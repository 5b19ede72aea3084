"""A question becomes passages: embed, ask the store for candidates, let the manifest decide, fuse, pick."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from knowledge.errors import StoreError
from knowledge.interfaces import (
    EVERYONE,
    Candidate,
    Chunk,
    CurrentChunk,
    Embedder,
    Hit,
    Scope,
    SearchResult,
    Store,
    Vector,
)
from knowledge.search.calibration import SearchCalibration
from knowledge.search.exact import ExactMatches, weigh_exact_matches
from knowledge.search.fusion import (
    QueryProfile,
    ScoredCandidate,
    estimate_background,
    estimate_confidence,
    fuse,
    is_answerable,
    penalise_repeats,
    profile_query,
)
from knowledge.search.identifiers import Identifier, find_identifiers
from knowledge.search.naming import weigh_document_names
from knowledge.search.passages import JoinedPassage, JoinResult, Neighbours, PassageJoiner, find_absorbed_hits
from knowledge.search.pick import pick_passages
from knowledge.stores.common import run_both
from knowledge.terms import query_terms

_MAX_LOOKUPS = 8
"""At the store, before a search is content with what it has: four widen the pool to its widest."""

_ROWS_UNKNOWN = 10_000
"""Taken for the number of rows where none could be counted yet."""

CurrentChunks = Callable[[Collection[str]], Awaitable[Mapping[str, CurrentChunk]]]
"""Ask the manifest which of these chunk ids are current; ids that it does not return may not be shown."""


@dataclass(frozen=True, slots=True)
class Breadth:
    """How widely a search looks."""

    pool: int = 50
    """Rows of each leg at first, and three times the limit at least. What the dense leg alone brings counts as one
    without the words: of the questions to a real documentation 1 to 2 % more are found with 50 than with 30, none more
    with 70; the public sets do not differ.
    """
    widest_pool: int = 800
    """Where doubling the pool ends, when the manifest keeps dropping what the store proposes."""
    per_document: int = 5
    """Passages of one document before others get their turn; more only where others do not fill the limit. With 3 the
    one right passage of eight fell out for 0.4 % of xquad's questions, with 5 for none.
    """
    query_characters: int = 8192
    """Of a longer question the first and the last half of this many; the embedder reads its first 512 tokens."""
    count_for_s: float = 60.0
    """How long the number of rows is taken as known at most; only its logarithm matters."""
    growth_rows_s: float = 1000.0
    """Rows a second that no sync outruns: a small number is known for as long only as it cannot have doubled."""


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A question in every form in which it is searched."""

    words: str
    vector: Vector | None
    terms: str
    profile: QueryProfile
    names: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class _RankedCandidates:
    """What a look at store and manifest left: all that may be shown, and the best of it."""

    usable: Sequence[Candidate]
    current: Mapping[str, CurrentChunk]
    exact: ExactMatches
    ranked: Sequence[ScoredCandidate]
    picked: Sequence[ScoredCandidate]
    all_of: frozenset[str] | None = None
    """Ids of all rows that the store has in the scope, where it proposed them all; else None."""


@dataclass(frozen=True, slots=True)
class DocumentResults:
    """What a question found among the documents, so that pages of the web can be laid beside it (``with_web``)."""

    question: PreparedQuery
    limit: int
    per_document: int
    usable: Sequence[Candidate] = ()
    """All that may be shown."""
    shown: Sequence[ScoredCandidate] = ()
    """What is shown where nothing else is."""
    current: Mapping[str, CurrentChunk] = field(default_factory=dict)
    passages: Mapping[str, JoinedPassage] = field(default_factory=dict)
    trust: float = 1.0
    """What is left of the confidence; see ``ExactMatches``."""

    @property
    def behind(self) -> float:
        """Return the cosine that passages have with this question whether they answer it or not."""
        return estimate_background([one.cosine for one in self.usable], self.question.profile.calibration.background)

    def hits(self) -> tuple[Hit, ...]:
        """Return what is shown, best first."""
        behind = self.behind
        return tuple(self.hit(one, behind, self.trust) for one in self.shown)

    def is_answered_by(self, hits: Sequence[Hit]) -> bool:
        """Return whether these passages are sure enough to answer the question."""
        return is_answerable(self.question.words, self.question.profile, hits)

    def hit(self, one: ScoredCandidate, behind: float, trust: float) -> Hit:
        """Return one of ``usable`` as a hit."""
        id_ = one.candidate.chunk.id
        sure = trust * estimate_confidence(one.candidate, self.question.profile, behind)
        return _make_hit(one, sure, self.current[id_], self.passages.get(id_))


class HybridSearch:
    """Search over one open store; it holds no state but the number of rows, and may be used by many tasks at once.

    Args:
        embedder: of the identity that the index was built with, unless ``dense`` is False.
        store: open.
        current: the manifest's word, see ``CurrentChunks``.
        calibration: the constants of this embedder.
        breadth: how widely to look.
        dense: whether the index is of this embedder; if not, only the lexical leg is asked.
        neighbours: the manifest's word on what stands beside a chunk; without it nothing is joined.
        now: seconds of a monotonic clock.

    """

    def __init__(
        self,
        embedder: Embedder,
        store: Store,
        current: CurrentChunks,
        calibration: SearchCalibration,
        *,
        breadth: Breadth | None = None,
        dense: bool = True,
        neighbours: Neighbours | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._current = current
        self._calibration = calibration
        self._breadth = breadth or Breadth()
        self._dense = dense
        self._joiner = None if neighbours is None else PassageJoiner(store, current, neighbours)
        self._now = now
        self._rows = 0
        self._rows_counted_at = -math.inf

    async def search(self, query: str, *, scope: Scope, limit: int = 8, join: bool = False) -> SearchResult:
        """Return the passages that answer a question and that every one of the readers may see, best first.

        Args:
            query: of any length, without filters; an empty one finds nothing.
            scope: where to look; of its readers ``{"*"}`` is anybody, and nobody is taken as anybody.
            limit: how many passages at most; fewer when there are no more.
            join: whether hits are joined to readable passages (``Hit.context``), which costs two more questions.

        Raises:
            KnowledgeError: the embedder, the store or the manifest failed.

        """
        started = self._now()
        seen = await self.find_documents(query, scope=scope, limit=limit, join=join)
        hits = seen.hits()
        return SearchResult(query, hits, self._now() - started, seen.is_answered_by(hits))

    async def find_documents(self, query: str, *, scope: Scope, limit: int = 8, join: bool = False) -> DocumentResults:
        """Return what ``search`` would, together with what it was chosen from."""
        text = shorten_query(query.strip(), self._breadth.query_characters)
        if not (text and scope.sources and limit > 0):
            return make_empty_results(text, limit, self._calibration, self._breadth)
        scope = scope if scope.readers else replace(scope, readers=EVERYONE)
        vector, rows = await run_both(self._embed(text), self._count())
        question = _prepare_query(text, vector, rows, self._calibration, dense=self._dense)
        found, passages = await self._joined(question, scope, limit, join=join)
        shown = self._shown(question, found, limit, passages)
        return DocumentResults(
            question, limit, self._breadth.per_document, found.usable, shown, found.current, passages, found.exact.trust
        )

    async def _look(self, question: PreparedQuery, scope: Scope, limit: int) -> _RankedCandidates:
        """Widen until the manifest leaves enough, or the store has no more.

        Rows that the manifest does not list may have been replaced between the two answers; then both are asked again,
        or neither the old version nor the new one would be found. Rows that a dead sync left look alike, and cost one
        more look until the next sync removes them.
        """
        pool = max(self._breadth.pool, 3 * limit)
        unlisted: set[str] = set()
        looks = 0
        while True:
            looks += 1
            proposed = await self._store.find_candidates(question.vector, question.terms, pool=pool, scope=scope)
            current = await self._current([candidate.chunk.id for candidate in proposed])
            before, unlisted = unlisted, {one.chunk.id for one in proposed if one.chunk.id not in current}
            found = self._weighed(question, scope, limit, proposed, current)
            exhausted = len(proposed) < pool  # the dense leg alone returns a full pool while there are more
            if exhausted and question.vector is not None:
                found = replace(found, all_of=frozenset(one.chunk.id for one in proposed))
            if len(found.picked) < limit and not exhausted and pool < self._breadth.widest_pool:
                pool = min(2 * pool, self._breadth.widest_pool)
            elif unlisted <= before or looks >= _MAX_LOOKUPS:
                return found

    def _weighed(
        self,
        question: PreparedQuery,
        scope: Scope,
        limit: int,
        proposed: Sequence[Candidate],
        current: Mapping[str, CurrentChunk],
    ) -> _RankedCandidates:
        usable = [one for one in proposed if _may_show(one, current, scope)]
        named = weigh_names(usable, question)
        weights = {id_: listed.weight for id_, listed in current.items()}
        ranked = penalise_repeats(fuse(usable, question.profile, named.gains, weights))
        return _RankedCandidates(usable, current, named, ranked, self._picked(question, ranked, current, limit))

    def _picked(
        self,
        question: PreparedQuery,
        ranked: Sequence[ScoredCandidate],
        current: Mapping[str, CurrentChunk],
        limit: int,
    ) -> list[ScoredCandidate]:
        made = {id_: listed.modified_at for id_, listed in current.items()}
        return pick_passages(
            ranked,
            limit,
            self._breadth.per_document,
            alike=self._calibration.alike,
            words=question.words,
            made=made,
        )

    async def _joined(
        self, question: PreparedQuery, scope: Scope, limit: int, *, join: bool
    ) -> tuple[_RankedCandidates, Mapping[str, JoinedPassage]]:
        """Look, and join what was found; again where a document changed meanwhile, or it would be a mix or a part.

        A row that the store has lost looks like a change, and costs one more look.
        """
        missing: frozenset[str] = frozenset()
        for _ in range(_MAX_LOOKUPS):
            found = await self._look(question, scope, limit)
            if not join or self._joiner is None or not found.picked:
                break
            known = {one.chunk.id: one.chunk for one in found.usable}
            joined = await self._joiner.join(_list_chunks(found.picked), known)
            before, missing = missing, _find_missing(found, joined)
            if missing <= before and all(_is_unchanged(one.candidate, found, joined, scope) for one in found.picked):
                ranked = [one for one in found.ranked if _may_show(one.candidate, joined.listed, scope)]
                return replace(found, ranked=ranked), joined.passages
        return found, {}

    def _shown(
        self, question: PreparedQuery, found: _RankedCandidates, limit: int, passages: Mapping[str, JoinedPassage]
    ) -> Sequence[ScoredCandidate]:
        """Return what is picked, others in the places of those that lie in the passage of a better one."""
        inside = set(find_absorbed_hits(_list_chunks(found.picked), passages)) if passages else set()
        if not inside:
            return found.picked
        shown = {id_ for passage in passages.values() for id_ in passage.chunks}
        wider = self._picked(question, found.ranked, found.current, limit + len(shown))
        chosen = {one.candidate.chunk.id for one in found.picked}
        more = [one for one in wider if one.candidate.chunk.id not in shown | chosen]
        kept = [one for one in found.picked if one.candidate.chunk.id not in inside]
        return sorted([*kept, *more[: len(inside)]], key=lambda one: -one.score)

    async def _embed(self, text: str) -> Vector | None:
        return await self._embedder.embed_query(text) if self._dense else None

    async def _count(self) -> int:
        now = self._now()
        known_for_s = min(self._breadth.count_for_s, self._rows / self._breadth.growth_rows_s)
        if now - self._rows_counted_at > known_for_s:
            try:
                self._rows = await self._store.count()
            except StoreError:
                # A cluster that has lost nodes answers searches and not counts; a search fails by itself if it must.
                return self._rows or _ROWS_UNKNOWN
            self._rows_counted_at = now
        return self._rows


def make_empty_results(
    text: str, limit: int, calibration: SearchCalibration, breadth: Breadth | None = None
) -> DocumentResults:
    """Return what is seen of the documents where nobody looks: nothing."""
    question = _prepare_query(text, None, _ROWS_UNKNOWN, calibration, dense=True)
    return DocumentResults(question, limit, (breadth or Breadth()).per_document)


def _prepare_query(
    text: str, vector: Vector | None, rows: int, calibration: SearchCalibration, *, dense: bool
) -> PreparedQuery:
    terms = query_terms(text)
    profile = profile_query(text, terms, rows, calibration, dense=dense)
    return PreparedQuery(text, vector, terms, profile, find_identifiers(text))


def weigh_names(candidates: Sequence[Candidate], question: PreparedQuery) -> ExactMatches:
    """Return what candidates gain by holding or bearing names that the question uses."""
    found = weigh_exact_matches(candidates, question.names)
    gains = dict(weigh_document_names(candidates, question.words))
    for id_, gain in found.gains.items():
        gains[id_] = gains.get(id_, 0.0) + gain
    return ExactMatches(gains, found.trust)


def shorten_query(text: str, characters: int) -> str:
    """Return a text of at most about ``characters``: of a longer one its beginning and its end."""
    half = characters // 2
    return text if len(text) <= characters else f"{text[:half]} {text[-half:]}"


def may_read(readers: frozenset[str], document_readers: frozenset[str]) -> bool:
    """Whether every reader may see a document; one that is open to everybody is open to all of them."""
    return document_readers >= EVERYONE or (bool(readers) and readers <= document_readers)


def is_in_scope(listed: CurrentChunk, scope: Scope) -> bool:
    """Whether a chunk lies in a scope, as the manifest lists it; its source was asked for already."""
    made = listed.modified_at
    return (
        may_read(scope.readers, listed.readers)
        and (not scope.kinds or listed.kind in scope.kinds)
        and (scope.after is None or (made is not None and made >= scope.after))
        and (scope.before is None or (made is not None and made < scope.before))
    )


def _may_show(candidate: Candidate, current: Mapping[str, CurrentChunk], scope: Scope) -> bool:
    listed = current.get(candidate.chunk.id)
    return listed is not None and is_in_scope(listed, scope)


def _is_unchanged(candidate: Candidate, found: _RankedCandidates, joined: JoinResult, scope: Scope) -> bool:
    """Whether a hit's document is still the version that it was found in."""
    was, is_ = found.current[candidate.chunk.id], joined.listed.get(candidate.chunk.id)
    same = is_ is not None and (is_.row, is_.place, is_.synced_at) == (was.row, was.place, was.synced_at)
    return same and _may_show(candidate, joined.listed, scope)


def _find_missing(found: _RankedCandidates, joined: JoinResult) -> frozenset[str]:
    """Return what stands beside the hits and was not there to be found, or is there no more."""
    unseen = frozenset() if found.all_of is None else joined.beside - found.all_of
    return joined.missing | unseen


def _list_chunks(picked: Sequence[ScoredCandidate]) -> list[Chunk]:
    return [one.candidate.chunk for one in picked]


def _make_hit(scored: ScoredCandidate, sure: float, current: CurrentChunk, passage: JoinedPassage | None) -> Hit:
    chunk = scored.candidate.chunk
    return Hit(
        id=chunk.id,
        source=current.source_name,
        document=chunk.document,
        title=chunk.title,
        heading=chunk.heading,
        url=chunk.url,
        text=chunk.text,
        score=scored.score,
        confidence=sure,
        synced_at=current.synced_at,
        context="" if passage is None else passage.text,
        chunks=(chunk.id,) if passage is None else passage.chunks,
    )
