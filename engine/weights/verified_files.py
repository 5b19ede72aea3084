"""Remember which files are verified, by size and time, so that a start need not read hundreds of gigabytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

_Stamp = tuple[int, int]


class VerifiedFiles:
    """The verified files of one folder, kept in a small file; blocking."""

    def __init__(self, path: Path, folder: Path) -> None:
        """``path`` of the file may be outside of the folder, which may be read-only."""
        self._path = path
        self._folder = folder
        self._writing = threading.Lock()
        self._stamps = self._read()

    def contains(self, name: str) -> bool:
        """Return whether a file is unchanged since its verification."""
        return name in self._stamps and self._stamps[name] == _read_stamp(self._folder / name)

    def is_complete(self) -> bool:
        """Return whether the folder was complete and all its files are unchanged."""
        return "" in self._stamps and all(self.contains(name) for name in self._stamps if name)

    def add(self, name: str) -> None:
        """Remember that a file is verified."""
        with self._writing:  # threads finish several files at once
            if (stamp := _read_stamp(self._folder / name)) is not None:
                self._write({**self._stamps, name: stamp})

    def mark_complete(self, names: Iterable[str]) -> None:
        """Remember that the folder is complete with exactly these files."""
        stamps = {name: stamp for name in names if (stamp := _read_stamp(self._folder / name)) is not None}
        self._write({**stamps, "": (0, 0)})

    def clear(self) -> None:
        """Forget everything: the next start verifies all files."""
        self._stamps = {}
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, _Stamp]:
        try:
            stamps = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(name): (int(size), int(time_ns)) for name, (size, time_ns) in stamps.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, stamps: dict[str, _Stamp]) -> None:
        self._stamps = stamps
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(stamps), encoding="utf-8")
        scratch.replace(self._path)


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
