"""What the page of the workspace on this machine shows above the channels: engine, knowledge, first questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from bot.durations import format_duration
from engine.interfaces import EngineStatus
from engine.service import Engine
from knowledge.errors import KnowledgeError
from knowledge.library import Library
from knowledge.status import SourceStatus

_log = structlog.get_logger("kvasir.app")

_EVERY_S = 2.0
"""Between two looks at the knowledge."""
_SUGGESTIONS = 3


class StatusPage(Protocol):
    """Where the page of the workspace on this machine is told things."""

    async def publish_status(self, status: Mapping[str, object]) -> bool:
        """Show ``status``; tell whether it is shown."""


async def keep_page_updated(page: StatusPage, engine: Engine, library: Library, *, every_s: float = _EVERY_S) -> None:
    """Keep the workspace's page told of the engine and the knowledge, and of questions to begin with, for ever."""
    told: Mapping[str, object] = {}
    suggestions = _Suggestions(library)
    sources: tuple[SourceStatus, ...] = ()
    trouble = ""
    try:
        while True:
            try:
                sources = (await library.status()).sources
                suggestions.update(sources)
                trouble = ""
            except KnowledgeError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    _log.warning("knowledge not shown on the page", error=trouble)
            status = build_page_status(engine.status(), sources, suggestions.questions)
            if status != told and await page.publish_status(status):
                told = status
            await asyncio.sleep(every_s)
    finally:
        await suggestions.close()


class _Suggestions:
    """Questions to begin with. Each is searched for, so they are found in a task of their own."""

    def __init__(self, library: Library) -> None:
        self.questions: list[str] = []
        self._library = library
        self._counts: tuple[int, int] | None = None
        self._search: asyncio.Task[list[str]] | None = None
        self._search_counts = (0, 0)

    def update(self, sources: tuple[SourceStatus, ...]) -> None:
        """Take what was found, and begin to find others where the documents are not those of before.

        Raises:
            KnowledgeError: the search for them failed.

        """
        if self._search is not None:
            if not self._search.done():
                return
            found, self._search = self._search, None
            self.questions, self._counts = found.result(), self._search_counts
        held = (sum(source.documents for source in sources), sum(source.chunks for source in sources))
        settled = self._counts is None or all(source.syncing is None for source in sources)
        if held[0] and held != self._counts and settled:
            self._search_counts = held
            self._search = asyncio.create_task(self._library.suggest_questions(_SUGGESTIONS), name="suggestions")

    async def close(self) -> None:
        """End the search that is under way."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)


def build_page_status(
    engine: EngineStatus, sources: tuple[SourceStatus, ...], suggestions: list[str]
) -> Mapping[str, object]:
    """Return what the page of the workspace on this machine shows above the channels."""
    return {
        "engine": {
            "state": engine.state.value,
            "progress": engine.progress,
            "detail": engine.detail,
            "model": engine.model,
            "small_model": engine.small_model,
        },
        "suggestions": suggestions,
        "knowledge": {
            "documents": sum(source.documents for source in sources),
            "chunks": sum(source.chunks for source in sources),
            "running": any(source.syncing is not None for source in sources),
            "progress": _sync_progress(sources),
            "held": sum(source.pending_deletions for source in sources),
            "failed": sum(source.failed for source in sources),
            "troubles": [trouble for source in sources for trouble in _list_troubles(source)],
        },
    }


def _sync_progress(sources: tuple[SourceStatus, ...]) -> float | None:
    """Return how far the syncs under way are, 0 to 1; None while that cannot be said."""
    running = [source.syncing for source in sources if source.syncing is not None]
    total = sum(progress.total for progress in running)
    return sum(progress.done for progress in running) / total if total else None


def _list_troubles(source: SourceStatus) -> list[str]:
    """Return what a person should look at, a line each."""
    told = [f"{source.name}: {source.error}"] if source.error else []
    if source.late:
        age, limit = format_duration(source.age_s or 0.0), format_duration(source.max_age_s)
        told.append(f"{source.name} is stale: {age} old, {limit} at most.")
    if source.pending_deletions:
        told.append(
            f"{source.name}: {source.pending_deletions} gone from the source and held, still answering. "
            f"kvasir sync --approve {source.name}"
        )
    told += [f"{source.name}: {failure.document}: {failure.reason}" for failure in source.failures if failure.public]
    return told
