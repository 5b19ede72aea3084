"""Ask sources between syncs who may read their restricted documents, so that few questions have to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from knowledge.errors import DatabaseError, StoreError
from knowledge.interfaces import SourceKey
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.rights import RightsChecker
from knowledge.sync.signals import cancel_and_wait

_log = logging.getLogger(__name__)

_PACE_S: Final = 15.0
"""The seconds between two batches of a source: 40 documents a minute, so that its limits leave room for questions."""
_BATCH: Final = 10
_PAUSE_S: Final = 60.0
"""The seconds before a source that does not answer is asked again."""
_WITHIN_S: Final = 15.0
"""It is longer than ``RightsChecker`` gives a source."""


class RightsSweep:
    """Asks each source about the documents whose rights are the oldest, while no sync of it runs."""

    def __init__(
        self,
        sources: Collection[SourceKey],
        checker: RightsChecker,
        find_manifest: Callable[[], Awaitable[IndexManifest]],
        is_syncing: Callable[[str], bool],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``find_manifest`` returns the manifest of the active index; ``is_syncing`` takes a source's name."""
        self._sources = sources
        self._checker = checker
        self._find_manifest = find_manifest
        self._is_syncing = is_syncing
        self._sleep = sleep

    @asynccontextmanager
    async def run_in_background(self) -> AsyncIterator[None]:
        """Ask all sources for the length of this block."""
        tasks = [asyncio.create_task(self._sweep_source(key), name=f"sweep {key.name}") for key in self._sources]
        try:
            yield
        finally:
            await cancel_and_wait(tasks)

    async def _sweep_source(self, key: SourceKey) -> None:
        while True:
            await self._sleep(_PACE_S)
            if not self._is_syncing(key.name) and not await self._ask_some(key):
                await self._sleep(_PAUSE_S)

    async def _ask_some(self, key: SourceKey) -> bool:
        """Ask about some documents. Return whether the source answered."""
        try:
            manifest = await self._find_manifest()
            oldest = await manifest.list_oldest_rights(key, before=self._checker.fresh_since, limit=_BATCH)
            answer = await self._checker.check_rights(manifest, oldest, _WITHIN_S)
        except (StoreError, DatabaseError) as error:
            _log.warning("The rights of %s could not be refreshed: %s", key.name, error)
            return False
        return not answer.silent
