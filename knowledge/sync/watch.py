"""Sync a source as soon as it reports a change. The schedule runs in any case."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

from knowledge.defects import describe_defect
from knowledge.errors import SourceError
from knowledge.interfaces import WatchableSource

_log = logging.getLogger(__name__)

_AGAIN_S = 300.0
"""Pause before another attempt to watch a source."""
_CLOSE_S = 10.0
"""Time limit for a source to stop watching."""

Refresh = Callable[[str], Awaitable[None]]
"""Syncs one source, after its running sync. Raises nothing, because no caller waits for it."""


class SourceWatcher:
    """Watches sources, by their names, for the length of a block."""

    def __init__(
        self,
        sources: Mapping[str, WatchableSource],
        refresh: Refresh,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sources = sources
        self._refresh = refresh
        self._sleep = sleep
        self.watched: set[str] = set()
        self.troubles: dict[str, str] = {}
        """Why the other sources are not watched."""

    @asynccontextmanager
    async def run_in_background(self) -> AsyncIterator[None]:
        """Watch the sources for the length of this block."""
        tasks = [
            asyncio.create_task(self._watch_source(name, source), name=f"watch {name}")
            for name, source in self._sources.items()
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            self.troubles.clear()

    async def _watch_source(self, name: str, source: WatchableSource) -> None:
        """Watch one source until it reports that it cannot be watched at all."""
        while True:
            try:
                await self._follow_changes(name, source)
            except SourceError as error:
                self._report_trouble(name, str(error))
            except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
                self._report_trouble(name, f"A defect stopped the watch of {name}: {describe_defect(error)}.")
            else:
                return
            await self._sleep(_AGAIN_S)
            await self._refresh(name)  # Sync what changed while nothing watched.

    def _report_trouble(self, name: str, why: str) -> None:
        if self.troubles.get(name) != why:
            self.troubles[name] = why
            _log.warning("Kvasir cannot watch %s, so only the schedule syncs it: %s", name, why)

    async def _follow_changes(self, name: str, source: WatchableSource) -> None:
        async with aclosing(_make_closable(source)) as changes:
            try:
                async for _ in changes:
                    if name not in self.watched:
                        self.watched.add(name)
                        self.troubles.pop(name, None)
                    await self._refresh(name)
            finally:
                self.watched.discard(name)


async def _make_closable(source: WatchableSource) -> AsyncGenerator[None]:
    """Yield the source's changes from a generator that can be closed."""
    changes = source.changes()
    try:
        async for change in changes:
            yield change
    finally:
        if isinstance(changes, AsyncGenerator):
            with contextlib.suppress(SourceError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await changes.aclose()
