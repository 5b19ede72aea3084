"""Ask sources again about readers that they named too long ago, before anything is shown."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from knowledge.interfaces import CurrentChunk, Scope
from knowledge.search.plan import QueryPlan
from knowledge.search.results import DocumentResults, FindDocuments
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import decode_readers
from knowledge.sync.rights import RightsAnswer, RightsChecker

WITHIN_S: Final = 3.0
"""A question waits so long for sources to say who may read: Notion allows three calls a second."""
_ROUNDS: Final = 4
"""Searches for one question: when hits drop out, others take their places, and they are checked, too."""


async def search_checked(
    find_documents: FindDocuments, plan: QueryPlan, checker: RightsChecker, manifest: IndexManifest
) -> DocumentResults:
    """Return what the documents have for a question; the sources of all hits named the readers within a minute.

    Raises:
        StoreError, DatabaseError: that part failed.

    """
    deadline, scope = 0.0, plan.scope
    for _ in range(_ROUNDS):
        found = await find_documents(replace(plan, scope=scope))
        # The first search is no wait for sources. It may load the embedder's model.
        deadline = deadline or time.monotonic() + WITHIN_S
        readers = _find_unchecked(checker, (found.current[one.candidate.chunk.id] for one in found.ranked_hits))
        if not readers:
            return found
        answer = await check_rows(checker, manifest, readers, max(0.0, deadline - time.monotonic()))
        if not answer.unanswered_rows | answer.changed_rows:
            return found
        scope = _leave_out(scope, answer, checker.fresh_since)
    refused = answer.unanswered_rows | answer.changed_rows
    sure = [one for one in found.ranked_hits if found.current[one.candidate.chunk.id].row not in refused]
    return replace(found, ranked_hits=sure)


async def find_checked(
    find_current: Callable[[], Awaitable[Mapping[str, CurrentChunk]]], checker: RightsChecker, manifest: IndexManifest
) -> Mapping[str, CurrentChunk]:
    """Return the current ones of some chunks, without those whose source does not say who may read them.

    Raises:
        DatabaseError: the manifest's database failed.

    """
    listed = await find_current()
    readers = _find_unchecked(checker, listed.values())
    if not readers:
        return listed
    answer = await check_rows(checker, manifest, readers, WITHIN_S)
    now = await find_current() if answer.changed_rows else listed
    return {id_: one for id_, one in now.items() if one.row not in answer.unanswered_rows}


async def check_rows(
    checker: RightsChecker, manifest: IndexManifest, readers: Mapping[int, frozenset[str]], within_s: float
) -> RightsAnswer:
    """Ask the sources of documents, given by their rows with the readers that the search saw.

    Those that the manifest no longer lists are unanswered. Those that got other readers since the search are changed,
    also if another question asked their source meanwhile.
    """
    documents = await manifest.find_rights(readers)
    answer = await checker.check_rights(manifest, documents, within_s)
    gone = readers.keys() - {one.row for one in documents}
    changed = {one.row for one in documents if decode_readers(one.readers) != readers[one.row]}
    return replace(answer, unanswered_rows=answer.unanswered_rows | gone, changed_rows=answer.changed_rows | changed)


def _find_unchecked(checker: RightsChecker, chunks: Iterable[CurrentChunk]) -> Mapping[int, frozenset[str]]:
    """Return the rows of the documents whose sources must be asked before these chunks are shown, with the readers."""
    return {
        one.row: one.readers
        for one in chunks
        if one.rights_at is not None and checker.needs_check(one.readers, one.rights_at)
    }


def _leave_out(scope: Scope, answer: RightsAnswer, since: float) -> Scope:
    """Return the scope without documents that have no answer, and without doubtful ones of silent sources."""
    silent = {source.partition("\x1f")[0]: since for source in answer.silent}
    return replace(
        scope, refused_rows=scope.refused_rows | answer.unanswered_rows, trusted_since={**scope.trusted_since, **silent}
    )
