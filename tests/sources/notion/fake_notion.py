"""Notion at the wire, written from developers.notion.com (version 2026-03-11).

- Every call needs ``Authorization: Bearer`` (401 ``unauthorized``) and ``Notion-Version`` (400 ``missing_version``).
- Pagination: ``page_size`` up to 100, ``start_cursor``, ``has_more``, ``next_cursor``; for a POST in its body.
- ``GET /v1/pages/{id}``: a page in the trash answers with ``in_trash``; one that is not shared is 404
  ``object_not_found``. ``last_edited_time`` is rounded down to the minute.
- ``GET /v1/blocks/{id}/children``: one level; ``has_children``; ``child_page`` and ``child_database`` have the id of
  what they stand for. ``GET /v1/blocks/{id}`` tells a block's ``parent``.
- ``GET /v1/databases/{id}`` is the container with ``data_sources``; ``POST /v1/data_sources/{id}/query`` gives the
  rows, without those in the trash (since 2025-09-03).
- ``POST /v1/search``: "not guaranteed to return everything", and its index lags (``unindexed``); nothing of the trash.
- 429 ``rate_limited`` with ``Retry-After``; an average of three requests a second.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from tests.sources.hosted.fake_service import FakeService

Json = dict[str, Any]


def rich(text: str, **annotations: bool) -> list[Json]:
    return [{"type": "text", "text": {"content": text}, "plain_text": text, "annotations": annotations}]


class FakeNotion(FakeService):
    """One workspace, as one connection sees it."""

    def __init__(self, token: str = "ntn_s3cret") -> None:
        super().__init__()
        self.token = token
        self.now = datetime(2026, 1, 5, 9, tzinfo=UTC)
        self.pages: dict[str, Json] = {}
        self.blocks: dict[str, Json] = {}
        self.children: dict[str, list[str]] = {}
        self.databases: dict[str, Json] = {}
        self.rows: dict[str, list[str]] = {}
        """Ids of pages by data source."""
        self.unindexed: set[str] = set()
        self.unshared: set[str] = set()
        self.most = 100
        self._ids = iter(range(1, 10**6))

    # What people do there.

    def id(self) -> str:
        return str(UUID(int=(0xABCDEF << 96) + next(self._ids)))

    def tick(self, seconds: float = 60) -> None:
        self.now += timedelta(seconds=seconds)

    def edited(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:00.000Z")

    def page(self, title: str, parent: str | None = None, *, source: str | None = None, **properties: Json) -> str:
        """Make a page in the workspace, under a page or block, or as a row of a data source."""
        self.tick()
        page = self.id()
        name = {"id": "title", "type": "title", "title": rich(title)}
        self.pages[page] = {
            "object": "page", "id": page, "last_edited_time": self.edited(), "in_trash": False,
            "url": f"https://www.notion.so/{page.replace('-', '')}", "parent": {"type": "workspace", "workspace": True},
            "properties": {**properties, "Name": name},
        }  # fmt: skip
        self.children[page] = []
        if source is not None:
            self.pages[page]["parent"] = {"type": "data_source_id", "data_source_id": source}
            self.rows[source].append(page)
        elif parent is not None:
            self.hang(page, parent, {"type": "child_page", "child_page": {"title": title}})
        return page

    def database(self, title: str, parent: str) -> tuple[str, str]:
        """Make a database under a page; return its id and that of its data source."""
        database, source = self.id(), self.id()
        self.databases[database] = {
            "object": "database", "id": database, "in_trash": False, "title": rich(title),
            "data_sources": [{"id": source, "name": title}],
        }  # fmt: skip
        self.rows[source] = []
        self.hang(database, parent, {"type": "child_database", "child_database": {"title": title}})
        return database, source

    def hang(self, identifier: str, parent: str, block: Json) -> None:
        """Hang a page or a database under a page or a block."""
        self.blocks[identifier] = {"object": "block", "id": identifier, "has_children": True, **block}
        self.children[parent].append(identifier)
        kind = "page_id" if parent in self.pages else "block_id"
        held = self.pages.get(identifier) or self.databases[identifier]
        held["parent"] = {"type": kind, kind: parent}
        if parent in self.blocks:
            self.blocks[parent]["has_children"] = True
        self.touch(parent)

    def move(self, page: str, parent: str, *, counts: bool = True) -> None:
        """Move a page under another; ``counts`` says whether that edits the two."""
        for one, children in self.children.items():
            if page in children:
                children.remove(page)
                if counts:
                    self.touch(one)
        before = {one: dict(held) for one, held in self.pages.items()}
        self.hang(page, parent, {"type": "child_page", "child_page": {"title": "moved"}})
        if not counts:
            for one in self.pages:
                self.pages[one]["last_edited_time"] = before[one]["last_edited_time"]

    def block(self, parent: str, kind: str, **content: Any) -> str:
        """Add a block to a page or to another block."""
        identifier = self.id()
        parent_kind = "page_id" if parent in self.pages else "block_id"
        self.blocks[identifier] = {
            "object": "block", "id": identifier, "type": kind, kind: content, "has_children": False,
            "parent": {"type": parent_kind, parent_kind: parent},
        }  # fmt: skip
        self.children[identifier] = []
        self.children[parent].append(identifier)
        if parent in self.blocks:
            self.blocks[parent]["has_children"] = True
        self.touch(parent)
        return identifier

    def text(self, page: str, text: str) -> None:
        """Replace a page's text."""
        self.tick()
        for block in [one for one in self.children[page] if self.blocks[one]["type"] == "paragraph"]:
            self.children[page].remove(block)
        for start in range(0, max(len(text), 1), 2000):
            self.block(page, "paragraph", rich_text=rich(text[start : start + 2000]))

    def touch(self, holder: str) -> None:
        while holder not in self.pages:
            parent = self.blocks[holder].get("parent") or self.databases[holder]["parent"]
            holder = parent[parent["type"]]
        self.pages[holder]["last_edited_time"] = self.edited()

    def trash(self, identifier: str) -> None:
        """Move a page to the trash, which does not count as an edit of its parent."""
        held = self.pages.get(identifier) or self.databases[identifier]
        held["in_trash"] = True

    # The wire.

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/pages/{id}", self.get_page)
        router.add_get("/v1/blocks/{id}", self.get_block)
        router.add_get("/v1/blocks/{id}/children", self.get_children)
        router.add_get("/v1/databases/{id}", self.get_database)
        router.add_post("/v1/data_sources/{id}/query", self.query)
        router.add_post("/v1/search", self.search)

    def refusal(self, request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"object": "error", "status": 401, "code": "unauthorized"}, status=401)
        if request.headers.get("Notion-Version") != "2026-03-11":
            return web.json_response({"object": "error", "status": 400, "code": "missing_version"}, status=400)
        return None

    def _find(self, request: web.Request, held: dict[str, Json]) -> Json:
        identifier = str(UUID(request.match_info["id"]))
        if identifier not in held or identifier in self.unshared:
            raise web.HTTPNotFound(text='{"object": "error", "code": "object_not_found"}')
        return held[identifier]

    async def get_page(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request, self.pages))

    async def get_block(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request, self.blocks))

    async def get_database(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request, self.databases))

    async def get_children(self, request: web.Request) -> web.Response:
        identifier = self._find(request, {**self.pages, **self.blocks})["id"]
        found = [self.blocks[one] for one in self.children[identifier]]
        found = [one for one in found if not self._trashed(one["id"])]
        return self._listed(found, dict(request.query))

    def _trashed(self, identifier: str) -> bool:
        held = self.pages.get(identifier) or self.databases.get(identifier) or {}
        return bool(held.get("in_trash"))

    async def query(self, request: web.Request) -> web.Response:
        source = str(UUID(request.match_info["id"]))
        found = [self.pages[one] for one in self.rows[source] if not self._trashed(one)]
        return self._listed(found, await request.json())

    async def search(self, request: web.Request) -> web.Response:
        body = await request.json()
        hidden = self.unindexed | self.unshared
        if body["filter"]["value"] == "page":
            found = [page for one, page in self.pages.items() if one not in hidden and not self._trashed(one)]
        else:
            found = [
                {"object": "data_source", "id": source["id"], "parent": {"type": "database_id", "database_id": one}}
                for one, database in self.databases.items()
                for source in database["data_sources"]
                if one not in hidden and not self._trashed(one)
            ]
        return self._listed(found, body)

    def _listed(self, found: list[Json], body: Json) -> web.Response:
        start = int(body.get("start_cursor", "c0")[1:])
        size = min(int(body.get("page_size", 100)), self.most)
        more = start + size < len(found)
        page = {"object": "list", "results": found[start : start + size], "has_more": more}
        return web.json_response({**page, "next_cursor": f"c{start + size}" if more else None})
