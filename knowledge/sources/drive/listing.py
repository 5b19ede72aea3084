"""Lists Google Drive as a whole, or updates the remembered listing with the changes since.

A change means what it plainly says: a file is new, changed, gone, or has other readers. A change that concerns more
than one file leads to a whole listing. Such a change is a folder that moved or has other readers, or a shared drive
with other members. A change feed that no longer knows the token leads to one, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from knowledge.errors import SourceError
from knowledge.sources.drive.api import DriveApi
from knowledge.sources.drive.files import (
    FOLDER,
    SHORTCUT,
    DriveFile,
    FileAudience,
    hash_rights,
    is_document,
    parse_audience,
    parse_file,
)
from knowledge.sources.hosted.http_api import CallRefused, fetch_or_none, run_concurrently
from knowledge.sources.hosted.json_form import JsonObject, filter_texts, get_object, get_objects, get_text, require_text

OWN_FILES = ""
"""Replaces a shared drive's id for the files that the account sees outside shared drives."""


class StaleSnapshot(Exception):
    """The snapshot cannot be updated: only a whole listing helps."""


class DrivePlace(NamedTuple):
    """A part of the listing: a shared drive (or ``OWN_FILES``), whole or below some folders."""

    drive: str
    roots: tuple[str, ...] = ()


