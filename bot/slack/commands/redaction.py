"""Removes details of failed sources for people who are not owners: they name hosts, paths and accounts. Pure."""

from __future__ import annotations

from dataclasses import replace

from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import SyncReport

_ERROR = "The last sync failed. Owners see the reason."
_ERROR_CHINESE = "上次同步没有完成，原因只有负责人可以看到。"
_UNWATCHED = "Changes are not watched at the moment. Owners see the reason."
_UNWATCHED_CHINESE = "目前无法实时跟踪，原因只有负责人可以看到。"


def redact_status(state: LibraryStatus, *, chinese: bool) -> LibraryStatus:
    """Return a status that names problems without their details."""

    def redact(source: SourceStatus) -> SourceStatus:
        return replace(
            source,
            error=source.error and (_ERROR_CHINESE if chinese else _ERROR),
            watch_trouble=source.watch_trouble and (_UNWATCHED_CHINESE if chinese else _UNWATCHED),
        )

    return replace(state, sources=tuple(redact(source) for source in state.sources))


def redact_report(report: SyncReport, *, chinese: bool) -> SyncReport:
    """Return a report that names problems without their details."""
    neutral = _ERROR_CHINESE if chinese else _ERROR
    sources = {name: replace(one, error=one.error and neutral) for name, one in report.sources.items()}
    return replace(report, sources=sources)
