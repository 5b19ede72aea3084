"""Maps what a database does wrong to a ``DatabaseError`` with the next step."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import structlog
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from knowledge.errors import DatabaseError, DatabaseFull, DatabaseUnavailable

_log = structlog.get_logger(__name__)

T = TypeVar("T")
_RETRY_EVERY_S: Final = 1.0
_FULL = "{where} cannot grow, because its disk is full. Free some space and try again."
_READ_ONLY = "{where} cannot be written. Give Kvasir's user the right to write there."
_LOCKED = "{where} is locked by another program. Close that program, or wait and try again."
_CANNOT_OPEN = "{where} cannot be opened. Check that its folder exists and that Kvasir may write there."
_DAMAGED = "{where} is damaged. Restore a backup, or move the file away; the next sync makes a new one."
_NO_DATABASE = "{where} is no SQLite database. Move the file away; the next sync makes a new one."
_NO_LOGIN = "{where} refused the login. Check the user and the password in KVASIR_DATABASE_URL."
_ALL_BUSY = (
    "All of Kvasir's connections to {where} were in use for too long. Check whether its server or this machine is "
    "overloaded."
)
_NO_CONNECTION = (
    "{where} accepts no more connections. Raise its max_connections (each replica uses up to 30), or close other "
    "programs."
)
_NAMED_STATEMENTS = (
    "{where} is reached through a connection pooler that shares connections between transactions. Add "
    "?pgbouncer=transaction to KVASIR_DATABASE_URL."
)
_KNOWN = (
    ("prepared statement", DatabaseError, _NAMED_STATEMENTS),
    ("no more connections allowed", DatabaseUnavailable, _NO_CONNECTION),
    ("too many clients", DatabaseUnavailable, _NO_CONNECTION),
    ("too many connections", DatabaseUnavailable, _NO_CONNECTION),
    ("remaining connection slots", DatabaseUnavailable, _NO_CONNECTION),
    ("disk is full", DatabaseFull, _FULL),
    ("no space left", DatabaseFull, _FULL),
    ("could not extend", DatabaseFull, _FULL),
    ("readonly", DatabaseFull, _READ_ONLY),
    ("read-only", DatabaseFull, _READ_ONLY),
    ("permission denied", DatabaseFull, _READ_ONLY),
    ("locked", DatabaseUnavailable, _LOCKED),
    ("busy", DatabaseUnavailable, _LOCKED),
    ("unable to open", DatabaseUnavailable, _CANNOT_OPEN),
    ("malformed", DatabaseError, _DAMAGED),
    ("not a database", DatabaseError, _NO_DATABASE),
    ("password", DatabaseError, _NO_LOGIN),
    ("role ", DatabaseError, _NO_LOGIN),
)
"""What a driver's message contains, and what it means."""


@contextlib.contextmanager
def map_errors(url: URL, limit_s: float) -> Iterator[None]:
    """Raise every failure of the database as a ``DatabaseError`` or a subclass, without the password."""
    try:
        yield
    except TimeoutError as error:
        raise DatabaseUnavailable(
            f"{_describe_location(url)} did not answer within {limit_s:g} s. Check whether it is overloaded."
        ) from error
    except PoolTimeout as error:
        place = _describe_location(url)
        raise DatabaseUnavailable(_ALL_BUSY.format(where=place[0].lower() + place[1:])) from error
    except UnicodeError:
        # Not chained: its text quotes the data.
        raise DatabaseError(
            f"{_describe_location(url)} cannot store text that is not valid Unicode (half a surrogate pair). "
            "Find the source that stopped, and rename what has odd characters there."
        ) from None
    except (SQLAlchemyError, OSError) as error:
        raise _build_error(str(getattr(error, "orig", None) or error), _describe_location(url)) from error


async def wait_for_database(
    call: Callable[[], Awaitable[T]],
    within_s: float = 60.0,
    on_wait: Callable[[DatabaseUnavailable], None] = lambda _: None,
) -> T:
    """Return what a call returns. While the database is unavailable, log why and try again.

    ``on_wait`` is called once, if the first call fails.

    Raises:
        DatabaseError: the call failed for another reason, or still fails after ``within_s``.

    """
    began = time.monotonic()
    waits = False
    while True:
        try:
            return await call()
        except DatabaseUnavailable as error:
            if time.monotonic() - began >= within_s:
                raise
            _log.warning("database not available yet", error=str(error), retry_in_s=_RETRY_EVERY_S)
            if not waits:
                on_wait(error)
            waits = True
        await asyncio.sleep(_RETRY_EVERY_S)


def _describe_location(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"The database {url.database}"
    return f"The PostgreSQL database at {url.host or 'localhost'}"


def _build_error(reason: str, where: str) -> DatabaseError:
    for sign, kind, sentence in _KNOWN:
        if sign in reason.lower():
            return kind(sentence.format(where=where))
    first = (reason.strip().splitlines() or ["no reason given"])[0][:200]
    return DatabaseUnavailable(f"{where} failed: {first}. Check that it runs and that KVASIR_DATABASE_URL is right.")
