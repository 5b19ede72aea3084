"""The walk through the tree of a workspace's pages, and what the next walk remembers of it.

A full walk fetches every page and searches its blocks for children. A walk with memory searches the blocks of edited
pages only. It checks the other pages by search, by the rows of their database, or one by one. Any contradiction leads
to a full walk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from knowledge.errors import SourceError
from knowledge.sources.hosted.http_api import fetch_or_none
from knowledge.sources.hosted.json_form import get_objects, require_text
from knowledge.sources.notion.api import NotionApi, NotionPage, parse_page, parse_parent, strip_hyphens
from knowledge.sources.notion.blocks import iterate_children

PAGE, DATABASE = "child_page", "child_database"
Child = tuple[str, str]
"""``PAGE`` or ``DATABASE``, and an id."""

_ABSENT_STATUSES = frozenset({400, 403, 404})
"""The statuses for a page or database that is gone, not shared with us, or only a view of another."""


class PageMoved(Exception):
    """A page has another parent than before: only a full walk shows what that means."""


@dataclass(frozen=True, slots=True)
class KnownPage:
    """What an earlier walk found of a page."""

    version: str
    parent: str
    children: tuple[Child, ...]


@dataclass(slots=True)
class TreeWalk:
    """One walk. ``previous`` is empty for a full walk; ``pages`` is what the next walk remembers."""

    notion: NotionApi
    now: datetime
    roots: Sequence[Child]
    """The configured pages and databases; without any, the walk finds all that is shared with us."""
    previous: Mapping[str, KnownPage] = field(default_factory=dict)
    pages: dict[str, KnownPage] = field(default_factory=dict)
    _current: dict[str, NotionPage] = field(default_factory=dict)
    _databases: dict[str, None] = field(default_factory=dict)
    _pages_to_reread: set[str] = field(default_factory=set)
    """Pages whose blocks must be searched although their version is the same."""
    _visited_pages: set[Child] = field(default_factory=set)

    async def run(self) -> AsyncIterator[Sequence[NotionPage]]:
        """Yield the pages, each once.

        Raises:
            SourceError: the walk failed, or a configured root does not exist.
            PageMoved: a page has another parent than the previous walk found.

        """
        if self.previous or not self.roots:
            async for _ in self._search_all():
                yield []  # a heartbeat
        if self.previous and self.roots:
            await self._mark_changed_parents()
        todo = deque(self.roots or self._find_all_roots())
        while todo:
            child = todo.popleft()
            if child in self._visited_pages:
                continue
            self._visited_pages.add(child)
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
        """Return all shared pages and databases that search or memory contains; the walk finds their children."""
        pages = dict.fromkeys((*self._current, *self.previous))
        return [*((PAGE, one) for one in pages), *((DATABASE, one) for one in self._databases)]

    async def _mark_changed_parents(self) -> None:
        """Mark the pages with a new child, since Notion may not count that as an edit.

        Raises:
            PageMoved: a page has another parent than before.

        """
        for page in self._current.values():
            earlier = self.previous.get(page.id)
            if earlier is not None and earlier.parent != page.parent:
                raise PageMoved
            if earlier is None and (holder := await self.notion.find_holding_page(page.parent)):
                self._pages_to_reread.add(holder)
        known_databases = {one for page in self.previous.values() for kind, one in page.children if kind == DATABASE}
        for database in self._databases.keys() - known_databases:
            found = await fetch_or_none(partial(self.notion.fetch_database, database), _ABSENT_STATUSES)
            if found is not None and (holder := await self.notion.find_holding_page(parse_parent(found))):
                self._pages_to_reread.add(holder)

    async def _find_page(self, identifier: str) -> NotionPage | None:
        """Return a page's current state; None if it is gone or in the trash."""
        page = self._current.get(identifier)
        if page is None:
            found = await fetch_or_none(partial(self.notion.fetch_page, identifier), _ABSENT_STATUSES)
            page = None if found is None else parse_page(found)
        if page is None or page.in_trash:
            return None
        earlier = self.previous.get(page.id)
        if earlier is not None and self.roots and earlier.parent != page.parent:
            raise PageMoved
        return page

    async def _find_children(self, page: NotionPage) -> Sequence[Child]:
        version = page.make_version(self.now)
        earlier = self.previous.get(page.id)
        if (
            earlier is not None
            and earlier.version == version
            and not version.endswith("~")
            and page.id not in self._pages_to_reread
        ):
            children = earlier.children
        else:
            blocks = await self.notion.fetch_blocks(page.id)
            children = tuple((kind, strip_hyphens(one)) for kind, one in iterate_children(blocks))
        self.pages[page.id] = KnownPage(version, page.parent, children)
        return children

    async def _find_rows(self, identifier: str) -> AsyncIterator[Sequence[Child]]:
        """Yield the rows of a database, unless it is gone or in the trash."""
        found = await fetch_or_none(partial(self.notion.fetch_database, identifier), _ABSENT_STATUSES)
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
                f"Notion has no page or database {child[1]} that is shared with Kvasir's connection. Share it "
                "(••• › Connections), or remove it from kvasir.toml; nothing was deleted."
            )
