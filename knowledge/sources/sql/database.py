"""A database that is only read: read-only transactions, batches, deadlines, and translated errors."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, TextClause, bindparam, create_engine, event, text
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import NullType

from knowledge.database.postgresql_url import translate_parameters
from knowledge.errors import SourceDenied, SourceError, SourceUnavailable
from knowledge.thread_pool import NamedThreadPool

Batch = Sequence[Mapping[str, Any]]

_BATCH_ROWS = 1000
_STREAM_OPTIONS: Mapping[str, Any] = {"stream_results": True, "max_row_buffer": _BATCH_ROWS}
"""A server-side cursor: rows arrive as they are needed."""
_CONNECT_S = 20
_GRACE_S = 10.0
"""How much longer than the database's own timeout Kvasir waits for its answer."""
_POOL_SIZE = 4
_SQLITE_STEPS = 100_000
"""The number of SQLite instructions between two checks of the deadline."""
_ASYNC_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_CONNECT_TIMEOUT_KEYS = {
    "asyncpg": "timeout", "psycopg": "connect_timeout", "psycopg2": "connect_timeout", "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout", "aiomysql": "connect_timeout",
}  # fmt: skip
_READ_ONLY_STATEMENTS: Mapping[str, Sequence[str]] = {
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = {ms}"),
    "mysql": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_execution_time = {ms}"),
    "mariadb": ("SET SESSION TRANSACTION READ ONLY", "SET SESSION max_statement_time = {s}"),
    "oracle": ("SET TRANSACTION READ ONLY",),
}


class SqlDatabase:
    """Runs statements that read. The address is a secret: no error contains it."""

    def __init__(self, url: URL, statement_s: float) -> None:
        self._url = url
        self._statement_s = statement_s
        self._threads = NamedThreadPool("kvasir-sql", width=1)
        self._engine: Engine | AsyncEngine | None = None
        self.display_url = display_url(url)

    def quote_column(self, column: str) -> str:
        """Return a column's name quoted for this database."""
        return str(self._url.get_dialect()().identifier_preparer.quote(column))

    async def fetch_batches(
        self, statement: str, key: object = None
    ) -> AsyncGenerator[tuple[Sequence[str], Batch], None]:
        """Yield the columns with a batch of rows, at least once even without rows.

        ``key`` is the value of ``:kvasir_key``, or the list of values of ``:kvasir_keys``.

        Raises:
            SourceError: the database refused the statement, took too long, or cannot be reached.

        """
        clause = text(statement)
        if ":kvasir_key" in statement:  # without a type, the parameter gets the type of its column
            is_list = ":kvasir_keys" in statement
            name = "kvasir_keys" if is_list else "kvasir_key"
            clause = clause.bindparams(bindparam(name, key, NullType(), expanding=is_list))
        if self._engine is None:
            self._engine = _create_engine(self._url, self._statement_s)
        engine = self._engine
        read = (
            self._read_async(engine, clause)
            if isinstance(engine, AsyncEngine)
            else self._read_in_thread(engine, clause)
        )
        async with contextlib.aclosing(read):
            while True:
                try:
                    async with asyncio.timeout(self._statement_s + _CONNECT_S + _GRACE_S):
                        batch = await anext(read, None)
                except TimeoutError:
                    raise SourceUnavailable(
                        _TOO_SLOW.format(where=self.display_url, seconds=self._statement_s)
                    ) from None
                except Exception as error:  # noqa: BLE001 - while rows arrive, SQLAlchemy does not wrap the driver's errors
                    raise _translate_error(error, self.display_url, self._statement_s) from None
                if batch is None:
                    return
                yield batch

    async def close(self) -> None:
        """Close every connection; the next statement opens one."""
        engine, self._engine = self._engine, None
        if isinstance(engine, AsyncEngine):
            await engine.dispose()
        elif engine is not None:
            self._threads.run_later(engine.dispose)
        self._threads.close()

    async def _read_async(
        self, engine: AsyncEngine, clause: TextClause
    ) -> AsyncGenerator[tuple[Sequence[str], Batch], None]:
        async with engine.connect() as connection:
            for setting in _read_only_settings(connection.dialect, self._statement_s):
                await connection.execute(text(setting))
            result = await connection.stream(clause, execution_options=_STREAM_OPTIONS)
            columns = list(result.keys())
            yield columns, ()
            async for rows in result.partitions(_BATCH_ROWS):
                yield columns, [row._asdict() for row in rows]

    async def _read_in_thread(
        self, engine: Engine, clause: TextClause
    ) -> AsyncGenerator[tuple[Sequence[str], Batch], None]:
        rows = _read_batches(engine, clause, self._statement_s)
        try:
            while (batch := await self._threads.run(lambda: next(rows, None))) is not None:
                yield batch
        finally:
            self._threads.run_later(rows.close)  # waits for the call that may still run in the thread


