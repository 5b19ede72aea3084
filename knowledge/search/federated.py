"""Search the documents and the live web: both at the same time, or the web if the documents are weak."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Protocol

from knowledge.embedding.calibration import SearchCalibration
from knowledge.errors import DatabaseError, KnowledgeError, StoreError
from knowledge.interfaces import LiveWebRequest, SearchResult, WebSearchReport, WebTrouble
from knowledge.search.plan import QueryPlan
from knowledge.search.results import DocumentResults, FindDocuments, make_empty_results
from knowledge.search.with_web import rank_with_web
from knowledge.stores.common import run_both
from knowledge.web.live.web_passages import LiveResults


class WebSearcher(Protocol):
    """The live web (``knowledge.web.live.live_web``)."""

    async def look_up(self, question: str, live: LiveWebRequest) -> LiveResults:
        """Return passages of pages for a question, within ``live.within_s``."""


async def search_documents_and_web(
    search_documents: FindDocuments,
    web: WebSearcher | None,
    calibration: SearchCalibration,
    plan: QueryPlan,
    live: LiveWebRequest | None,
) -> SearchResult:
    """Return the best passages of documents and pages; without ``web``, only those of documents.

    If the documents cannot be searched, the web answers alone if it has results (``SearchResult.trouble``).

    Raises:
        StoreError, DatabaseError: the documents failed, and the web has no answer.

    """
    began = time.perf_counter()
    if live is not None and web is not None:
        result = await _search_both(search_documents, web, calibration, plan, live)
    else:
        result = (await search_documents(plan)).to_result()
        if live is not None and (live.when == "always" or not result.answerable):
            result = replace(result, web=WebSearchReport("", (), (), WebTrouble.SWITCHED_OFF, 0.0))
    return replace(result, seconds=time.perf_counter() - began)


async def _search_both(
    search_documents: FindDocuments,
    web: WebSearcher,
    calibration: SearchCalibration,
    plan: QueryPlan,
    live: LiveWebRequest,
) -> SearchResult:
    if live.when == "always":
        found, lookup = await run_both(_try_documents(search_documents, plan), web.look_up(plan.words, live))
    else:
        found = await _try_documents(search_documents, plan)
        if isinstance(found, DocumentResults) and (result := found.to_result()).answerable:
            return result
        lookup = await web.look_up(plan.words, live)
    error = None if isinstance(found, DocumentResults) else found
    documents = (
        found
        if isinstance(found, DocumentResults)
        else make_empty_results(plan, calibration, dense=lookup.trouble is None)
    )
    # Indexing the terms of about fifty passages takes about 60 ms of a processor.
    hits, answerable = await asyncio.to_thread(rank_with_web, documents, lookup.pages)
    if error is not None and not hits:
        raise error
    result = documents.to_result()
    related = result.related or answerable or any(hit.web for hit in hits)  # a search engine judged those
    return replace(
        result,
        hits=hits,
        answerable=answerable,
        web=lookup.look,
        trouble=error or result.trouble or lookup.trouble,
        related=related,
    )


async def _try_documents(search_documents: FindDocuments, plan: QueryPlan) -> DocumentResults | KnowledgeError:
    """Return the documents' results, or the error of their search."""
    try:
        return await search_documents(plan)
    except (StoreError, DatabaseError) as error:
        return error
