"""The part of Google Drive's API version 3 that the source needs."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence

from knowledge.errors import SourceError
from knowledge.sources.common import split_batches
from knowledge.sources.drive.files import EXPORTS, FIELDS, PERMISSION_FIELDS, remove_images
from knowledge.sources.hosted.http_api import CallRefused, HttpApi
from knowledge.sources.hosted.http_call import ApiCall, ServiceResponse, quote_part
from knowledge.sources.hosted.json_form import JsonObject, get_text, require_objects, require_text

_ALL_DRIVES = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true"}
_FOLDERS_PER_QUERY = 25
_THROTTLING_CODES = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"})
_ERROR_CODE = re.compile("[A-Za-z]{1,60}")


class DriveApi:
    """Calls to Google Drive; they raise as ``HttpApi`` does."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api

    async def fetch_start_token(self, drive: str) -> str:
        """Return the current token of the change feed of a shared drive, or of the account's own view ("")."""
        call = ApiCall.get("drive/v3/changes/startPageToken", supportsAllDrives="true", **_drive_parameters(drive))
        return require_text(await self._api.fetch_json(call), "startPageToken")

    async def fetch_changes(self, drive: str, token: str) -> AsyncIterator[tuple[Sequence[JsonObject], str | None]]:
        """Yield the changes since a token; the last page also has the token to continue from."""
        fields = f"nextPageToken,newStartPageToken,changes(changeType,removed,fileId,file({FIELDS}))"
        first = ApiCall.get(
            "drive/v3/changes", pageToken=token, includeRemoved="true", pageSize=1000, fields=fields,
            **_ALL_DRIVES, **_drive_parameters(drive),
        )  # fmt: skip
        async for page in self._api.fetch_pages(first, build_next_call):
            yield require_objects(page, "changes"), get_text(page, "newStartPageToken")

    def list_drive(self, drive: str) -> AsyncIterator[Sequence[JsonObject]]:
        """Yield everything in a shared drive, or all that the account sees of its own (""), without the trash."""
        return self._list_files("trashed = false", drive)

    async def list_folders(self, folders: Sequence[str], drive: str) -> AsyncIterator[Sequence[JsonObject]]:
        """Yield the direct children of these folders, without the trash."""
        for batch in split_batches(folders, _FOLDERS_PER_QUERY):
            some = " or ".join(f"'{folder}' in parents" for folder in batch)
            async for file in self._list_files(f"({some}) and trashed = false", drive):
                yield file

    async def _list_files(self, query: str, drive: str) -> AsyncIterator[Sequence[JsonObject]]:
        corpus = {"corpora": "drive", "driveId": drive} if drive else {"corpora": "user"}
        first = ApiCall.get(
            "drive/v3/files", q=query, pageSize=1000, spaces="drive",
            fields=f"nextPageToken,incompleteSearch,files({FIELDS})", **_ALL_DRIVES, **corpus,
        )  # fmt: skip
        async for page in self._api.fetch_pages(first, build_next_call):
            if page.get("incompleteSearch") is True:
                raise SourceError(
                    "Google Drive did not search all files that Kvasir asked for. Name drives or folders in "
                    "kvasir.toml; nothing was deleted."
                )
            yield require_objects(page, "files")

    async def fetch_file(self, identifier: str) -> JsonObject:
        """Return a file's resource, also for a file in the trash."""
        call = ApiCall.get(f"drive/v3/files/{quote_part(identifier)}", supportsAllDrives="true", fields=FIELDS)
        return await self._api.fetch_json(call)

    async def fetch_permissions(self, identifier: str) -> Sequence[JsonObject]:
        """Return a file's permissions; none if the account may not see them."""
        first = ApiCall.get(
            f"drive/v3/files/{quote_part(identifier)}/permissions", supportsAllDrives="true", pageSize=100,
            fields=f"nextPageToken,permissions({PERMISSION_FIELDS})",
        )  # fmt: skip
        try:
            return [one async for one in self._api.fetch_objects(first, build_next_call, "permissions")]
        except CallRefused as error:
            if error.status in {403, 404}:
                return []
            raise

    async def fetch_content(self, file: JsonObject, document: str, limit: int) -> tuple[bytes, str]:
        """Return the bytes and the media type of a file.

        Raises:
            SourceError: the file is over ``limit`` bytes, or over the 10 MB that Google exports.

        """
        kind, identifier = get_text(file, "mimeType") or "", quote_part(require_text(file, "id"))
        export = EXPORTS.get(kind)
        try:
            if export is None:
                call = ApiCall.get(f"drive/v3/files/{identifier}", alt="media", supportsAllDrives="true")
                return (await self._api.download_document(call, document, limit)).body, kind
            call = ApiCall.get(f"drive/v3/files/{identifier}/export", mimeType=export)
            body = (await self._api.download_document(call, document, limit)).body
        except CallRefused as error:
            raise _unreadable_error(document, error) from None
        return (remove_images(body) if export == "text/markdown" else body), export


def parse_error_code(body: bytes) -> str:
    """Return Google's own error code from an answer, "" if there is none."""
    try:
        answer = json.loads(body)
        code = answer["error"]["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def is_throttled(reply: ServiceResponse) -> bool:
    """Return whether an answer means "slow down": Google says so with 403 as well as 429."""
    return reply.status == 403 and parse_error_code(reply.body) in _THROTTLING_CODES  # noqa: PLR2004 - HTTP's own number


def _drive_parameters(drive: str) -> dict[str, str]:
    return {"driveId": drive} if drive else {}


def build_next_call(call: ApiCall, page: JsonObject) -> ApiCall | None:
    """Return the call for the page after this one, None after the last."""
    token = get_text(page, "nextPageToken")
    return call.with_params(pageToken=token) if token else None


def _unreadable_error(document: str, error: CallRefused) -> SourceError:
    if error.error_code == "exportSizeLimitExceeded":
        return SourceError(
            f"{document} is over the 10 MB that Google exports. Split it, or store a PDF or DOCX of it next to it."
        )
    if error.status == 404:  # noqa: PLR2004 - HTTP's own number
        return SourceError(f"{document} is gone. It was deleted or unshared after it was listed.")
    return SourceError(
        f"Kvasir's account may not download {document} ({error.error_code or error.status}). Ask its owner to "
        "allow viewers to download it, or exclude it."
    )
