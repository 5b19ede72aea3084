"""The manifest knows the current chunks of each document, their readers, and the active index."""

from __future__ import annotations

import asyncio
import copy
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, literal, select, text, update

from knowledge.database.content import SharedContent
from knowledge.database.database import Database, DatabaseOptions, transaction
from knowledge.database.migrations import open_database
from knowledge.interfaces import SourceKey
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.records import IndexIdentity, make_memory_key

_DELETED_AT_ONCE = 500
"""Documents of an index that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index in the manifest."""

    id: int
    name: str
    store: str
    embedder: str
    active: bool
    dimensions: int | None = None
    """Length of its vectors; None if an older Kvasir made it, or before its embedder has said it."""


class Manifest:
    """The indexes of one namespace in a database. ``open_index`` opens one of them."""

    def __init__(self, database: Database, namespace: str = "") -> None:
        self.database = database
        self.namespace = namespace
        self._is_ours = tables.indexes.c.namespace == namespace
        self.suffix = f"@{namespace}" if namespace else ""
        """Ends the stored name of an index, which must be unique."""
        self.content: SharedContent | None = None
        """What sources share with other hosts; None for a file of SQLite, which has one host."""

    async def add_index(self, identity: IndexIdentity, dimensions: int | None = None) -> IndexRow:
        """Return the index of this identity, and add it if it is new. The first index of all is active at once."""
        if all(row.name != identity.name for row in await self.list_indexes()):
            await self._insert_index(identity, dimensions)
        return next(row for row in await self.list_indexes() if row.name == identity.name)

    @transaction
    def _insert_index(self, connection: Connection, identity: IndexIdentity, dimensions: int | None) -> None:
        connection.execute(
            text(
                "INSERT INTO knowledge_indexes (name, store, embedder, dimensions, namespace, active) "
                "SELECT :name, :store, :embedder, CAST(:dimensions AS INTEGER), CAST(:namespace AS TEXT), "
                "NOT EXISTS (SELECT 1 FROM knowledge_indexes WHERE active AND namespace = :namespace) "
                "WHERE NOT EXISTS (SELECT 1 FROM knowledge_indexes WHERE name = :name)"
            ),
            {
                "name": f"{identity.name}{self.suffix}",
                "namespace": self.namespace,
                "store": identity.store,
                "embedder": identity.embedder,
                "dimensions": dimensions or None,
            },
        )

    @transaction
    def record_dimensions(self, connection: Connection, index: IndexRow, dimensions: int) -> None:
        """Store the length of an index's vectors, unless there is one."""
        row = tables.indexes.c
        missing = (row.id == index.id) & row.dimensions.is_(None)
        connection.execute(update(tables.indexes).where(missing).values(dimensions=dimensions))

    async def list_indexes(self) -> Sequence[IndexRow]:
        """Return every index."""
        rows = await self.database.fetch_rows(tables.INDEXES, {"namespace": self.namespace})
        return [IndexRow(id_, name.removesuffix(self.suffix), *rest) for id_, name, *rest in rows]

    @transaction
    def adopt_indexes(self, connection: Connection, store: str, names: Collection[str]) -> None:
        """Take over indexes of this namespace that an older Kvasir wrote without it, with their sources' memories."""
        row = tables.indexes.c
        ours = (row.namespace == "") & (row.store == store) & row.name.in_(names)
        connection.execute(
            update(tables.indexes).where(ours).values(namespace=self.namespace, name=row.name + self.suffix)
        )
        keys = select(tables.sources.c.key).join(tables.indexes).where(self._is_ours)
        memories = tables.memories.c.source
        renamed = literal(make_memory_key(self.namespace, "")) + memories
        connection.execute(update(tables.memories).where(memories.in_(keys)).values(source=renamed))

    @transaction
    def activate_index(self, connection: Connection, index: IndexRow) -> None:
        """Make this the index that searches use."""
        connection.execute(update(tables.indexes).where(self._is_ours).values(active=tables.indexes.c.id == index.id))

    async def forget_index(self, index: IndexRow) -> None:
        """Remove an index with its documents. If that is interrupted, the index stays with fewer documents."""
        while await self._delete_some_documents(index):
            pass
        await self._delete_index(index)

    @transaction
    def _delete_some_documents(self, connection: Connection, index: IndexRow) -> bool:
        """Delete some documents, because all of them could exceed the time of a transaction."""
        ours = tables.sources.c.index_id == index.id
        some = select(tables.documents.c.id).join(tables.sources).where(ours).limit(_DELETED_AT_ONCE)
        connection.execute(update(tables.sources).where(ours).values(listed_at=None))
        gone = connection.execute(delete(tables.documents).where(tables.documents.c.id.in_(some)))
        return bool(gone.rowcount)

    @transaction
    def _delete_index(self, connection: Connection, index: IndexRow) -> None:
        connection.execute(delete(tables.indexes).where(tables.indexes.c.id == index.id))

    def use_database(self, database: Database) -> Manifest:
        """Return this manifest over another face of its database, such as one that compares a leader's term."""
        manifest = copy.copy(self)
        manifest.database = database
        return manifest

    def open_index(self, index: IndexRow) -> IndexManifest:
        """Return one index with its sources, documents and chunks."""
        return IndexManifest(self.database, index.id, self.namespace)

    def get_source_memory(self, source: SourceKey) -> ManifestSourceMemory:
        """Return the memory of a source between listings."""
        return ManifestSourceMemory(self.database, make_memory_key(self.namespace, source.id))

    async def open_content(self) -> None:
        """Open what sources share with other hosts, if the database is a server, or was restored from one.

        Raises:
            DatabaseError: the database failed.

        """
        ours = select(tables.content.c.name).where(tables.content.c.namespace == self.namespace).limit(1)
        if not self.database.is_server and not await self.database.fetch_rows(ours):
            return
        keys = select(tables.sources.c.key).join(tables.indexes).where(self._is_ours).order_by(tables.sources.c.key)
        known = [SourceKey(*key.split("\x1f", 2)) for (key,) in await self.database.fetch_rows(keys.distinct())]
        roots = {(key.kind, key.name): key.root for key in known}
        self.content = SharedContent(self.database, tables.content, self.namespace, roots)

    async def close(self) -> None:
        """Close every connection."""
        if self.content is not None:
            self.content.threads.close()
        await self.database.close()


