"""The time by the clock of the database, which all hosts share."""

from __future__ import annotations

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _DatabaseTime(FunctionElement[float]):
    type = Float()
    inherit_cache = True


@compiles(_DatabaseTime, "postgresql")
def _compile_for_postgresql(*_: object, **__: object) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(_DatabaseTime, "sqlite")
def _compile_for_sqlite(*_: object, **__: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


def database_time() -> FunctionElement[float]:
    """Return an expression: seconds since the epoch by the database's own clock."""
    return _DatabaseTime()
