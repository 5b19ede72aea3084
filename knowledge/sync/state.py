"""The manifest: which chunks are current, of which document, for whom, and which index is active.

SQLAlchemy's core, no mapped objects, over SQLite (WAL) or PostgreSQL. One table set serves every index: a source row
belongs to one index, its documents to it, their chunks to them. ``pending`` names the ids that the store may hold
although no document lists them (written and not yet flipped, or flipped away and not yet deleted), so that a sync
that died is cleaned up without reading the whole store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Executable,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from knowledge.errors import ManifestError
from knowledge.interfaces import SourceKey
from knowledge.sync.records import (
    CurrentRow,
    Failed,
    Failure,
    Heading,
    Identity,
    Known,
    SourceCounts,
    Taken,
    Touched,
    encode_readers,
)

_T = TypeVar("_T")
_P = ParamSpec("_P")
Rows = Sequence[Row[*tuple[Any, ...]]]

SCHEMA_VERSION = 1
_LOCK_WAIT_S = 5.0
_DEADLINE_S = 60.0
_AT_ONCE = 500
"""Ids in one statement: far below what any database takes."""
_CREATE_LOCK = 0x4B76617369
"""PostgreSQL's advisory lock under which the tables are made."""

_tables = MetaData()
_schema = Table("knowledge_schema", _tables, Column("version", Integer, primary_key=True))
_indexes = Table(
    "knowledge_indexes",
    _tables,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("store", Text, nullable=False),
    Column("embedder", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)
_sources = Table(
    "knowledge_sources",
    _tables,
    Column("id", Integer, primary_key=True),
    Column("index_id", ForeignKey(_indexes.c.id, ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("listed_at", Double),
    Column("error", Text),
    UniqueConstraint("index_id", "key"),
    sqlite_autoincrement=True,
)
_documents = Table(
    "knowledge_documents",
    _tables,
    Column("id", Integer, primary_key=True),
    Column("source_id", ForeignKey(_sources.c.id, ondelete="CASCADE"), nullable=False),
    Column("document", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text),
    Column("readers", Text, nullable=False),
    Column("read_at", Double, nullable=False),
    Column("held", Boolean, nullable=False, default=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("retry_at", Double, nullable=False, default=0.0),
    Column("chunks", Integer, nullable=False, default=0),
    UniqueConstraint("source_id", "document"),
    sqlite_autoincrement=True,
)
_chunks = Table(
    "knowledge_chunks",
    _tables,
    Column("id", Text, primary_key=True),
    Column("index_id", ForeignKey(_indexes.c.id, ondelete="CASCADE"), primary_key=True),
    Column("document_id", ForeignKey(_documents.c.id, ondelete="CASCADE"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("heading", Text, nullable=False),
    Index("knowledge_chunks_document", "document_id"),
    sqlite_with_rowid=False,
)
_pending = Table(
    "knowledge_pending",
    _tables,
    Column("id", Text, primary_key=True),
    Column("index_id", ForeignKey(_indexes.c.id, ondelete="CASCADE"), primary_key=True),
    sqlite_with_rowid=False,
)

_KNOWN = select(
    _documents.c.id,
    _documents.c.document,
    _documents.c.version,
    _documents.c.sha256,
    _documents.c.title,
    _documents.c.url,
    _documents.c.readers,
    _documents.c.read_at,
    _documents.c.held,
    _documents.c.reason,
    _documents.c.attempts,
    _documents.c.retry_at,
    _documents.c.chunks,
)
_CURRENT = (
    select(
        _chunks.c.id,
        _documents.c.document,
        _chunks.c.place,
        _documents.c.readers,
        _documents.c.read_at,
        _documents.c.held,
        _documents.c.reason,
        _sources.c.listed_at,
    )
    .join(_documents, _documents.c.id == _chunks.c.document_id)
    .join(_sources, _sources.c.id == _documents.c.source_id)
    .where(
        _chunks.c.id.in_(bindparam("ids", expanding=True)),
        _chunks.c.index_id == bindparam("index"),
        _sources.c.key.in_(bindparam("keys", expanding=True)),
    )
)


def _whole(method: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Let a transaction come to its end although its caller is cancelled; the cancellation goes on after it.

    The driver's thread cannot be stopped in the middle: cancelled there, a connection would be given up with its
    transaction open and the write lock held. Every transaction is short, and bounded by ``_DEADLINE_S``.
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


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index that the manifest knows."""

    id: int
    name: str
    store: str
    embedder: str
    active: bool


class Database:
    """The connections to the manifest's database, with every failure told as a ``ManifestError``."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(kvasir_write=True)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection that only reads."""
        with _explained():
            async with asyncio.timeout(_DEADLINE_S), self._engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that is committed at the end, or rolled back."""
        with _explained():
            async with asyncio.timeout(_DEADLINE_S), self._writer.begin() as connection:
                yield connection

    @_whole
    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """Return every row that a query finds."""
        async with self.reading() as connection:
            return (await connection.execute(statement, values)).all()

    @_whole
    async def prepare(self) -> None:
        """Make the tables where there are none.

        Raises:
            ManifestError: the tables are of a newer Kvasir, or the database cannot be used.

        """
        async with self.writing() as connection:
            version = await connection.run_sync(_create)
        if version != SCHEMA_VERSION:
            raise ManifestError(
                f"The manifest's database was written by another Kvasir (its tables are version {version}, this one "
                f"knows version {SCHEMA_VERSION}). Run that Kvasir, or name another KVASIR_HOME or KVASIR_DATABASE_URL."
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


class Manifest:
    """The indexes of one database; ``at`` gives what lies in one of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @_whole
    async def index(self, identity: Identity) -> IndexRow:
        """Return the index of this identity, noting it when it is new; the first of all is active at once."""
        found = [row for row in await self.indexes() if row.name == identity.name]
        if found:
            return found[0]
        async with self._database.writing() as connection:
            await connection.execute(
                text(
                    "INSERT INTO knowledge_indexes (name, store, embedder, active) SELECT :name, :store, :embedder, "
                    "NOT EXISTS (SELECT 1 FROM knowledge_indexes WHERE active) "
                    "WHERE NOT EXISTS (SELECT 1 FROM knowledge_indexes WHERE name = :name)"
                ),
                {"name": identity.name, "store": identity.store, "embedder": identity.embedder},
            )
        return next(row for row in await self.indexes() if row.name == identity.name)

    async def indexes(self) -> Sequence[IndexRow]:
        """Return every index."""
        rows = await self._database.rows(select(_indexes).order_by(_indexes.c.id))
        return [IndexRow(*tuple(row)) for row in rows]

    @_whole
    async def activate(self, index: IndexRow) -> None:
        """Let searches use this index and no other."""
        async with self._database.writing() as connection:
            await connection.execute(update(_indexes).values(active=_indexes.c.id == index.id))

    @_whole
    async def forget(self, index: IndexRow) -> None:
        """Remove an index and all that lies in it from the manifest."""
        async with self._database.writing() as connection:
            await connection.execute(delete(_indexes).where(_indexes.c.id == index.id))

    def at(self, index: IndexRow) -> IndexManifest:
        """Return what the manifest holds of one index."""
        return IndexManifest(self._database, index.id)

    async def close(self) -> None:
        """Close every connection."""
        await self._database.close()


class IndexManifest:
    """The sources, documents and chunks of one index."""

    def __init__(self, database: Database, index: int) -> None:
        self._database = database
        self._index = index

    # ── For searches ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def current(self, ids: Collection[str], keys: Collection[str]) -> list[CurrentRow]:
        """Return those of the chunks that are current in a source of ``keys`` (``SourceKey.id``), as of one moment."""
        values = {"ids": list(ids), "keys": list(keys), "index": self._index}
        rows = await self._database.rows(_CURRENT, values)
        return [
            CurrentRow(
                id_, document, place, readers, _confirmed(read_at, listed_at, doubted=held or reason is not None)
            )
            for id_, document, place, readers, read_at, held, reason, listed_at in rows
        ]

    async def headings(self, keys: Collection[str], limit: int) -> list[Heading]:
        """Return where each heading's first chunk is, by document and place, at most ``limit``."""
        query = (
            select(_documents.c.document, _documents.c.title, _chunks.c.heading, _chunks.c.id)
            .join(_documents, _documents.c.id == _chunks.c.document_id)
            .join(_sources, _sources.c.id == _documents.c.source_id)
            .where(_chunks.c.index_id == self._index, _sources.c.key.in_(keys))
            .order_by(_sources.c.key, _documents.c.document, _chunks.c.place)
            .limit(limit)
        )
        first: dict[tuple[str, str], Heading] = {}
        for row in await self._rows(query):
            heading = Heading(*tuple(row))
            first.setdefault((heading.document, heading.heading), heading)
        return list(first.values())

    # ── A sync, in the order of its steps ────────────────────────────────────────────────────────────────────────────

    @_whole
    async def purge(self, keys: Collection[str]) -> int:
        """Drop every source that is not among ``keys``; its chunks become pending. Returns how many were dropped."""
        stale = select(_sources.c.id).where(_sources.c.index_id == self._index, _sources.c.key.not_in(keys))
        if not await self._rows(stale):
            return 0
        async with self._database.writing() as connection:
            documents = select(_documents.c.id).where(_documents.c.source_id.in_(stale))
            await self._retire(connection, documents)
            gone = await connection.execute(delete(_sources).where(_sources.c.id.in_(stale.scalar_subquery())))
            return int(gone.rowcount)

    async def pending(self, limit: int) -> list[str]:
        """Return ids that the store may hold although no document lists them."""
        query = select(_pending.c.id).where(_pending.c.index_id == self._index).limit(limit)
        return [id_ for (id_,) in await self._rows(query)]

    @_whole
    async def note_pending(self, ids: Collection[str]) -> None:
        """Note ids that are about to be written."""
        async with self._database.writing() as connection:
            await self._note(connection, ids)

    @_whole
    async def settle(self, ids: Collection[str]) -> None:
        """Forget pending ids: the store holds them no longer."""
        async with self._database.writing() as connection:
            await self._unnote(connection, ids)

    async def count_chunks(self) -> int:
        """Count the current chunks of the whole index."""
        query = select(func.count()).select_from(_chunks).where(_chunks.c.index_id == self._index)
        return int((await self._rows(query))[0][0])

    async def chunk_ids(self) -> set[str]:
        """Return the ids of all current chunks of the index, for repair."""
        query = select(_chunks.c.id).where(_chunks.c.index_id == self._index)
        return {id_ for (id_,) in await self._rows(query)}

    @_whole
    async def lose(self, ids: Collection[str]) -> None:
        """Note that the store lost chunks: their documents are read again by the next plan."""
        async with self._database.writing() as connection:
            for some in _portions(ids):
                theirs = select(_chunks.c.document_id).where(self._these(_chunks, some))
                await connection.execute(
                    update(_documents).where(_documents.c.id.in_(theirs)).values(version="", sha256="")
                )
                await connection.execute(delete(_chunks).where(self._these(_chunks, some)))
            remaining = select(func.count()).where(_chunks.c.document_id == _documents.c.id).scalar_subquery()
            await connection.execute(update(_documents).where(_documents.c.sha256 == "").values(chunks=remaining))

    async def known(self, key: SourceKey) -> list[Known]:
        """Return every document of a source."""
        query = _KNOWN.join(_sources).where(_sources.c.index_id == self._index, _sources.c.key == key.id)
        return [Known._make(row) for row in await self._rows(query)]

    async def places(self, row: int) -> set[str]:
        """Return the ids of a document's current chunks."""
        return {id_ for (id_,) in await self._rows(select(_chunks.c.id).where(_chunks.c.document_id == row))}

    async def restrict(self, readers: Mapping[int, str]) -> None:
        """Set documents' readers at once, before their chunks are written again."""
        await self._update_each([{"row": row, "readers": value} for row, value in readers.items()])

    async def hold(self, rows: Collection[int], *, held: bool) -> None:
        """Mark documents as missing from a listing that is not believed, or as back."""
        await self._update_each([{"row": row, "held": held} for row in rows])

    async def touch(self, touched: Iterable[Touched]) -> None:
        """Note that documents were read and had not changed."""
        await self._update_each(
            [{"row": t.row, "version": t.version, "read_at": t.read_at, "reason": None, "attempts": 0} for t in touched]
        )

    @_whole
    async def flip(self, key: SourceKey, taken: Sequence[Taken]) -> list[str]:
        """Make the chunks of documents current, all in one transaction; returns the ids that no longer are."""
        if not taken:
            return []
        async with self._database.writing() as connection:
            source = await self._source(connection, key)
            old: list[str] = []
            for document in taken:
                row = await _upsert(connection, source, document)
                old += await self._replace(connection, row, document)
            return old

    @_whole
    async def fail(self, key: SourceKey, failed: Sequence[Failed]) -> None:
        """Put documents into quarantine; what they held before keeps answering."""
        if not failed:
            return
        async with self._database.writing() as connection:
            source = await self._source(connection, key)
            for document in failed:
                await _quarantine(connection, source, document)

    @_whole
    async def remove(self, rows: Collection[int]) -> list[str]:
        """Remove documents; returns the ids of their chunks, which are pending now."""
        old: list[str] = []
        async with self._database.writing() as connection:
            for some in _portions(rows):
                old += await self._retire(connection, some)
                await connection.execute(delete(_documents).where(_documents.c.id.in_(some)))
        return old

    @_whole
    async def finish(self, key: SourceKey, *, listed_at: float | None, error: str | None) -> None:
        """Note how a source's sync ended; ``listed_at`` is None when its listing was not worked off."""
        values: dict[str, object] = {"error": error}
        if listed_at is not None:
            values["listed_at"] = listed_at
        async with self._database.writing() as connection:
            source = await self._source(connection, key)
            await connection.execute(update(_sources).where(_sources.c.id == source).values(values))

    # ── For status ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def counts(self, key: SourceKey) -> SourceCounts:
        """Return what the manifest holds of a source."""
        mine = (_sources.c.index_id == self._index, _sources.c.key == key.id)
        rows = await self._rows(select(_sources.c.id, _sources.c.listed_at, _sources.c.error).where(*mine))
        if not rows:
            return SourceCounts()
        source, listed_at, error = rows[0]
        counted = await self._rows(
            select(
                func.count().filter(_documents.c.read_at > 0.0),
                func.coalesce(func.sum(_documents.c.chunks), 0),
                func.count().filter(_documents.c.reason.is_not(None)),
                func.count().filter(_documents.c.held),
            ).where(_documents.c.source_id == source)
        )
        documents, chunks, failed, held = counted[0]
        return SourceCounts(documents, chunks, failed, held, listed_at, error)

    async def failures(self, key: SourceKey, limit: int) -> tuple[Failure, ...]:
        """Return the first documents in quarantine with their reasons."""
        query = (
            select(_documents.c.document, _documents.c.reason)
            .join(_sources)
            .where(_sources.c.index_id == self._index, _sources.c.key == key.id, _documents.c.reason.is_not(None))
            .order_by(_documents.c.document)
            .limit(limit)
        )
        return tuple(Failure(document, reason) for document, reason in await self._rows(query))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _rows(self, query: Executable) -> Rows:
        return await self._database.rows(query)

    async def _source(self, connection: AsyncConnection, key: SourceKey) -> int:
        """Return the source's row, making it when it is new."""
        mine = select(_sources.c.id).where(_sources.c.index_id == self._index, _sources.c.key == key.id)
        found = (await connection.execute(mine)).scalar()
        if found is None:
            made = await connection.execute(insert(_sources).values(index_id=self._index, key=key.id))
            found = _made(made)
        return int(found)

    async def _replace(self, connection: AsyncConnection, row: int, document: Taken) -> list[str]:
        before = set((await connection.execute(select(_chunks.c.id).where(_chunks.c.document_id == row))).scalars())
        await connection.execute(delete(_chunks).where(_chunks.c.document_id == row))
        values = [
            {"id": chunk.id, "index_id": self._index, "document_id": row, "place": place, "heading": chunk.heading}
            for place, chunk in enumerate(document.chunks)
        ]
        if values:
            await connection.execute(insert(_chunks), values)
        now = {chunk.id for chunk in document.chunks}
        await self._unnote(connection, now)
        old = sorted(before - now)
        await self._note(connection, old)
        return old

    async def _retire(self, connection: AsyncConnection, documents: list[int] | Select[int]) -> list[str]:
        """Make the chunks of documents pending and current no longer."""
        theirs = select(_chunks.c.id).where(_chunks.c.document_id.in_(documents))
        old = list((await connection.execute(theirs)).scalars())
        await self._note(connection, old)
        await connection.execute(delete(_chunks).where(_chunks.c.document_id.in_(documents)))
        return old

    async def _note(self, connection: AsyncConnection, ids: Collection[str]) -> None:
        await self._unnote(connection, ids)
        if ids:
            await connection.execute(insert(_pending), [{"id": id_, "index_id": self._index} for id_ in ids])

    async def _unnote(self, connection: AsyncConnection, ids: Collection[str]) -> None:
        for some in _portions(ids):
            await connection.execute(delete(_pending).where(self._these(_pending, some)))

    def _these(self, table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
        return (table.c.id.in_(ids)) & (table.c.index_id == self._index)

    @_whole
    async def _update_each(self, values: list[dict[str, object]]) -> None:
        if values:
            changed: dict[str, BindParameter[object]] = {name: bindparam(name) for name in values[0] if name != "row"}
            statement = update(_documents).where(_documents.c.id == bindparam("row")).values(changed)
            async with self._database.writing() as connection:
                await connection.execute(statement, values)


async def open_manifest(url: str) -> Manifest:
    """Open the manifest that lies in a database, making its tables when there are none.

    ``url`` is SQLAlchemy's, of SQLite or PostgreSQL, without a driver or with an async one; ``sqlite:///PATH``.

    Raises:
        ManifestError: the database cannot be opened, or is of a newer Kvasir.

    """
    database = Database(_engine(url))
    try:
        await database.prepare()
    except BaseException:
        await database.close()
        raise
    return Manifest(database)


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{path}"


def _engine(url: str) -> AsyncEngine:
    scheme, separator, rest = url.partition("://")
    kind = scheme.partition("+")[0]
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    if not separator or kind not in driver:
        raise ManifestError(
            "KVASIR_DATABASE_URL is not a database that Kvasir knows. Write sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    waits = {"timeout": _LOCK_WAIT_S}
    try:
        engine = create_async_engine(f"{driver[kind]}://{rest}", connect_args=waits, hide_parameters=True)
    except ArgumentError as error:
        raise ManifestError("KVASIR_DATABASE_URL cannot be read. Check its port, and escape odd characters.") from error
    if kind == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Tell whatever the database does wrong as a ``ManifestError``."""
    try:
        yield
    except TimeoutError as error:
        raise ManifestError(
            f"The manifest's database did not answer within {_DEADLINE_S:.0f} s. Look whether it is overloaded."
        ) from error
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
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Ask for the write lock at once: a transaction that reads first and writes later fails instead of waiting."""
    write = connection.get_execution_options().get("kvasir_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _create(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})
    if not inspect(connection).has_table(_schema.name):
        _tables.create_all(connection)
        connection.execute(insert(_schema).values(version=SCHEMA_VERSION))
    return int(connection.execute(select(func.max(_schema.c.version))).scalar_one())


async def _upsert(connection: AsyncConnection, source: int, document: Taken) -> int:
    values: dict[str, object] = {
        "version": document.version,
        "sha256": document.sha256,
        "title": document.title,
        "url": document.listed.url,
        "readers": encode_readers(document.listed.readers),
        "read_at": document.read_at,
        "held": False,
        "reason": None,
        "attempts": 0,
        "chunks": len(document.chunks),
    }
    return await _put(connection, source, document.listed.document, values, fresh={})


async def _quarantine(connection: AsyncConnection, source: int, failed: Failed) -> None:
    listed = failed.listed
    values: dict[str, object] = {
        "version": listed.version,
        "reason": failed.reason,
        "attempts": failed.attempts,
        "retry_at": failed.retry_at,
        "held": False,
    }
    readers = encode_readers(listed.readers)
    fresh = {"sha256": "", "title": "", "url": listed.url, "readers": readers, "read_at": 0.0}
    await _put(connection, source, listed.document, values, fresh)


async def _put(
    connection: AsyncConnection, source: int, document: str, values: Mapping[str, object], fresh: Mapping[str, object]
) -> int:
    """Update a document's row, or insert it with ``fresh`` added; returns its id."""
    mine = (_documents.c.source_id == source, _documents.c.document == document)
    row = (await connection.execute(select(_documents.c.id).where(*mine))).scalar()
    if row is None:
        new = {"source_id": source, "document": document, **values, **fresh}
        made = await connection.execute(insert(_documents).values(new))
        return _made(made)
    await connection.execute(update(_documents).where(_documents.c.id == row).values(values))
    return int(row)


def _made(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None  # noqa: S101 - an INSERT of one row always has one
    return int(key[0])


def _confirmed(read_at: float, listed_at: float | None, *, doubted: bool) -> float:
    """Return when a version was last seen: a complete listing confirms every document that it did not doubt."""
    return read_at if doubted or listed_at is None else max(read_at, listed_at)


def _portions(items: Collection[_T]) -> Iterable[list[_T]]:
    every = list(items)
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))
