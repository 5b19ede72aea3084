"""Google Drive at the wire, written from developers.google.com/workspace/drive/api (version 3).

- ``POST /token`` (developers.google.com/identity/protocols/oauth2/service-account): a JWT signed by the account's key
  becomes an access token; a wrong one is 400 ``invalid_grant``.
- ``GET /drive/v3/files``: ``q`` with ``'ID' in parents`` and ``trashed = false``; ``corpora=user`` or ``drive`` with
  ``driveId``, ``includeItemsFromAllDrives`` and ``supportsAllDrives``; ``nextPageToken``; ``incompleteSearch``.
- ``permissions`` of a file come along only for items outside shared drives that the account may share; otherwise
  ``GET /drive/v3/files/{id}/permissions``, inherited ones included.
- ``GET /drive/v3/changes/startPageToken`` and ``/drive/v3/changes``: each file once, as it is now, ``removed`` when it
  was deleted or is not to be seen any more; ``newStartPageToken`` with the last page; ``changeType`` ``drive`` for a
  shared drive. If a folder moves, its content causes no changes.
- ``alt=media`` brings a file's bytes; ``/export?mimeType=`` those of Google's own documents, 10 MB at most (403
  ``exportSizeLimitExceeded``). 403 ``userRateLimitExceeded`` and 429 mean "slower".
- ``GET /admin/directory/v1/groups?userKey=`` (developers.google.com/workspace/admin/directory): the groups of which an
  account is a direct member, for a token with the scope ``admin.directory.group.readonly``; 404 for a stranger.
- ``version`` grows with every change of a file; ``md5Checksum`` only where bytes were uploaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.sources.hosted.fake_service import FakeService

Json = dict[str, Any]
NATIVE = "application/vnd.google-apps."


@cache
def key_pair() -> tuple[str, str]:
    """Return a private and a public key, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # small: it is signed with all the time
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


