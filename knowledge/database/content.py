"""What sources keep in a database that several hosts share: added documents, lists of pages, texts of feeds.

Without such a database they keep it in files. The stores of both kinds block, so they are called in threads
(``ContentStore.run``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from knowledge.database.clock import database_time
from knowledge.database.database import Database, Work
from knowledge.errors import DatabaseError, SourceUnavailable
from knowledge.thread_pool import NamedThreadPool

_T = TypeVar("_T")


class ContentRows:
    """The entries of one source, within a transaction. An entry has a name, a short text and bytes."""

    def __init__(self, connection: Connection, table: Table, namespace: str, source: str) -> None:
        self._connection = connection
        self._table = table
        self._owner = {"namespace": namespace, "source": source}
        self._is_ours = (table.c.namespace == namespace) & (table.c.source == source)

    def list_texts(self) -> dict[str, str]:
        """Return the texts of all entries by their names."""
        query = select(self._table.c.name, self._table.c.meta).where(self._is_ours)
        return {row.name: row.meta for row in self._connection.execute(query)}

    def find_text(self, name: str) -> str | None:
        """Return the text of an entry, None if there is none."""
        return self._connection.execute(
            select(self._table.c.meta).where(self._is_ours, self._table.c.name == name)
        ).scalar()

    def load_entry(self, name: str) -> tuple[str, bytes] | None:
        """Return the text and the bytes of an entry, which belong together; None if there is none."""
        query = select(self._table.c.meta, self._table.c.data).where(self._is_ours, self._table.c.name == name)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else (row.meta, row.data)

    def put_entry(self, name: str, text: str, data: bytes | None = None) -> None:
        """Insert or replace an entry. Without ``data`` an entry keeps its bytes."""
        values: dict[str, Any] = {"meta": text, "changed_at": database_time()}
        values |= {} if data is None else {"data": data}
        change = update(self._table).where(self._is_ours, self._table.c.name == name).values(values)
        if not self._connection.execute(change).rowcount:
            self._connection.execute(insert(self._table).values({**self._owner, "name": name, "data": b"", **values}))

    def delete_entries(self, names: Collection[str]) -> int:
        """Delete entries; return how many there were."""
        return self._connection.execute(
            delete(self._table).where(self._is_ours, self._table.c.name.in_(names))
        ).rowcount

    def get_change_mark(self) -> object:
        """Return a value that changes when an entry is inserted, replaced or deleted."""
        query = select(func.count(), func.max(self._table.c.changed_at)).where(self._is_ours)
        return tuple(self._connection.execute(query).one())


@dataclass(frozen=True)
class SharedContent:
    """The entries of the sources of one namespace. Make it on the event loop; its stores are for other threads."""

    database: Database = field(repr=False)
    table: Table = field(repr=False)
    """It has the columns namespace, source, name, meta, data and changed_at."""
    namespace: str
    roots: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The roots of the sources that the manifest knows, by kind and name: hosts with other homes use the same ones."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, repr=False)
    threads: NamedThreadPool = field(default_factory=lambda: NamedThreadPool("shared content"), repr=False)
    """Where stores wait for the database. In the loop's own threads, its name is resolved for each new connection."""

    def open_source(self, kind: str, name: str) -> SourceContent:
        """Return the entries of one source."""
        return SourceContent(self, f"{kind} {name}")

    async def list_sources(self, kind: str) -> set[str]:
        """Return the names of the sources of a kind that have entries, also those that are no longer configured."""
        source = self.table.c.source
        query = select(source).where(self.table.c.namespace == self.namespace, source.startswith(f"{kind} ")).distinct()
        return {name.partition(" ")[2] for (name,) in await self.database.fetch_rows(query)}


@dataclass(frozen=True)
class SourceContent:
    """The entries of one source. Its methods block, and must not be called on the event loop."""

    shared: SharedContent
    source: str

    def read(self, work: Callable[[ContentRows], _T]) -> _T:
        """Return what some work on the entries returns, which changes nothing.

        Raises:
            SourceUnavailable: the database failed.

        """
        return self._run(self.shared.database.read, work)

    def change(self, work: Callable[[ContentRows], _T]) -> _T:
        """Return what some work on the entries returns, in one transaction.

        Raises:
            SourceUnavailable: the database failed.

        """
        return self._run(self.shared.database.write, work)

    def _run(self, transact: Callable[[Work[_T]], Coroutine[Any, Any, _T]], work: Callable[[ContentRows], _T]) -> _T:
        shared = self.shared
        call = transact(lambda connection: work(ContentRows(connection, shared.table, shared.namespace, self.source)))
        try:
            return asyncio.run_coroutine_threadsafe(call, shared.loop).result()
        except DatabaseError as error:
            raise SourceUnavailable(str(error)) from error

    def import_files(self, folder: Path, pattern: str, load: Callable[[Path], Callable[[ContentRows], object]]) -> None:
        """Move the files that an older Kvasir wrote into the database; an interrupted import continues.

        ``load`` reads a file and returns what stores it, in a transaction. Then the file is deleted. Files of which a
        part is missing stay.

        Raises:
            SourceUnavailable: a file cannot be read or deleted, or the database failed.

        """
        try:
            for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                with contextlib.suppress(FileNotFoundError):  # another process may import it, too
                    self.change(load(path))
                    path.unlink()
        except OSError as error:
            raise SourceUnavailable(
                f"The files in {folder} cannot be moved into the database: {error.strerror}. Check their rights."
            ) from error


class ContentStore:
    """A store that blocks, in files of this host or in a database that several hosts share."""

    def __init__(self, content: SourceContent | None) -> None:
        self.is_shared = content is not None
        self._threads = None if content is None else content.shared.threads

    async def run(self, call: Callable[[], _T]) -> _T:
        """Return the result of a blocking call, in a thread for which the database never waits."""
        return await (asyncio.to_thread(call) if self._threads is None else self._threads.run(call))
