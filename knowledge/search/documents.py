"""Search the active index, also while a sync switches to another one."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from knowledge.embedding import find_calibration
from knowledge.embedding.calibration import SearchCalibration
from knowledge.errors import DatabaseError, StoreError
from knowledge.interfaces import Chunk, CurrentChunk, Hit, Viewers, may_read
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.access.rights_check import find_checked, search_checked
from knowledge.search.access.scope import may_see
from knowledge.search.hybrid import HybridSearch, Reranker
from knowledge.search.passages import find_damaged, format_passage
from knowledge.search.plan import QueryPlan
from knowledge.search.results import DocumentResults
from knowledge.search.source_rules import SourceRules
from knowledge.sync.manifest.indexes import Indexes, OpenIndex
from knowledge.sync.rights import RightsChecker

_log = logging.getLogger(__name__)


class DocumentSearch:
    """Searches the active index. Several tasks may use it at once."""

    def __init__(
        self,
        indexes: Indexes,
        calibration: SearchCalibration,
        rules: Mapping[str, SourceRules],
        checker: RightsChecker,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        """``calibration`` is that of the embedder in use, and ``rules`` are those of each source (``SourceKey.id``)."""
        self._indexes = indexes
        self._calibration = calibration
        self._rules = rules
        self._checker = checker
        self._reranker = reranker
        self._opened: tuple[OpenIndex, HybridSearch, AudienceClasses] | None = None

    async def search(self, plan: QueryPlan) -> DocumentResults:
        """Return what the documents have for a question.

        Sources that ``kvasir.toml`` closes to the viewers are not searched, so their passages take no places.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        viewers = plan.scope.viewers
        open_sources = (id_ for id_ in plan.scope.sources if may_read(viewers, self._rules[id_].named_readers))
        plan = replace(plan, scope=replace(plan.scope, sources=frozenset(open_sources)))
        while True:
            index, hybrid, _ = await self._follow_active_search()
            try:
                results = await search_checked(hybrid.find_documents, plan, self._checker, index.manifest)
            except StoreError:
                await self._indexes.follow_active(lost=True)
                if self._indexes.searched is index:
                    raise
            else:
                await self._discard_damaged(index, results.damaged)
                if await self.follow_active_index() is index:
                    return await self._report_refused(index, results)
            # A switch dropped this index during the search. The new one has its documents.

    async def read_passage(self, chunks: Sequence[str], viewers: Viewers) -> Hit | None:
        """Return the current ones of a document's chunks that all viewers may see, as one passage.

        The first one says which document; chunks of another are left out. A "…" separates chunks that no longer follow
        each other, because the document changed between them.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        index = await self.follow_active_index()
        listed = await self._find_readable(index, chunks, viewers)
        allowed = [id_ for id_ in chunks if id_ in listed]
        rows = [row.chunk for row in await index.store.read_rows(allowed)]
        damaged = find_damaged(rows, listed)
        await self._discard_damaged(index, damaged)
        found = {one.id: one for one in rows if one.id not in damaged}
        parts = [found[id_] for id_ in allowed if id_ in found and listed[id_].row == listed[allowed[0]].row]
        if not parts:
            return None
        first, current = parts[0], listed[parts[0].id]
        return Hit(
            first.id,
            current.source_name,
            first.document,
            first.title,
            first.heading,
            first.url,
            "\n\n…\n\n".join(format_passage(stretch[0], stretch) for stretch in _group_stretches(parts, listed)),
            score=1.0,
            confidence=1.0,
            synced_at=current.synced_at,
            chunks=tuple(part.id for part in parts),
        )

    async def filter_current(self, chunks: Collection[str], viewers: Viewers) -> frozenset[str]:
        """Return the chunks that are current now and that all viewers may see.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return frozenset(await self._find_readable(await self.follow_active_index(), chunks, viewers))

    async def list_current(self, chunks: Collection[str]) -> frozenset[str]:
        """Return the chunks that are current now; it checks no rights.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return frozenset(await self._find_current(await self.follow_active_index(), chunks))

    async def find_rights_key(self, viewers: Viewers) -> str:
        """Return a key that is equal for viewers who may read the same documents.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        _, _, classes = await self._follow_active_search()
        return await classes.find_rights_key(viewers, frozenset(self._rules))

    async def list_named_principals(self) -> frozenset[str]:
        """Return the principals that open documents which not every full member may read.

        Raises:
            StoreError, DatabaseError: that part failed.

        """
        _, _, classes = await self._follow_active_search()
        return await classes.list_named_principals()

    async def _follow_active_search(self) -> tuple[OpenIndex, HybridSearch, AudienceClasses]:
        index = await self.follow_active_index()
        if self._opened is None or self._opened[0] is not index:
            classes = AudienceClasses(
                index.manifest.read_audiences,
                lambda: index.manifest.database.writes,
                has_audiences=index.manifest.has_audiences,
            )
            hybrid = HybridSearch(
                index.embedder,
                index.store,
                partial(self._find_current, index),
                self._find_calibration(index),
                neighbours=index.manifest.find_neighbours,
                classes=classes,
                reranker=self._reranker,
            )
            self._opened = index, hybrid, classes
        return self._opened

    def _find_calibration(self, index: OpenIndex) -> SearchCalibration:
        if index.embedder in {None, self._indexes.written.embedder}:
            return self._calibration
        return find_calibration(index.row.embedder).search

    async def follow_active_index(self) -> OpenIndex:
        """Return the active index, also after another process switched it."""
        await self._indexes.follow_active()
        return self._indexes.searched

    def weigh_document(self, source: str, document: str) -> float:
        """Return the factor for the scores of a document; ``source`` is its ``SourceKey.id``."""
        return self._rules[source].weigh(document)

    async def _find_readable(
        self, index: OpenIndex, chunks: Collection[str], viewers: Viewers
    ) -> Mapping[str, CurrentChunk]:
        find_current = partial(self._find_current, index, chunks)
        listed = await find_checked(find_current, self._checker, index.manifest)
        return {id_: one for id_, one in listed.items() if may_see(viewers, one)}

    async def _find_current(self, index: OpenIndex, chunks: Collection[str]) -> dict[str, CurrentChunk]:
        rows = await index.manifest.find_current(chunks, self._rules)
        return {row.id: self._rules[row.source].make_current_chunk(row) for row in rows}

    async def _discard_damaged(self, index: OpenIndex, chunks: Collection[str]) -> None:
        """Log passages with another text than was indexed, and let the next sync read their documents again."""
        if chunks:
            _log.warning(
                "%d passages of the store have another text than was indexed, and Kvasir left them out. The next sync "
                "reads their documents again. Check the disk of the store.",
                len(chunks),
            )
            with contextlib.suppress(DatabaseError):  # the next question, or the nightly comparison, finds them again
                await index.manifest.mark_lost_chunks(chunks)

    async def _report_refused(self, index: OpenIndex, results: DocumentResults) -> DocumentResults:
        """Log and count passages that the store should not have proposed.

        An old index may propose them, until a new one has grown.
        """
        if not self._indexes.is_settled:
            return replace(results, refused={})
        for source, passages in results.refused.items():
            _log.warning(
                "The store proposed %d passages of the source %s to people who may not read them, and Kvasir left them "
                "out. The store's rows are older than the manifest's readers: see docs/operating.md.",
                passages,
                source,
            )
        if results.refused:
            with contextlib.suppress(DatabaseError):  # the log has it, and the answer goes on
                await index.manifest.add_refused(sum(results.refused.values()), time.time())
        return results


def _group_stretches(parts: Sequence[Chunk], listed: Mapping[str, CurrentChunk]) -> list[list[Chunk]]:
    """Return the parts of a passage in groups that follow each other in the document."""
    stretches = [[parts[0]]]
    for before, part in pairwise(parts):
        one, other = listed[before.id], listed[part.id]
        if (other.row, other.place) == (one.row, one.place + 1):
            stretches[-1].append(part)
        else:
            stretches.append([part])
    return stretches