class ManifestSourceMemory:
    """The ``Memory`` of one source, identified by its ``make_memory_key``. It is stored compressed."""

    def __init__(self, database: Database, source: str) -> None:
        self.database = database
        self._source = source

    async def load(self) -> bytes | None:
        """Return what was saved last, None if there is nothing, or if it is unreadable.

        Raises:
            DatabaseError: the database failed.

        """
        mine = select(tables.memories.c.data).where(tables.memories.c.source == self._source)
        rows = await self.database.fetch_rows(mine)
        try:
            return await asyncio.to_thread(zlib.decompress, rows[0][0]) if rows else None
        except zlib.error:
            return None

    async def save(self, data: bytes) -> None:
        """Replace what was saved.

        Raises:
            DatabaseError: the database failed.

        """
        await self._store_data(await asyncio.to_thread(zlib.compress, data))

    @transaction
    def _store_data(self, connection: Connection, data: bytes) -> None:
        connection.execute(delete(tables.memories).where(tables.memories.c.source == self._source))
        connection.execute(insert(tables.memories).values(source=self._source, data=data))


async def open_manifest(url: str, namespace: str = "", *, lock_wait_s: float = 5.0, answer_s: float = 60.0) -> Manifest:
    """Open the manifest in a database, with its tables at the newest revision.

    ``url`` is a SQLAlchemy URL of PostgreSQL or SQLite; its driver does not matter. ``DatabaseOptions`` explains
    ``lock_wait_s`` and ``answer_s``.

    Raises:
        DatabaseError: the database cannot be opened, or a newer Kvasir made its tables.

    """
    database = await open_database(url, tables.MIGRATIONS, DatabaseOptions(lock_wait_s, answer_s))
    manifest = Manifest(database, namespace)
    try:
        await manifest.open_content()
    except BaseException:
        await manifest.close()
        raise
    return manifest
