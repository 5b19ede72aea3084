"""The ledger's database: whole transactions on SQLite or PostgreSQL, and what goes wrong told in a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, pool
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bot.errors import BotError

Result = TypeVar("Result")
Work = Callable[[sa.Connection], Result]
"""What is done in one transaction."""


class LedgerError(BotError):
    """The ledger's database failed; the text says what happened and the next step, and holds no password."""


class LedgerUnavailable(LedgerError):
    """The database is locked, down or out of connections; the same call may succeed soon."""


class LedgerFull(LedgerError):
    """The disk under the database is full, or the database may not be written."""


class LedgerDatabase(Protocol):
    """Where transactions are made. The work is written once, for SQLAlchemy's synchronous connection."""

    @property
    def url(self) -> URL:
        """Return the database's URL."""

    async def transact(self, work: Work[Result]) -> Result:
        """Do some work in a transaction."""

    async def close(self) -> None:
        """Close every connection."""


class _PostgresDatabase:
    """PostgreSQL, through the event loop."""

    def __init__(self, url: URL, patience_s: float) -> None:
        self.url = url
        self._engine = create_async_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=patience_s,
            hide_parameters=True,
            connect_args={"timeout": patience_s, "command_timeout": patience_s},
        )

    async def transact(self, work: Work[Result]) -> Result:
        """Do some work in a transaction."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


class _SqliteDatabase:
    """SQLite, on one thread with one connection: writers of a process wait in line and never lock each other out.

    A whole transaction is one trip to the thread. Through an asynchronous driver it would be ten, each of them a wait
    for the interpreter's lock: several milliseconds between a question and its answer's begin.
    """

    def __init__(self, url: URL, patience_s: float) -> None:
        self.url = url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._engine = sa.create_engine(
            url,
            poolclass=pool.QueuePool,
            pool_size=1,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"timeout": patience_s, "check_same_thread": False},
        )
        sa.event.listen(self._engine, "connect", _prepare_sqlite)

    async def transact(self, work: Work[Result]) -> Result:
        """Do some work in a transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Work[Result]) -> Result:
        with self._engine.begin() as connection:
            return work(connection)

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=False)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # WAL with NORMAL survives a killed process; a power cut may cost the last question, which Slack sends again.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def parse_database_url(url: str) -> URL:
    """Return the URL with the driver that is used here: sqlite3 or asyncpg.

    Raises:
        LedgerError: it is no URL, or of another database.

    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise LedgerError(
            "The database URL cannot be read. Write it as postgresql://user:password@host/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+asyncpg")
    raise LedgerError(f"The ledger does not keep its rows in {backend}. Give a PostgreSQL or SQLite URL.")


def create_database(url: URL, patience_s: float) -> LedgerDatabase:
    """Return the database of a URL that ``parse_database_url`` made, with nothing connected yet."""
    return (
        _PostgresDatabase(url, patience_s)
        if url.get_backend_name() == "postgresql"
        else _SqliteDatabase(url, patience_s)
    )


@contextlib.contextmanager
def map_database_errors(url: URL) -> Iterator[None]:
    """Tell whatever the database does wrong as a ``LedgerError``."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError, OSError, TimeoutError) as error:
        raise _build_error(error, _describe_location(url)) from error


def _describe_location(url: URL) -> str:
    return str(url.database) if url.get_backend_name() == "sqlite" else f"PostgreSQL at {url.host or 'localhost'}"


def _build_error(error: Exception, where: str) -> LedgerError:
    text = str(getattr(error, "orig", None) or error).lower()
    if "disk is full" in text or "no space left" in text or "could not extend" in text:
        return LedgerFull(f"The disk under the ledger ({where}) is full. Free some space; the question comes again.")
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return LedgerFull(f"The ledger ({where}) may not be written. Give Kvasir's user the right to write there.")
    if "locked" in text or "busy" in text:
        return LedgerUnavailable(
            f"The ledger ({where}) is locked by another program. Close what holds it; the question comes again."
        )
    if "unable to open" in text:
        return LedgerUnavailable(f"The ledger ({where}) cannot be opened. Check that its folder exists.")
    if "password" in text or "role" in text:
        return LedgerError(f"{where} refused the ledger's login. Check KVASIR_DATABASE_URL.")
    return LedgerUnavailable(
        f"The ledger ({where}) does not answer. Check that the database runs and that KVASIR_DATABASE_URL is right."
    )
