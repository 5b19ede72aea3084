"""One question to the documents and, where it may be, to the live web: side by side, or the web where they are weak."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from knowledge.errors import KnowledgeError, ManifestError, StoreError
from knowledge.interfaces import Live, Scope, SearchResult, WebLook
from knowledge.search.fusion import ANSWERABLE, surest
from knowledge.search.hybrid import Seen, unseen
from knowledge.search.with_web import with_web
from knowledge.stores.common import both
from knowledge.web.live.web_passages import LiveResults

OFF: Final = "The live web is switched off here."


class Documents(Protocol):
    """The documents (``knowledge.search.documents``)."""

    async def see(self, words: str, *, scope: Scope, limit: int, join: bool) -> Seen:
        """Return what they have for a question without filters."""


class Web(Protocol):
    """The live web (``knowledge.web.live.live_web``)."""

    async def look_up(self, question: str, live: Live) -> LiveResults:
        """Return what it has for a question, within ``live.within_s``."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    asked: str
    """As it was typed, with its filters."""
    words: str
    """Without them."""
    scope: Scope
    limit: int
    join: bool


class Asking:
    """Asks both; holds no state. Without ``web`` there is only the knowledge base."""

    def __init__(self, documents: Documents, web: Web | None, *, now: Callable[[], float] = time.perf_counter) -> None:
        self._documents = documents
        self._web = web
        self._now = now

    async def search(self, question: Question, live: Live | None) -> SearchResult:
        """Return the best of what may be asked.

        Where the documents cannot be searched the web answers alone, if it has anything (``SearchResult.trouble``).

        Raises:
            StoreError, ManifestError: the documents failed, and nothing else has an answer.
            EmbedderError: nothing can be compared with the question.

        """
        began = self._now()
        if live is None:
            result = _of(await self._see(question), question)
        elif self._web is None:
            result = _of(await self._see(question), question)
            if live.when == "always" or not result.answerable:
                result = replace(result, web=WebLook("", (), (), OFF, 0.0))
        else:
            result = await self._with_web(question, live, self._web)
        return replace(result, seconds=self._now() - began)

    async def _with_web(self, question: Question, live: Live, web: Web) -> SearchResult:
        if live.when == "always":
            seen, looked = await both(self._tried(question), web.look_up(question.words, live))
        else:
            seen = await self._tried(question)
            if isinstance(seen, Seen) and (result := _of(seen, question)).answerable:
                return result
            looked = await web.look_up(question.words, live)
        trouble = "" if isinstance(seen, Seen) else str(seen)
        beside = seen if isinstance(seen, Seen) else unseen(question.words, question.limit)
        # The terms of some fifty passages are made anew, which takes some 60 ms of a processor.
        hits, answerable = await asyncio.to_thread(with_web, beside, looked.pages, question.scope)
        if not hits and not isinstance(seen, Seen):
            raise seen
        return SearchResult(question.asked, hits, 0.0, answerable, looked.look, trouble)

    async def _tried(self, question: Question) -> Seen | KnowledgeError:
        """Return what the documents have, or why they cannot be searched."""
        try:
            return await self._see(question)
        except (StoreError, ManifestError) as error:
            return error

    async def _see(self, question: Question) -> Seen:
        return await self._documents.see(question.words, scope=question.scope, limit=question.limit, join=question.join)


def _of(seen: Seen, question: Question) -> SearchResult:
    hits = seen.hits()
    return SearchResult(question.asked, hits, 0.0, surest(seen.question.words, hits) >= ANSWERABLE)
