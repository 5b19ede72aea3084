"""The documents that people add to Kvasir itself.

A record for each document says who added it and when. In a folder, the bytes are stored under their checksum, which the
record names. Writing the record adds, replaces or removes the document as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias, TypeVar

from knowledge.database.content import ContentRows, ContentStore, SourceContent
from knowledge.errors import SourceError, UnsupportedFormat
from knowledge.sources.common import SUFFIXES, too_large_error

_T = TypeVar("_T")
_Uploads: TypeAlias = "_UploadFolder | _UploadRows"
"""The records and bytes of a place, within one change of it."""

_MAX_NAME_BYTES = 200
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """The record of one added document."""

    name: str
    """The document's id: its name, for a file of a message behind a folder of its sender."""
    sha256: str
    size_bytes: int
    added_at: float
    """When it was added, in seconds since the epoch."""
    added_by: str
    title: str | None = None
    media_type: str | None = None
    readers: tuple[str, ...] | None = None
    """Who may read it, among the readers of the source; None means all of them."""
    origin: str = ""
    """The message that brought it, "" for none; its sender chooses the readers."""

    @property
    def plain_name(self) -> str:
        """Return the name that people see."""
        return get_plain_name(self.name)

    @property
    def version(self) -> str:
        """Return a version that changes with the bytes, the title or the type."""
        metadata = hashlib.sha256(f"{self.title}\x1f{self.media_type}".encode()).hexdigest()
        return f"{self.sha256[:40]}-{metadata[:8]}"


class UploadResult(StrEnum):
    """The result of adding a document."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


class UploadStore(ContentStore):
    """The added documents of a source. Its methods block; several processes may use them at the same time.

    They are in a folder of this host, or in a database that several hosts share. Then the folder's are moved there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        now: Callable[[], float] = time.time,
        content: SourceContent | None = None,
    ) -> None:
        super().__init__(content)
        self.folder = folder
        self._place = _UploadFolder(folder) if content is None else _UploadTable(content, _UploadFolder(folder))
        self.max_bytes = max_bytes
        self._now = now

    def store_document(
        self,
        name: str,
        data: bytes,
        *,
        by: str,
        title: str | None = None,
        readers: Sequence[str] | None = None,
        origin: str = "",
        document: str = "",
    ) -> UploadResult:
        """Add a document, or replace the one with the same name; ``document`` is an id by ``find_document_id``.

        If a message (``origin``) brings the same content again, the document keeps its readers, and ``readers`` are
        added to them.

        Raises:
            SourceError: the name is invalid, the document is too large, or the disk or the database refuses it.
            UnsupportedFormat: Kvasir does not read documents of this kind.

        """
        name = parse_document_name(name)
        if len(data) > self.max_bytes:
            raise too_large_error(name, len(data), self.max_bytes)
        card = UploadRecord(
            name=document or name,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            added_at=round(self._now(), 3),
            added_by=by,
            title=title,
            readers=None if readers is None else tuple(sorted(readers)),
            origin=origin,
        )
        return self._place.change(lambda uploads: _store_upload(uploads, card, data))

    def change_readers(self, origin: str, by: str, readers: Sequence[str] | None) -> list[str]:
        """Change who may read the documents that a person's message brought; return their names.

        Raises:
            SourceError: the folder or the database cannot be read or written.

        """

        def change(uploads: _Uploads) -> list[str]:
            cards = [card for card in uploads.list_records() if (card.origin, card.added_by) == (origin, by)]
            for card in cards:
                uploads.put_record(replace(card, readers=None if readers is None else tuple(sorted(readers))))
            return [card.name for card in cards]

        return self._place.change(change)

    def find_document_id(self, name: str, by: str) -> str:
        """Return the id of the document that a person's file adds or replaces.

        The file replaces a document of that name that the person may read. Otherwise its id is in a folder of the
        person, so no hidden document changes it.

        Raises:
            SourceError: the name is invalid, or a record cannot be read.
            UnsupportedFormat: Kvasir does not read documents of this kind.

        """
        name = parse_document_name(name)
        own = f"{by}/{name}"
        readable = [
            card.name
            for card in self.list_records()
            if card.plain_name == name and (card.added_by == by or card.readers is None or by in card.readers)
        ]
        return own if own in readable else next(iter(readable), own)

    def remove_documents(self, is_removed: Callable[[UploadRecord], bool]) -> list[str]:
        """Remove the documents whose records meet a condition; return their names.

        What a crash left of other documents goes too. A missing folder stays missing: it may be on another disk.

        Raises:
            SourceError: the folder or the database cannot be read or written.

        """
        if not (self.is_shared or has_records(self.folder)):
            return []

        def remove(uploads: _Uploads) -> list[str]:
            names = [card.name for card in uploads.list_records() if is_removed(card)]
            uploads.delete_records(names)
            return names

        return self._place.change(remove)

    def list_records(self) -> list[UploadRecord]:
        """Return the records of all documents, sorted by name.

        Raises:
            SourceError: the folder, a record or the database cannot be read.

        """
        return sorted(self._place.read(lambda uploads: uploads.list_records()), key=lambda card: card.name)

    def find_records(self, names: Collection[str]) -> list[UploadRecord]:
        """Return the records of these documents at one moment; those that there are not are left out.

        Raises:
            SourceError: one cannot be read.

        """
        found = self._place.read(lambda uploads: [uploads.find_record(name) for name in names])
        return [card for card in found if card is not None]

    def read_data(self, card: UploadRecord) -> bytes:
        """Return a document's bytes.

        Raises:
            SourceError: they are lost or cannot be read.

        """
        return self._place.read(lambda uploads: uploads.read_data(card))

    def get_change_mark(self) -> object:
        """Return a value that changes when a document is added, replaced or removed.

        Raises:
            SourceError: the database cannot be read.

        """
        return self._place.read(lambda uploads: uploads.get_change_mark())