class FakeDrive(FakeService):
    """One company's Drive, as one service account sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Json] = {}
        self.data: dict[str, bytes] = {}
        self.granted: dict[str, list[Json]] = {}
        """Permissions of files and folders, without those that they inherit."""
        self.drives: set[str] = set()
        self.changes: list[tuple[str, str, str]] = []
        """``(drive, kind, id)`` in order."""
        self.tokens: set[str] = set()
        self.subjects: list[str | None] = []
        self.key_works = True
        self.knows_tokens = True
        self.incomplete = False
        self.groups: dict[str, list[str]] = {}
        """The groups of each account."""
        self.group_tokens: set[str] = set()
        self.undelegated: set[str] = set()
        """Scopes without domain-wide delegation."""
        self.may_share = True
        self.most = 1000
        self.now = datetime(2026, 1, 5, 9, tzinfo=UTC)
        self._ids = iter(range(1, 10**6))

    def credentials(self) -> str:
        private, _ = key_pair()
        return json.dumps({
            "type": "service_account", "client_email": "kvasir@project.iam.gserviceaccount.com", "private_key": private,
            "private_key_id": "k1", "token_uri": f"{self.url}/token",
        })  # fmt: skip

    # What people do there.

    def file(
        self, name: str, data: bytes = b"text", parent: str | None = None, *, kind: str = "text/markdown",
        drive: str | None = None, **more: Any,
    ) -> str:  # fmt: skip
        identifier = f"1file{next(self._ids):06}"
        file: Json = {"id": identifier, "name": name, "mimeType": kind, "trashed": False, "version": "1", **more}
        file["webViewLink"] = f"https://drive.google.com/file/d/{identifier}/view"
        if parent is not None:
            file["parents"] = [parent]
        if drive is not None:
            file["driveId"] = drive
        self.files[identifier], self.granted[identifier] = file, []
        self.write(identifier, data)
        return identifier

    def folder(self, name: str, parent: str | None = None, *, drive: str | None = None) -> str:
        return self.file(name, b"", parent, kind=f"{NATIVE}folder", drive=drive)

    def shared_drive(self, identifier: str) -> str:
        self.drives.add(identifier)
        self.granted[identifier] = []
        return identifier

    def write(self, identifier: str, data: bytes) -> None:
        file = self.files[identifier]
        self.data[identifier] = data
        if not file["mimeType"].startswith(NATIVE):
            file["md5Checksum"] = hashlib.md5(data).hexdigest()
            file["size"] = str(len(data))
        self.edited(identifier)

    def edited(self, identifier: str, **more: Any) -> None:
        file = self.files[identifier]
        self.now += timedelta(seconds=1)
        file.update(more, version=str(int(file["version"]) + 1), modifiedTime=self.now.isoformat())
        self.note(identifier)

    def note(self, identifier: str) -> None:
        self.changes.append((self.files[identifier].get("driveId", ""), "file", identifier))

    def grant(self, identifier: str, **permission: Any) -> None:
        self.granted[identifier].append({"id": f"p{next(self._ids)}", "role": "reader", **permission})
        if identifier in self.files:
            self.edited(identifier)
        else:
            self.changes.append((identifier, "drive", identifier))

    def trash(self, identifier: str) -> None:
        self.edited(identifier, trashed=True)

    def delete(self, identifier: str) -> None:
        self.note(identifier)
        del self.files[identifier]

    # The wire.

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/token", self.token)
        router.add_get("/drive/v3/files", self.list_files)
        router.add_get("/drive/v3/files/{id}", self.get_file)
        router.add_get("/drive/v3/files/{id}/export", self.export)
        router.add_get("/drive/v3/files/{id}/permissions", self.list_permissions)
        router.add_get("/drive/v3/changes/startPageToken", self.start_token)
        router.add_get("/drive/v3/changes", self.list_changes)
        router.add_get("/admin/directory/v1/groups", self.list_groups)

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        if request.path == "/token":
            return None
        tokens = self.group_tokens if request.path.startswith("/admin/") else self.tokens
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in tokens:
            return _error(401, "authError")
        return None

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = jwt.decode(str(form["assertion"]), verify=False)  # type: ignore[no-untyped-call]
        assert claims["aud"] == f"{self.url}/token"
        scope = claims["scope"].removeprefix("https://www.googleapis.com/auth/")
        assert scope in {"drive.readonly", "admin.directory.group.readonly"}
        if not self.key_works or scope in self.undelegated:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.subjects.append(claims.get("sub"))
        token = f"ya29.{next(self._ids)}"
        (self.tokens if scope == "drive.readonly" else self.group_tokens).add(token)
        return web.json_response({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    async def list_groups(self, request: web.Request) -> web.Response:
        groups = self.groups.get(request.query["userKey"])
        if groups is None:
            return _error(404, "notFound")
        start = int(request.query.get("pageToken", 0))
        page: Json = {"groups": [{"id": f"g-{one}", "email": one} for one in groups[start : start + 2]]}
        return web.json_response({**page, "nextPageToken": str(start + 2)} if start + 2 < len(groups) else page)

    def _permissions(self, identifier: str) -> list[Json]:
        file = self.files.get(identifier, {})
        found = list(self.granted.get(identifier, []))
        for parent in file.get("parents", []):
            found += self._permissions(parent)
        if not file.get("parents") and "driveId" in file:
            found += self.granted[file["driveId"]]
        return list({one["id"]: one for one in found}.values())

    def _resource(self, identifier: str) -> Json:
        file = dict(self.files[identifier])
        file["permissionIds"] = [one["id"] for one in self._permissions(identifier)]
        if "driveId" not in file and self.may_share:
            file["permissions"] = self._permissions(identifier)
        return file

    async def list_files(self, request: web.Request) -> web.Response:
        query = request.query
        assert query["includeItemsFromAllDrives"] == query["supportsAllDrives"] == "true"
        drive = query.get("driveId", "")
        if drive and drive not in self.drives:
            return _error(404, "teamDriveNotFound")
        parents = re.findall(r"'([^']+)' in parents", query["q"])
        found = [
            one for one, file in self.files.items()
            if file.get("driveId", "") == drive and not file["trashed"]
            and (not parents or set(parents) & set(file.get("parents", [])))
        ]  # fmt: skip
        page, more = self._page(found, query)
        body = {"files": [self._resource(one) for one in page], "incompleteSearch": self.incomplete, **more}
        return web.json_response(body)

    def _page(self, found: list[str], query: Any) -> tuple[list[str], Json]:
        start = int(query.get("pageToken", "t0")[1:])
        end = start + min(int(query.get("pageSize", 100)), self.most)
        return found[start:end], {"nextPageToken": f"t{end}"} if end < len(found) else {}

    async def get_file(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.files:
            return _error(404, "notFound")
        if request.query.get("alt") == "media":
            return web.Response(body=self.data[identifier], content_type=self.files[identifier]["mimeType"])
        return web.json_response(self._resource(identifier))

    async def export(self, request: web.Request) -> web.Response:
        data = self.data[request.match_info["id"]]
        if len(data) > 10_000_000:
            return _error(403, "exportSizeLimitExceeded")
        return web.Response(body=data, content_type=request.query["mimeType"])

    async def list_permissions(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if not self.may_share:
            return _error(403, "insufficientFilePermissions")
        return web.json_response({"permissions": self._permissions(identifier)})

    async def start_token(self, _: web.Request) -> web.Response:
        return web.json_response({"startPageToken": str(len(self.changes))})

    async def list_changes(self, request: web.Request) -> web.Response:
        if not self.knows_tokens:
            return _error(404, "notFound")
        drive, start = request.query.get("driveId", ""), int(request.query["pageToken"])
        end = min(start + self.most, len(self.changes))
        last = {(kind, one): None for where, kind, one in self.changes[start:end] if where == drive}
        changes = [self._change(kind, one) for kind, one in last]
        cursor = {"newStartPageToken": str(end)} if end == len(self.changes) else {"nextPageToken": str(end)}
        return web.json_response({"changes": changes, **cursor})

    def _change(self, kind: str, identifier: str) -> Json:
        if kind == "drive":
            return {"changeType": "drive", "driveId": identifier}
        change: Json = {"changeType": "file", "fileId": identifier, "removed": identifier not in self.files}
        return change if change["removed"] else {**change, "file": self._resource(identifier)}


def _error(status: int, reason: str) -> web.Response:
    error = {"code": status, "message": reason, "errors": [{"domain": "global", "reason": reason}]}
    return web.json_response({"error": error}, status=status)
