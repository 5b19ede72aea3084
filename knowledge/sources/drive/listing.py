"""Listing Google Drive: whole, or what is remembered with the changes since.

The law is the whole listing. Changes are taken for what they plainly say: a file is new, changed, gone, or readable by
others. Whatever concerns more than one file (a folder that moved, or that others may see now; a shared drive that has
other members) makes it a whole listing, as does a change feed that does not know where it stood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.errors import SourceError
from knowledge.sources.drive.api import Drive
from knowledge.sources.drive.files import (
    FOLDER,
    SHORTCUT,
    Audience,
    File,
    audience_of,
    is_read,
    read_file,
    rights_mark,
)
from knowledge.sources.hosted.http_api import CallRefused, run_concurrently
from knowledge.sources.hosted.json_form import JsonObject, get_object, get_objects, get_text, require_text

OWN = ""
"""Stands for what the account sees outside shared drives, where a shared drive's id could stand."""


class Stale(Exception):
    """What is remembered cannot be brought up to date: only a whole listing can."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of what is listed: a shared drive (or ``OWN``), whole or what is under some folders."""

    drive: str
    roots: tuple[str, ...] = ()


@dataclass(slots=True)
class Held:
    """A complete listing, and where the changes stood before it was begun."""

    places: tuple[Place, ...] = ()
    tokens: dict[str, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    """``rights_mark`` by id."""
    shortcuts: dict[str, str] = field(default_factory=dict)
    """To what each leads."""

    def saved(self) -> JsonObject:
        """Return it as JSON."""
        return {
            "places": [[place.drive, list(place.roots)] for place in self.places],
            "tokens": self.tokens,
            "files": [file.saved() for file in self.files.values()],
            "folders": self.folders,
            "shortcuts": self.shortcuts,
        }

    @classmethod
    def restored(cls, value: JsonObject) -> Held:
        """Read what ``saved`` returned."""
        places = value.get("places")
        assert isinstance(places, list)  # noqa: S101 - as it was saved: it is sealed
        files = [File.restored(one) for one in get_objects(value, "files")]
        return cls(
            tuple(Place(drive, tuple(roots)) for drive, roots in places),
            _texts(get_object(value, "tokens")),
            {file.id: file for file in files},
            _texts(get_object(value, "folders")),
            _texts(get_object(value, "shortcuts")),
        )


class Listing:
    """One listing; ``held`` is what the next one may start from once this one has come to its end."""

    def __init__(self, drive: Drive, *, rights: bool, now: float) -> None:
        self._drive = drive
        self._rights = rights
        self._now = now
        self.held = Held()

    async def whole(self, drives: Sequence[str], folders: Sequence[str]) -> AsyncIterator[Sequence[File]]:
        """Yield all files, each once.

        Raises:
            SourceError: the listing failed, or a configured drive or folder is not there.

        """
        self.held.places = await self._places(drives, folders)
        for place in self.held.places:
            # Taken first: what changes while it is listed is told again as a change, and does no harm twice.
            if place.drive not in self.held.tokens:
                self.held.tokens[place.drive] = await self._drive.start_token(place.drive)
        for place in self.held.places:
            async for found in self._in(place):
                yield await self._taken(found)
        yield await self._targets()

    async def followed(self, held: Held) -> AsyncIterator[Sequence[File]]:
        """Yield all files, as remembered and changed since.

        Raises:
            Stale: it takes a whole listing.
            SourceError: the listing failed.

        """
        if any(file.audience.until is not None and file.audience.until <= self._now for file in held.files.values()):
            raise Stale
        self.held = held
        changed: dict[str, JsonObject] = {}
        for drive in list(held.tokens):
            async for told in self._changes(drive):
                changed.update(told)
                yield []  # still at work
        await self._apply(changed)
        yield list(held.files.values())
        yield await self._targets()

    async def _places(self, drives: Sequence[str], folders: Sequence[str]) -> tuple[Place, ...]:
        places = [Place(drive) for drive in drives]
        for folder in folders:
            found = await self._root(folder)
            self.held.folders[folder] = rights_mark(found)
            places.append(Place(get_text(found, "driveId") or OWN, (folder,)))
        return tuple(places) or (Place(OWN),)

    async def _root(self, folder: str) -> JsonObject:
        try:
            found = await self._drive.file(folder)
        except CallRefused as error:
            if error.status not in {403, 404}:
                raise
            found = {}
        if get_text(found, "mimeType") != FOLDER or found.get("trashed") is True:
            raise SourceError(
                f"Google Drive has no folder {folder} that is shared with Kvasir's account. Share it, or correct "
                "folders in kvasir.toml; nothing was deleted."
            )
        return found

    async def _in(self, place: Place) -> AsyncIterator[Sequence[JsonObject]]:
        if not place.roots:
            async for found in self._drive.in_drive(place.drive):
                yield [one for one in found if self._is_in(place, one)]
            return
        todo, seen = list(place.roots), set(place.roots)
        while todo:
            below: list[str] = []
            async for found in self._drive.in_folders(todo, place.drive):
                yield found
                below += [require_text(one, "id") for one in found if get_text(one, "mimeType") == FOLDER]
            todo = [one for one in dict.fromkeys(below) if one not in seen]
            seen.update(todo)

    async def _taken(self, found: Sequence[JsonObject]) -> Sequence[File]:
        """Note what was found; return the files among it that were not found before."""
        held = self.held
        new: dict[str, JsonObject] = {}
        for one in found:
            identifier, kind = require_text(one, "id"), get_text(one, "mimeType")
            if one.get("trashed") is True:
                continue
            if kind == FOLDER:
                held.folders[identifier] = rights_mark(one)
            elif kind == SHORTCUT:
                self._note_shortcut(one)
            elif is_read(one) and identifier not in held.files:
                new[identifier] = one
        files = await self._read(list(new.values()))
        held.files.update((file.id, file) for file in files)
        return files

    def _note_shortcut(self, shortcut: JsonObject) -> None:
        """Note where a shortcut leads; one to a folder is not followed: the folder may be named by itself."""
        details = get_object(shortcut, "shortcutDetails")
        target = get_text(details, "targetId")
        if target and get_text(details, "targetMimeType") != FOLDER:
            self.held.shortcuts[require_text(shortcut, "id")] = target

    async def _read(self, found: Sequence[JsonObject]) -> Sequence[File]:
        audiences = await run_concurrently([lambda one=one: self._audience(one) for one in found])  # type: ignore[misc]
        return [read_file(one, audience) for one, audience in zip(found, audiences, strict=True)]

    async def _audience(self, file: JsonObject) -> Audience:
        if not self._rights:
            return Audience(("*",))
        # Files of shared drives, and those that the account may not share, come without their permissions.
        told = file.get("permissions")
        known = get_objects(file, "permissions") if isinstance(told, list) and told else None
        return audience_of(
            await self._drive.permissions(require_text(file, "id")) if known is None else known, self._now
        )

    async def _targets(self) -> Sequence[File]:
        """Return the files to which shortcuts lead, as they are now: no change is told of what lies elsewhere."""
        targets = [one for one in dict.fromkeys(self.held.shortcuts.values()) if one not in self.held.files]
        found = await run_concurrently([lambda one=one: self._target(one) for one in targets])  # type: ignore[misc]
        return await self._read([one for one in found if one is not None and is_read(one)])

    async def _target(self, identifier: str) -> JsonObject | None:
        try:
            found = await self._drive.file(identifier)
        except CallRefused as error:
            if error.status in {403, 404}:
                return None  # not shared with us, or gone
            raise
        return None if found.get("trashed") is True else found

    # Changes.

    async def _changes(self, drive: str) -> AsyncIterator[Mapping[str, JsonObject]]:
        token: str | None = None
        try:
            async for changes, last in self._drive.changes(drive, self.held.tokens[drive]):
                if any(one.get("changeType") == "drive" for one in changes):
                    raise Stale
                token = last
                yield {require_text(one, "fileId"): one for one in changes}
        except CallRefused:
            raise Stale from None  # it no longer knows the token
        if token is None:
            raise Stale
        self.held.tokens[drive] = token

    async def _apply(self, changed: Mapping[str, JsonObject]) -> None:
        kept: list[JsonObject] = []
        for identifier, change in changed.items():
            file = get_object(change, "file")
            gone = change.get("removed") is True or file.get("trashed") is True or not file
            is_folder = identifier in self.held.folders or get_text(file, "mimeType") == FOLDER
            if is_folder:
                self._check_folder(identifier, None if gone else file)
                continue
            self.held.files.pop(identifier, None)
            self.held.shortcuts.pop(identifier, None)
            if not gone and self._is_within(file):
                kept.append(file)
        await self._taken(kept)

    def _check_folder(self, identifier: str, folder: JsonObject | None) -> None:
        """Let a folder pass that nothing has happened to which concerns what is in it."""
        known = self.held.folders.get(identifier)
        if folder is None or known is None:
            passes = known is None and (folder is None or not self._is_within(folder))
        else:
            passes = known == rights_mark(folder)
        if not passes:
            raise Stale

    def _is_within(self, file: JsonObject) -> bool:
        return any(self._is_in(place, file) for place in self.held.places)

    def _is_in(self, place: Place, file: JsonObject) -> bool:
        if (get_text(file, "driveId") or OWN) != place.drive:
            return False
        parents = file.get("parents")
        under = isinstance(parents, list) and any(one in self.held.folders for one in parents)
        return not place.roots or under


def _texts(value: JsonObject) -> dict[str, str]:
    return {key: one for key, one in value.items() if isinstance(one, str)}