def _store_upload(uploads: _Uploads, card: UploadRecord, data: bytes) -> UploadResult:
    before = uploads.find_record(card.name)
    if before is not None and card.origin and before.version == card.version:
        card = replace(card, readers=_join_readers(before.readers, card.readers))
    is_same = (
        before is not None
        and (before.version, before.readers) == (card.version, card.readers)
        and uploads.has_data(card)
    )
    if before is not None and is_same and before.origin == card.origin:
        return UploadResult.UNCHANGED
    uploads.put_record(card, data)
    if before is None:
        return UploadResult.ADDED
    uploads.delete_records(())
    return UploadResult.UNCHANGED if is_same else UploadResult.REPLACED


class _UploadTable:
    """The documents in a shared database."""

    def __init__(self, content: SourceContent, old: _UploadFolder) -> None:
        self._content = content
        self._old = old

    def read(self, work: Callable[[_Uploads], _T]) -> _T:
        self._import_folder()
        return self._content.read(lambda rows: work(_UploadRows(rows)))

    def change(self, work: Callable[[_Uploads], _T]) -> _T:
        self._import_folder()
        return self._content.change(lambda rows: work(_UploadRows(rows)))

    def _import_folder(self) -> None:
        """Move the documents of this host's folder into the database, and delete them there."""
        if not has_records(self._old.folder):
            return
        self._content.import_files(self._old.cards, "*.json", self._load_card)
        self._old.change(lambda old: old.delete_records(()))
        with contextlib.suppress(OSError):  # the record of a document without its bytes stays there
            self._old.cards.rmdir()
            self._old.blobs.rmdir()

    def _load_card(self, path: Path) -> Callable[[ContentRows], object]:
        try:
            card = parse_record(path.read_bytes())
        except (ValueError, TypeError) as error:
            raise _make_unreadable_error(self._old.folder, error) from error
        data = (self._old.blobs / card.sha256).read_bytes()

        def store(rows: ContentRows) -> None:
            uploads = _UploadRows(rows)
            there = uploads.find_record(card.name)
            if there is None:
                uploads.put_record(card, data)
            elif there.sha256 != card.sha256:  # of another host: both stay
                folder, _, name = card.name.rpartition("/")
                uploads.put_record(replace(card, name="/".join(filter(None, [folder, card.sha256[:8], name]))), data)

        return store


class _UploadRows:
    def __init__(self, rows: ContentRows) -> None:
        self._rows = rows

    def list_records(self) -> list[UploadRecord]:
        return [parse_record(text) for text in self._rows.list_texts().values()]

    def find_record(self, name: str) -> UploadRecord | None:
        text = self._rows.find_text(name)
        return None if text is None else parse_record(text)

    def read_data(self, card: UploadRecord) -> bytes:
        entry = self._rows.load_entry(card.name)
        if entry is None or parse_record(entry[0]).sha256 != card.sha256:
            # Newer bytes may be for fewer people than the record says.
            raise SourceError(f"{card.plain_name} was removed or replaced. Nothing needs to be done.")
        return entry[1]

    def has_data(self, _card: UploadRecord) -> bool:
        return True

    def put_record(self, card: UploadRecord, data: bytes | None = None) -> None:
        self._rows.put_entry(card.name, json.dumps(asdict(card), ensure_ascii=False), data)

    def delete_records(self, names: Sequence[str]) -> None:
        self._rows.delete_entries(names)

    def get_change_mark(self) -> object:
        return self._rows.get_change_mark()


