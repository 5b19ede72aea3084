"""What a person may see of the sources: owners everything, others only sources of which they may read something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.conversations.redaction import list_wholly_readable, redact_report, redact_running_sync, redact_status
from knowledge.errors import SyncRunning, UnknownSource
from knowledge.interfaces import Viewers
from knowledge.status import LibraryStatus
from knowledge.sync.report import SyncReport


class VisibleSources:
    """Shows the sources to one person at a time."""

    def __init__(
        self, library: KnowledgeLibrary, access: Access, find_viewers: Callable[[str], Awaitable[Viewers]]
    ) -> None:
        """``find_viewers`` returns a person as the only viewer, by the Slack id."""
        self._library = library
        self._access = access
        self._find_viewers = find_viewers

    async def read_status(self, user: str, language: Language) -> LibraryStatus:
        """Return the state of the visible sources.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        state = await self._library.status()
        if self._access.is_owner(user):
            return state
        viewers = await self._find_viewers(user)
        redacted = redact_status(state, await self._library.count_readable(viewers), viewers, language)
        visible = {one.name: one for one in redacted.sources}
        visible |= {one.name: one for one in state.sources if self._access.is_owner(user, one.name)}
        return replace(redacted, sources=tuple(visible[one.name] for one in state.sources if one.name in visible))

    async def list_readable(self, user: str) -> Mapping[str, int]:
        """Return the sources of which a person may read something, with the number of documents, also for an owner.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        return await self._library.count_readable(await self._find_viewers(user))

    async def check_name(self, user: str, source: str | None) -> None:
        """Do nothing if a source is visible.

        Raises:
            UnknownSource: it is not, or there is none of that name.
            DatabaseError: the manifest's database failed.

        """
        if source is None or self._access.is_owner(user, source):
            return
        readable = await self.list_readable(user)
        if source not in readable:
            raise UnknownSource(source, readable)

    async def list_countable(self, user: str) -> Collection[str] | None:
        """Return the sources whose progress may be shown; None for all.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if self._access.is_owner(user):
            return None
        readable = await self.list_readable(user)
        state = await self._library.status()
        return list_wholly_readable(state, readable).union(self._list_owned(user, state))

    async def restrict_report(self, user: str, report: SyncReport, language: Language) -> SyncReport:
        """Return the report on the visible sources.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if self._access.is_owner(user):
            return report
        viewers = await self._find_viewers(user)
        readable, state = await self._library.count_readable(viewers), await self._library.status()
        owned = {name: report.sources[name] for name in self._list_owned(user, state) if name in report.sources}
        redacted = redact_report(report, state, readable, viewers, language)
        return replace(redacted, sources={**redacted.sources, **owned})

    async def restrict_running_sync(self, user: str, error: SyncRunning) -> SyncRunning:
        """Return the error with the names of visible sources only.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if self._access.is_owner(user):
            return error
        readable = await self.list_readable(user)
        return redact_running_sync(error, {*readable, *self._list_owned(user, await self._library.status())})

    def _list_owned(self, user: str, state: LibraryStatus) -> list[str]:
        return [one.name for one in state.sources if self._access.is_owner(user, one.name)]
