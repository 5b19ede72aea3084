"""Translate the errors of the database into those of a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from knowledge.errors import (
    DatabaseError,
    DatabaseFull,
    DatabaseUnavailable,
    IndexLost,
    StoreError,
    StoreMisconfigured,
    StoreReadOnly,
    StoreUnavailable,
)

_GONE = frozenset({"42P01"})
"""The codes of PostgreSQL for a table that does not exist."""
_DAMAGED = frozenset({"XX001", "XX002"})
"""The codes for damaged pages and indexes."""
_KINDS = ((DatabaseFull, StoreReadOnly), (DatabaseUnavailable, StoreUnavailable))


@contextlib.contextmanager
def translate_errors(variable: str) -> Iterator[None]:
    """Raise every ``DatabaseError`` as a ``StoreError`` or a subclass; ``variable`` has the URL."""
    try:
        yield
    except DatabaseError as error:
        code = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None)
        if code in _GONE:
            raise make_lost("is gone from") from error
        if code in _DAMAGED:
            raise make_lost("is damaged in") from error
        kind: type[StoreError] = next(
            (ours for theirs, ours in _KINDS if isinstance(error, theirs)), StoreMisconfigured
        )
        raise kind(str(error).replace("KVASIR_DATABASE_URL", variable)) from error


def make_lost(what: str) -> IndexLost:
    """Return the error of an index that is missing or damaged."""
    return IndexLost(f"The index {what} PostgreSQL: the next sync builds it again from the sources.")
