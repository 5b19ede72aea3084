"""The part of Notion's API that the source needs: pages, blocks, databases, their data sources, and search."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from knowledge.dates import parse_iso_date
from knowledge.errors import SourceError
from knowledge.sources.hosted.http_api import CallRefused, HttpApi
from knowledge.sources.hosted.http_call import ApiCall, quote_part
from knowledge.sources.hosted.json_form import JsonObject, get_object, get_text, require_objects, require_text
from knowledge.sources.notion.blocks import NotionBlock

API_VERSION = "2026-03-11"
"""The API version: databases hold data sources (since 2025-09-03), and the trash is called ``in_trash``."""

SETTLING_TIME = timedelta(minutes=5)
"""Notion gives times by the minute: a page edited less than this ago may change again without a new time."""

_MAX_DEPTH = 30
_MAX_BLOCKS = 50_000
_ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class NotionPage:
    """A page as Notion returned it."""

    id: str
    """The page's id without hyphens."""
    last_edited: str
    """When it was last edited, by the minute, as Notion writes it."""
    parent: str
    """The kind and the id of its parent."""
    url: str
    in_trash: bool = False

    def make_version(self, now: datetime) -> str:
        """Return a version that changes with the page; ``~`` marks one that may still change unnoticed."""
        edited = parse_iso_date(self.last_edited)
        settled = edited is not None and now - edited >= SETTLING_TIME
        return self.last_edited if settled else f"{self.last_edited}~"


def parse_page_id(identifier: str) -> str:
    """Return a page's id without hyphens, from an id or from an address that ends in one.

    Raises:
        ValueError: the text holds no id.

    """
    matches = list(_ID.finditer(identifier.partition("?")[0].lower()))
    if not matches:
        raise ValueError(f"{identifier} holds no id of a page")
    return "".join(matches[-1].groups())


def strip_hyphens(identifier: str) -> str:
    """Return one of Notion's ids in the form that documents use."""
    return identifier.replace("-", "").lower()


def parse_page(page: JsonObject) -> NotionPage:
    """Return a page from Notion's page object."""
    return NotionPage(
        id=strip_hyphens(require_text(page, "id")),
        last_edited=require_text(page, "last_edited_time"),
        parent=parse_parent(page),
        url=get_text(page, "url") or "",
        in_trash=page.get("in_trash") is True or page.get("archived") is True,
    )


def parse_parent(value: JsonObject) -> str:
    """Return the kind and the id of the parent of a page, a block or a database."""
    parent = get_object(value, "parent")
    kind = get_text(parent, "type") or ""
    parent_id = get_text(parent, kind)
    return f"{kind}:{strip_hyphens(parent_id) if parent_id else ''}"


class NotionApi:
    """Calls to Notion; they raise as ``HttpApi`` does."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api

    async def fetch_page(self, page: str) -> JsonObject:
        """Return a page object, also for a page in the trash."""
        return await self._api.fetch_json(ApiCall.get(f"v1/pages/{quote_part(page)}"))

    async def fetch_blocks(self, page: str) -> tuple[NotionBlock, ...]:
        """Return all blocks of a page, nested, without the blocks of its child pages.

        Raises:
            SourceError: the page has too many blocks.

        """
        return await self._fetch_children(page, 0, {page}, [0])

    async def _fetch_children(
        self, block: str, depth: int, above: set[str], count: list[int]
    ) -> tuple[NotionBlock, ...]:
        blocks: list[NotionBlock] = []
        first = ApiCall.get(f"v1/blocks/{quote_part(block)}/children", page_size=100)
        async for one in self._api.fetch_objects(first, _next_page):
            count[0] += 1
            blocks.append(NotionBlock(one, await self._fetch_nested(one, depth, above, count)))
        if count[0] > _MAX_BLOCKS:
            raise SourceError(f"The page {block} has more than {_MAX_BLOCKS:,} blocks. Split it, or exclude it.")
        return tuple(blocks)

    async def _fetch_nested(
        self, one: JsonObject, depth: int, above: set[str], count: list[int]
    ) -> tuple[NotionBlock, ...]:
        kind = get_text(one, "type") or ""
        if one.get("has_children") is not True or kind in {"child_page", "child_database"} or depth >= _MAX_DEPTH:
            return ()
        # A copy of a synced block shows the content of the original.
        original = get_text(get_object(one, kind, "synced_from"), "block_id")
        holder = strip_hyphens(original or require_text(one, "id"))
        if holder in above:
            return ()
        try:
            return await self._fetch_children(holder, depth + 1, above | {holder}, count)
        except CallRefused:
            if original:
                return ()  # the original is not shared with our connection
            raise

    async def fetch_database(self, database: str) -> JsonObject:
        """Return a database, which contains data sources."""
        return await self._api.fetch_json(ApiCall.get(f"v1/databases/{quote_part(database)}"))

    async def fetch_rows(self, data_source: str) -> AsyncIterator[list[JsonObject]]:
        """Yield the rows of a data source as page objects, without those in the trash."""
        async for page in self._api.fetch_pages(
            ApiCall.post(f"v1/data_sources/{quote_part(data_source)}/query", {"page_size": 100}), _next_page
        ):
            yield [one for one in require_objects(page, "results") if one.get("object") == "page"]

    async def search(self, kind: str) -> AsyncIterator[list[JsonObject]]:
        """Yield everything of one kind (``page``, ``data_source``) that Notion's search finds; it may miss some."""
        body = {
            "filter": {"property": "object", "value": kind},
            "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
            "page_size": 100,
        }
        async for page in self._api.fetch_pages(ApiCall.post("v1/search", body), _next_page):
            yield list(require_objects(page, "results"))

    async def find_holding_page(self, parent: str) -> str | None:
        """Return the page that holds a block or page, at any depth; None if no page holds it."""
        for _ in range(_MAX_DEPTH):
            kind, _, identifier = parent.partition(":")
            if kind == "page_id":
                return identifier
            if kind != "block_id":
                return None
            try:
                parent = parse_parent(await self._api.fetch_json(ApiCall.get(f"v1/blocks/{quote_part(identifier)}")))
            except CallRefused:
                return None
        return None


def _next_page(call: ApiCall, page: JsonObject) -> ApiCall | None:
    if page.get("has_more") is not True:
        return None
    cursor = require_text(page, "next_cursor")
    return call.with_body(start_cursor=cursor) if call.body else call.with_params(start_cursor=cursor)
