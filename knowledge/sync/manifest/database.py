"""The connections to the manifest's database: short transactions, come to their end, and failures told for a person."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, event, func, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from knowledge.database.migrations import read_revision, upgrade
from knowledge.errors import ManifestError, SyncRunning
from knowledge.sync.manifest.migrations import MIGRATIONS
from knowledge.thread_pool import NamedThreadPool

_T = TypeVar("_T")
_P = ParamSpec("_P")
Rows = Sequence[Row[*tuple[Any, ...]]]

ANSWER_S = 60.0
"""For a transaction, or for the lock of a sync."""
_READERS = 4
"""Threads that read a SQLite file, each with a connection: a long query holds up no search."""
_WRITE_LOCK = 0x4B76617369
"""PostgreSQL's advisory lock that a writer holds until its transaction ends."""
_SYNC_LOCK = _WRITE_LOCK + 1
"""The one that a sync holds."""


def whole(method: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Let a transaction come to its end although its caller is cancelled; the cancellation goes on after it.

    The driver's thread cannot be stopped in the middle: cancelled there, a connection would be given up with its
    transaction open and the write lock held. Every transaction is short, and bounded by ``ANSWER_S``.
    """

    @functools.wraps(method)
    async def until_its_end(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        task = asyncio.create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # Taken note of: the caller has gone.
            raise

    return until_its_end


class Database:
    """The connections to the manifest's database, with every failure told as a ``ManifestError``."""

    def __init__(self, engine: AsyncEngine, answer_s: float, file: _FileReader | None = None) -> None:
        self._engine = engine
        self._file = file
        self._answer_s = answer_s
        self._turn = asyncio.Lock()
        self._writer = engine.execution_options(kvasir_write=True)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that only reads."""
        with _explained(self._answer_s):
            async with asyncio.timeout(self._answer_s), self._engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that is committed at the end, or rolled back; one writer at a time."""
        with _explained(self._answer_s):
            # Writers of this process queue here: SQLite's own wait is short, meant for other programs, and not fair.
            async with asyncio.timeout(self._answer_s), self._turn, self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # What BEGIN IMMEDIATE is to SQLite: two writers that look first and insert then would collide.
                    await connection.execute(select(func.pg_advisory_xact_lock(_WRITE_LOCK)))
                yield connection

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold PostgreSQL's lock for syncs: several machines may share one server, and no lock file reaches across.

        Raises:
            SyncRunning: another machine syncs into this database.
            ManifestError: the server does not answer in time, or refuses.

        """
        if self._engine.dialect.name != "postgresql":
            yield
            return
        with _explained(self._answer_s):
            async with asyncio.timeout(self._answer_s):
                connection = await self._engine.connect()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._given_up, connection)
            with _explained(self._answer_s):
                async with asyncio.timeout(self._answer_s):
                    taken = (await connection.execute(select(func.pg_try_advisory_lock(_SYNC_LOCK)))).scalar()
                    await connection.commit()
            if not taken:
                raise SyncRunning("A sync into this database is running already. Wait until it has ended.")
            yield

    @whole
    async def _given_up(self, connection: AsyncConnection) -> None:
        """Close the session, and with it its lock."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            await connection.invalidate()
            await connection.close()

    @whole
    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """Return every row that a query finds."""
        if self._file is not None:
            with _explained(self._answer_s):
                async with asyncio.timeout(self._answer_s):
                    return await self._file.rows(statement, values)
        async with self.reading() as connection:
            return (await connection.execute(statement, values)).all()

    @whole
    async def prepare(self) -> None:
        """Make the tables where there are none, and bring those of an older Kvasir up to date.

        Raises:
            ManifestError: the tables are of a newer Kvasir, or the database cannot be used.

        """
        async with self.reading() as connection:
            revision = await connection.run_sync(read_revision, MIGRATIONS)
        if revision is None or revision < MIGRATIONS.newest:
            async with self.writing() as connection:  # another process may have been first: upgrade looks again
                await connection.run_sync(upgrade, MIGRATIONS)
                revision = await connection.run_sync(read_revision, MIGRATIONS)
        if revision != MIGRATIONS.newest:
            raise ManifestError(
                f"The manifest's database was written by another Kvasir (its tables have revision {revision}, this one "
                f"knows {MIGRATIONS.newest}). Run that Kvasir, or name another KVASIR_HOME or KVASIR_DATABASE_URL."
            )

    async def close(self) -> None:
        """Close every connection."""
        if self._file is not None:
            await self._file.close()
        await self._engine.dispose()


class _FileReader:
    """Queries of a SQLite file, in threads of their own.

    A query is one trip to a thread. Through the asynchronous driver it is nine, each of them a wait for the
    interpreter's lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = NamedThreadPool("manifest", _READERS)

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None) -> Rows:
        """Return every row that a query finds."""
        return await self._threads.run(lambda: self._read(statement, values))

    def _read(self, statement: Executable, values: Mapping[str, Any] | None) -> Rows:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()

    async def close(self) -> None:
        """Close the connections and let the threads end."""
        await self._threads.run(self._engine.dispose)
        self._threads.close()


async def open_database(url: str, lock_wait_s: float, answer_s: float) -> Database:
    """Connect and make the tables; see ``state.open_manifest``."""
    engine = _engine(url, lock_wait_s)
    database = Database(engine, answer_s, _file_reader(engine, lock_wait_s))
    try:
        await database.prepare()
    except BaseException:
        await database.close()
        raise
    return database


def _engine(url: str, lock_wait_s: float) -> AsyncEngine:
    scheme, separator, rest = url.partition("://")
    kind = scheme.partition("+")[0]
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    if not separator or kind not in driver:
        raise ManifestError(
            "KVASIR_DATABASE_URL is not a database that Kvasir knows. Write sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    waits = {"timeout": lock_wait_s}
    try:
        engine = create_async_engine(f"{driver[kind]}://{rest}", connect_args=waits, hide_parameters=True)
    except (ArgumentError, ValueError):
        # Not chained: SQLAlchemy's text quotes the URL, password and all.
        raise ManifestError("KVASIR_DATABASE_URL cannot be read. Check its port, and escape odd characters.") from None
    if kind == "sqlite":
        _listen(engine.sync_engine)
    return engine


def _file_reader(engine: AsyncEngine, lock_wait_s: float) -> _FileReader | None:
    """Return what reads the file of a SQLite engine; None for a server and for a database in memory."""
    if engine.dialect.name != "sqlite" or engine.url.database in {None, "", ":memory:"}:
        return None
    reader = create_engine(
        engine.url.set(drivername="sqlite"),
        connect_args={"timeout": lock_wait_s, "check_same_thread": False},
        pool_size=_READERS,
        max_overflow=0,
        hide_parameters=True,
    )
    _listen(reader)
    return _FileReader(reader)


def _listen(engine: Engine) -> None:
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)


@contextlib.contextmanager
def _explained(answer_s: float) -> Iterator[None]:
    """Tell whatever the database does wrong as a ``ManifestError``."""
    try:
        yield
    except TimeoutError as error:
        raise ManifestError(
            f"The manifest's database did not answer within {answer_s:.0f} s. Look whether it is overloaded."
        ) from error
    except UnicodeError:
        # Not chained: its text quotes what it is about.
        raise ManifestError(
            "The manifest's database cannot hold a text that is no Unicode (half a surrogate pair). Look which source "
            "stopped, and rename what has odd characters there."
        ) from None
    except (SQLAlchemyError, OSError) as error:
        raise ManifestError(_sentence(str(getattr(error, "orig", error)))) from error


def _sentence(reason: str) -> str:
    known = {
        "database is locked": "Another program holds the manifest's database. End it, or wait and try again.",
        "database or disk is full": "The disk that holds the manifest is full. Free some space and try again.",
        "readonly database": "The manifest's database cannot be written. Give Kvasir the right to write KVASIR_HOME.",
        "unable to open": "The manifest's database cannot be opened. Look whether KVASIR_HOME exists and is writable.",
        "malformed": "The manifest's database is damaged. Move it away; the next sync makes a new one.",
        "not a database": "The manifest's file is no SQLite database. Move it away; the next sync makes a new one.",
    }
    for sign, sentence in known.items():
        if sign in reason:
            return sentence
    first = (reason.strip().splitlines() or ["no reason given"])[0][:200]
    return f"The manifest's database failed: {first}. Look whether it runs and KVASIR_DATABASE_URL is right."


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Take the transactions out of the driver's hands; keep readers and the writer out of each other's way."""
    try:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()  # Nobody else does, and its thread would outlive the loop.
        raise


def _begin_sqlite(connection: Connection) -> None:
    """Ask for the write lock at once: a transaction that reads first and writes later fails instead of waiting."""
    write = connection.get_execution_options().get("kvasir_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
