"""The interface of the library for the commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.answering.verified_answers.finder import CurrentChunks
from knowledge.interfaces import Viewers
from knowledge.readable import RecentDocument
from knowledge.status import LibraryStatus
from knowledge.sync.report import OnProgress, SyncReport


class KnowledgeLibrary(CurrentChunks, Protocol):
    """Refreshes and describes the documents; ``knowledge.library`` has the real one."""

    async def refresh(
        self, source: str | None = None, *, on_progress: OnProgress, approve: Mapping[str, str] | None = None
    ) -> SyncReport:
        """Sync one source, or all of them.

        Raises:
            SyncRunning: another refresh of the same sources runs.
            PendingDeletionsChanged: the pending deletions are not those that ``approve`` names.

        """

    async def status(self) -> LibraryStatus:
        """Return the state of the store and the sources."""

    async def count_readable(self, viewers: Viewers) -> Mapping[str, int]:
        """Return how many documents of each source all viewers may read; sources without any are left out."""

    async def list_recent(self, viewers: Viewers, within: str, limit: int) -> Sequence[RecentDocument]:
        """Return the documents within a channel's filters that all viewers may read, those that changed last first."""

    async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
        """Return whether a person's own answer to a question would differ from that for other viewers."""
