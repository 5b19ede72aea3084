"""A folder of files as a source."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

from knowledge.errors import SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import EVERYONE, DocumentContent, ListedDocument, SourceContext, SourceKey
from knowledge.sources.common import MAX_MB, SUFFIXES, is_hidden_path, parse_size_limit, too_large_error
from knowledge.sources.folder.ignore_rules import IGNORE_FILE, IgnoreRules, parse_patterns
from knowledge.sources.folder.walk import SKIPPED_FOLDERS, FolderWalk, find_path, is_inside
from knowledge.sources.folder.watch import watch_folder
from knowledge.sources.places import describe_place
from knowledge.sources.registry import SourceKind
from knowledge.thread_pool import NamedThreadPool

_is_plain = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch
_BATCH = 2000
_MAX_PATTERN_LETTERS = 1_000_000
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """The keys of a ``[[source]]`` of kind ``folder``."""

    path: str
    """The folder, relative to the configuration file; ``~`` is the home directory."""
    url: str | None = None
    """Where a person opens a document: ``{path}`` is its path, ``{stem}`` the path without its suffix.

    Without it, a document's link is its ``file:`` URI.
    """
    suffixes: tuple[str, ...] = SUFFIXES
    max_mb: float = MAX_MB
    ignore: tuple[str, ...] = ()
    """Patterns of files to leave out, as in ``.gitignore``; a file ``.kvasirignore`` at the root adds more."""
    watch: bool = True
    """Whether a change starts a sync at once, if the system reports changes."""
    disk: str = ""
    """A name for the disk, the same on all hosts, where the system's own name for it differs between them."""


class FolderSource:
    """Lists and reads the supported files under a folder.

    Hidden files, folders of version control and files with other suffixes are left out. A symbolic link is followed if
    it leads to something inside the folder that is not listed yet. A document's id is its path in NFC, so that it stays
    the same on systems that write accents differently. ``ignore`` and ``.kvasirignore`` match against that id.
    """

    lists_rights = True
    has_uniform_readers = True

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
        self._disk = options.disk
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

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the configured readers of the files that are still there.

        Raises:
            SourceError: the folder is not there, or it is empty, as where something was unmounted.

        """
        return await self._threads.run(partial(self._find_readers, documents))

    async def find_place(self) -> str:
        """Return the disks with the folder.

        Raises:
            SourceUnavailable: the folder is not there.

        """
        try:
            return await self._threads.run(partial(describe_place, self._root, self._disk))
        except OSError as error:
            raise SourceUnavailable(
                f"The folder {self._root} cannot be read: {error.strerror}. Check that it is mounted."
            ) from error

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
        if any(is_hidden_path(part) or part in SKIPPED_FOLDERS for part in parts):
            return False
        name = parts[-1].lower()
        # A deleted folder looks like a file without a suffix.
        return name.endswith(self._suffixes) or not os.path.isfile(path)  # noqa: PTH113 - as the walk does

    def _walk_folder(self) -> Iterator[Sequence[ListedDocument]]:
        walk = FolderWalk(self._root, self._suffixes, IgnoreRules([*self._ignore, *_read_ignore_file(self._root)]))
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
        modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
        url = self._document_url(document)
        return ListedDocument(document, _file_version(status), status.st_size, modified_at, url, self._readers)

    def _document_url(self, document: str) -> str:
        before, field, after = self._template
        path = os.path.splitext(document)[0] if field == "{stem}" else document  # noqa: PTH122 - one of many
        return f"{before}{path if _is_plain(path) else quote(path)}{after}" if field else before

    def _find_readers(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        try:
            with os.scandir(self._root) as scan:
                is_empty = next(scan, None) is None
            if is_empty:
                raise SourceError(f"The folder {self._root} is empty. Check whether it is mounted.")
            return {one: self._readers for one in documents if self._is_there(one)}
        except OSError as error:
            raise SourceError(f"The folder {self._root} cannot be read: {error.strerror}. Check its rights.") from error

    def _is_there(self, document: str) -> bool:
        path = self._paths.get(document, document)
        if not os.path.isfile(f"{self._root}/{path}"):  # noqa: PTH113 - as the walk does
            found = find_path(self._root, document)
            if found is None:
                return False
            path = found
        return is_inside(f"{self._root}/{path}", self._root)

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
        if not is_inside(path, self._root):
            raise SourceError(
                f"{document} is a link to a place outside the folder. Put a copy into the folder instead of the link."
            )
        # Opening a pipe must not block, and a file may be replaced before it is opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - the descriptor was checked
            before = os.fstat(file.fileno())
            self._check_file(before, document)
            data = file.read(before.st_size + 1)
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
        # Links are not followed, since another root is another source.
        root = os.path.abspath(context.base_dir / Path(options.path).expanduser())  # noqa: PTH100 - as above
        root.encode()
        if "\0" in root:
            raise ValueError("it holds a NUL")  # noqa: TRY301 - one error for every wrong path
    except (RuntimeError, ValueError) as error:  # RuntimeError: no user of that name has a home directory
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


KIND = SourceKind(FolderOptions, build, lambda *_: ())


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


def _file_version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _unreadable_folder_message(root: str, unread: Sequence[tuple[str, OSError]]) -> str:
    path, error = unread[0]
    where = f"{root}/{path}" if path else root
    more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    return (
        f"The folder {where}{more} cannot be read: {error.strerror}. Check that it is mounted and that Kvasir "
        "may read it; until then Kvasir deletes nothing of this source."
    )
