"""The workspace's records in one SQLite file, which one thread uses."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.sandbox.state.model import Record, dump_record, load_record

RecordChanges = Mapping[tuple[str, str], Record | None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class Storage:
    """Records by kind and key. Records that are queued together are written together.

    ``queue_records`` returns at once, and ``wait_until_stored`` waits for the disk, so many callers share a commit.
    """

    def __init__(self, path: Path, *, locked_s: float = 2.0) -> None:
        self._path = path
        self._locked_s = locked_s  # a commit waits so long for another program that uses the file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-storage")
        self._waiting: dict[tuple[str, str], Record | None] = {}
        self._writing: asyncio.Task[None] | None = None
        self._database: sqlite3.Connection | None = None

    async def open_records(self) -> list[Record]:
        """Open or create the file and return all its records.

        Raises:
            sqlite3.Error: it cannot be opened, or is not a database.

        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read_records)

    def queue_records(self, records: RecordChanges) -> None:
        """Queue records to write (None: to delete); only the latest version of each is written."""
        self._waiting.update(records)

    async def wait_until_stored(self) -> None:
        """Wait until all queued records are committed.

        Raises:
            sqlite3.Error: it cannot be written.

        """
        while self._waiting or self._writing:
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_batch())
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Write queued records and close the file; safe to call twice."""
        if self._database is None:
            return
        try:
            await self.wait_until_stored()
        finally:
            self._thread.shutdown()
            self._database.close()
            self._database = None

    async def _write_batch(self) -> None:
        batch, self._waiting = self._waiting, {}
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit_records, batch)
        except BaseException:
            self._waiting = {**batch, **self._waiting}  # the next commit writes them
            raise
        finally:
            self._writing = None

    def _read_records(self) -> list[Record]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            self._path, timeout=self._locked_s, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)
        rows = self._database.execute("SELECT kind, body FROM record").fetchall()
        return [load_record(kind, json.loads(body)) for kind, body in rows]

    def _commit_records(self, records: RecordChanges) -> None:
        if self._database is None:
            return
        with self._database as database:
            database.execute("BEGIN")
            for row, record in records.items():
                if record is None:
                    database.execute("DELETE FROM record WHERE kind = ? AND key = ?", row)
                else:
                    body = json.dumps(dump_record(record), ensure_ascii=False)
                    database.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (*row, body))
