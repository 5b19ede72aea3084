"""Verify the files of a model, and remember it by size and time: a start must not read hundreds of gigabytes.

``find_damage`` checks the headers and the index of safetensors; ``verify_folder`` and ``verify_file`` also read hashes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.errors import InstallError
from engine.notes import EngineNote, NoteCode
from engine.weights.listing import CHECKSUM_FILE, Digest, RemoteFile, is_needed, parse_checksums, require_safetensors
from engine.weights.safetensors import find_damage
from engine.weights.worker_threads import WorkerThreads

_Stamp = tuple[int, int]


class VerifiedFiles:
    """The verified files of one folder, kept in a small file; blocking."""

    def __init__(self, path: Path, folder: Path) -> None:
        """``path`` of the file may be outside of the folder, which may be read-only."""
        self._path = path
        self._folder = folder
        self._writing = threading.Lock()
        self._stamps = self._read_stamps()

    def contains_file(self, name: str) -> bool:
        """Return whether a file is unchanged since its verification."""
        return name in self._stamps and self._stamps[name] == _read_stamp(self._folder / name)

    def is_complete(self) -> bool:
        """Return whether the folder was complete and all its files are unchanged."""
        return "" in self._stamps and all(self.contains_file(name) for name in self._stamps if name)

    def add_file(self, name: str) -> None:
        """Remember that a file is verified."""
        with self._writing:  # threads finish several files at once
            if (stamp := _read_stamp(self._folder / name)) is not None:
                self._write_stamps({**self._stamps, name: stamp})

    def mark_complete(self, names: Iterable[str]) -> None:
        """Remember that the folder is complete with exactly these files."""
        stamps = {name: stamp for name in names if (stamp := _read_stamp(self._folder / name)) is not None}
        self._write_stamps({**stamps, "": (0, 0)})

    def clear(self) -> None:
        """Forget everything: the next start verifies all files."""
        self._stamps = {}
        self._path.unlink(missing_ok=True)

    def _read_stamps(self) -> dict[str, _Stamp]:
        try:
            stamps = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(name): (int(size), int(time_ns)) for name, (size, time_ns) in stamps.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write_stamps(self, stamps: dict[str, _Stamp]) -> None:
        self._stamps = stamps
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps(stamps), encoding="utf-8")
        scratch.replace(self._path)


async def verify_folder(
    folder: Path, verified: VerifiedFiles, threads: WorkerThreads, report: Callable[[float | None, EngineNote], None]
) -> Path:
    """Return a folder that is used in place, if its files are complete and undamaged.

    Raises:
        InstallError: files are missing or damaged; the text names them.

    """
    if await threads.run(verified.is_complete):
        return folder
    report(None, NoteCode.VERIFYING.fill(folder=str(folder)))
    names = await threads.run(lambda: _list_names(folder))
    require_safetensors(names, str(folder))
    wrong = await threads.run(lambda: [f"{found.name} {found.why}" for found in find_damage(folder)])
    sums = await threads.run(lambda: _read_checksums(folder)) if CHECKSUM_FILE in names else {}
    wrong += [
        f"{name} is missing, though {CHECKSUM_FILE} names it" for name in sums if is_needed(name) and name not in names
    ]
    for name in filter(is_needed, sums.keys() & names):
        if not await threads.matches_digest(folder / name, sums[name]):
            wrong.append(f"{name} does not match {CHECKSUM_FILE}")
    if wrong:
        files = "; ".join([*wrong[:3], *([f"and {len(wrong) - 3} more"] if len(wrong) > 3 else [])])  # noqa: PLR2004
        raise InstallError(NoteCode.FOLDER_DAMAGED.fill(folder=str(folder), files=files))
    await threads.run(lambda: verified.mark_complete(name for name in names if is_needed(name)))
    return folder


async def verify_file(folder: Path, file: RemoteFile, verified: VerifiedFiles, threads: WorkerThreads) -> bool:
    """Return whether a file is verified; delete one that is wrong, to download it again."""
    path = folder / file.name
    if await threads.run(lambda: verified.contains_file(file.name)):
        return True
    if not path.exists():
        return False
    whole = path.stat().st_size == file.size_bytes
    if whole and (file.digest is None or await threads.matches_digest(path, file.digest)):
        await threads.run(lambda: verified.add_file(file.name))
        return True
    await threads.run(path.unlink)
    return False


def _list_names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir() if path.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        raise InstallError(NoteCode.FOLDER_MISSING.fill(folder=str(folder))) from None


def _read_checksums(folder: Path) -> dict[str, Digest]:
    return dict(parse_checksums((folder / CHECKSUM_FILE).read_text(encoding="utf-8", errors="replace")))


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
