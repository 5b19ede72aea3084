"""A question becomes passages: embed, ask the store for candidates, let the manifest decide, fuse, pick."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.interfaces import EVERYONE, Candidate, Current, Embedder, Hit, Scope, SearchResult, Store, Vector
from knowledge.search.fusion import ANSWERABLE, Asked, Scored, asked, background, confidence, fuse, surest
from knowledge.stores.common import both
from knowledge.terms import query_terms

_LOOKS = 8
"""At the store, before a search is content with what it has: four widen the pool to its widest."""

CurrentChunks = Callable[[Collection[str]], Awaitable[Mapping[str, Current]]]
"""Ask the manifest which of these chunk ids are current; ids that it does not return may not be shown."""


@dataclass(frozen=True, slots=True)
class Breadth:
    """How widely a search looks."""

    pool: int = 30
    """Rows of each leg at first, and three times the limit at least: from 20 to 50 measured the same."""
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


class HybridSearch:
    """Search over one open store; it holds no state but the number of rows, and may be used by many tasks at once.

    Args:
        embedder: of the identity that the index was built with, unless ``dense`` is False.
        store: open.
        current: the manifest's word, see ``CurrentChunks``.
        breadth: how widely to look.
        dense: whether the index is of this embedder; if not, only the lexical leg is asked.
        now: seconds of a monotonic clock.

    """

    def __init__(
        self,
        embedder: Embedder,
        store: Store,
        current: CurrentChunks,
        *,
        breadth: Breadth | None = None,
        dense: bool = True,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._current = current
        self._breadth = breadth or Breadth()
        self._dense = dense
        self._now = now
        self._rows = 0
        self._rows_counted_at = -math.inf

    async def search(
        self, query: str, *, sources: Collection[str], limit: int = 8, readers: Collection[str] = EVERYONE
    ) -> SearchResult:
        """Return the passages that answer a question and that every one of ``readers`` may see, best first.

        Args:
            query: of any length; an empty one finds nothing.
            sources: ``SourceKey.id`` of those to search in.
            limit: how many passages at most; fewer when there are no more.
            readers: who will see the answer; ``{"*"}`` is anybody, nobody is taken as anybody.

        Raises:
            KnowledgeError: the embedder, the store or the manifest failed.

        """
        started = self._now()
        text = bounded(query.strip(), self._breadth.query_characters)
        hits: tuple[Hit, ...] = ()
        if text and sources and limit > 0:
            vector, rows = await both(self._embed(text), self._count())
            terms = query_terms(text)
            question = asked(text, terms, rows)
            hits = await self._hits(question, vector, terms, limit, sources, frozenset(readers) or EVERYONE)
        return SearchResult(query, hits, self._now() - started, surest(text, hits) >= ANSWERABLE)

    async def _hits(
        self,
        question: Asked,
        vector: Vector | None,
        terms: str,
        limit: int,
        sources: Collection[str],
        readers: frozenset[str],
    ) -> tuple[Hit, ...]:
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
            proposed = await self._store.candidates(vector, terms, pool=pool, scope=Scope(frozenset(sources), readers))
            current = await self._current([candidate.chunk.id for candidate in proposed])
            before, unlisted = unlisted, {one.chunk.id for one in proposed if one.chunk.id not in current}
            usable = [one for one in proposed if _may_be_shown(one, current, readers)]
            picked = pick(fuse(usable), limit, self._breadth.per_document)
            exhausted = len(proposed) < pool  # the dense leg alone returns a full pool while there are more
            if len(picked) < limit and not exhausted and pool < self._breadth.widest_pool:
                pool = min(2 * pool, self._breadth.widest_pool)
            elif unlisted <= before or looks >= _LOOKS:
                behind = background([one.cosine for one in usable])
                return tuple(
                    _hit(one, confidence(one.candidate, question, behind), current[one.candidate.chunk.id])
                    for one in picked
                )

    async def _embed(self, text: str) -> Vector | None:
        return await self._embedder.embed_query(text) if self._dense else None

    async def _count(self) -> int:
        now = self._now()
        known_for_s = min(self._breadth.count_for_s, self._rows / self._breadth.growth_rows_s)
        if now - self._rows_counted_at > known_for_s:
            self._rows = await self._store.count()
            self._rows_counted_at = now
        return self._rows


def bounded(text: str, characters: int) -> str:
    """Return a text of at most about ``characters``: of a longer one its beginning and its end."""
    half = characters // 2
    return text if len(text) <= characters else f"{text[:half]} {text[-half:]}"


def may_see(readers: frozenset[str], document_readers: frozenset[str]) -> bool:
    """Whether every reader may see a document; one that is open to everybody is open to all of them."""
    return document_readers >= EVERYONE or (bool(readers) and readers <= document_readers)


def pick(ranked: Sequence[Scored], limit: int, per_document: int) -> list[Scored]:
    """Take the best: no text twice, and no more than ``per_document`` of one document while others have some.

    Passages that differ at all are kept: near twins differ just in the number or the name that was asked for.
    """
    taken: dict[tuple[str, str], int] = {}
    first: list[Scored] = []
    rest: list[Scored] = []
    for one in _without_twins(ranked):
        document = (one.candidate.chunk.source, one.candidate.chunk.document)
        taken[document] = taken.get(document, 0) + 1
        (first if taken[document] <= per_document else rest).append(one)
        if len(first) == limit:
            break
    chosen = {one.candidate.chunk.id for one in (*first, *rest)[:limit]}
    return [one for one in ranked if one.candidate.chunk.id in chosen]


def _without_twins(ranked: Iterable[Scored]) -> Iterator[Scored]:
    seen: set[str] = set()
    for one in ranked:
        text = " ".join(unicodedata.normalize("NFKC", one.candidate.chunk.text).casefold().split())
        if text not in seen:
            seen.add(text)
            yield one


def _may_be_shown(candidate: Candidate, current: Mapping[str, Current], readers: frozenset[str]) -> bool:
    listed = current.get(candidate.chunk.id)
    return listed is not None and may_see(readers, listed.readers)


def _hit(scored: Scored, sure: float, current: Current) -> Hit:
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
    )
