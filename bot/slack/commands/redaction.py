"""Removes details of failed sources for people who are not owners: they name hosts, paths and accounts. Pure."""

from __future__ import annotations

from dataclasses import replace

from bot.messages import status
from bot.messages.message import render_message
from knowledge.errors import ErrorCode
from knowledge.language import Language
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import SyncReport


def redact_status(state: LibraryStatus, language: Language) -> LibraryStatus:
    """Return a status that names problems without their details."""

    def redact(source: SourceStatus) -> SourceStatus:
        return replace(
            source,
            error=source.error and render_message(status.HIDDEN_ERROR, language),
            error_code=ErrorCode.OTHER,
            watch_trouble=source.watch_trouble and render_message(status.HIDDEN_WATCH_TROUBLE, language),
        )

    return replace(state, sources=tuple(redact(source) for source in state.sources))


def redact_report(report: SyncReport, language: Language) -> SyncReport:
    """Return a report that names problems without their details."""
    neutral = render_message(status.HIDDEN_ERROR, language)
    sources = {
        name: replace(one, error=neutral, error_code=ErrorCode.OTHER) if one.error else one
        for name, one in report.sources.items()
    }
    return replace(report, sources=sources)
