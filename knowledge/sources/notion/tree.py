"""The walk through what hangs under a workspace's pages, and what is remembered of it.

The law is the full walk: every page is asked for and its blocks are looked through for what hangs under it. A walk with
memory looks through the blocks of those pages alone that were edited; what it remembers of the others, it checks page
by page (by search, by the rows of their database, or one by one). Anything that does not fit makes it a full walk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from knowledge.errors import SourceError
from knowledge.sources.hosted.http_api import CallRefused
from knowledge.sources.hosted.json_form import JsonObject, filter_texts, get_object, get_objects, require_text
from knowledge.sources.notion.api import NotionApi, NotionPage, parse_page, parse_parent, strip_hyphens
from knowledge.sources.notion.blocks import iterate_children

PAGE, DATABASE = "child_page", "child_database"
Child = tuple[str, str]
"""``PAGE`` or ``DATABASE``, and an id."""

_ABSENT_STATUSES = frozenset({400, 403, 404})
"""How a page or database is refused that is gone, not shared with us, or only a view of another."""


class PageMoved(Exception):
    """Something hangs elsewhere than before: only a full walk tells what that means."""


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What an earlier walk saw of a page."""

    version: str
    parent: str
    children: tuple[Child, ...]

    def to_json(self) -> JsonObject:
        """Return it as JSON."""
        return {"version": self.version, "parent": self.parent, "children": [list(one) for one in self.children]}

    @classmethod
    def from_json(cls, value: JsonObject) -> KnownPage:
        """Read what ``to_json`` returned."""
        children = value.get("children")
        pairs = [filter_texts(one) for one in children] if isinstance(children, list) else []
        return cls(
            require_text(value, "version"), require_text(value, "parent"), tuple((kind, one) for kind, one in pairs)
        )


@dataclass(slots=True)
class TreeWalk:
    """One walk. ``previous`` is empty for a full one; ``pages`` is what the next one may remember."""

    notion: NotionApi
    now: datetime
    roots: Sequence[Child]
    """None means all that is shared with us."""
    previous: Mapping[str, KnownPage] = field(default_factory=dict)
    pages: dict[str, KnownPage] = field(default_factory=dict)
    _current: dict[str, NotionPage] = field(default_factory=dict)
    """Pages as they are now, as far as a listing of pages brought them."""
    _databases: dict[str, None] = field(default_factory=dict)
    """Databases that search knows."""
    _pages_to_reread: set[str] = field(default_factory=set)
    """Pages whose blocks must be looked through though they seem the same."""
    _visited: set[Child] = field(default_factory=set)

    async def run(self) -> AsyncIterator[Sequence[NotionPage]]:
        """Yield the pages, each once.

        Raises:
            SourceError: the walk failed, or a root is not there.
            Moved: with memory, something moved.

        """
        if self.previous or not self.roots:
            async for _ in self._search_all():
                yield []  # still at work
        if self.previous and self.roots:
            await self._mark_changed_parents()
        todo = deque(self.roots or self._find_all_roots())
        while todo:
            child = todo.popleft()
            if child in self._visited:
                continue
            self._visited.add(child)
            if child[0] == DATABASE:
                async for rows in self._find_rows(child[1]):
                    yield []
                    todo += rows
                continue
            page = await self._find_page(child[1])
            if page is None:
                self._check_root(child)
                continue
            todo += await self._find_children(page)
            yield [page]

    async def _search_all(self) -> AsyncIterator[None]:
        async for found in self.notion.search("page"):
            self._current.update((page.id, page) for page in map(parse_page, found))
            yield
        async for found in self.notion.search("data_source"):
            for one in found:
                kind, _, identifier = parse_parent(one).partition(":")
                if kind == "database_id":
                    self._databases[identifier] = None
            yield

    def _find_all_roots(self) -> Iterable[Child]:
        """Return all that is shared with us, as far as search and memory know; the walk finds what hangs under it."""
        pages = dict.fromkeys((*self._current, *self.previous))
        return [*((PAGE, one) for one in pages), *((DATABASE, one) for one in self._databases)]

    async def _mark_changed_parents(self) -> None:
        """Mark the pages under which something new hangs, whether or not that counts as an edit of theirs.

        Raises:
            Moved: a page that is known hangs elsewhere.

        """
        for page in self._current.values():
            known = self.previous.get(page.id)
            if known is not None and known.parent != page.parent:
                raise PageMoved
            if known is None and (holder := await self.notion.find_holding_page(page.parent)):
                self._pages_to_reread.add(holder)
        known_databases = {one for page in self.previous.values() for kind, one in page.children if kind == DATABASE}
        for database in self._databases.keys() - known_databases:
            found = await self._fetch_or_none(self.notion.fetch_database(database))
            if found is not None and (holder := await self.notion.find_holding_page(parse_parent(found))):
                self._pages_to_reread.add(holder)

    async def _find_page(self, identifier: str) -> NotionPage | None:
        """Return a page as it is now; None when it is gone or in the trash."""
        page = self._current.get(identifier)
        if page is None:
            found = await self._fetch_or_none(self.notion.fetch_page(identifier))
            page = None if found is None else parse_page(found)
        if page is None or page.in_trash:
            return None
        known = self.previous.get(page.id)
        if known is not None and self.roots and known.parent != page.parent:
            raise PageMoved
        return page

    async def _find_children(self, page: NotionPage) -> Sequence[Child]:
        version = page.version(self.now)
        known = self.previous.get(page.id)
        if (
            known is not None
            and known.version == version
            and not version.endswith("~")
            and page.id not in self._pages_to_reread
        ):
            children = known.children
        else:
            blocks = await self.notion.fetch_blocks(page.id)
            children = tuple((kind, strip_hyphens(one)) for kind, one in iterate_children(blocks))
        self.pages[page.id] = KnownPage(version, page.parent, children)
        return children

    async def _find_rows(self, identifier: str) -> AsyncIterator[Sequence[Child]]:
        """Yield the rows of a database that is there and not in the trash."""
        found = await self._fetch_or_none(self.notion.fetch_database(identifier))
        if found is None or found.get("in_trash") is True or found.get("archived") is True:
            self._check_root((DATABASE, identifier))
            return
        for source in get_objects(found, "data_sources"):
            async for rows in self.notion.fetch_rows(require_text(source, "id")):
                pages = [parse_page(row) for row in rows]
                self._current.update((page.id, page) for page in pages)
                yield [(PAGE, page.id) for page in pages]

    def _check_root(self, child: Child) -> None:
        if child in self.roots:
            raise SourceError(
                f"Notion has no page or database {child[1]} that is shared with Kvasir's connection. Share it (••• › "
                "Connections), or take it out of kvasir.toml; nothing was deleted."
            )

    async def _fetch_or_none(self, call: Awaitable[JsonObject]) -> JsonObject | None:
        try:
            return await call
        except CallRefused as error:
            if error.status in _ABSENT_STATUSES:
                return None
            raise


def pages_to_json(pages: Mapping[str, KnownPage]) -> JsonObject:
    """Return what a walk saw, as JSON."""
    return {identifier: page.to_json() for identifier, page in pages.items()}


def pages_from_json(value: JsonObject) -> Mapping[str, KnownPage]:
    """Read what ``to_json`` returned."""
    return {identifier: KnownPage.from_json(get_object(value, identifier)) for identifier in value}
