"""Walk through a folder, and spell its names as documents."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from operator import itemgetter

from knowledge.sources.common import HIDDEN
from knowledge.sources.folder.ignore_rules import IgnoreRules

_FoundFile = tuple[str, str, os.stat_result]
"""``(document, path, status)``: the id, and the path below the root as the system spells it."""

SKIPPED_FOLDERS = frozenset({"CVS", "_darcs", "node_modules", "__pycache__"})


class FolderWalk:
    """One walk through a folder. Links are followed last, when all real files are known."""

    def __init__(self, root: str, suffixes: tuple[str, ...], ignored: IgnoreRules) -> None:
        self._root = root
        self._suffixes = suffixes
        self._ignored = ignored
        self._links: list[tuple[str, str]] = []
        self._folders: set[tuple[int, int]] = set()
        self._seen: set[tuple[int, int]] = set()
        self.unreadable: list[tuple[str, OSError]] = []

    def iterate_files(self) -> Iterator[list[_FoundFile]]:
        """Yield the files, one folder at a time."""
        yield from self._walk_folders([("", "")])
        while self._links:
            document, path = self._links.pop(0)
            if is_inside(os.path.join(self._root, path), self._root):  # noqa: PTH118 - as above
                yield from self._follow_link(document, path)

    def _walk_folders(self, folders: list[tuple[str, str]]) -> Iterator[list[_FoundFile]]:
        while folders:
            document, path = folders.pop()
            try:
                status = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - one of many
                if (status.st_dev, status.st_ino) in self._folders:
                    continue
                self._folders.add((status.st_dev, status.st_ino))
                with os.scandir(f"{self._root}/{path}") as scan:
                    entries = _name_entries(scan)
                yield self._collect_files(
                    entries, f"{document}/" if document else "", f"{path}/" if path else "", folders
                )
            except OSError as error:
                self.unreadable.append((path, error))

    def _collect_files(
        self, entries: list[tuple[str, os.DirEntry[str]]], document: str, path: str, folders: list[tuple[str, str]]
    ) -> list[_FoundFile]:
        """Return the files of a folder; append its sub-folders to ``folders`` and its links to ``_links``."""
        files: list[_FoundFile] = []
        for name, entry in entries:
            if entry.is_file(follow_symlinks=False):  # first, because most entries are files
                if not name.lower().endswith(self._suffixes):
                    continue
                if self._ignored.ignores_entry(document + name, folder=False):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted meanwhile
                files.append((document + name, path + entry.name, status))
            elif entry.is_symlink():
                self._links.append((document + name, path + entry.name))
            elif (
                entry.is_dir(follow_symlinks=False)
                and name not in SKIPPED_FOLDERS
                and not self._ignored.ignores_entry(document + name, folder=True)
            ):
                folders.append((document + name, path + entry.name))
        self._seen.update([(status.st_dev, status.st_ino) for _, _, status in files])
        return files

    def _follow_link(self, document: str, path: str) -> Iterator[list[_FoundFile]]:
        try:
            status = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - one of many
        except OSError:
            return  # A link to nothing is not a document.
        if self._ignored.ignores_entry(document, folder=stat.S_ISDIR(status.st_mode)):
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._walk_folders([(document, path)])
        elif (
            (status.st_dev, status.st_ino) not in self._seen
            and stat.S_ISREG(status.st_mode)
            and document.lower().endswith(self._suffixes)
        ):
            self._seen.add((status.st_dev, status.st_ino))
            yield [(document, path, status)]


def _name_entries(entries: Iterator[os.DirEntry[str]]) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the visible entries sorted by name, with the names that their ids use.

    If two names are the same in NFC, each keeps its own spelling.
    """
    visible = [(name, entry) for entry in entries if not (name := entry.name).startswith(HIDDEN)]
    visible.sort(key=itemgetter(0))
    if "".join([name for name, _ in visible]).isascii():
        return visible
    names = {name for name, _ in visible if name.isascii() or unicodedata.is_normalized("NFC", name)}
    pairs: list[tuple[str, os.DirEntry[str]]] = []
    for own_name, entry in visible:
        name = own_name
        if name not in names:
            composed = unicodedata.normalize("NFC", name)
            name = name if composed in names else composed
            names.add(name)
        # An id must be text, so bytes that are not UTF-8 are written as ``\xNN``.
        text = name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
        pairs.append((text, entry))
    return pairs


def find_path(root: str, document: str) -> str | None:
    """Return the path of a document as the system spells it, below the root; None if it is gone.

    Raises:
        OSError: a folder cannot be read.

    """
    path = ""
    for part in document.split("/"):
        try:
            with os.scandir(f"{root}/{path}") as scan:
                entry = next((entry for name, entry in _name_entries(scan) if name == part), None)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if entry is None:
            return None
        path = f"{path}/{entry.name}" if path else entry.name
    return path


def is_inside(path: str, root: str) -> bool:
    """Return whether a path is below the root, after all links."""
    real = os.path.realpath(root)
    return os.path.realpath(path).startswith(real if real.endswith("/") else f"{real}/")
