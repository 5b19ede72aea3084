"""The live web for one question: searched, read side by side and measured, within its deadline. Nothing of it is kept.

The time is divided so: the search may take ``SEARCH_SHARE`` of it, pages are read until ``EMBEDDING_SHARE`` of it is
left, and cutting and embedding have the rest. Each page is measured as soon as it is there, so one that hangs holds up
nobody. What the asker pointed at is read first and waited for until the end; of what a search found, enough is enough.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from knowledge import terms
from knowledge.defects import told_of
from knowledge.errors import EmbedderError, FetchTimeout, KnowledgeError
from knowledge.interfaces import LeftOut, Live, Matrix, OnWeb, Vector, WebLook
from knowledge.web.crawling.canonical_urls import build_page_key
from knowledge.web.http.domains import extract_host, intersect_domains, is_within_domains
from knowledge.web.live.passage_selection import select_passages
from knowledge.web.live.web_passages import LivePage, LiveResults, PassageScore
from knowledge.web.reading.page_reader import PageReader
from knowledge.web.searching.web_search import QUERY_FULLY_MASKED, SearchResults, WebSearch

_log = logging.getLogger(__name__)

MAX_PAGES: Final = 5
"""Read for one question, and read side by side."""
MAX_ATTEMPTS: Final = 9
"""Pages that are asked for, at most, where some cannot be read."""
SUFFICIENT_PAGES: Final = 3
"""Pages of a search; once there are so many, the others have ``GRACE_S`` left."""
GRACE_S: Final = 1.5
SEARCH_SHARE: Final = 0.4
EMBEDDING_SHARE: Final = 0.2

MAX_PASSAGES: Final = 8
"""Passages of a page that are embedded, at most, the likeliest by their words; two cores do some 40 a second."""
MAX_PASSAGES_OF_LINKED: Final = 16

TOO_LATE: Final = "It took too long."
NOT_LISTED: Final = "Only some sites are read here, and this is none of them."
TOO_MANY: Final = f"No more than {MAX_PAGES} pages are read for one question."
NO_TEXT: Final = "There is no text on it."
DEFECT: Final = "It could not be read."
NO_SEARCH_PROVIDER: Final = "No search engine is set up here, so the web was not searched."
SEARCH_FAILED: Final = "No search engine answered, so the web was not searched."
SEARCH_LATE: Final = "The search of the web took too long."
NOTHING_ALLOWED: Final = "No site may be read for this question."

_ADDRESS = re.compile(r"<?https?://\S+", re.IGNORECASE)


class LiveEmbedder(Protocol):
    """What is needed of the embedder."""

    async def embed_query(self, text: str) -> Vector:
        """Embed the question."""

    async def embed_at_once(self, texts: Sequence[str]) -> Matrix:
        """Embed passages that an answer waits for."""

    def count_tokens(self, text: str) -> int:
        """Count tokens."""


class LiveWeb:
    """Looks at the live web; safe from several tasks, and keeps nothing of what it read.

    Args:
        only: the hosts that may be read, each with what lies under it; none: any.
        pages: reads them.
        search: searches; None where nobody is set up to.
        embedder: of the documents, so that both kinds of passages compare.
        now: seconds of a monotonic clock.

    """

    def __init__(
        self,
        only: frozenset[str],
        *,
        pages: PageReader,
        search: WebSearch | None,
        embedder: LiveEmbedder,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._only = only
        self._tools = _Collaborators(pages, search, embedder, now)

    async def look(self, question: str, live: Live) -> LiveResults:
        """Return the pages that could be read within ``live.within_s``, measured against the question.

        What went wrong is in ``WebLook``. Cancelled, it ends every fetch that it began, and waits for their end.

        Raises:
            EmbedderError: nothing can be measured.

        """
        domains = intersect_domains(self._only, live.domains)
        if domains is None:
            refused = tuple(LeftOut(url, NOT_LISTED) for url in live.links)
            return LiveResults((), WebLook("", (), refused, NOTHING_ALLOWED, 0.0))
        look = _Lookup(question, live, domains, self._tools)
        try:
            return await look.made()
        finally:
            await look.ended()


@dataclass(frozen=True, slots=True)
class _Collaborators:
    pages: PageReader
    search: WebSearch | None
    embedder: LiveEmbedder
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _QueuedPage:
    url: str
    linked: bool
    rank: int


class _UnusablePage(KnowledgeError):
    """A page that was read and may not be used."""


class _Lookup:
    """One look; it owns every task that it begins."""

    def __init__(self, question: str, live: Live, domains: frozenset[str], tools: _Collaborators) -> None:
        self._question = question
        self._live = live
        self._domains = domains
        self._tools = tools
        self._now = tools.now
        self._began = tools.now()
        self._due = self._began + live.within_s
        self._wanted: deque[_QueuedPage] = deque()
        self._known: set[str] = set()
        self._tried = 0
        self._running: dict[asyncio.Task[LivePage], _QueuedPage] = {}
        self._read: dict[int, LivePage] = {}
        self._left_out: list[LeftOut] = []
        self._enough_at: float | None = None
        self._provider = self._trouble = ""
        # One page after the other, so that some are whole where there is no time for all.
        self._measuring = asyncio.Lock()
        self._vector = asyncio.create_task(tools.embedder.embed_query(question))
        self._searching: asyncio.Task[SearchResults] | None = None
        self._begin_search()

    async def made(self) -> LiveResults:
        self._want(self._live.links, linked=True)
        self._start()
        while (waiting := self._waiting()) and (left_s := self._patience_s()) > 0:
            await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            self._take()
            self._start()
        return self._looked()

    async def ended(self) -> None:
        """End every task, and wait for that."""
        tasks = [self._vector, *self._running, *([] if self._searching is None else [self._searching])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _waiting(self) -> set[asyncio.Task[LivePage] | asyncio.Task[SearchResults]]:
        return {*self._running, *([] if self._searching is None else [self._searching])}

    def _patience_s(self) -> float:
        """Return how long is waited for what runs."""
        left_s = self._due - self._now()
        if self._enough_at is None or self._searching is not None or any(one.linked for one in self._running.values()):
            return left_s
        return min(left_s, self._enough_at + GRACE_S - self._now())

    def _looked(self) -> LiveResults:
        late = [LeftOut(one.url, TOO_LATE) for one in self._running.values()]
        unread = [LeftOut(one.url, TOO_MANY) for one in self._wanted if one.linked]
        if self._searching is not None:
            self._trouble = SEARCH_LATE
        pages = tuple(page for _, page in sorted(self._read.items()))
        return LiveResults(
            pages,
            WebLook(
                self._provider,
                tuple(page.url for page in pages),
                (*self._left_out, *late, *unread),
                self._trouble,
                self._now() - self._began,
            ),
        )

    # ── The search ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_search(self) -> None:
        words = _ADDRESS.sub(" ", self._live.words or self._question).strip()
        if not self._live.search or not words or len(self._live.links) >= MAX_PAGES:
            return
        if self._tools.search is None:
            self._trouble = "" if self._live.links else NO_SEARCH_PROVIDER
            return
        within_s = SEARCH_SHARE * self._live.within_s
        self._searching = asyncio.create_task(
            self._tools.search.search(words, limit=MAX_ATTEMPTS, domains=self._domains, within_s=within_s)
        )

    # ── The pages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _want(self, urls: Iterable[str], *, linked: bool) -> None:
        """Put pages in the line, each once."""
        for url in urls:
            page = build_page_key(url) or url
            if page in self._known:
                continue
            self._known.add(page)
            if self._domains and not is_within_domains(extract_host(url), self._domains):
                self._left_out.append(LeftOut(url, NOT_LISTED))
            else:
                self._wanted.append(_QueuedPage(url, linked, len(self._known)))

    def _start(self) -> None:
        """Begin with as many pages as may be read side by side."""
        while self._wanted and self._tried < MAX_ATTEMPTS and len(self._running) + len(self._read) < MAX_PAGES:
            wanted = self._wanted.popleft()
            self._tried += 1
            self._running[asyncio.create_task(self._page(wanted))] = wanted

    async def _page(self, wanted: _QueuedPage) -> LivePage:
        left_s = self._due - self._now() - EMBEDDING_SHARE * self._live.within_s
        page = await self._tools.pages.read(wanted.url, within_s=max(0.0, left_s), only=self._domains)
        asked = terms.query_terms(self._question).split()
        most = MAX_PASSAGES_OF_LINKED if wanted.linked else MAX_PASSAGES
        chunks, measured = await asyncio.to_thread(
            select_passages, page, asked, most, self._tools.embedder.count_tokens
        )
        if not chunks:
            raise _UnusablePage(NO_TEXT)
        async with self._measuring:
            vectors = await self._tools.embedder.embed_at_once([chunks[place].searchable for place in measured])
        cosines = vectors @ await asyncio.shield(self._vector)
        return LivePage(
            url=page.final_url,
            on=OnWeb(extract_host(page.final_url), page.published, page.fetched_at, page.stale),
            chunks=tuple(chunks),
            measured={
                place: PassageScore(float(cosine), index)
                for (place, index), cosine in zip(measured.items(), cosines, strict=True)
            },
            linked=wanted.linked,
        )

    def _take(self) -> None:
        """Take what has come."""
        if self._searching is not None and self._searching.done():
            self._take_results(self._searching)
            self._searching = None
        for task in [task for task in self._running if task.done()]:
            self._take_page(task, self._running.pop(task))

    def _take_results(self, searching: asyncio.Task[SearchResults]) -> None:
        if (error := searching.exception()) is not None:  # a defect of a search is no reason not to answer
            _log.error("a search of the web met a defect: %s", told_of(error))
            self._trouble = SEARCH_FAILED
            return
        results = searching.result()
        self._provider = results.provider
        if not results.provider:  # which of them failed, and how, is for the operator, and in the log
            self._trouble = QUERY_FULLY_MASKED if QUERY_FULLY_MASKED in results.troubles else SEARCH_FAILED
        self._want((one.url for one in results.found), linked=False)

    def _take_page(self, task: asyncio.Task[LivePage], wanted: _QueuedPage) -> None:
        error = task.exception()
        if isinstance(error, EmbedderError):
            raise error
        if error is not None:
            self._left_out.append(LeftOut(wanted.url, _explain_error(error)))
            return
        page = task.result()
        if any(build_page_key(page.url) == build_page_key(other.url) for other in self._read.values()):
            return
        self._read[wanted.rank] = page
        if self._enough_at is None and sum(not one.linked for one in self._read.values()) >= SUFFICIENT_PAGES:
            self._enough_at = self._now()


def _explain_error(error: BaseException) -> str:
    """Return why a page was left out; what is not ours to tell is in the log."""
    if isinstance(error, FetchTimeout):
        return TOO_LATE
    if isinstance(error, KnowledgeError):
        return str(error)
    _log.error("a page of the web met a defect: %s", told_of(error))
    return DEFECT
