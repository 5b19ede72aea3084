"""Confluence at the wire, both editions, written from Atlassian's documentation.

Cloud, under ``/wiki`` (developer.atlassian.com/cloud/confluence/rest/v2 and …/rest/v1):

- ``GET api/v2/spaces``: ``keys``, ``status``; ``results`` with ``id``, ``key``, ``type``; ``_links.next`` is relative
  to the host and holds a ``cursor``, ``_links.base`` is the site's address.
- ``GET api/v2/spaces/{id}/pages`` and ``…/blogposts``: ``status=current`` leaves out the trash and the archive; at most
  250 a page; ``parentType`` may be ``folder``; without ``body-format`` there is no body.
- ``GET api/v2/pages/{id}?body-format=storage`` gives ``body.storage.value``; one in the trash still answers, with
  its ``status``.
- ``GET api/v2/spaces/{id}/permissions``: ``principal`` of type user, group or role; ``operation.key`` is ``read`` and
  ``targetType`` is ``space`` for the right to see it.
- ``GET api/v2/attachments``, ``api/v2/labels``, ``api/v2/labels/{id}/pages``, ``api/v2/folders/{id}``,
  ``POST api/v2/users-bulk``.
- ``GET rest/api/content/{id}/restriction/byOperation/read`` (v1): ``restrictions.user.results`` with ``accountId`` and
  ``restrictions.group.results`` with ``id``; those of ancestors are not in it; ``start`` and ``limit``.
- ``GET rest/api/content/search`` (v1): CQL; the index lags behind (``unindexed``); ``expand`` brings restrictions.
- ``GET rest/api/search/user?cql=type=user`` (v1): ``results`` with ``user``; an ``email`` may be hidden. ``GET
  rest/api/user/memberof?accountId=`` and ``rest/api/user/current`` (v1).
- ``GET rest/api/group/{id}/membersByGroupId`` (v1); ``GET rest/api/content/{id}/child/attachment/{id}/download`` (v1)
  redirects to where the file lies.

Data Center, at the root (developer.atlassian.com/server/confluence/rest and …/pagination-in-the-rest-api):

- ``GET rest/api/space`` and ``rest/api/content`` with ``start`` and ``limit``; ``_links.next`` is there until the last
  page; a limit may be lowered by the server; ``expand`` with ``ancestors``, ``restrictions.read…``, ``metadata.labels``
  and ``children.attachment.version`` (25 at most, then ``_links.next`` in it).
- ``GET rest/api/space/{key}/permissions`` is a bare list of ``operation`` and ``subject``; older versions have none.
- ``GET rest/api/group/{name}/member``, ``rest/api/user?key=`` or ``?username=``, ``rest/api/user/memberof?username=``,
  ``rest/api/user/current``, ``rest/api/content/{id}/child/attachment``.

401 for wrong credentials; 404 for what is not there and for what the account may not see.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.sources.hosted.fake_service import FakeService

BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
Json = dict[str, Any]


@dataclass
class FakePage:
    id: str
    title: str
    space: str
    storage: str = "<p>text</p>"
    kind: str = "page"
    version: int = 1
    when: datetime = BEGAN
    parent: str | None = None
    status: str = "current"
    labels: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


@dataclass
class FakeFile:
    id: str
    page: str
    title: str
    data: bytes
    version: int = 1
    media_type: str = "application/pdf"
    status: str = "current"


class FakeConfluence(FakeService):
    """One site. ``cloud`` chooses which edition it is."""

    def __init__(self, *, cloud: bool, token: str = "t0ken", email: str | None = None) -> None:
        super().__init__()
        self.cloud = cloud
        pair = base64.b64encode(f"{email}:{token}".encode()).decode()
        self.authorization = f"Basic {pair}" if email else f"Bearer {token}"
        self.spaces: dict[str, Json] = {}
        self.pages: dict[str, FakePage] = {}
        self.folders: dict[str, FakePage] = {}
        self.files: dict[str, FakeFile] = {}
        self.space_readers: dict[str, list[tuple[str, str]]] = {}
        self.members: dict[str, list[str]] = {}
        self.people: dict[str, str] = {}
        self.emails: dict[str, str] = {}
        """The e-mail addresses that accounts show."""
        self.inactive: set[str] = set()
        self.unindexed: set[str] = set()
        self.most = 250
        self.storage_url: str | None = None
        """Another origin, from which files are downloaded."""
        self.tells_permissions = True
        self.ids = iter(range(1001, 10**6))
        self.on_page: Any = None
        """Called before each page of a listing is given."""

    # What people do there.

    def space(self, key: str, *, readers: list[tuple[str, str]] | None = None, kind: str = "global") -> None:
        self.spaces[key] = {"id": str(len(self.spaces) + 1), "key": key, "type": kind}
        self.space_readers[key] = [("group", "staff")] if readers is None else readers

    def page(self, title: str, storage: str = "<p>text</p>", *, space: str = "ENG", **more: Any) -> FakePage:
        page = FakePage(str(next(self.ids)), title, space, storage, **more)
        self.pages[page.id] = page
        return page

    def edit(self, page: FakePage, storage: str | None = None, title: str | None = None) -> None:
        page.storage = page.storage if storage is None else storage
        page.title = title or page.title
        page.version += 1
        page.when += timedelta(minutes=1)

    def file(self, page: FakePage, title: str, data: bytes, media_type: str = "application/pdf") -> FakeFile:
        file = FakeFile(f"att{next(self.ids)}", page.id, title, data, media_type=media_type)
        self.files[file.id] = file
        return file

    # The wire.

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") != self.authorization:
            return web.json_response({"message": "Unauthorized"}, status=401)
        return None

    def routes(self, router: web.UrlDispatcher) -> None:
        if self.cloud:
            for path, handler in (
                ("api/v2/spaces", self.v2_spaces),
                ("api/v2/spaces/{space}/permissions", self.v2_permissions),
                ("api/v2/spaces/{space}/{kind:pages|blogposts}", self.v2_pages),
                ("api/v2/{kind:pages|blogposts}/{id}", self.v2_page),
                ("api/v2/folders/{id}", self.v2_folder),
                ("api/v2/attachments", self.v2_attachments),
                ("api/v2/attachments/{id}", self.v2_attachment),
                ("api/v2/labels", self.v2_labels),
                ("api/v2/labels/{label}/{kind:pages|blogposts}", self.v2_labelled),
                ("rest/api/content/search", self.v1_search),
                ("rest/api/content/{id}/restriction/byOperation/read", self.v1_restriction),
                ("rest/api/content/{page}/child/attachment/{id}/download", self.v1_download),
                ("rest/api/group/{group}/membersByGroupId", self.v1_members),
                ("rest/api/search/user", self.v1_accounts),
                ("rest/api/user/memberof", self.member_of),
                ("rest/api/user/current", self.current_user),
            ):
                router.add_get(f"/wiki/{path}", handler)
            router.add_post("/wiki/api/v2/users-bulk", self.v2_users)
            return
        for path, handler in (
            ("space", self.dc_spaces),
            ("space/{key}/permissions", self.dc_permissions),
            ("content", self.dc_content),
            ("content/{id}", self.dc_one),
            ("content/{id}/child/attachment", self.dc_files),
            ("group/{group}/member", self.dc_members),
            ("user", self.dc_user),
            ("user/memberof", self.member_of),
            ("user/current", self.current_user),
        ):
            router.add_get(f"/rest/api/{path}", handler)
        router.add_get("/download/attachments/{page}/{name}", self.dc_download)

    # Cloud.

    def cursor_page(self, request: web.Request, found: list[Json]) -> web.Response:
        if self.on_page:
            self.on_page()
        limit = min(int(request.query.get("limit", 25)), self.most)
        start = int(request.query.get("cursor", "c0")[1:])
        links: Json = {"base": f"{self.url}/wiki"}
        if start + limit < len(found):
            query = {**request.query, "cursor": f"c{start + limit}"}
            links["next"] = f"{request.path}?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
        return web.json_response({"results": found[start : start + limit], "_links": links})

    async def v2_spaces(self, request: web.Request) -> web.Response:
        keys = request.query.get("keys")
        return self.cursor_page(request, [s for k, s in self.spaces.items() if not keys or k in keys.split(",")])

    def _space(self, number: str) -> str:
        return next(key for key, space in self.spaces.items() if space["id"] == number)

    async def v2_permissions(self, request: web.Request) -> web.Response:
        key = self._space(request.match_info["space"])
        found = [
            {"id": str(n), "principal": {"type": kind, "id": who}, "operation": {"key": "read", "targetType": "space"}}
            for n, (kind, who) in enumerate(self.space_readers[key])
        ]
        found.append({"id": "x", "principal": {"type": "user", "id": "writer"},
                      "operation": {"key": "create", "targetType": "page"}})  # fmt: skip
        return self.cursor_page(request, found)

    def _v2(self, page: FakePage) -> Json:
        return {
            "id": page.id, "status": page.status, "title": page.title, "spaceId": self.spaces[page.space]["id"],
            "parentId": page.parent,
            "parentType": page.parent and ("folder" if page.parent in self.folders else "page"),
            "version": {"number": page.version, "createdAt": page.when.isoformat().replace("+00:00", "Z")}, "body": {},
            "_links": {"webui": f"/spaces/{page.space}/pages/{page.id}/{quote(page.title, safe='')}"},
        }  # fmt: skip

    def _in_space(self, key: str, kind: str) -> list[FakePage]:
        return [p for p in self.pages.values() if p.space == key and p.kind == kind and p.status == "current"]

    async def v2_pages(self, request: web.Request) -> web.Response:
        assert request.query["status"] == "current"
        key = self._space(request.match_info["space"])
        return self.cursor_page(request, [self._v2(p) for p in self._in_space(key, request.match_info["kind"][:-1])])

    async def v2_page(self, request: web.Request) -> web.Response:
        page = self.pages.get(request.match_info["id"])
        if page is None or page.kind != request.match_info["kind"][:-1]:
            raise web.HTTPNotFound
        storage = {"storage": {"value": page.storage, "representation": "storage"}}
        body = storage if request.query.get("body-format") == "storage" else {}
        return web.json_response({**self._v2(page), "body": body})

    async def v2_folder(self, request: web.Request) -> web.Response:
        folder = self.folders.get(request.match_info["id"])
        if folder is None:
            raise web.HTTPNotFound
        return web.json_response(self._v2(folder))

    def _v2_file(self, file: FakeFile) -> Json:
        return {
            "id": file.id, "status": file.status, "title": file.title, "pageId": file.page,
            "mediaType": file.media_type, "fileSize": len(file.data),
            "webuiLink": f"/pages/viewpageattachments.action?pageId={file.page}&f={file.id}",
            "downloadLink": f"/download/attachments/{file.page}/{quote(file.title, safe='')}",
            "version": {"number": file.version, "createdAt": "2026-01-05T09:00:00.000Z"},
        }  # fmt: skip

    async def v2_attachments(self, request: web.Request) -> web.Response:
        return self.cursor_page(request, [self._v2_file(f) for f in self.files.values() if f.status == "current"])

    async def v2_attachment(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["id"])
        if file is None:
            raise web.HTTPNotFound
        return web.json_response(self._v2_file(file))

    async def v2_labels(self, request: web.Request) -> web.Response:
        names = sorted({label for page in self.pages.values() for label in page.labels})
        return self.cursor_page(request, [{"id": f"l-{name}", "name": name, "prefix": "global"} for name in names])

    async def v2_labelled(self, request: web.Request) -> web.Response:
        kind, label = request.match_info["kind"][:-1], request.match_info["label"][2:]
        pages = self._in_space(self._space(request.query["space-id"]), kind)
        return self.cursor_page(request, [self._v2(page) for page in pages if label in page.labels])

    async def v2_users(self, request: web.Request) -> web.Response:
        ids = (await request.json())["accountIds"]
        found = [self._account(one) for one in ids if one in self.people]
        return web.json_response({"results": found})

    def _account(self, account: str) -> Json:
        status = "inactive" if account in self.inactive else "active"
        email = self.emails.get(account, "")
        return {
            "accountId": account, "displayName": self.people[account], "accountStatus": status, "email": email,
        }  # fmt: skip

    async def v1_accounts(self, request: web.Request) -> web.Response:
        assert request.query["cql"] == "type=user"
        return self.start_page(request, [{"user": self._account(one)} for one in self.people])

    async def member_of(self, request: web.Request) -> web.Response:
        account = request.query["accountId" if self.cloud else "username"]
        if account not in self.people:
            raise web.HTTPNotFound
        groups = [group for group, members in self.members.items() if account in members]
        named = [{"type": "group", "name": group, **({"id": group} if self.cloud else {})} for group in groups]
        return self.start_page(request, named)

    async def current_user(self, _: web.Request) -> web.Response:
        return web.json_response({"accountId": "kvasir", "username": "kvasir"})

    def _v1_read(self, page: FakePage, start: int = 0, limit: int = 100) -> Json:
        def part(found: list[Json]) -> Json:
            return {"results": found[start : start + limit], "start": start, "limit": limit, "size": len(found)}

        users = [{"type": "known", "accountId": one} for one in page.users]
        groups = [{"type": "group", "name": one, "id": one} for one in page.groups]
        return {"operation": "read", "restrictions": {"user": part(users), "group": part(groups)}}

    async def v1_search(self, request: web.Request) -> web.Response:
        key = request.query["cql"].split('"')[1]
        pages = [page for page in self.pages.values() if page.space == key and page.status == "current"]
        found: list[Json] = []
        for page in pages:
            if page.id not in self.unindexed:
                assert "restrictions.read.restrictions.user" in request.query["expand"]
                read = self._v1_read(page)
                found.append({"id": page.id, "type": page.kind, "restrictions": {"read": read}})
        return self.cursor_page(request, found)

    async def v1_restriction(self, request: web.Request) -> web.Response:
        page = {**self.pages, **self.folders}.get(request.match_info["id"])
        if page is None:
            raise web.HTTPNotFound
        limit = min(int(request.query.get("limit", 100)), 200)
        return web.json_response(self._v1_read(page, int(request.query.get("start", 0)), limit))

    async def v1_members(self, request: web.Request) -> web.Response:
        people = self.members.get(request.match_info["group"])
        if people is None:
            raise web.HTTPForbidden
        return self.start_page(request, [{"type": "known", "accountId": one} for one in people])

    async def v1_download(self, request: web.Request) -> web.StreamResponse:
        file = self.files.get(request.match_info["id"])
        if file is None:
            raise web.HTTPNotFound
        if self.storage_url:
            raise web.HTTPFound(f"{self.storage_url}/{file.id}?token=signed")
        return web.Response(body=file.data, content_type=file.media_type)

    # Data Center.

    def start_page(self, request: web.Request, found: list[Json]) -> web.Response:
        if self.on_page:
            self.on_page()
        limit = min(int(request.query.get("limit", 25)), self.most)
        start = int(request.query.get("start", 0))
        links: Json = {"base": self.url, "context": ""}
        if start + limit < len(found):
            links["next"] = f"{request.path}?limit={limit}&start={start + limit}"
        results = found[start : start + limit]
        return web.json_response(
            {"results": results, "start": start, "limit": limit, "size": len(results), "_links": links}
        )

    async def dc_spaces(self, request: web.Request) -> web.Response:
        return self.start_page(request, [{**space, "id": int(space["id"])} for space in self.spaces.values()])

    async def dc_permissions(self, request: web.Request) -> web.Response:
        if not self.tells_permissions:
            raise web.HTTPNotFound
        key = request.match_info["key"]
        found = [
            {"operation": {"operationKey": "read", "targetType": "space"}, "subject": self._dc_subject(kind, who)}
            for kind, who in self.space_readers[key]
        ]
        return web.json_response(found)

    def _dc_subject(self, kind: str, who: str) -> Json:
        if kind == "group":
            return {"type": "group", "name": who, "displayName": who}
        return {"type": kind, **({"username": who} if kind == "user" else {})}

    def _ancestors(self, page: FakePage) -> list[Json]:
        found: list[Json] = []
        parent = page.parent
        while parent and parent in self.pages:
            found.insert(0, {"id": parent, "type": "page"})
            parent = self.pages[parent].parent
        return found

    def _dc_file(self, file: FakeFile) -> Json:
        name = quote(file.title, safe="")
        return {
            "id": file.id, "type": "attachment", "status": file.status, "title": file.title,
            "version": {"number": file.version, "when": "2026-01-05T09:00:00.000Z"}, "container": {"id": file.page},
            "extensions": {"mediaType": file.media_type, "fileSize": len(file.data)},
            "_links": {"webui": f"/pages/viewpage.action?pageId={file.page}&preview=%2F{file.page}%2F{file.id}",
                       "download": f"/download/attachments/{file.page}/{name}?version={file.version}&id={file.id}"},
        }  # fmt: skip

    def _dc(self, page: FakePage, expand: str) -> Json:
        one: Json = {
            "id": page.id, "type": page.kind, "status": page.status, "title": page.title,
            "version": {"number": page.version, "when": page.when.isoformat()},
            "_links": {"webui": f"/spaces/{page.space}/pages/{page.id}/{quote(page.title, safe='')}"},
        }  # fmt: skip
        if "space" in expand.split(","):
            one["space"] = {"id": int(self.spaces[page.space]["id"]), "key": page.space}
        if "ancestors" in expand:
            one["ancestors"] = self._ancestors(page)
        if "restrictions.read" in expand:
            users = {"results": [{"type": "known", "username": name, "userKey": f"k-{name}"} for name in page.users]}
            groups = {"results": [{"type": "group", "name": name} for name in page.groups]}
            one["restrictions"] = {"read": {"operation": "read", "restrictions": {"user": users, "group": groups}}}
        if "metadata.labels" in expand:
            one["metadata"] = {"labels": {"results": [{"prefix": "global", "name": name} for name in page.labels]}}
        if "children.attachment" in expand:
            files = [self._dc_file(f) for f in self.files.values() if f.page == page.id and f.status == "current"]
            links = {"next": "more"} if len(files) > 25 else {}
            one["children"] = {
                "attachment": {"results": files[:25], "limit": 25, "size": min(len(files), 25), "_links": links}
            }
        if "body.storage" in expand:
            one["body"] = {"storage": {"value": page.storage}}
        return one

    async def dc_content(self, request: web.Request) -> web.Response:
        pages = self._in_space(request.query["spaceKey"], request.query["type"])
        return self.start_page(request, [self._dc(page, request.query.get("expand", "")) for page in pages])

    async def dc_one(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["id"])
        if file is not None and file.status == "current":
            return web.json_response(self._dc_file(file))
        page = self.pages.get(request.match_info["id"])
        if page is None or (page.status != "current" and request.query.get("status") != "any"):
            raise web.HTTPNotFound
        return web.json_response(self._dc(page, request.query.get("expand", "")))

    async def dc_files(self, request: web.Request) -> web.Response:
        page = request.match_info["id"]
        return self.start_page(request, [self._dc_file(file) for file in self.files.values() if file.page == page])

    async def dc_members(self, request: web.Request) -> web.Response:
        people = self.members.get(request.match_info["group"])
        if people is None:
            raise web.HTTPForbidden
        return self.start_page(request, [{"type": "known", "username": one, "userKey": f"k-{one}"} for one in people])

    async def dc_user(self, request: web.Request) -> web.Response:
        account = request.query.get("username") or request.query["key"]
        if account not in self.people:
            raise web.HTTPNotFound
        status = "deactivated" if account in self.inactive else "current"
        return web.json_response(
            {"userKey": account, "username": account, "displayName": self.people[account], "status": status}
        )

    async def dc_download(self, request: web.Request) -> web.Response:
        file = self.files[request.query["id"]]
        return web.Response(body=file.data, content_type=file.media_type)
