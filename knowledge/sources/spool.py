"""Bodies that a listing brought, kept on disk until they are read: a page is fetched once a sync."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

_MOST_BYTES = 500_000_000


class Spool:
    """A folder of bodies, bounded; what does not fit is fetched again when it is read. Lost, it costs time alone."""

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = folder
        self._most = most_bytes
        self._bytes = 0
        self._held: dict[str, str] = {}

    def put(self, name: str, version: str, data: bytes) -> None:
        """Keep a body; a disk that is full keeps nothing."""
        if self._bytes + len(data) > self._most:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path(name).write_bytes(data)
        except OSError:
            return
        self._bytes += len(data)
        self._held[name] = version

    def get(self, name: str, version: str) -> bytes | None:
        """Return the body of that version, None where it is not kept."""
        if self._held.get(name) != version:
            return None
        try:
            return self._path(name).read_bytes()
        except OSError:
            return None

    def clear(self) -> None:
        """Drop everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._held = {}
        self._bytes = 0

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
