"""A folder of files as a source."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

from knowledge.errors import SourceError, SourceMisconfigured
from knowledge.interfaces import EVERYONE, DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.sources.common import MAX_MB, SUFFIXES, is_hidden_path, parse_size_limit, too_large_error
from knowledge.sources.folder.ignore_rules import IGNORE_FILE, IgnoreRules, parse_patterns
from knowledge.sources.folder.watch import watch_folder
from knowledge.sources.registry import SourceKind
from knowledge.thread_pool import NamedThreadPool

_FoundFile = tuple[str, str, os.stat_result]
"""``(document, path, status)``: the id, and the path below the root as the system spells it."""

_SKIPPED_FOLDERS = frozenset({"CVS", "_darcs", "node_modules", "__pycache__"})
_is_plain = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch
_BATCH = 2000
_MAX_PATTERN_LETTERS = 1_000_000
"""How many characters of an ignore file are read."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """The keys of a ``[[source]]`` of kind ``folder``."""

    path: str
    """Relative to the configuration file; ``~`` is the home directory."""
    url: str | None = None
    """Where a person opens a document: ``{path}`` is its path, ``{stem}`` the path without its suffix.

    Without it, a document's link is its ``file:`` URI.
    """
    suffixes: tuple[str, ...] = SUFFIXES
    max_mb: float = MAX_MB
    """The size of the largest file to read."""
    ignore: tuple[str, ...] = ()
    """Patterns of files to leave out, as in ``.gitignore``; a file ``.kvasirignore`` at the root adds more."""
    watch: bool = True
    """Whether a change starts a sync at once, if the system reports changes."""

    def resolve_root(self, base: Path) -> str:
        """Return the absolute path without following symbolic links, since another root is another source.

        Raises:
            ValueError: it is not a path, or not a text that the manifest can hold.

        """
        try:
            root = os.path.abspath(base / Path(self.path).expanduser())  # noqa: PTH100 - Path.resolve would follow links
        except RuntimeError as error:  # no user of that name has a home directory
            raise ValueError(str(error)) from error
        if "\0" in root:
            raise ValueError("it holds a NUL")
        root.encode()
        return root


class FolderSource:
    """Lists and reads the supported files under a folder.

    Hidden files, folders of version control and files with other suffixes are left out. A symbolic link is followed if
    it leads to something inside the folder that is not listed yet. A document's id is its path in NFC, so that it stays
    the same on systems that write accents differently. ``ignore`` and ``.kvasirignore`` match against that id.
    """

    def __init__(
        self, key: SourceKey, options: FolderOptions, *, max_bytes: int, readers: frozenset[str] = EVERYONE
    ) -> None:
        self.key = key
        self._root = key.root
        self._max_bytes = max_bytes
        self._suffixes = tuple(suffix.lower() for suffix in options.suffixes)
        template = options.url or f"{Path(key.root).as_uri()}/{{path}}"
        self._template = template.partition("{stem}" if "{stem}" in template else "{path}")
        self._readers = readers
        self._ignore = options.ignore
        self._watch = options.watch
        # A pool of its own, so that a hanging network folder does not block other sources.
        self._threads = NamedThreadPool(f"folder {key.name}")
        self._paths: dict[str, str] = {}

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the files in batches, in no particular order.

        Raises:
            SourceError: the folder, or a folder in it, cannot be read; raised after everything else was listed.

        """
        batches = self._walk_folder()
        while (batch := await self._threads.run(partial(next, batches, None))) is not None:
            yield batch

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one file.

        Raises:
            SourceError: the file is gone, unreadable, too large, outside the folder, or keeps changing.

        """
        return await self._threads.run(partial(self._read_file, listed.document))

    async def close(self) -> None:
        """Release the threads; no file is open."""
        self._threads.close()

    async def changes(self) -> AsyncGenerator[None]:
        """Yield after each change below the folder; end at once if ``watch`` is false.

        Raises:
            SourceError: the folder cannot be watched.

        """
        if self._watch:
            async with aclosing(watch_folder(self._root, self._affects_listing)) as bursts:
                async for _ in bursts:
                    yield

    def _affects_listing(self, path: str) -> bool:
        """Return whether a changed path is a document, a folder or the ignore file."""
        parts = os.path.relpath(path, self._root).split("/")
        if parts == [IGNORE_FILE]:
            return True
        if any(is_hidden_path(part) or part in _SKIPPED_FOLDERS for part in parts):
            return False
        name = parts[-1].lower()
        # A deleted folder looks like a file without a suffix.
        return name.endswith(self._suffixes) or not os.path.isfile(path)  # noqa: PTH113 - as the walk does

    def _walk_folder(self) -> Iterator[Sequence[ListedDocument]]:
        walk = _FolderWalk(self._root, self._suffixes, IgnoreRules([*self._ignore, *_read_ignore_file(self._root)]))
        paths: dict[str, str] = {}
        batch: list[ListedDocument] = []
        for folder in walk.iterate_files():
            paths.update((document, path) for document, path, _ in folder if document != path)
            batch += [self._make_listed(document, status) for document, _, status in folder]
            if len(batch) >= _BATCH:
                yield batch
                batch = []
        self._paths = paths
        yield batch
        if walk.unreadable:
            raise SourceError(_unreadable_folder_message(self._root, walk.unreadable))

    def _make_listed(self, document: str, status: os.stat_result) -> ListedDocument:
        return ListedDocument(
            document=document,
            version=_file_version(status),
            size_bytes=status.st_size,
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
            url=self._document_url(document),
            readers=self._readers,
        )

    def _document_url(self, document: str) -> str:
        before, field, after = self._template
        path = os.path.splitext(document)[0] if field == "{stem}" else document  # noqa: PTH122 - one of many
        return f"{before}{path if _is_plain(path) else quote(path)}{after}" if field else before

    def _read_file(self, document: str) -> DocumentContent:
        path = os.path.join(self._root, self._paths.get(document, document))  # noqa: PTH118 - "/" must not start at the root of the disk
        try:
            for _ in range(_ATTEMPTS):
                content = self._read_once(path, document)
                if content is not None:
                    return content
        except FileNotFoundError as error:
            raise SourceError(f"{document} is gone. It was deleted or renamed after it was listed.") from error
        except OSError as error:
            raise SourceError(
                f"{document} cannot be read: {error.strerror}. Give Kvasir the right to read it, or move it away."
            ) from error
        raise SourceError(f"{document} keeps changing while it is read. The next sync tries again.")

    def _read_once(self, path: str, document: str) -> DocumentContent | None:
        """Read the file once; None if it changed meanwhile."""
        if not _is_inside(path, self._root):
            raise SourceError(
                f"{document} is a link to a place outside the folder. Put a copy into the folder instead of the link."
            )
        # Opening a pipe must not block, and a file may be replaced before it is opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - the descriptor was checked
            before = os.fstat(file.fileno())
            self._check_file(before, document)
            data = _read_up_to(file.fileno(), before.st_size + 1)
            after = os.fstat(file.fileno())
        settled = _file_version(before) == _file_version(after) and len(data) == before.st_size
        return DocumentContent(data, None, _file_version(after)) if settled else None

    def _check_file(self, status: os.stat_result, document: str) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{document} is not a regular file any more. The next sync looks again.")
        if status.st_size > self._max_bytes:
            raise too_large_error(document, status.st_size, self._max_bytes)


def build(context: SourceContext, options: FolderOptions) -> FolderSource:
    """Build the source that a ``[[source]]`` table describes.

    Raises:
        SourceMisconfigured: the path or ``max_mb`` is invalid.

    """
    try:
        root = options.resolve_root(context.base_dir)
    except ValueError as error:
        raise SourceMisconfigured(
            f"Source {context.name}: {options.path!a} in {str(context.base_dir)!a} is not a path in UTF-8. "
            "Correct it in kvasir.toml, or move the folder."
        ) from error
    return FolderSource(
        SourceKey(context.name, "folder", root),
        options,
        max_bytes=parse_size_limit(context.name, options.max_mb),
        readers=context.readers,
    )


KIND = SourceKind(FolderOptions, build)


class _FolderWalk:
    """One walk through a folder. Links are followed last, when all real files are known."""

    def __init__(self, root: str, suffixes: tuple[str, ...], ignored: IgnoreRules) -> None:
        self._root = root
        self._suffixes = suffixes
        self._ignored = ignored
        self._links: list[tuple[str, str]] = []
        self._folders: set[tuple[int, int]] = set()
        self._seen: set[tuple[int, int]] = set()
        self.unreadable: list[tuple[str, OSError]] = []
        """Folders that could not be read, with their errors."""

    def iterate_files(self) -> Iterator[list[_FoundFile]]:
        """Yield the files, one folder at a time."""
        yield from self._walk_folders([("", "")])
        while self._links:
            document, path = self._links.pop(0)
            if _is_inside(os.path.join(self._root, path), self._root):  # noqa: PTH118 - as above
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
            if entry.is_symlink():
                self._links.append((document + name, path + entry.name))
            elif entry.is_dir(follow_symlinks=False):
                if name not in _SKIPPED_FOLDERS and not self._is_ignored(document + name, folder=True):
                    folders.append((document + name, path + entry.name))
            elif name.lower().endswith(self._suffixes) and entry.is_file(follow_symlinks=False):
                if self._is_ignored(document + name, folder=False):
                    continue
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    files.append((document + name, path + entry.name, entry.stat(follow_symlinks=False)))
        self._seen.update((status.st_dev, status.st_ino) for _, _, status in files)
        return files

    def _follow_link(self, document: str, path: str) -> Iterator[list[_FoundFile]]:
        try:
            status = os.stat(f"{self._root}/{path}")  # noqa: PTH116 - one of many
        except OSError:
            return  # A link to nothing is not a document.
        if self._is_ignored(document, folder=stat.S_ISDIR(status.st_mode)):
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._walk_folders([(document, path)])
        elif (status.st_dev, status.st_ino) not in self._seen and self._is_document(document, status):
            self._seen.add((status.st_dev, status.st_ino))
            yield [(document, path, status)]

    def _is_ignored(self, document: str, *, folder: bool) -> bool:
        return bool(self._ignored) and self._ignored.ignores_entry(document, folder=folder)

    def _is_document(self, document: str, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and document.lower().endswith(self._suffixes)


def _name_entries(entries: Iterator[os.DirEntry[str]]) -> list[tuple[str, os.DirEntry[str]]]:
    """Return the visible entries sorted by name, with the names that their ids use.

    If two names are the same in NFC, each keeps its own spelling.
    """
    visible = sorted((e for e in entries if not is_hidden_path(e.name)), key=lambda e: e.name)
    names = {e.name for e in visible if e.name.isascii() or unicodedata.is_normalized("NFC", e.name)}
    pairs: list[tuple[str, os.DirEntry[str]]] = []
    for entry in visible:
        name = entry.name
        if name not in names:
            composed = unicodedata.normalize("NFC", name)
            name = name if composed in names else composed
            names.add(name)
        pairs.append((name if name.isascii() else _spell_as_text(name), entry))
    return pairs


def _read_ignore_file(root: str) -> list[str]:
    """Return the patterns in the folder's ignore file.

    Raises:
        SourceError: it exists but cannot be read; without it, too much would be listed.

    """
    try:
        with open(f"{root}/{IGNORE_FILE}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as the walk
            return parse_patterns(file.read(_MAX_PATTERN_LETTERS))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SourceError(
            f"{root}/{IGNORE_FILE} cannot be read: {error.strerror}. Give Kvasir the right to read it, or remove it."
        ) from error


def _spell_as_text(name: str) -> str:
    r"""Return a name with bytes that are not UTF-8 written as ``\xNN``, because an id must be text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_inside(path: str, root: str) -> bool:
    real = os.path.realpath(root)
    return os.path.realpath(path).startswith(real if real.endswith("/") else f"{real}/")


def _file_version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _read_up_to(descriptor: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    while limit > 0 and (piece := os.read(descriptor, min(limit, 1 << 24))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _unreadable_folder_message(root: str, unread: Sequence[tuple[str, OSError]]) -> str:
    path, error = unread[0]
    where = f"{root}/{path}" if path else root
    more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    return (
        f"The folder {where}{more} cannot be read: {error.strerror}. Check that it is mounted and that Kvasir "
        "may read it; until then Kvasir deletes nothing of this source."
    )
