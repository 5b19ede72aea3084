"""Removes from the state of the sources what a person who is not an owner may not see. Pure.

Of a source of which the person may read nothing, nothing is left: neither its name nor a number. Where the person may
read only some documents, only these are counted. Reasons of failures name hosts, paths and accounts, so owners alone
see them, and the places and processes of sources.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bot.languages.registry import Language
from bot.messages import status
from bot.messages.message import render_message
from knowledge.errors import ErrorCode, SyncRunning
from knowledge.interfaces import EVERYONE, Viewers, may_read
from knowledge.status import LibraryStatus, SourceStatus, is_wholly_readable, restrict_sources
from knowledge.sync.report import SourceReport, SyncReport


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
    return replace(state, sources=sources, last_repair=None, refused_passages=None, elsewhere=None)


def redact_report(
    report: SyncReport, state: LibraryStatus, readable: Mapping[str, int], viewers: Viewers, language: Language
) -> SyncReport:
    """Return the report on the sources that viewers may read; ``state`` is the status after the sync."""
    neutral = render_message(status.HIDDEN_ERROR, language)

    def redact_source(name: str, one: SourceReport) -> SourceReport:
        error = one.error and neutral
        if name not in list_wholly_readable(state, readable):
            return SourceReport(error=error)
        failures = one.failures if may_read(viewers, EVERYONE) else ()
        return replace(one, error=error, error_code=ErrorCode.OTHER, failures=failures)

    return replace(
        report, sources={name: redact_source(name, one) for name, one in report.sources.items() if name in readable}
    )


def redact_running_sync(error: SyncRunning, readable: Collection[str]) -> SyncRunning:
    """Return the error with the names of readable sources only, and without the process."""
    return SyncRunning([name for name in error.sources if name in readable])


def list_wholly_readable(state: LibraryStatus, readable: Mapping[str, int]) -> frozenset[str]:
    """Return the sources of which every document may be read, so that their numbers may be shown."""
    return frozenset(one.name for one in state.sources if is_wholly_readable(one, readable))
