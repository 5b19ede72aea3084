"""The library for questions: it waits for the first sync and reports when no document has been read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from knowledge.interfaces import ANY_MEMBER, Hit, LiveWebRequest, Material, SearchResult, Viewers
from knowledge.library import Library
from knowledge.status import explain_nothing_read

if TYPE_CHECKING:
    from bot.local_workspace import LocalWorkspace

_FIRST_SYNC_S = 16.0
"""How long a question waits for the first sync.

A small folder is read within this time. A search (``Limits.search_s``) then still has time to find what was read so
far, or to say that the sync is running."""


class ReadyLibrary:
    """The library with links that a person can open."""

    def __init__(
        self, library: Library, workspace: LocalWorkspace | None, count_refused: Callable[[int], None] | None = None
    ) -> None:
        """``count_refused`` gets the number of refused passages of each search (``SearchResult.refused_count``)."""
        self.library = library
        self.first_sync_done = asyncio.Event()
        """Set once the documents have been read for the first time, in this run or an earlier one."""
        self._workspace = workspace
        self._count_refused = count_refused

    async def search(
        self,
        query: str,
        *,
        limit: int,
        viewers: Viewers = ANY_MEMBER,
        live: LiveWebRequest | None = None,
        materials: Sequence[Material] = (),
    ) -> SearchResult:
        """Return the best passages. Those of local folders link to the local workspace's page if it runs.

        Raises:
            NothingRead: nothing was found and the documents have not all been read yet.
            KnowledgeError: the search failed.

        """
        if not any(material.is_given for material in materials):  # a file answers before the documents are read
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SYNC_S):
                    await self.first_sync_done.wait()
        found = await self.library.search(query, limit=limit, viewers=viewers, live=live, materials=materials)
        if self._count_refused is not None:
            self._count_refused(found.refused_count)
        if not found.hits or not (found.answerable or self.first_sync_done.is_set()):
            status, readable = await self.library.status(), await self.library.count_readable(viewers)
            nothing = explain_nothing_read(status, readable, reading=not self.first_sync_done.is_set())
            if nothing is not None:
                raise nothing
        return replace(found, hits=tuple(self._make_reachable(hit) for hit in found.hits))

    def _make_reachable(self, hit: Hit) -> Hit:
        if self._workspace is None or hit.url is None or not hit.url.startswith("file:"):
            return hit
        return replace(hit, url=self._workspace.document_url(hit.source, hit.document, hit.url))

    async def read_passage(self, chunks: Sequence[str], viewers: Viewers = ANY_MEMBER) -> Hit | None:
        """Return the current text of a passage with a link that a person can open; None if it no longer exists."""
        found = await self.library.read_passage(chunks, viewers)
        return None if found is None else self._make_reachable(found)