class _UploadFolder:
    """The documents in a folder: bytes under their checksum, and a record for each document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cards = folder / "cards"
        self.blobs = folder / "blobs"

    def read(self, work: Callable[[_Uploads], _T]) -> _T:
        return work(self)

    def change(self, work: Callable[[_Uploads], _T]) -> _T:
        with self._lock_folder():
            return work(self)

    def list_records(self) -> list[UploadRecord]:
        try:
            found = [_read_record(path) for path in self.cards.glob("*.json")] if self.cards.is_dir() else []
        except (OSError, ValueError, TypeError) as error:
            raise _make_unreadable_error(self.folder, error) from error
        return [card for card in found if card is not None]

    def find_record(self, name: str) -> UploadRecord | None:
        try:
            return _read_record(self._record_path(name))
        except (OSError, ValueError, TypeError) as error:
            raise SourceError(
                f"The record of {get_plain_name(name)} cannot be read. Add the document again."
            ) from error

    def read_data(self, card: UploadRecord) -> bytes:
        try:
            return (self.blobs / card.sha256).read_bytes()
        except OSError as error:
            raise SourceError(f"{card.plain_name} cannot be read: {error.strerror}. Add it again.") from error

    def has_data(self, card: UploadRecord) -> bool:
        return (self.blobs / card.sha256).exists()

    def put_record(self, card: UploadRecord, data: bytes | None = None) -> None:
        if data is not None:
            _write_file(self.blobs / card.sha256, data)
        _write_file(self._record_path(card.name), json.dumps(asdict(card), ensure_ascii=False).encode())

    def delete_records(self, names: Sequence[str]) -> None:
        """Delete records, then bytes that no record names, and drafts. The folder is locked, so nobody writes them."""
        for name in names:
            self._record_path(name).unlink()
        _sync_folder(self.cards)
        used = {card.sha256 for card in self.list_records()}
        for path in (*self.blobs.iterdir(), *self.cards.glob(".*")):
            if path.name not in used:
                path.unlink()

    def get_change_mark(self) -> object:
        try:
            return self.cards.stat().st_mtime_ns
        except OSError:
            return 0

    def _record_path(self, name: str) -> Path:
        return self.cards / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"

    @contextlib.contextmanager
    def _lock_folder(self) -> Iterator[None]:
        """Lock the folder for a change, so that no other process deletes bytes that this one needs."""
        try:
            for folder in (self.cards, self.blobs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self.folder / "lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise SourceError(
                f"The folder {self.folder} cannot be written: {error.strerror}. Check its disk and rights, "
                "then add the document again."
            ) from error


def _make_unreadable_error(folder: Path, error: Exception) -> SourceError:
    return SourceError(
        f"The added documents in {folder} cannot be read ({type(error).__name__}). Restore the folder from a backup; "
        "until then Kvasir deletes nothing of it."
    )


def has_records(folder: Path) -> bool:
    """Return whether the folder of a source has added documents, or had some and is mounted."""
    return (folder / "cards").is_dir()


def parse_document_name(name: str) -> str:
    """Return the document's name for a file: the last part of its path, in NFC.

    Raises:
        SourceError: the name is empty, hidden or too long.
        UnsupportedFormat: Kvasir does not read documents of this kind.

    """
    base_name = _CONTROL.sub("", unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])).strip()
    is_text = not _SURROGATE.search(base_name)
    if base_name.startswith(".") or not (is_text and 0 < len(base_name.encode()) <= _MAX_NAME_BYTES):
        raise SourceError("A document needs a name of up to 200 bytes that does not begin with a dot. Rename the file.")
    if not base_name.lower().endswith(SUFFIXES):
        raise UnsupportedFormat(f"Kvasir does not read {base_name}. It reads: {', '.join(s[1:] for s in SUFFIXES)}.")
    return base_name


def get_plain_name(document: str) -> str:
    """Return the name that people see of a document, by its id."""
    return document.rpartition("/")[2]


def _join_readers(one: Sequence[str] | None, other: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if one is None or other is None else tuple(sorted({*one, *other}))


def _read_record(path: Path) -> UploadRecord | None:
    """Return a record; None if it was removed meanwhile. Raises OSError, ValueError or TypeError."""
    try:
        return parse_record(path.read_bytes())
    except FileNotFoundError:
        return None


def parse_record(text: str | bytes) -> UploadRecord:
    """Return the record of a text. Raises ValueError or TypeError."""
    fields = json.loads(text)
    if fields.get("readers") is not None:
        fields["readers"] = tuple(fields["readers"])
    return UploadRecord(**fields)


def _write_file(path: Path, data: bytes) -> None:
    """Write a whole file to the disk, then move it to its place."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
