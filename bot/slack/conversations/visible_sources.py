"""What a person may see of the sources: owners everything, others only sources of which they may read something.

Of a source of which the person may read nothing, nothing is left: neither its name nor a number. Where the person may
read only some documents, only these are counted. Reasons of failures name hosts, paths and accounts, so owners alone
see them, and the places and processes of sources.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages import status
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from knowledge.errors import ErrorCode, SyncRunning, UnknownSource
from knowledge.interfaces import EVERYONE, Viewers, may_read
from knowledge.status import LibraryStatus, SourceStatus, is_wholly_readable, restrict_sources
from knowledge.sync.report import SourceReport, SyncReport


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
        return _list_wholly_readable(state, readable).union(self._list_owned(user, state))

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
        """Return the error with the names of visible sources only, and without the process.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if self._access.is_owner(user):
            return error
        visible = {*await self.list_readable(user), *self._list_owned(user, await self._library.status())}
        return SyncRunning([name for name in error.sources if name in visible])

    def _list_owned(self, user: str, state: LibraryStatus) -> list[str]:
        return [one.name for one in state.sources if self._access.is_owner(user, one.name)]


def redact_status(
    state: LibraryStatus, readable: Mapping[str, int], viewers: Viewers, language: Language
) -> LibraryStatus:
    """Return the status of the sources that viewers may read, by the number of readable documents of each."""

    def redact_source(source: SourceStatus) -> SourceStatus:
        neutral = replace(
            source,
            root="",
            error=source.error and render_message(status.HIDDEN_ERROR, language),
            error_code=ErrorCode.OTHER,
            watch_trouble=source.watch_trouble and render_message(status.HIDDEN_WATCH_TROUBLE, language),
        )
        # The names that a status has are those of documents which every full member may read.
        return neutral if may_read(viewers, EVERYONE) else replace(neutral, failures=(), first_pending_deletions=())

    sources = tuple(redact_source(source) for source in restrict_sources(state.sources, readable))
    hidden = replace(
        state, last_repair=None, refused_passages=None, elsewhere=None, leader=None, removed=(), other_configurations={}
    )
    return replace(hidden, sources=sources)


def redact_report(
    report: SyncReport, state: LibraryStatus, readable: Mapping[str, int], viewers: Viewers, language: Language
) -> SyncReport:
    """Return the report on the sources that viewers may read; ``state`` is the status after the sync."""
    neutral = render_message(status.HIDDEN_ERROR, language)

    def redact_source(name: str, one: SourceReport) -> SourceReport:
        error = one.error and neutral
        if name not in _list_wholly_readable(state, readable):
            return SourceReport(error=error)
        failures = one.failures if may_read(viewers, EVERYONE) else ()
        return replace(one, error=error, error_code=ErrorCode.OTHER, failures=failures)

    return replace(
        report, sources={name: redact_source(name, one) for name, one in report.sources.items() if name in readable}
    )


def _list_wholly_readable(state: LibraryStatus, readable: Mapping[str, int]) -> frozenset[str]:
    """Return the sources of which every document may be read, so that their numbers may be shown."""
    return frozenset(one.name for one in state.sources if is_wholly_readable(one, readable))
