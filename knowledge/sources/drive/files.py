"""Google Drive's files, their versions and their audiences. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from knowledge.sources.common import SUFFIXES
from knowledge.sources.hosted.json_form import (
    JsonObject,
    filter_texts,
    get_int,
    get_text,
    get_time,
    require_text,
)

NATIVE = "application/vnd.google-apps."
FOLDER = f"{NATIVE}folder"
SHORTCUT = f"{NATIVE}shortcut"
_OFFICE = "application/vnd.openxmlformats-officedocument."
EXPORTS: Final[Mapping[str, str]] = {
    f"{NATIVE}document": "text/markdown",
    f"{NATIVE}spreadsheet": f"{_OFFICE}spreadsheetml.sheet",
    f"{NATIVE}presentation": f"{_OFFICE}presentationml.presentation",
}
FIELDS = (
    "id,name,mimeType,parents,trashed,version,md5Checksum,headRevisionId,modifiedTime,size,webViewLink,driveId,"
    "permissions(id,type,emailAddress,domain,deleted,view,expirationTime,allowFileDiscovery),permissionIds,"
    "inheritedPermissionsDisabled,shortcutDetails(targetId,targetMimeType)"
)
PERMISSION_FIELDS = "id,type,emailAddress,domain,deleted,view,expirationTime,allowFileDiscovery"
_VERSION_FORM = 1
_READ_TYPES = frozenset({"application/pdf", *EXPORTS.values()})
_IMAGE_DEFINITION = re.compile(r"^\[image\d+\]:[ \t]*<data:[^>\n]*>?[ \t]*$", re.MULTILINE)
_IMAGE_REFERENCE = re.compile(r"!\[([^\[\]\n]*)\]\[image\d+\]")


@dataclass(frozen=True, slots=True)
class FileAudience:
    """The readers of a file, and until when the permissions hold."""

    readers: tuple[str, ...]
    """The sorted readers, such as ``drive:user:ada@company.com``, ``drive:group:…``, ``drive:domain:company.com``."""
    expires_at: float | None = None
    """When the first permission expires, in seconds since the epoch; Drive does not report that as a change."""


@dataclass(frozen=True, slots=True)
class DriveFile:
    """A file as Drive listed it."""

    id: str
    document: str
    version: str
    link: str
    modified: str
    size_bytes: int | None
    parents: tuple[str, ...]
    drive: str
    audience: FileAudience


def is_document(file: JsonObject) -> bool:
    """Return whether Kvasir reads files of this kind."""
    kind = get_text(file, "mimeType") or ""
    return kind in EXPORTS or kind in _READ_TYPES or (not kind.startswith(NATIVE) and file_suffix(file) in SUFFIXES)


def file_suffix(file: JsonObject) -> str:
    """Return the suffix of a file's name, in lower case."""
    return PurePosixPath((get_text(file, "name") or "").replace("/", "_")).suffix.lower()


def parse_file(file: JsonObject, audience: FileAudience) -> DriveFile:
    """Return a file from its resource."""
    identifier = require_text(file, "id")
    ending = file_suffix(file) if (get_text(file, "mimeType") or "") not in EXPORTS else ""
    return DriveFile(
        id=identifier,
        document=identifier + (ending if ending in SUFFIXES else ""),
        version=file_version(file),
        link=get_text(file, "webViewLink") or f"https://drive.google.com/file/d/{identifier}/view",
        modified=get_text(file, "modifiedTime") or "",
        size_bytes=get_int(file, "size"),
        parents=tuple(sorted(filter_texts(file.get("parents")))),
        drive=get_text(file, "driveId") or "",
        audience=audience,
    )


def file_version(file: JsonObject) -> str:
    """Return a version that changes when a file's content or name may have changed.

    An uploaded file has a checksum. Google's own documents have only a number that counts every change; one that does
    not concern us costs an export and nothing else.
    """
    content = next(filter(None, (get_text(file, key) for key in ("md5Checksum", "headRevisionId"))), None)
    if content is None or (get_text(file, "mimeType") or "") in EXPORTS:
        content = require_text(file, "version")
    name = hashlib.sha256((get_text(file, "name") or "").encode("utf-8", "replace")).hexdigest()[:12]
    return f"{_VERSION_FORM}.{content}.{name}"


def parse_audience(permissions: Sequence[JsonObject], now: float) -> FileAudience:
    """Return the readers whom the permissions admit to a file's content; an unknown permission admits nobody."""
    readers: set[str] = set()
    expirations: list[float] = []
    for one in permissions:
        ends = get_time(one, "expirationTime")
        if one.get("deleted") is True or one.get("view") or (ends is not None and ends.timestamp() <= now):
            continue  # a grant for a view shows the file's metadata or a published copy
        named = _parse_reader(one)
        if named and ends is not None:
            expirations.append(ends.timestamp())
        readers |= {named} if named else set()
    return FileAudience(tuple(sorted(readers)), min(expirations, default=None))


def _parse_reader(permission: JsonObject) -> str | None:
    kind = get_text(permission, "type") or ""
    found = permission.get("allowFileDiscovery") is True
    if kind == "anyone":
        return "*" if found else "drive:anyone-with-link"
    if kind == "domain" and (domain := get_text(permission, "domain")):
        return f"drive:{'domain' if found else 'domain-with-link'}:{domain.lower()}"
    email = get_text(permission, "emailAddress")
    return f"drive:{kind}:{email.lower()}" if kind in {"user", "group"} and email else None


def hash_rights(folder: JsonObject) -> str:
    """Return a hash that changes when a folder's place or its permissions may have changed for its content."""
    rights = [folder.get(key) for key in ("parents", "permissionIds", "permissions", "inheritedPermissionsDisabled")]
    return hashlib.sha256(json.dumps(rights, sort_keys=True).encode()).hexdigest()[:24]


def remove_images(markdown: bytes) -> bytes:
    """Return an exported document without its embedded pictures; their captions stay."""
    written = markdown.decode("utf-8", "replace")
    return _IMAGE_REFERENCE.sub(r"\1", _IMAGE_DEFINITION.sub("", written)).encode()
