"""Pages that were read, on disk: what was taken off them beside what their responses said. One SQLite file.

What is kept is the text, not the body: a page that has not changed is not taken apart again. The file may be used by
several processes, and a process that is killed leaves the file as it was before what it was just writing. A cache that
cannot be read or written is no reason not to answer: it is then as if it were empty.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from knowledge.errors import CacheFailed
from knowledge.thread_pool import ThreadDoor
from knowledge.web.reading.article import ARTICLE_ADAPTER, Article
from knowledge.web.reading.freshness import CachedResponse

_log = logging.getLogger(__name__)

_FORMAT_VERSION: Final = 1
"""Part of the file's name; another one where what is kept of a page is another thing."""
_MAX_PAGE_SHARE: Final = 0.25
"""Of the whole cache, that one page may take."""
_BUSY_S: Final = 2.0
_MAX_TOUCHES: Final = 256
_TABLE: Final = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA journal_size_limit=1000000",
    "CREATE TABLE IF NOT EXISTS pages (url TEXT PRIMARY KEY, head TEXT NOT NULL, body BLOB, used_at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS pages_used_at ON pages (used_at)",
)
_SHRINK: Final = "PRAGMA incremental_vacuum"
"""As a script alone: a statement of it gives back one page of the file."""
_EVICT: Final = "DELETE FROM pages WHERE url = (SELECT url FROM pages ORDER BY used_at LIMIT 1)"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A response that was kept, and what was read off it."""

    answer: CachedResponse
    article: Article | None
    """None for a redirect."""
    named: bool = False
    """Whether its host might be at a private address when it was fetched, because the operator named it."""


class PageCache:
    """Holds pages by URL up to a number of bytes; those that were not used for longest go first."""

    def __init__(
        self, folder: Path, limit_bytes: int, *, now: Callable[[], float] = time.time, busy_s: float = _BUSY_S
    ) -> None:
        self._file = _CacheFile(folder, limit_bytes, now, busy_s)
        self._door = ThreadDoor("page cache", width=1)

    async def get(self, url: str) -> CachedPage | None:
        """Return what is kept of a URL."""
        return await self._door.run(lambda: self._file.safely(lambda: self._file.get(url)))

    async def put(self, kept: Iterable[CachedPage] = (), *, gone: Iterable[str] = ()) -> None:
        """Keep responses in place of those with the same URLs, and forget those of URLs that are gone."""
        kept, gone = list(kept), list(gone)
        await self._door.run(lambda: self._file.safely(lambda: self._file.put(kept, gone)))

    async def clear(self) -> int:
        """Forget everything; return how many bytes of disk are free again.

        Raises:
            CacheFailed: another process holds it for too long, or the disk fails.

        """
        return await self._door.run(self._file.clear)

    async def close(self) -> None:
        """Close the file; safe to call twice, and opened again by the next call."""
        await self._door.run(lambda: self._file.safely(self._file.close))
        self._door.close()


_Row = tuple[str, str, bytes | None]


class _CacheFile:
    """The file itself, for one thread at a time."""

    def __init__(self, folder: Path, limit_bytes: int, now: Callable[[], float], busy_s: float) -> None:
        self._folder = folder
        self._path = folder / f"pages-{_FORMAT_VERSION}.db"
        self._limit_bytes = limit_bytes
        self._now = now
        self._busy_s = busy_s
        self._open: sqlite3.Connection | None = None
        self._touched: dict[str, float] = {}
        """Pages that were used, written with the next page: reading should not wait for a writer."""

    def safely(self, call: Callable[[], _T]) -> _T | None:
        """Return what a call returns, None where the file fails; one that is damaged begins anew."""
        try:
            return call()
        except (sqlite3.OperationalError, OSError) as error:  # locked, full, not allowed: the file is whole
            _log.warning("the page cache cannot be used now (%s)", error)
        except sqlite3.DatabaseError as error:
            _log.warning("the page cache is damaged, and begins anew (%s)", error)
            self._begin_anew()
        return None

    def get(self, url: str) -> CachedPage | None:
        row = self._database().execute("SELECT head, body FROM pages WHERE url = ?", (url,)).fetchone()
        if row is None:
            return None
        if len(self._touched) < _MAX_TOUCHES or url in self._touched:
            self._touched[url] = self._now()
        return _decode_row(url, *row)

    def put(self, kept: Iterable[CachedPage], gone: Iterable[str]) -> None:
        largest = _MAX_PAGE_SHARE * self._limit_bytes
        rows = [(*row, self._now()) for row in map(_encode_row, kept) if len(row[2] or b"") <= largest]
        database = self._database()
        with _transaction(database):
            self._write_touches(database)
            database.executemany("DELETE FROM pages WHERE url = ?", [(url,) for url in gone])
            database.executemany("REPLACE INTO pages VALUES (?, ?, ?, ?)", rows)
            while _count_used_bytes(database) > self._limit_bytes and database.execute(_EVICT).rowcount:
                pass
        database.executescript(_SHRINK)

    def clear(self) -> int:
        if not self._path.exists():
            return 0
        before = self._disk_bytes()
        try:
            database = self._database()
            database.execute("DELETE FROM pages")
            database.executescript(_SHRINK)
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise CacheFailed(
                f"The pages kept in {self._folder} cannot be cleared ({error}). "
                "Try again once no other Kvasir is reading, or delete that folder while none runs."
            ) from error
        self._touched.clear()
        return max(before - self._disk_bytes(), 0)

    def close(self) -> None:
        database, self._open = self._open, None
        if database is not None:
            try:
                with _transaction(database):
                    self._write_touches(database)
            finally:
                database.close()

    def _database(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = self._opened()
        return self._open

    def _opened(self) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's other files take its mode
        database = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            for statement in _TABLE:
                database.execute(statement).fetchall()
        except BaseException:
            database.close()
            raise
        return database

    def _write_touches(self, database: sqlite3.Connection) -> None:
        rows = [(used_at, url) for url, used_at in self._touched.items()]
        database.executemany("UPDATE pages SET used_at = ? WHERE url = ?", rows)
        self._touched.clear()

    def _disk_bytes(self) -> int:
        journal = self._path.with_name(f"{self._path.name}-wal")
        return sum(path.stat().st_size for path in (self._path, journal) if path.exists())

    def _begin_anew(self) -> None:
        database, self._open = self._open, None
        with contextlib.suppress(sqlite3.Error):
            if database is not None:
                database.close()
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{self._path.name}*"):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _count_used_bytes(database: sqlite3.Connection) -> int:
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _encode_row(kept: CachedPage) -> _Row:
    answer = kept.answer
    head = json.dumps([
        answer.status, dict(answer.headers), dict(answer.asked), answer.received_at, answer.to, kept.named
    ])  # fmt: skip
    return answer.url, head, None if kept.article is None else zlib.compress(ARTICLE_ADAPTER.dump_json(kept.article), 1)


def _decode_row(url: str, head: str, body: bytes | None) -> CachedPage | None:
    try:
        status, headers, asked, received_at, to, named = json.loads(head)
        article = None if body is None else ARTICLE_ADAPTER.validate_json(zlib.decompress(body))
    except (ValueError, TypeError, zlib.error):
        return None
    return CachedPage(CachedResponse(url, status, headers, asked, received_at, to), article, named)
