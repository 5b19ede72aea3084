"""Notion's interface, as far as a source needs it: pages, blocks, databases and their data sources, search."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from knowledge.errors import SourceError
from knowledge.sources.hosted.http_api import CallRefused, HttpApi
from knowledge.sources.hosted.http_call import ApiCall, quote_part
from knowledge.sources.hosted.json_form import JsonObject, get_object, get_text, get_time, require_objects, require_text
from knowledge.sources.notion.blocks import Block

VERSION = "2026-03-11"
"""The version that is asked for: databases hold data sources (since 2025-09-03), the trash is called ``in_trash``."""

SETTLES = timedelta(minutes=5)
"""Times are given by the minute: what was edited less than this ago may be edited again without another time."""

_DEPTH = 30
_BLOCKS = 50_000
_ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as it was seen."""

    id: str
    """Without hyphens."""
    edited: str
    """As Notion writes it, by the minute."""
    parent: str
    """The kind and the id of what it hangs under."""
    url: str
    trashed: bool = False

    def version(self, now: datetime) -> str:
        """Return what changes when the page may have: a page that may still change in the same minute is marked."""
        edited = get_time({"edited": self.edited}, "edited")
        settled = edited is not None and now - edited >= SETTLES
        return self.edited if settled else f"{self.edited}~"


def bare(identifier: str) -> str:
    """Return an id without hyphens; also out of an address, whose last id it is.

    Raises:
        ValueError: there is none.

    """
    found = list(_ID.finditer(identifier.partition("?")[0].lower()))
    if not found:
        raise ValueError(f"{identifier} holds no id of a page")
    return "".join(found[-1].groups())


def unhyphened(identifier: str) -> str:
    """Return an id of Notion's own as documents are named by."""
    return identifier.replace("-", "").lower()


def seen(page: JsonObject) -> Seen:
    """Read a page object."""
    return Seen(
        id=unhyphened(require_text(page, "id")),
        edited=require_text(page, "last_edited_time"),
        parent=parent_of(page),
        url=get_text(page, "url") or "",
        trashed=page.get("in_trash") is True or page.get("archived") is True,
    )


def parent_of(value: JsonObject) -> str:
    """Return the kind and the id of what a page, a block or a database hangs under."""
    parent = get_object(value, "parent")
    kind = get_text(parent, "type") or ""
    found = get_text(parent, kind)
    return f"{kind}:{unhyphened(found) if found else ''}"


class Notion:
    """Calls to Notion; they raise as ``HttpApi`` does."""

    def __init__(self, api: HttpApi) -> None:
        self._api = api

    async def page(self, page: str) -> JsonObject:
        """Return a page object; one in the trash too."""
        return await self._api.fetch_json(ApiCall.get(f"v1/pages/{quote_part(page)}"))

    async def blocks(self, page: str) -> tuple[Block, ...]:
        """Return all blocks of a page, nested, without those of its child pages.

        Raises:
            SourceError: there are more than are read.

        """
        return await self._inside(page, 0, {page}, [0])

    async def _inside(self, block: str, depth: int, above: set[str], count: list[int]) -> tuple[Block, ...]:
        found: list[Block] = []
        first = ApiCall.get(f"v1/blocks/{quote_part(block)}/children", page_size=100)
        async for page in self._api.fetch_pages(first, _after):
            for one in require_objects(page, "results"):
                count[0] += 1
                found.append(Block(one, await self._within(one, depth, above, count)))
        if count[0] > _BLOCKS:
            raise SourceError(f"The page {block} has more than {_BLOCKS:,} blocks. Split it, or leave it out.")
        return tuple(found)

    async def _within(self, one: JsonObject, depth: int, above: set[str], count: list[int]) -> tuple[Block, ...]:
        kind = get_text(one, "type") or ""
        if one.get("has_children") is not True or kind in {"child_page", "child_database"} or depth >= _DEPTH:
            return ()
        # A copy of a synced block shows what is in the original.
        original = get_text(get_object(one, kind, "synced_from"), "block_id")
        holder = unhyphened(original or require_text(one, "id"))
        if holder in above:
            return ()
        try:
            return await self._inside(holder, depth + 1, above | {holder}, count)
        except CallRefused:
            if original:
                return ()  # the original is not shared with us
            raise

    async def database(self, database: str) -> JsonObject:
        """Return a database: the container of data sources."""
        return await self._api.fetch_json(ApiCall.get(f"v1/databases/{quote_part(database)}"))

    async def rows(self, data_source: str) -> AsyncIterator[list[JsonObject]]:
        """Yield the rows of a data source: page objects, those in the trash left out."""
        async for page in self._api.fetch_pages(
            ApiCall.post(f"v1/data_sources/{quote_part(data_source)}/query", {"page_size": 100}), _after
        ):
            yield [one for one in require_objects(page, "results") if one.get("object") == "page"]

    async def search(self, kind: str) -> AsyncIterator[list[JsonObject]]:
        """Yield all that search knows of one kind (``page``, ``data_source``); it does not promise to know all."""
        body = {
            "filter": {"property": "object", "value": kind},
            "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
            "page_size": 100,
        }
        async for page in self._api.fetch_pages(ApiCall.post("v1/search", body), _after):
            yield list(require_objects(page, "results"))

    async def holder(self, parent: str) -> str | None:
        """Return the page that something hangs under, through whatever blocks; None when it hangs under none."""
        for _ in range(_DEPTH):
            kind, _, identifier = parent.partition(":")
            if kind == "page_id":
                return identifier
            if kind != "block_id":
                return None
            try:
                parent = parent_of(await self._api.fetch_json(ApiCall.get(f"v1/blocks/{quote_part(identifier)}")))
            except CallRefused:
                return None
        return None


def _after(call: ApiCall, page: JsonObject) -> ApiCall | None:
    if page.get("has_more") is not True:
        return None
    cursor = require_text(page, "next_cursor")
    return call.with_body(start_cursor=cursor) if call.body else call.with_params(start_cursor=cursor)