@dataclass(slots=True)
class DriveSnapshot:
    """A complete listing, and the tokens of the change feeds from before it began."""

    places: tuple[DrivePlace, ...] = ()
    tokens: dict[str, str] = field(default_factory=dict)
    files: dict[str, DriveFile] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    """The ``hash_rights`` of each folder, by its id."""
    shortcuts: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the snapshot as JSON."""
        value = _SNAPSHOT.dump_python(self, mode="json")
        return {**value, "files": list(value["files"].values())}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> DriveSnapshot:
        """Return the snapshot from the JSON of ``to_json``."""
        return _SNAPSHOT.validate_python({**value, "files": {file["id"]: file for file in value["files"]}})


_SNAPSHOT: Final = TypeAdapter(DriveSnapshot)


class DriveListing:
    """One listing; when it is complete, the next one may start from its ``snapshot``."""

    def __init__(self, drive: DriveApi, *, rights: bool, now: float) -> None:
        self._drive = drive
        self._rights = rights
        self._now = now
        self.snapshot = DriveSnapshot()

    async def list_all(self, drives: Sequence[str], folders: Sequence[str]) -> AsyncIterator[Sequence[DriveFile]]:
        """Yield all files, each once.

        Raises:
            SourceError: the listing failed, or a configured drive or folder does not exist.

        """
        self.snapshot.places = await self._resolve_places(drives, folders)
        for place in self.snapshot.places:
            # Fetched first: a change during the listing is then reported again, which does no harm.
            if place.drive not in self.snapshot.tokens:
                self.snapshot.tokens[place.drive] = await self._drive.fetch_start_token(place.drive)
        for place in self.snapshot.places:
            async for found in self._list_place(place):
                yield await self._record_files(found)
        yield await self._fetch_targets()

    async def list_since(self, snapshot: DriveSnapshot) -> AsyncIterator[Sequence[DriveFile]]:
        """Yield all files of a snapshot, updated with the changes since.

        Raises:
            StaleSnapshot: a whole listing is needed.
            SourceError: the listing failed.

        """
        if any(
            file.audience.expires_at is not None and file.audience.expires_at <= self._now
            for file in snapshot.files.values()
        ):
            raise StaleSnapshot
        self.snapshot = snapshot
        changes_by_id: dict[str, JsonObject] = {}
        for drive in list(snapshot.tokens):
            async for changes in self._fetch_changes(drive):
                changes_by_id.update(changes)
                yield []  # a heartbeat
        await self._apply_changes(changes_by_id)
        yield list(snapshot.files.values())
        yield await self._fetch_targets()

    async def _resolve_places(self, drives: Sequence[str], folders: Sequence[str]) -> tuple[DrivePlace, ...]:
        places = [DrivePlace(drive) for drive in drives]
        for folder in folders:
            found = await self._fetch_root(folder)
            self.snapshot.folders[folder] = hash_rights(found)
            places.append(DrivePlace(get_text(found, "driveId") or OWN_FILES, (folder,)))
        return tuple(places) or (DrivePlace(OWN_FILES),)

    async def _fetch_root(self, folder: str) -> JsonObject:
        found = await fetch_or_none(partial(self._drive.fetch_file, folder)) or {}
        if get_text(found, "mimeType") != FOLDER or found.get("trashed") is True:
            raise SourceError(
                f"Google Drive has no folder {folder} that is shared with Kvasir's account. Share it, or "
                "correct folders in kvasir.toml; nothing was deleted."
            )
        return found

    async def _list_place(self, place: DrivePlace) -> AsyncIterator[Sequence[JsonObject]]:
        if not place.roots:
            async for found in self._drive.list_drive(place.drive):
                yield [one for one in found if self._is_in_place(place, one)]
            return
        todo, visited_ids = list(place.roots), set(place.roots)
        while todo:
            below: list[str] = []
            async for found in self._drive.list_folders(todo, place.drive):
                yield found
                below += [require_text(one, "id") for one in found if get_text(one, "mimeType") == FOLDER]
            todo = [one for one in dict.fromkeys(below) if one not in visited_ids]
            visited_ids.update(todo)

    async def _record_files(self, found: Sequence[JsonObject]) -> Sequence[DriveFile]:
        """Record files, folders and shortcuts; return the files that are new in this listing."""
        snapshot = self.snapshot
        new: dict[str, JsonObject] = {}
        for one in found:
            identifier, kind = require_text(one, "id"), get_text(one, "mimeType")
            if one.get("trashed") is True:
                continue
            if kind == FOLDER:
                snapshot.folders[identifier] = hash_rights(one)
            elif kind == SHORTCUT:
                self._record_shortcut(one)
            elif is_document(one) and identifier not in snapshot.files:
                new[identifier] = one
        files = await self._parse_files(list(new.values()))
        snapshot.files.update((file.id, file) for file in files)
        return files

    def _record_shortcut(self, shortcut: JsonObject) -> None:
        """Record the target of a shortcut, unless it is a folder: a folder can be configured by itself."""
        details = get_object(shortcut, "shortcutDetails")
        target = get_text(details, "targetId")
        if target and get_text(details, "targetMimeType") != FOLDER:
            self.snapshot.shortcuts[require_text(shortcut, "id")] = target

    async def _parse_files(self, found: Sequence[JsonObject]) -> Sequence[DriveFile]:
        audiences = await run_concurrently([lambda one=one: self.fetch_audience(one) for one in found])  # type: ignore[misc]
        return [parse_file(one, audience) for one, audience in zip(found, audiences, strict=True)]

    async def fetch_audience(self, file: JsonObject) -> FileAudience:
        """Return the readers of a file."""
        if not self._rights:
            return FileAudience(("*",))
        # Files of shared drives, and files that the account may not share, come without permissions.
        permissions = file.get("permissions")
        grants = get_objects(file, "permissions") if isinstance(permissions, list) and permissions else None
        return parse_audience(
            await self._drive.fetch_permissions(require_text(file, "id")) if grants is None else grants, self._now
        )

    async def _fetch_targets(self) -> Sequence[DriveFile]:
        """Return the current targets of shortcuts: the change feed does not report files that lie elsewhere."""
        targets = [one for one in dict.fromkeys(self.snapshot.shortcuts.values()) if one not in self.snapshot.files]
        calls = [partial(fetch_or_none, partial(self._drive.fetch_file, one)) for one in targets]
        found = [one for one in await run_concurrently(calls) if one is not None and one.get("trashed") is not True]
        return await self._parse_files([one for one in found if is_document(one)])

    # ── Changes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _fetch_changes(self, drive: str) -> AsyncIterator[Mapping[str, JsonObject]]:
        token: str | None = None
        try:
            async for changes, last in self._drive.fetch_changes(drive, self.snapshot.tokens[drive]):
                if any(one.get("changeType") == "drive" for one in changes):
                    raise StaleSnapshot
                token = last
                yield {require_text(one, "fileId"): one for one in changes}
        except CallRefused:
            raise StaleSnapshot from None  # the feed no longer knows the token
        if token is None:
            raise StaleSnapshot
        self.snapshot.tokens[drive] = token

    async def _apply_changes(self, changes_by_id: Mapping[str, JsonObject]) -> None:
        changed_files: list[JsonObject] = []
        for identifier, change in changes_by_id.items():
            file = get_object(change, "file")
            gone = change.get("removed") is True or file.get("trashed") is True or not file
            is_folder = identifier in self.snapshot.folders or get_text(file, "mimeType") == FOLDER
            if is_folder:
                self._check_folder(identifier, None if gone else file)
                continue
            self.snapshot.files.pop(identifier, None)
            self.snapshot.shortcuts.pop(identifier, None)
            if not gone and self._is_in_any_place(file):
                changed_files.append(file)
        await self._record_files(changed_files)

    def _check_folder(self, identifier: str, folder: JsonObject | None) -> None:
        """Raise ``StaleSnapshot`` unless the change of a folder leaves the files in it as they are."""
        recorded = self.snapshot.folders.get(identifier)
        if folder is None or recorded is None:
            passes = recorded is None and (folder is None or not self._is_in_any_place(folder))
        else:
            passes = recorded == hash_rights(folder)
        if not passes:
            raise StaleSnapshot

    def _is_in_any_place(self, file: JsonObject) -> bool:
        return any(self._is_in_place(place, file) for place in self.snapshot.places)

    def _is_in_place(self, place: DrivePlace, file: JsonObject) -> bool:
        if (get_text(file, "driveId") or OWN_FILES) != place.drive:
            return False
        return not place.roots or any(one in self.snapshot.folders for one in filter_texts(file.get("parents")))
