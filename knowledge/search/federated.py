"""One question to the documents and, where it may be, to the live web: side by side, or the web where they are weak."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from knowledge.errors import DatabaseError, KnowledgeError, StoreError
from knowledge.interfaces import LiveWebRequest, Scope, SearchResult, WebSearchReport, WebTrouble
from knowledge.search.calibration import SearchCalibration
from knowledge.search.hybrid import DocumentResults, make_empty_results
from knowledge.search.with_web import rank_with_web
from knowledge.stores.common import run_both
from knowledge.web.live.web_passages import LiveResults


class DocumentSearcher(Protocol):
    """The documents (``knowledge.search.documents``)."""

    async def search(self, words: str, *, scope: Scope, limit: int, join: bool) -> DocumentResults:
        """Return what they have for a question without filters."""


class WebSearcher(Protocol):
    """The live web (``knowledge.web.live.live_web``)."""

    async def look_up(self, question: str, live: LiveWebRequest) -> LiveResults:
        """Return what it has for a question, within ``live.within_s``."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked."""

    asked: str
    """As it was typed, with its filters."""
    words: str
    """Without them."""
    scope: Scope
    limit: int
    join: bool


class FederatedSearch:
    """Asks both; holds no state. Without ``web`` there is only the knowledge base."""

    def __init__(
        self,
        documents: DocumentSearcher,
        web: WebSearcher | None,
        calibration: SearchCalibration,
        *,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._documents = documents
        self._web = web
        self._calibration = calibration
        self._now = now

    async def search(self, question: SearchRequest, live: LiveWebRequest | None) -> SearchResult:
        """Return the best of what may be asked.

        Where the documents cannot be searched the web answers alone, if it has anything (``SearchResult.trouble``).

        Raises:
            StoreError, DatabaseError: the documents failed, and nothing else has an answer.
            EmbedderError: nothing can be compared with the question.

        """
        began = self._now()
        if live is None:
            result = _make_result(await self._search_documents(question), question)
        elif self._web is None:
            result = _make_result(await self._search_documents(question), question)
            if live.when == "always" or not result.answerable:
                result = replace(result, web=WebSearchReport("", (), (), WebTrouble.SWITCHED_OFF, 0.0))
        else:
            result = await self._with_web(question, live, self._web)
        return replace(result, seconds=self._now() - began)

    async def _with_web(self, question: SearchRequest, live: LiveWebRequest, web: WebSearcher) -> SearchResult:
        if live.when == "always":
            seen, looked = await run_both(self._tried(question), web.look_up(question.words, live))
        else:
            seen = await self._tried(question)
            if isinstance(seen, DocumentResults) and (result := _make_result(seen, question)).answerable:
                return result
            looked = await web.look_up(question.words, live)
        trouble = None if isinstance(seen, DocumentResults) else seen
        beside = (
            seen
            if isinstance(seen, DocumentResults)
            else make_empty_results(question.words, question.limit, self._calibration)
        )
        # The terms of some fifty passages are made anew, which takes some 60 ms of a processor.
        hits, answerable = await asyncio.to_thread(rank_with_web, beside, looked.pages, question.scope)
        if not hits and not isinstance(seen, DocumentResults):
            raise seen
        return SearchResult(question.asked, hits, 0.0, answerable, looked.look, trouble)

    async def _tried(self, question: SearchRequest) -> DocumentResults | KnowledgeError:
        """Return what the documents have, or why they cannot be searched."""
        try:
            return await self._search_documents(question)
        except (StoreError, DatabaseError) as error:
            return error

    async def _search_documents(self, question: SearchRequest) -> DocumentResults:
        return await self._documents.search(
            question.words, scope=question.scope, limit=question.limit, join=question.join
        )


def _make_result(seen: DocumentResults, question: SearchRequest) -> SearchResult:
    hits = seen.hits()
    return SearchResult(question.asked, hits, 0.0, seen.is_answered_by(hits))
