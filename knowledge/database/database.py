"""Transactions on SQLite or PostgreSQL. Work is written once, for SQLAlchemy's synchronous connection.

SQLite: a whole transaction is one trip to a thread. Through an asynchronous driver it is about ten, and each waits for
the interpreter's lock. One thread writes, so the writers of a process queue; other threads read meanwhile.

PostgreSQL: work runs over the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, event, func, make_url, select
from sqlalchemy.engine import URL, Row
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from knowledge.database.clock import database_time
from knowledge.database.failures import map_errors
from knowledge.database.postgresql_url import is_pooled, remove_pooling, translate_parameters
from knowledge.errors import DatabaseError
from knowledge.thread_pool import NamedThreadPool

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_T = TypeVar("_T")
_P = ParamSpec("_P")
Work = Callable[[Connection], _T]
Rows = Sequence[Row[*tuple[Any, ...]]]

_DRIVERS: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
WRITE_LOCK: Final = 0x4B76617369
"""PostgreSQL's advisory lock that a writer holds until its transaction ends."""
_IDLE_LIMIT: Final = "15s"
"""How long a client of PostgreSQL may do nothing within a writing transaction. It is less than a lease is valid."""
_BUSY_PAUSE_S: Final = 0.02
_PRIMARY_CODE: Final = 0xFF
"""The part of SQLite's error codes that is the same for all kinds of one error."""
_CLOCK_EVERY_S: Final = 30.0
"""How often the clock of a PostgreSQL server is read. Monotonic clocks drift by less than 10 ms meanwhile."""
_INEXACT_S: Final = 0.1
"""A reading of the clock that takes longer is repeated after ``_REPEAT_S``; the quickest one counts until then."""
_REPEAT_S: Final = 1.0
_UNNAMED: Final[dict[str, Any]] = {
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": lambda: "",
}
"""Arguments of a connection whose next transaction another server process may run. PostgreSQL forgets a statement
without a name when the next one comes, so none is left there, and none exists already."""
_SCRUB_PAUSE_S: Final = 0.1
_CREATION: Final = threading.Lock()
_FILE_LIMIT_S: Final = 60.0
"""The time for a transaction on a SQLite file. A burst queues here, and each one waits for its own ``lock_wait_s``."""


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """How long to wait, and how safely to write."""

    lock_wait_s: float = 5.0
    """How long to wait for another program's lock, and for a connection."""
    answer_s: float = 60.0
    """The time for a whole transaction at a PostgreSQL server; on a SQLite file it is at least a minute."""
    readers: int = 4
    """Threads that read a SQLite file, so that a long query delays no short one. With 0 the writing thread also reads,
    and all transactions keep their order."""
    durable: bool = True
    """Whether SQLite waits for the disk at each commit. Without it, a power cut may cost the last transactions."""
    one_writer: bool = True
    """Whether the writers of all machines queue at PostgreSQL, as they always do at SQLite."""
    one_snapshot: bool = False
    """Whether all queries of a transaction see PostgreSQL as it was at its first one, as they always do at SQLite."""


