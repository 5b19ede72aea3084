"""The live web for one question: search, read pages in parallel and embed their passages, within a time limit.

``SEARCH_SHARE`` of the time is for the search. Pages are read until ``EMBEDDING_SHARE`` of it is left for splitting
and embedding. Each page is embedded as soon as it arrives, so that a slow page delays no other. Links of the asker are
read first and awaited until the end; of the pages from a search, a few are enough. Nothing is stored.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from knowledge.chunking import chunker
from knowledge.chunking.blocks import CountTokens
from knowledge.defects import describe_defect
from knowledge.errors import EmbedderError, FetchTimeout, FetchUnreadable, KnowledgeError, UnreadableReason
from knowledge.interfaces import (
    EVERYONE,
    WEB,
    Chunk,
    Document,
    Embedder,
    LiveWebRequest,
    Priority,
    SkippedPage,
    SkipReason,
    WebOrigin,
    WebSearchReport,
    WebTrouble,
)
from knowledge.lexical import terms
from knowledge.lexical.bm25 import choose_likeliest
from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.http.domains import extract_host, intersect_domains, is_within_domains
from knowledge.web.live.web_passages import LivePage, LiveResults, PassageScore
from knowledge.web.reading.page_loader import PageLoader, WebPage
from knowledge.web.searching.web_search import QUERY_FULLY_MASKED, QUERY_WITHHELD, SearchResults, WebSearch

_log = logging.getLogger(__name__)

MAX_PAGES: Final = 5
"""Pages that are read for one question, in parallel."""
MAX_ATTEMPTS: Final = 9
"""Pages that are requested at most, if some cannot be read."""
SUFFICIENT_PAGES: Final = 3
"""Pages from a search after which the others have ``GRACE_S`` left."""
GRACE_S: Final = 1.5
SEARCH_SHARE: Final = 0.4
EMBEDDING_SHARE: Final = 0.2

MAX_PASSAGES: Final = 8
"""Passages of a page that are embedded at most; two cores embed about 40 a second."""
MAX_PASSAGES_OF_LINKED: Final = 16

_KINDS: Final = frozenset({"pdf", "docx", "pptx", "xlsx", "csv", "md", "txt"})
"""Extensions of files; any other address counts as an HTML page."""
_MAX_CHARACTERS: Final = 200_000
"""The most characters of a page's text; the rest is ignored."""
_PRIVATE: Final = {
    QUERY_FULLY_MASKED: WebTrouble.ONLY_PRIVATE_WORDS,
    QUERY_WITHHELD: WebTrouble.PRIVATE_WORDS,
}
_ADDRESS = re.compile(r"<?https?://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LiveWeb:
    """Looks up questions on the live web. Safe to share between tasks; it stores nothing.

    Args:
        allowed_domains: the only domains that may be read; empty for any.
        pages: reads pages.
        search: searches the web; None if no provider is configured.
        embedder: the embedder of the documents, so that passages of both kinds are comparable.

    """

    allowed_domains: frozenset[str]
    pages: PageLoader
    search: WebSearch | None
    embedder: Embedder
    grace_s: float = GRACE_S

    async def look_up(self, question: str, live: LiveWebRequest) -> LiveResults:
        """Return the pages that could be read within ``live.within_s``, with the scores of their passages.

        ``WebSearchReport`` says what went wrong. Without the embedder, the cosines are 0, and ``LiveResults.trouble``
        says so. A cancellation cancels every fetch and waits for its end.
        """
        domains = intersect_domains(self.allowed_domains, live.domains)
        if domains is None:
            refused = tuple(SkippedPage(url, SkipReason.NOT_LISTED) for url in live.links)
            return LiveResults((), WebSearchReport("", (), refused, WebTrouble.NO_SITE_ALLOWED, 0.0))
        lookup = _Lookup(question, live, domains, self)
        try:
            return await lookup.run()
        finally:
            await lookup.cancel_tasks()


@dataclass(frozen=True, slots=True)
class _QueuedPage:
    url: str
    is_linked: bool
    rank: int


class _EmptyPage(KnowledgeError):
    """A page that was read and has no passages."""


class _Lookup:
    """One look-up; it owns all of its tasks."""

    def __init__(self, question: str, live: LiveWebRequest, domains: frozenset[str], web: LiveWeb) -> None:
        self._question = question
        self._live = live
        self._domains = domains
        self._web = web
        self._start = time.monotonic()
        self._deadline = self._start + live.within_s
        self._queue: deque[_QueuedPage] = deque()
        self._page_keys: set[str] = set()
        self._attempts = 0
        self._running: dict[asyncio.Task[LivePage], _QueuedPage] = {}
        self._pages: dict[int, LivePage] = {}
        self._left_out: list[SkippedPage] = []
        self._sufficient_at: float | None = None
        self._provider = ""
        self._query = ""
        self._trouble: WebTrouble | None = None
        self._embedder_trouble: EmbedderError | None = None
        # One page after the other, so that some are complete if there is no time for all.
        self._embedding = asyncio.Lock()
        self._vector = asyncio.create_task(web.embedder.embed_query(question))
        self._search: asyncio.Task[SearchResults] | None = None
        self._start_search()

    async def run(self) -> LiveResults:
        self._queue_pages(self._live.links, linked=True)
        self._start_pages()
        while (pending := self._pending_tasks()) and (left_s := self._remaining_wait_s()) > 0:
            await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            self._collect_finished()
            self._start_pages()
        return self._build_results()

    async def cancel_tasks(self) -> None:
        """Cancel all tasks and wait for their end."""
        tasks = [self._vector, *self._pending_tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pending_tasks(self) -> set[asyncio.Task[LivePage] | asyncio.Task[SearchResults]]:
        return {*self._running, *([] if self._search is None else [self._search])}

    def _remaining_wait_s(self) -> float:
        """Return how long to wait for the running tasks."""
        left_s = self._deadline - time.monotonic()
        if (
            self._sufficient_at is None
            or self._search is not None
            or any(page.is_linked for page in self._running.values())
        ):
            return left_s
        return min(left_s, self._sufficient_at + self._web.grace_s - time.monotonic())

    def _build_results(self) -> LiveResults:
        late = [SkippedPage(page.url, SkipReason.LATE) for page in self._running.values()]
        unread = [SkippedPage(page.url, SkipReason.TOO_MANY) for page in self._queue if page.is_linked]
        if self._search is not None:
            self._trouble = WebTrouble.LATE
        pages = tuple(page for _, page in sorted(self._pages.items()))
        return LiveResults(
            pages,
            WebSearchReport(
                self._provider,
                tuple(page.url for page in pages),
                (*self._left_out, *late, *unread),
                self._trouble,
                time.monotonic() - self._start,
                self._query,
            ),
            self._embedder_trouble,
        )

    # ── The search ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_search(self) -> None:
        query = _ADDRESS.sub(" ", self._live.words or self._question).strip()
        if not self._live.search or not query or len(self._live.links) >= MAX_PAGES:
            return
        if self._web.search is None:
            self._trouble = None if self._live.links else WebTrouble.NO_PROVIDER
            return
        within_s, self._query = SEARCH_SHARE * self._live.within_s, self._web.search.prepare_query(query)
        self._search = asyncio.create_task(
            self._web.search.search(query, limit=MAX_ATTEMPTS, domains=self._domains, within_s=within_s)
        )

    # ── The pages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _queue_pages(self, urls: Iterable[str], *, linked: bool) -> None:
        """Queue pages, each once."""
        for url in urls:
            key = build_page_key(url) or url
            if key in self._page_keys:
                continue
            self._page_keys.add(key)
            if self._domains and not is_within_domains(extract_host(url), self._domains):
                self._left_out.append(SkippedPage(url, SkipReason.NOT_LISTED))
            else:
                self._queue.append(_QueuedPage(url, linked, len(self._page_keys)))

    def _start_pages(self) -> None:
        """Start reading as many pages as may be read in parallel."""
        while self._queue and self._attempts < MAX_ATTEMPTS and len(self._running) + len(self._pages) < MAX_PAGES:
            page = self._queue.popleft()
            self._attempts += 1
            self._running[asyncio.create_task(self._read_page(page))] = page

    async def _read_page(self, queued: _QueuedPage) -> LivePage:
        pages, embedder = self._web.pages, self._web.embedder
        left_s = self._deadline - time.monotonic() - EMBEDDING_SHARE * self._live.within_s
        page = await pages.read_page(queued.url, within_s=max(0.0, left_s), allowed_domains=self._domains)
        query_terms = terms.query_terms(self._question).split()
        limit = MAX_PASSAGES_OF_LINKED if queued.is_linked else MAX_PASSAGES
        chunks, chosen = await asyncio.to_thread(select_passages, page, query_terms, limit, embedder.count_tokens)
        if not chunks:
            raise _EmptyPage
        async with self._embedding:
            cosines = await self._compare_passages([chunks[place].searchable_text for place in chosen])
        return LivePage(
            url=page.final_url,
            web=WebOrigin(extract_host(page.final_url), page.published, page.fetched_at, page.stale),
            chunks=tuple(chunks),
            scores={
                place: PassageScore(cosine, index_terms)
                for (place, index_terms), cosine in zip(chosen.items(), cosines, strict=True)
            },
            is_linked=queued.is_linked,
        )

    async def _compare_passages(self, texts: Sequence[str]) -> Sequence[float]:
        """Return the cosines of passages with the question; 0 if they cannot be embedded."""
        try:
            vectors = await self._web.embedder.embed_passages(texts, priority=Priority.ANSWER)
            cosines: list[float] = (vectors @ await asyncio.shield(self._vector)).tolist()
        except EmbedderError as error:
            self._embedder_trouble = error
            return [0.0] * len(texts)
        return cosines

    def _collect_finished(self) -> None:
        if self._search is not None and self._search.done():
            self._collect_search(self._search)
            self._search = None
        for task in [task for task in self._running if task.done()]:
            self._collect_page(task, self._running.pop(task))

    def _collect_search(self, search: asyncio.Task[SearchResults]) -> None:
        if (error := search.exception()) is not None:  # Kvasir answers even if a search meets a defect
            _log.error("a search of the web met a defect: %s", describe_defect(error))
            self._trouble = WebTrouble.NO_ANSWER
            return
        results = search.result()
        self._provider = results.provider
        if not results.provider:  # the log says for operators which providers failed
            self._trouble = next(
                (trouble for problem, trouble in _PRIVATE.items() if problem in results.problems), WebTrouble.NO_ANSWER
            )
        self._queue_pages(results.urls, linked=False)

    def _collect_page(self, task: asyncio.Task[LivePage], queued: _QueuedPage) -> None:
        error = task.exception()
        if error is not None:
            self._left_out.append(SkippedPage(queued.url, _classify_error(error)))
            return
        page = task.result()
        if any(build_page_key(page.url) == build_page_key(other.url) for other in self._pages.values()):
            return
        self._pages[queued.rank] = page
        if self._sufficient_at is None and sum(not page.is_linked for page in self._pages.values()) >= SUFFICIENT_PAGES:
            self._sufficient_at = time.monotonic()


def _classify_error(error: BaseException) -> SkipReason | UnreadableReason:
    """Return why a page was left out, for the asker; a defect's details go to the log only."""
    match error:
        case FetchTimeout():
            return SkipReason.LATE
        case FetchUnreadable():
            return error.unreadable_reason
        case _EmptyPage():
            return SkipReason.NO_TEXT
        case KnowledgeError():
            return SkipReason.NOT_FETCHED
    _log.error("a page of the web met a defect: %s", describe_defect(error))
    return SkipReason.DEFECT


def select_passages(
    page: WebPage, query_terms: Sequence[str], limit: int, count_tokens: CountTokens
) -> tuple[list[Chunk], dict[int, str]]:
    """Return a page's passages, and the index terms of the chosen ones by their place."""
    kind = PurePosixPath(urlsplit(page.final_url).path).suffix.removeprefix(".").lower()
    chunks = [
        replace(chunk, kind=kind if kind in _KINDS else "html", modified_at=page.published)
        for chunk in chunker.chunk_document(
            Document(page.document.title, tuple(chunker.truncate_sections(page.document.sections, _MAX_CHARACTERS))),
            source=WEB,
            document_id=page.final_url,
            url=page.final_url,
            readers=EVERYONE,
            count_tokens=count_tokens,
        )
    ]
    index = [terms.index_terms(chunk.searchable_text) for chunk in chunks]
    return chunks, {place: index[place] for place in choose_likeliest(index, query_terms, limit)}
