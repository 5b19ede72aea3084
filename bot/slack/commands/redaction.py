"""What only owners are told: why a source is in trouble names hosts, paths and accounts. Pure."""

from __future__ import annotations

from dataclasses import replace

from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import SyncReport

_ERROR = "Its last sync did not come to its end. Owners are told why."
_ERROR_CHINESE = "上次同步没有完成，原因只告诉负责人。"
_UNWATCHED = "It is not followed as it changes. Owners are told why."
_UNWATCHED_CHINESE = "目前无法实时跟踪，原因只告诉负责人。"


def redact_status(state: LibraryStatus, *, chinese: bool) -> LibraryStatus:
    """Return a status in which a trouble is named without its details."""

    def discreet(source: SourceStatus) -> SourceStatus:
        return replace(
            source,
            error=source.error and (_ERROR_CHINESE if chinese else _ERROR),
            watch_trouble=source.watch_trouble and (_UNWATCHED_CHINESE if chinese else _UNWATCHED),
        )

    return replace(state, sources=tuple(discreet(source) for source in state.sources))


def redact_report(report: SyncReport, *, chinese: bool) -> SyncReport:
    """Return a report in which a source's trouble is named without its details."""
    neutral = _ERROR_CHINESE if chinese else _ERROR
    told = {name: replace(one, error=one.error and neutral) for name, one in report.sources.items()}
    return replace(report, sources=told)