class Database:
    """The connections to one database. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, url: str, options: DatabaseOptions | None = None) -> None:
        """Connect to nothing yet.

        Raises:
            DatabaseError: the URL cannot be read, or names a database of another kind.

        """
        self._url = parse_url(url)
        connect = _SqliteConnections if self._url.get_backend_name() == "sqlite" else _PostgresConnections
        self._connections = connect(self._url, options or DatabaseOptions())
        self.is_server = self._url.get_backend_name() != "sqlite"
        """Whether several hosts may share it."""
        self.writes = 0
        """Writing transactions of this process so far."""

    def now(self) -> float:
        """Return seconds since the epoch by the clock of the database, which all hosts share.

        It never waits: the clock of a PostgreSQL server is read with the first transaction, and with some later ones.
        """
        return self._connections.now()

    async def read(self, work: Work[_T]) -> _T:
        """Return what the work returns, in a transaction that writes nothing."""
        return await self._run_work(work, write=False)

    async def write(self, work: Work[_T]) -> _T:
        """Return what the work returns, in a transaction that is committed, or rolled back if the work raises."""
        try:
            return await self._run_work(work, write=True)
        finally:
            self.writes += 1

    async def write_now(self, work: Work[_T]) -> _T:
        """Return what the work returns, in a transaction that does not queue behind this process's other writers.

        It is for one statement. At PostgreSQL it does not queue behind the writers of other machines either.
        """
        return await self._run_work(work, write=True, queues=False)

    async def fetch_rows(self, query: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """Return every row that a query finds."""
        return await self._run_work(lambda connection: connection.execute(query, values).all(), write=False)

    async def scrub_files(self, within_s: float, *, compact: bool = False) -> bool:
        """Remove deleted rows from the files of SQLite; return False if other connections read them for too long.

        The write-ahead log is emptied. With ``compact`` the file is rewritten first, which also removes what an
        earlier Kvasir deleted, and needs as much free space again. A PostgreSQL server does this itself.
        """
        with map_errors(self._url, self._connections.limit_s):
            return await _run_to_end(self._connections.scrub(within_s, compact=compact))

    async def maintain_server(self, statements: Sequence[str], within_s: float) -> None:
        """Run statements of PostgreSQL that refuse a transaction, such as VACUUM. A cancelled call stops them."""
        with map_errors(self._url, within_s):
            await self._connections.maintain(statements, within_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._connections.close()

    async def _run_work(self, work: Work[_T], *, write: bool, queues: bool = True) -> _T:
        with map_errors(self._url, self._connections.limit_s):
            return await _run_to_end(self._connections.run(work, write=write, queues=queues))


async def _run_to_end(call: Coroutine[Any, Any, _T]) -> _T:
    """Run a call to its end, even if the caller is cancelled; the cancellation follows.

    Cancelled in the middle, a transaction would leave its connection, and with it the write lock, to the garbage
    collector. Every transaction is short and bounded.
    """
    task = asyncio.create_task(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # marked as retrieved, because the caller has gone
        raise


class _DatabaseOwner(Protocol):
    @property
    def database(self) -> Database:
        """Return where its rows are."""


_Owner = TypeVar("_Owner", bound=_DatabaseOwner)


def transaction(
    method: Callable[Concatenate[_Owner, Connection, _P], _T],
) -> Callable[Concatenate[_Owner, _P], Coroutine[Any, Any, _T]]:
    """Make a method that gets a connection into an asynchronous one that runs in a writing transaction."""

    @functools.wraps(method)
    async def run(owner: _Owner, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await owner.database.write(lambda connection: method(owner, connection, *args, **kwargs))

    return run


def parse_url(url: str) -> URL:
    """Return the URL with the driver that Kvasir uses.

    Raises:
        DatabaseError: it cannot be read, names a database of another kind, or has a parameter that is unknown or wrong.

    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("unknown")
    except ValueError:
        # Not chained: the text quotes the URL with its password.
        raise DatabaseError("KVASIR_DATABASE_URL cannot be read. Check its port, and escape odd characters.") from None
    driver = _DRIVERS.get(parsed.get_backend_name())
    if driver is None or parsed.database in {None, "", ":memory:"}:
        raise DatabaseError(
            "KVASIR_DATABASE_URL is not a database that Kvasir knows. Write sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    if driver == "sqlite":
        return parsed.set(drivername=driver)
    try:
        return translate_parameters(parsed.set(drivername=driver), may_pool=True)
    except ValueError as error:
        raise DatabaseError(f"KVASIR_DATABASE_URL {error}.") from None


class _SqliteConnections:
    def __init__(self, url: URL, options: DatabaseOptions) -> None:
        self.limit_s = max(_FILE_LIMIT_S, options.answer_s)
        self._writer = NamedThreadPool("database-writer", 1)
        self._readers = NamedThreadPool("database", options.readers) if options.readers else self._writer
        self._reading = create_engine(
            url,
            pool_size=options.readers + 1,
            max_overflow=0,
            hide_parameters=True,
            connect_args={"timeout": options.lock_wait_s, "check_same_thread": False},
        )
        event.listen(
            self._reading, "connect", functools.partial(_prepare_sqlite, path=Path(url.database or ""), options=options)
        )
        event.listen(self._reading, "begin", _begin_sqlite)
        self._writing = self._reading.execution_options(kvasir_write=True)

    def now(self) -> float:
        return time.time()  # all processes are on this host

    async def run(self, work: Work[_T], *, write: bool, queues: bool) -> _T:
        threads = self._writer if write and queues else self._readers
        engine = self._writing if write else self._reading
        async with asyncio.timeout(self.limit_s):
            return await threads.run(lambda: _run_in_transaction(engine, work))

    async def scrub(self, within_s: float, *, compact: bool) -> bool:
        return await self._writer.run(lambda: _scrub_file(self._reading, time.monotonic() + within_s, compact=compact))

    async def maintain(self, statements: Sequence[str], within_s: float) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        await self._writer.run(self._reading.dispose)
        self._writer.close()
        self._readers.close()


def _run_in_transaction(engine: Engine, work: Work[_T]) -> _T:
    with engine.begin() as connection:
        return work(connection)


def _scrub_file(engine: Engine, give_up_at: float, *, compact: bool) -> bool:
    """Empty the write-ahead log, and rewrite the file before that; return False if it was locked for too long."""
    statements = ["PRAGMA busy_timeout=0", *(["VACUUM"] if compact else ()), "PRAGMA wal_checkpoint(TRUNCATE)"]
    with contextlib.closing(engine.raw_connection()) as connection:
        connection.detach()  # the pool's connections wait for locks; a checkpoint that waits stops all writers
        while statements:
            if _run_maintenance(connection.cursor(), statements[0]):
                del statements[0]
            elif time.monotonic() > give_up_at:
                return False
            else:
                time.sleep(_SCRUB_PAUSE_S)
    return True


def _run_maintenance(cursor: Any, statement: str) -> bool:  # noqa: ANN401 - of a pool
    """Return whether a statement was run to its end, False if another connection locks or reads the file."""
    try:
        rows = cursor.execute(statement).fetchall()
    except sqlite3.Error as error:
        if not _is_busy(error):
            raise OSError(str(error)) from error
        return False
    return not (rows and rows[0][0])  # a checkpoint that cannot finish returns 1 instead


def _prepare_sqlite(connection: sqlite3.Connection, _record: object, *, path: Path, options: DatabaseOptions) -> None:
    _protect_files(path)
    connection.isolation_level = None  # or the driver would begin and commit on its own
    connection.execute(f"PRAGMA synchronous={'FULL' if options.durable else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # deleted text is overwritten
    give_up_at = time.monotonic() + options.lock_wait_s
    while not _enable_wal(connection, is_last=time.monotonic() > give_up_at):
        time.sleep(_BUSY_PAUSE_S)


def _protect_files(path: Path) -> None:
    """Let only this account read the database. SQLite gives new files next to it the same mode.

    A file that exists is never opened here: closing it would drop all locks that this process holds on it, and another
    process would then delete the log into which this one writes.
    """
    with _CREATION, contextlib.suppress(OSError):  # of another account, or in no folder: SQLite says what is wrong
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).chmod(0o600)


def _enable_wal(connection: sqlite3.Connection, *, is_last: bool) -> bool:
    """Return whether the write-ahead log is on. SQLite does not wait for a process that enables it at the same time."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if is_last or not _is_busy(error):
            raise
        return False
    return True


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & _PRIMARY_CODE in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first and writes later would fail instead of wait."""
    write = connection.get_execution_options().get("kvasir_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class _PostgresConnections:
    def __init__(self, url: URL, options: DatabaseOptions) -> None:
        # It imports the whole object mapper, for which commands on SQLite need not wait.
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

        self._url = url
        self.limit_s = options.answer_s
        self._one_writer = options.one_writer
        self._turn = asyncio.Lock()
        arguments: dict[str, Any] = {"timeout": options.lock_wait_s}
        pool: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": options.lock_wait_s}
        if is_pooled(url):
            arguments, pool = arguments | _UNNAMED, {"poolclass": NullPool}
        if options.one_snapshot:
            pool["isolation_level"] = "REPEATABLE READ"
        self._engine = create_async_engine(remove_pooling(url), hide_parameters=True, connect_args=arguments, **pool)
        self._offset_s: float | None = None
        """What the database's clock is ahead of the monotonic clock."""
        self._reading_s = float("inf")
        self._clock_due_s = float("-inf")

    def now(self) -> float:
        return time.time() if self._offset_s is None else time.monotonic() + self._offset_s

    async def run(self, work: Work[_T], *, write: bool, queues: bool) -> _T:
        alone = write and queues and self._one_writer
        turn = self._turn if alone else contextlib.nullcontext()
        async with asyncio.timeout(self.limit_s), turn, self._engine.begin() as connection:
            if time.monotonic() > self._clock_due_s:
                await self._read_clock(connection)
            if write:
                # The server ends a transaction whose client was stopped or cut off, because its locks stop the others.
                limits = [func.set_config("idle_in_transaction_session_timeout", _IDLE_LIMIT, True)]
                # What BEGIN IMMEDIATE is to SQLite: two writers that look first and insert then would collide.
                locks = [func.pg_advisory_xact_lock(WRITE_LOCK)] if alone else []
                await connection.execute(select(*limits, *locks))
            return await connection.run_sync(work)

    async def _read_clock(self, connection: AsyncConnection) -> None:
        began_s = time.monotonic()
        database_s = float((await connection.execute(select(database_time()))).scalar_one())
        ended_s = time.monotonic()
        is_exact = ended_s - began_s < _INEXACT_S
        if is_exact or ended_s - began_s < self._reading_s:
            self._offset_s, self._reading_s = database_s - (began_s + ended_s) / 2, ended_s - began_s
        self._clock_due_s = ended_s + (_CLOCK_EVERY_S if is_exact else _REPEAT_S)

    async def scrub(self, within_s: float, *, compact: bool) -> bool:  # noqa: ARG002 - for SQLite
        return True

    async def maintain(self, statements: Sequence[str], within_s: float) -> None:
        async with asyncio.timeout(within_s), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for statement in statements:
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        await self._engine.dispose()
