"""Whether a passage is in the scope of a search: its readers, its format and its date. Pure."""

from __future__ import annotations

from datetime import datetime

from knowledge.interfaces import CurrentChunk, Scope, Viewers, holds_numbers, may_read, number_readers


def is_in_scope(listed: CurrentChunk | None, scope: Scope) -> bool:
    """Return whether a chunk is in a scope, as the manifest lists it; the store filtered by its source."""
    return (
        listed is not None
        and may_see(scope.viewers, listed)
        and is_trusted(listed, scope)
        and passes_filters(listed.kind, listed.modified_at, scope)
    )


def is_refused(listed: CurrentChunk, scope: Scope) -> bool:
    """Return whether the store should not have proposed a chunk, because not all viewers may read it.

    While a sync rewrites the rows of a document with other readers, that is normal. So it is if a filter by principals
    admits a document that only some of the viewers may read.
    """
    if not listed.is_settled or may_read(scope.viewers, listed.readers):
        return False
    return scope.principals is None or not holds_numbers(number_readers(listed.readers), scope.principals)


def is_trusted(listed: CurrentChunk, scope: Scope) -> bool:
    """Return whether the source of a chunk said who may read it, when it was asked for this search."""
    since = scope.trusted_since.get(listed.source_name)
    return listed.row not in scope.refused_rows and (since is None or (listed.rights_at or 0.0) > since)


def may_see(viewers: Viewers, listed: CurrentChunk) -> bool:
    """Return whether all viewers may see a chunk, by the manifest and by the configuration."""
    return may_read(viewers, listed.readers) and (
        listed.configured_readers is None or may_read(viewers, listed.configured_readers)
    )


def passes_filters(kind: str, modified_at: datetime | None, scope: Scope) -> bool:
    """Return whether a format and a date pass the filters of a scope; without a date, none passes a filter of dates."""
    return (
        (not scope.kinds or kind in scope.kinds)
        and (scope.after is None or (modified_at is not None and modified_at >= scope.after))
        and (scope.before is None or (modified_at is not None and modified_at < scope.before))
    )
