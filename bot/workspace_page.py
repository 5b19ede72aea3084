"""The status strip on the page of the local workspace: engine, knowledge and suggested questions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from bot.answering.outgoing import release_text
from bot.messages import status as status_messages
from bot.messages.durations import format_duration
from bot.messages.engine import render_notes
from bot.messages.message import render_message
from engine.interfaces import EngineStatus
from engine.service import Engine
from engine.tasks import cancel_tasks
from knowledge.errors import KnowledgeError
from knowledge.interfaces import ANY_MEMBER
from knowledge.library import Library
from knowledge.status import SourceStatus, restrict_sources

_log = structlog.get_logger("kvasir.app")

_EVERY_S = 2.0
"""The pause between two status checks."""
_SUGGESTIONS = 3


async def keep_page_updated(
    publish_status: Callable[[Mapping[str, object]], Awaitable[bool]],
    engine: Engine,
    library: Library,
    *,
    every_s: float = _EVERY_S,
) -> None:
    """Publish the state of the engine and the knowledge, with suggested questions, until cancelled.

    ``publish_status`` returns whether the page shows the state.
    """
    shown_status: Mapping[str, object] = {}
    suggestions = _Suggestions(library)
    sources: tuple[SourceStatus, ...] = ()
    readable: Mapping[str, int] = {}
    trouble = ""
    try:
        while True:
            questions: list[str] = []
            try:
                sources = (await library.status()).sources
                readable = await library.count_readable(ANY_MEMBER)
                questions = await suggestions.update_suggestions(sources, readable)
                trouble = ""
            except KnowledgeError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    _log.warning("knowledge not shown on the page", error=trouble)
            status = build_page_status(engine.status(), sources, readable, questions)
            if status != shown_status and await publish_status(status):
                shown_status = status
            await asyncio.sleep(every_s)
    finally:
        await suggestions.close()


_Counts = tuple[int, int, tuple[tuple[str, int], ...]]
"""Documents, passages, and by source the documents that every full member may read."""


class _Suggestions:
    """Suggested first questions. Finding them takes searches, so a task of its own does it."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._found: Mapping[str, str] = {}
        """The questions with the chunks that answer them."""
        self._counts: _Counts | None = None
        self._search: asyncio.Task[dict[str, str]] | None = None
        self._search_counts: _Counts = (0, 0, ())

    async def update_suggestions(self, sources: tuple[SourceStatus, ...], readable: Mapping[str, int]) -> list[str]:
        """Return the questions of the last search whose passages every full member may read now.

        Another search starts if the documents or their readers have changed.

        Raises:
            KnowledgeError: the search, or the check of the questions, failed.

        """
        if self._search is not None and self._search.done():
            search, self._search = self._search, None
            self._found, self._counts = search.result(), self._search_counts
        current = await self._library.filter_current(list(self._found.values()), ANY_MEMBER) if self._found else ()
        if not set(self._found.values()) <= set(current):
            self._found = {question: chunk for question, chunk in self._found.items() if chunk in current}
            self._counts = None
        counts = (
            sum(source.documents for source in sources),
            sum(source.chunks for source in sources),
            tuple(sorted(readable.items())),
        )
        settled = self._counts is None or all(source.syncing is None for source in sources)
        if self._search is None and counts[0] and counts != self._counts and settled:
            self._search_counts = counts
            self._search = asyncio.create_task(self._library.suggest_questions(_SUGGESTIONS), name="suggestions")
        return [release_text(question) for question in self._found]

    async def close(self) -> None:
        """Cancel the running search."""
        await cancel_tasks(self._search)


def build_page_status(
    engine: EngineStatus,
    sources: tuple[SourceStatus, ...],
    readable: Mapping[str, int],
    suggestions: list[str],
) -> Mapping[str, object]:
    """Return what the status strip shows to everybody who opens the page.

    ``readable`` has the sources of which every full member may read something, with their numbers of such documents.
    Other sources are neither named nor counted.
    """
    visible = restrict_sources(sources, readable)
    hidden = [source for source in sources if source.name not in readable]
    troubles = [trouble for source in visible for trouble in _list_troubles(source)]
    if any(_list_troubles(source) for source in hidden):
        troubles.append(render_message(status_messages.PAGE_HIDDEN_TROUBLE, "en"))
    return {
        "engine": {
            "state": engine.state.value,
            "progress": engine.progress,
            "detail": render_notes(engine.notes, "en"),
            "model": engine.model,
            "small_model": engine.small_model,
        },
        "suggestions": suggestions,
        "knowledge": {
            "documents": sum(source.documents for source in visible),
            "chunks": sum(source.chunks for source in visible),
            "running": any(source.syncing is not None for source in sources),
            "progress": _sync_progress(visible),
            "held": sum(source.pending_deletions for source in visible),
            "failed": sum(source.failed for source in visible),
            "troubles": troubles,
        },
    }


def _sync_progress(sources: tuple[SourceStatus, ...]) -> float | None:
    """Return the share of the running syncs that is done, 0 to 1; None while it is unknown."""
    running = [source.syncing for source in sources if source.syncing is not None]
    total = sum(progress.total for progress in running)
    return sum(progress.done for progress in running) / total if total else None


def _list_troubles(source: SourceStatus) -> list[str]:
    """Return the problems of a source, one a line."""
    lines = [f"{source.name}: {source.error}"] if source.error else []
    if source.late:
        age, limit = format_duration(source.age_s or 0.0), format_duration(source.max_age_s)
        lines.append(render_message(status_messages.PAGE_STALE, "en", source=source.name, age=age, limit=limit))
    if source.pending_deletions:
        count = source.pending_deletions
        lines.append(render_message(status_messages.PAGE_PENDING_DELETIONS, "en", source=source.name, count=count))
    lines += [f"{source.name}: {failure.document}: {failure.reason}" for failure in source.failures if failure.public]
    return lines
