"""The store of everything that ``fsspec`` opens, and what it shares with ``S3Store``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from knowledge.dates import parse_iso_date, parse_timestamp, to_utc
from knowledge.errors import SourceDenied, SourceError, SourceUnavailable
from knowledge.sources.common import too_large_error
from knowledge.thread_pool import NamedThreadPool

_T = TypeVar("_T")

LIST_S = 120.0
"""The deadline of listing one page or folder."""
READ_S = 600.0
"""The deadline of reading one object."""
_ATTEMPTS = 3
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "checksum")
_TIME_KEYS = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in a listing."""

    key: str
    """The object's path below the source's root."""
    version: str
    size_bytes: int | None
    modified_at: datetime | None


class FileSystemStore:
    """A store read by the blocking calls of ``fsspec``, without its caches; no error quotes the store."""

    def __init__(self, display_url: str, url: str, protocol: str, options: Mapping[str, object]) -> None:
        self._display_url = display_url
        self._url = url
        self._protocol = protocol
        self._options = options
        self._threads = NamedThreadPool("kvasir-objects")
        self._file_system: Any = None

    async def list_objects(self) -> AsyncGenerator[Sequence[StoredObject], None]:
        """Yield the objects of one folder after the other.

        Raises:
            SourceUnavailable, SourceDenied: a folder cannot be listed.

        """
        files = await self._run_in_thread(self._open_file_system, LIST_S)
        root = str(files._strip_protocol(self._url)).rstrip("/")  # noqa: SLF001 - how fsspec's own tools ask for it
        folders, visited_paths = [root], {root}
        while folders:
            folder = folders.pop()
            infos = await self._run_in_thread(lambda: files.ls(folder, detail=True), LIST_S)  # noqa: B023 - awaited at once
            below = [info for info in infos if str(info["name"]).rstrip("/") != folder]
            for name in (str(info["name"]).rstrip("/") for info in below if info["type"] == "directory"):
                if name not in visited_paths:
                    visited_paths.add(name)
                    folders.append(name)
            yield [_parse_object(info, root) for info in below if info["type"] == "file"]

    async def read_object(self, key: str, limit: int) -> tuple[bytes, str]:
        """Read an object, again if it changes meanwhile.

        Raises:
            SourceError: it is gone, too large, or keeps changing; a subclass if the store cannot be reached.

        """
        return await self._run_in_thread(lambda: self._read_object(key, limit), READ_S, key)

    async def close(self) -> None:
        """Drop the connection; fsspec closes it with the object."""
        self._file_system = None
        self._threads.close()

    def _open_file_system(self) -> Any:  # noqa: ANN401 - any driver's file system
        import fsspec  # noqa: PLC0415 - the first source that needs it loads it

        if self._file_system is None:
            self._file_system = fsspec.filesystem(
                self._protocol, skip_instance_cache=True, use_listings_cache=False, **self._options
            )
        self._file_system.invalidate_cache()
        return self._file_system

    def _read_object(self, key: str, limit: int) -> tuple[bytes, str]:
        files = self._open_file_system()
        path = f"{str(files._strip_protocol(self._url)).rstrip('/')}/{key}"  # noqa: SLF001 - as above
        for _ in range(_ATTEMPTS):
            before = files.info(path)
            if (before.get("size") or 0) > limit:
                raise too_large_error(key, before["size"], limit)
            data = bytes(files.cat_file(path))
            if _content_version(before) == _content_version(files.info(path)) and before.get("size") in {
                None,
                len(data),
            }:
                return data, _content_version(before)
        raise SourceError(f"{key} keeps changing while it is read. The next sync tries again.")

    async def _run_in_thread(self, call: Callable[[], _T], deadline_s: float, key: str | None = None) -> _T:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._threads.run(call)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers have errors of their own; their texts are not shown
            raise _translate_error(error, self._display_url, key) from None


def _parse_object(info: Mapping[str, Any], root: str) -> StoredObject:
    key = str(info["name"]).removeprefix(root).lstrip("/")
    return StoredObject(key, _content_version(info), info.get("size"), _parse_modified_at(info))


def _content_version(info: Mapping[str, Any]) -> str:
    """Return the store's own checksum or ETag, else size and time."""
    for name in _VERSION_KEYS:
        if info.get(name):
            return str(info[name]).strip('"')
    time = _parse_modified_at(info)  # the same text although a driver may return a text once and a number another time
    return f"{info.get('size')}-{time.isoformat() if time else ''}"


def _parse_modified_at(info: Mapping[str, Any]) -> datetime | None:
    time = next((info[name] for name in _TIME_KEYS if info.get(name)), None)
    match time:
        case str():
            return parse_iso_date(time)
        case int() | float():
            return parse_timestamp(time)
        case datetime():
            return to_utc(time)
        case _:
            return None


def _translate_error(error: Exception, display_url: str, key: str | None) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return gone_error(key) if key else absent_error(display_url)
    if isinstance(error, PermissionError) or get_status(error) in {401, 403}:
        return SourceDenied(f"{display_url} refuses access. Check the credentials in the variables that its keys name.")
    return unavailable_error(display_url)


def get_status(error: BaseException) -> int | None:
    """Return the HTTP status of a driver's error, if it has one."""
    for name in ("status_code", "status", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return int(value)
    return None


def gone_error(key: str) -> SourceError:
    """Return the error for an object that no longer exists."""
    return SourceError(f"{key} is gone. It was deleted or renamed after it was listed.")


def absent_error(display_url: str) -> SourceUnavailable:
    """Return the error for a bucket or a folder that does not exist."""
    return SourceUnavailable(
        f"There is nothing at {display_url}: no such bucket or folder, or these credentials may not see it. Check "
        "the url; until then Kvasir deletes nothing of this source."
    )


def unavailable_error(display_url: str) -> SourceUnavailable:
    """Return the error for a store that does not answer as expected."""
    return SourceUnavailable(
        f"{display_url} cannot be reached, or failed during a call. Check that it is up and its address is right; "
        "the next sync tries again."
    )
