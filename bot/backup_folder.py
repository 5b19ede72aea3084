"""The folder of a backup. ``backup.json`` comes last: it names every file with its hash, and has a hash of its own."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bot.errors import BotError
from bot.private_files import write_named_file

UNFINISHED: Final = "restore-unfinished"
"""The file in ``KVASIR_HOME`` that is there until a restore has ended."""
_CARD: Final = "backup.json"
_FAST: Final = 1
"""The level of compression of vectors, which compress little."""


class BackupError(BotError):
    """A backup cannot be written or read; nothing was changed."""


@dataclass(frozen=True, slots=True)
class BackupCard:
    """What a backup has: its revisions by sets of tables, rows by tables, passages by indexes, and SHA-256 by files."""

    begun_at: str
    """Just before the database was read, in UTC; erasures in the audit from then on are repeated."""
    version: str
    revisions: Mapping[str, str]
    rows: Mapping[str, int]
    vectors: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class BackupFolder:
    """Writes and reads the files. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables = path / "tables"
        self.files = path / "files"
        self.configuration = path / "configuration"

    def create(self) -> None:
        """Make an empty folder that only this account can read.

        Raises:
            BackupError: it cannot be made, or it has files.

        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            is_used = any(self.path.iterdir())
            for folder in (self.tables, self.files, self.configuration) if not is_used else ():
                folder.mkdir()
        except OSError as error:
            raise BackupError(f"{self.path} cannot be written ({error.strerror}). Name another folder.") from error
        if is_used:
            raise BackupError(f"{self.path} is not empty. Name a new folder for each backup.")

    def add_tree(self, source: Path, name: str) -> None:
        """Copy a file, or all files of a folder, under a name; what is deleted meanwhile is left out."""
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            # A source makes these again: a mirror of git, and a page that is being read.
            is_temporary = any(part == "spool" or part.endswith(".git") for part in path.relative_to(source).parts[1:])
            if path.is_file() and not path.is_symlink() and not is_temporary:
                target = self.files / name / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    _copy_file(path, target, whole_lines=path.suffix == ".jsonl")

    def list_tree(self, name: str) -> dict[Path, Path]:
        """Return what ``add_tree`` copied under a name: the paths in the backup by their paths in the tree."""
        found = self.files / name
        if found.is_file():
            return {Path(): found}
        return {path.relative_to(found): path for path in sorted(found.rglob("*")) if path.is_file()}

    def open_vectors(self, index: str) -> gzip.GzipFile:
        """Return a new file for the passages of an index."""
        return gzip.open(self._find_vectors(index), "wb", compresslevel=_FAST)

    def read_vectors(self, index: str) -> Iterator[Mapping[str, Any]]:
        """Yield the passages of an index."""
        with gzip.open(self._find_vectors(index), "rb") as file:
            yield from map(json.loads, file)

    def seal(self, card: BackupCard) -> BackupCard:
        """Write what the backup has, and return it; without that a backup counts as interrupted."""
        sealed = BackupCard(**asdict(card) | {"files": self._hash_files()})
        text = json.dumps(asdict(sealed), indent=1)
        os.sync()
        write_named_file(self.path / _CARD, f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")
        return sealed

    def verify(self) -> BackupCard:
        """Return what the backup has, after all files were compared with their hashes.

        Raises:
            BackupError: a file is missing, changed or new, or the backup was interrupted.

        """
        try:
            text, _, digest = (self.path / _CARD).read_text(encoding="utf-8").strip().rpartition("\n")
            found = self._hash_files()
        except (OSError, UnicodeDecodeError) as error:
            raise BackupError(f"{self.path} is no complete backup ({error}). Name another one.") from error
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise BackupError(f"{self.path / _CARD} was changed. Name another backup.")
        card = BackupCard(**json.loads(text))
        if wrong := sorted(name for name, _ in card.files.items() ^ found.items()):
            raise BackupError(f"{self.path / wrong[0]} is not as it was written. Name another backup.")
        return card

    def _find_vectors(self, index: str) -> Path:
        return self.path / f"vectors-{index}.jsonl.gz"

    def _hash_files(self) -> dict[str, str]:
        hashes = {}
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and path != self.path / _CARD:
                with path.open("rb") as file:
                    name = path.relative_to(self.path).as_posix()
                    hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return hashes


def _copy_file(source: Path, target: Path, *, whole_lines: bool) -> None:
    """Copy a file; of one that another process appends lines to, only the lines that are complete."""
    data = source.read_bytes()
    target.write_bytes(data[: data.rfind(b"\n") + 1] if whole_lines else data)
