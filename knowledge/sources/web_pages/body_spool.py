"""Page bodies on disk from the listing until the sync reads them, so that each page is fetched once."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

_MOST_BYTES = 500_000_000
_DIGEST_BYTES = 32


class BodySpool:
    """A folder of bodies with a size limit. A body that does not fit, or is lost, is fetched again when it is read.

    Each file starts with a digest of its body, so that a file that a crash cut short counts as lost.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = 0

    def measure_bodies(self) -> None:
        """Measure the bodies that an earlier process left."""
        try:
            self._bytes = sum(path.stat().st_size for path in self._folder.iterdir())
        except OSError:
            self._bytes = 0

    def store_body(self, name: str, version: str, data: bytes) -> None:
        """Store a body; do nothing when the spool or the disk is full."""
        if self._bytes + len(data) > _MOST_BYTES:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_path(name, version).write_bytes(hashlib.sha256(data).digest() + data)
        except OSError:
            return
        self._bytes += len(data)

    def read_body(self, name: str, version: str) -> bytes | None:
        """Return the body of this version, or None if it is not stored."""
        try:
            content = self._make_path(name, version).read_bytes()
        except OSError:
            return None
        data = content[_DIGEST_BYTES:]
        return data if hashlib.sha256(data).digest() == content[:_DIGEST_BYTES] else None

    def delete_bodies(self) -> None:
        """Delete all bodies."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._bytes = 0

    def _make_path(self, name: str, version: str) -> Path:
        return self._folder / hashlib.sha256(f"{name}\0{version}".encode("utf-8", "replace")).hexdigest()