def _read_batches(
    engine: Engine, clause: TextClause, statement_s: float
) -> Generator[tuple[Sequence[str], Batch], None, None]:
    with engine.connect() as connection:
        for setting in _read_only_settings(connection.dialect, statement_s):
            connection.execute(text(setting))
        result = connection.execute(clause, execution_options=_STREAM_OPTIONS)
        columns = list(result.keys())
        yield columns, ()
        for rows in result.partitions(_BATCH_ROWS):
            yield columns, [row._asdict() for row in rows]


def _read_only_settings(dialect: Dialect, statement_s: float) -> Sequence[str]:
    # ``mysql://`` can be either server, and each refuses the other's timeout setting.
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    return [one.format(ms=int(statement_s * 1000), s=statement_s) for one in _READ_ONLY_STATEMENTS.get(name, ())]


def parse_database_url(address: str, base: Path) -> URL:
    """Parse a database's URL; a relative SQLite file starts at ``base``.

    Raises:
        ValueError: the address is invalid, has an unknown parameter, or its driver is not installed; the text does not
            quote it.

    """
    scheme, separator, rest = address.strip().partition("://")
    try:
        url = make_url(f"{_ASYNC_DRIVERS.get(scheme, scheme)}{separator}{rest}")
        url.get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        raise ValueError(f"needs the package {error.name}. Install it") from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError("is not an address of a database, such as postgresql://user:password@host/database") from None
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise ValueError("must name a file, such as sqlite:////srv/records.db")
        return url.set(database=str(base / url.database))
    return translate_parameters(url) if url.get_driver_name() == "asyncpg" else url


def display_url(url: URL) -> str:
    """Return a database's address without user and password."""
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    return f"{url.get_backend_name()}://{host}/{url.database or ''}"


def _create_engine(url: URL, statement_s: float) -> Engine | AsyncEngine:
    settings: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            "sqlite://", creator=lambda: _connect_sqlite(url.database or ""), poolclass=NullPool, **settings
        )
        event.listen(engine, "begin", lambda connection: _limit_sqlite_time(connection, statement_s))
        return engine
    settings |= {"pool_size": _POOL_SIZE, "max_overflow": 0, "pool_timeout": _CONNECT_S}
    timeout = _CONNECT_TIMEOUT_KEYS.get(url.get_driver_name())
    settings["connect_args"] = {timeout: _CONNECT_S} if timeout else {}
    return create_async_engine(url, **settings) if url.get_dialect().is_async else create_engine(url, **settings)


def _connect_sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=_CONNECT_S, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _limit_sqlite_time(connection: Connection, statement_s: float) -> None:
    """Interrupt statements of SQLite after the deadline, as SQLite has no timeout of its own."""
    end = time.monotonic() + statement_s
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - _connect_sqlite made it
    driver.set_progress_handler(lambda: int(time.monotonic() > end), _SQLITE_STEPS)


_TOO_SLOW = (
    "{where} did not answer within {seconds:.0f} s. Make the query faster (an index on the key), or raise "
    "the source's timeout_s."
)
_NEVER_MATCHES = r"(?!)"
_FAILURES: Sequence[tuple[str, str, type[SourceError], str]] = (
    ("57014", r"interrupted", SourceUnavailable, _TOO_SLOW),
    (
        "25006",
        r"readonly database",
        SourceError,
        "The query writes, but Kvasir may only read {where}. Remove everything that changes data.",
    ),
    (
        "28|42501",
        # MySQL's numbers: their SQLSTATE is the same as for a wrong statement.
        r"not authorized|^\((1044|1045|1142|1143|1370), ",
        SourceDenied,
        "{where} refuses these credentials, or the right to read. Check the variable of url_env, and GRANT SELECT.",
    ),
    (
        "3D000",
        r"unable to open|^\(1049, ",
        SourceUnavailable,
        "There is no database {where}. Check the variable that url_env names.",
    ),
    (
        "42",  # about the statement, which comes from kvasir.toml
        r"^(no such (table|column)|near |ambiguous column)",
        SourceError,
        "{where} does not accept the query: {reason}. Correct it in kvasir.toml.",
    ),
    (
        _NEVER_MATCHES,
        r"not a database|malformed",
        SourceUnavailable,
        "{where} is not a SQLite database, or it is damaged. Check the file.",
    ),
)
"""SQLSTATE or the error's words, and what they mean; the first match counts."""


def _translate_error(error: Exception, where: str, statement_s: float) -> SourceError:
    """Translate any error of a database; its own words are quoted only if they are about the statement."""
    cause = getattr(error, "orig", None) or error
    words = str(cause).partition("\n")[0]
    state = str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")
    for states, sign, kind, sentence in _FAILURES:
        if (state and re.match(states, state)) or re.search(sign, words):
            reason = re.sub(r"^<class '[^']*'>: ", "", words)[:160].rstrip(".")
            return kind(sentence.format(where=where, reason=reason, seconds=statement_s))
    return SourceUnavailable(
        f"{where} cannot be read{f' (SQLSTATE {state})' if state.isalnum() else ''}. Check that it is up and "
        "accepts connections; the next sync tries again."
    )
