"""The page cache: articles and the headers of their responses, in one SQLite file.

It stores the text instead of the body, so that Kvasir parses an unchanged page only once. Several processes may use
the file. A process that is killed leaves the file as it was before the unfinished write. If the cache cannot be read
or written, it acts like an empty one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from knowledge.errors import CacheError
from knowledge.thread_pool import NamedThreadPool
from knowledge.web.reading.article import ARTICLE_ADAPTER, Article
from knowledge.web.reading.freshness import CachedResponse

_log = logging.getLogger(__name__)

_FORMAT_VERSION: Final = 1
"""Part of the file's name; increase it when the stored format changes."""
_MAX_PAGE_SHARE: Final = 0.25
"""The largest share of the cache that one page may take."""
_BUSY_S: Final = 2.0
_MAX_TOUCHES: Final = 256
_TABLE: Final = (
    "PRAGMA auto_vacuum=INCREMENTAL",
    "PRAGMA secure_delete=ON",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA wal_autocheckpoint=256",
    "PRAGMA journal_size_limit=1000000",
    "CREATE TABLE IF NOT EXISTS pages (url TEXT PRIMARY KEY, head TEXT NOT NULL, body BLOB, used_at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS pages_used_at ON pages (used_at)",
)
_SHRINK: Final = "PRAGMA incremental_vacuum"
"""To be run as a script; as a statement it frees only one page of the file."""
_DELETE_OLD: Final = "DELETE FROM pages WHERE NOT json_valid(head) OR COALESCE(json_extract(head, '$[3]'), 0) < ?"
"""The fourth entry of a head is when the response was received (``_encode_row``)."""
_EVICT: Final = "DELETE FROM pages WHERE url = (SELECT url FROM pages ORDER BY used_at LIMIT 1)"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A response and its article."""

    response: CachedResponse
    article: Article | None
    """None for a redirect."""
    from_private_host: bool = False
    """Whether its host was allowed to be at a private address when it was fetched."""


class PageCache:
    """Stores pages by URL up to a number of bytes, and evicts the least recently used ones."""

    def __init__(
        self, folder: Path, limit_bytes: int, *, now: Callable[[], float] = time.time, busy_s: float = _BUSY_S
    ) -> None:
        self._file = _CacheFile(folder, limit_bytes, now, busy_s)
        self._door = NamedThreadPool("page cache", width=1)

    async def get_page(self, url: str) -> CachedPage | None:
        """Return the cached page of a URL, None if there is none."""
        return await self._door.run(lambda: self._file.run_safely(lambda: self._file.get_page(url)))

    async def store_pages(self, pages: Iterable[CachedPage] = (), *, delete: Iterable[str] = ()) -> None:
        """Store pages, replacing those with the same URLs, and delete the pages of other URLs."""
        pages, delete = list(pages), list(delete)
        await self._door.run(lambda: self._file.run_safely(lambda: self._file.store_pages(pages, delete)))

    async def count_pages(self) -> int:
        """Return the number of pages and redirects."""
        return await self._door.run(lambda: self._file.run_safely(self._file.count_pages)) or 0

    async def delete_pages(self, before: float = math.inf) -> int:
        """Delete what was received before a time, or everything; return how many bytes of disk that frees.

        Raises:
            CacheError: another process locks the file for too long, or the disk fails.

        """
        return await self._door.run(lambda: self._file.delete_pages(before))

    async def close(self) -> None:
        """Close the file; safe to call twice, and the next call opens it again."""
        await self._door.run(lambda: self._file.run_safely(self._file.close))
        self._door.close()


_Row = tuple[str, str, bytes | None]


class _CacheFile:
    """The SQLite file, for one thread at a time."""

    def __init__(self, folder: Path, limit_bytes: int, now: Callable[[], float], busy_s: float) -> None:
        self._folder = folder
        self._path = folder / f"pages-{_FORMAT_VERSION}.db"
        self._limit_bytes = limit_bytes
        self._now = now
        self._busy_s = busy_s
        self._database: sqlite3.Connection | None = None
        self._touches: dict[str, float] = {}
        """When pages were used; written with the next page, so that a read never waits for a writer."""

    def run_safely(self, call: Callable[[], _T]) -> _T | None:
        """Return the result of a call, None if the file fails; a damaged file is replaced by an empty one."""
        try:
            return call()
        except (sqlite3.OperationalError, OSError) as error:  # locked, full, not permitted; the file is intact
            _log.warning("the page cache cannot be used now (%s)", error)
        except sqlite3.DatabaseError as error:
            _log.warning("the page cache is damaged and is created again (%s)", error)
            self._delete_files()
        return None

    def get_page(self, url: str) -> CachedPage | None:
        row = self._open_database().execute("SELECT head, body FROM pages WHERE url = ?", (url,)).fetchone()
        if row is None:
            return None
        if len(self._touches) < _MAX_TOUCHES or url in self._touches:
            self._touches[url] = self._now()
        return _decode_row(url, *row)

    def store_pages(self, pages: Iterable[CachedPage], delete: Iterable[str]) -> None:
        largest = _MAX_PAGE_SHARE * self._limit_bytes
        rows = [(*row, self._now()) for row in map(_encode_row, pages) if len(row[2] or b"") <= largest]
        database = self._open_database()
        with _open_transaction(database):
            self._write_touches(database)
            database.executemany("DELETE FROM pages WHERE url = ?", [(url,) for url in delete])
            database.executemany("REPLACE INTO pages VALUES (?, ?, ?, ?)", rows)
            while _count_used_bytes(database) > self._limit_bytes and database.execute(_EVICT).rowcount:
                pass
        database.executescript(_SHRINK)

    def count_pages(self) -> int:
        return self._open_database().execute("SELECT COUNT(*) FROM pages").fetchone()[0] if self._path.exists() else 0

    def delete_pages(self, before: float) -> int:
        if not self._path.exists():
            return 0
        size = self._disk_bytes()
        try:
            database = self._open_database()
            database.execute(_DELETE_OLD, (before,))
            database.executescript("VACUUM" if before == math.inf else _SHRINK)
            if database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise sqlite3.OperationalError("another process reads it")
        except (sqlite3.Error, OSError) as error:
            raise CacheError(
                f"The cached pages in {self._folder} cannot be deleted ({error}). "
                "Try again while no other Kvasir reads them, or stop Kvasir and delete that folder."
            ) from error
        self._touches.clear()
        return max(size - self._disk_bytes(), 0)

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            try:
                with _open_transaction(database):
                    self._write_touches(database)
            finally:
                database.close()

    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._open_file()
        return self._database

    def _open_file(self) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's other files get the same mode
        database = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            for statement in _TABLE:
                database.execute(statement).fetchall()
        except BaseException:
            database.close()
            raise
        return database

    def _write_touches(self, database: sqlite3.Connection) -> None:
        rows = [(used_at, url) for url, used_at in self._touches.items()]
        database.executemany("UPDATE pages SET used_at = ? WHERE url = ?", rows)
        self._touches.clear()

    def _disk_bytes(self) -> int:
        journal = self._path.with_name(f"{self._path.name}-wal")
        return sum(path.stat().st_size for path in (self._path, journal) if path.exists())

    def _delete_files(self) -> None:
        database, self._database = self._database, None
        with contextlib.suppress(sqlite3.Error):
            if database is not None:
                database.close()
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{self._path.name}*"):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _open_transaction(database: sqlite3.Connection) -> Iterator[None]:
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


def _encode_row(page: CachedPage) -> _Row:
    response = page.response
    head = json.dumps([
        response.status, dict(response.headers), dict(response.request_headers), response.received_at,
        response.redirect_url, page.from_private_host
    ])  # fmt: skip
    body = None if page.article is None else zlib.compress(ARTICLE_ADAPTER.dump_json(page.article), 1)
    return response.url, head, body


def _decode_row(url: str, head: str, body: bytes | None) -> CachedPage | None:
    try:
        status, headers, request_headers, received_at, redirect_url, from_private_host = json.loads(head)
        article = None if body is None else ARTICLE_ADAPTER.validate_json(zlib.decompress(body))
    except (ValueError, TypeError, zlib.error):
        return None
    response = CachedResponse(url, status, headers, request_headers, received_at, redirect_url)
    return CachedPage(response, article, from_private_host)
