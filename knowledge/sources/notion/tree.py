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
from knowledge.sources.notion.api import Notion, Seen, parent_of, seen, unhyphened
from knowledge.sources.notion.blocks import child_ids

PAGE, DATABASE = "child_page", "child_database"
Child = tuple[str, str]
"""``PAGE`` or ``DATABASE``, and an id."""

_ABSENT = frozenset({400, 403, 404})
"""How a page or database is refused that is gone, not shared with us, or only a view of another."""


class Moved(Exception):
    """Something hangs elsewhere than before: only a full walk tells what that means."""


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier walk saw of a page."""

    version: str
    parent: str
    children: tuple[Child, ...]

    def saved(self) -> JsonObject:
        """Return it as JSON."""
        return {"version": self.version, "parent": self.parent, "children": [list(one) for one in self.children]}

    @classmethod
    def read(cls, value: JsonObject) -> Known:
        """Read what ``saved`` returned."""
        children = value.get("children")
        pairs = [filter_texts(one) for one in children] if isinstance(children, list) else []
        return cls(
            require_text(value, "version"), require_text(value, "parent"), tuple((kind, one) for kind, one in pairs)
        )


@dataclass(slots=True)
class Walk:
    """One walk. ``known`` is empty for a full one; ``pages`` is what the next one may remember."""

    notion: Notion
    now: datetime
    roots: Sequence[Child]
    """None means all that is shared with us."""
    known: Mapping[str, Known] = field(default_factory=dict)
    pages: dict[str, Known] = field(default_factory=dict)
    _fresh: dict[str, Seen] = field(default_factory=dict)
    """Pages as they are now, as far as a listing of pages brought them."""
    _databases: dict[str, None] = field(default_factory=dict)
    """Databases that search knows."""
    _edited: set[str] = field(default_factory=set)
    """Pages whose blocks must be looked through though they seem the same."""
    _asked: set[Child] = field(default_factory=set)

    async def run(self) -> AsyncIterator[Sequence[Seen]]:
        """Yield the pages, each once.

        Raises:
            SourceError: the walk failed, or a root is not there.
            Moved: with memory, something moved.

        """
        if self.known or not self.roots:
            async for _ in self._searched():
                yield []  # still at work
        if self.known and self.roots:
            await self._compare()
        todo = deque(self.roots or self._everything())
        while todo:
            child = todo.popleft()
            if child in self._asked:
                continue
            self._asked.add(child)
            if child[0] == DATABASE:
                async for rows in self._database(child[1]):
                    yield []
                    todo += rows
                continue
            page = await self._page(child[1])
            if page is None:
                self._check_root(child)
                continue
            todo += await self._children(page)
            yield [page]

    async def _searched(self) -> AsyncIterator[None]:
        async for found in self.notion.search("page"):
            self._fresh.update((page.id, page) for page in map(seen, found))
            yield
        async for found in self.notion.search("data_source"):
            for one in found:
                kind, _, identifier = parent_of(one).partition(":")
                if kind == "database_id":
                    self._databases[identifier] = None
            yield

    def _everything(self) -> Iterable[Child]:
        """Return all that is shared with us, as far as search and memory know; the walk finds what hangs under it."""
        pages = dict.fromkeys((*self._fresh, *self.known))
        return [*((PAGE, one) for one in pages), *((DATABASE, one) for one in self._databases)]

    async def _compare(self) -> None:
        """Mark the pages under which something new hangs, whether or not that counts as an edit of theirs.

        Raises:
            Moved: a page that is known hangs elsewhere.

        """
        for page in self._fresh.values():
            known = self.known.get(page.id)
            if known is not None and known.parent != page.parent:
                raise Moved
            if known is None and (holder := await self.notion.holder(page.parent)):
                self._edited.add(holder)
        known_databases = {one for page in self.known.values() for kind, one in page.children if kind == DATABASE}
        for database in self._databases.keys() - known_databases:
            found = await self._absent_or(self.notion.database(database))
            if found is not None and (holder := await self.notion.holder(parent_of(found))):
                self._edited.add(holder)

    async def _page(self, identifier: str) -> Seen | None:
        """Return a page as it is now; None when it is gone or in the trash."""
        page = self._fresh.get(identifier)
        if page is None:
            found = await self._absent_or(self.notion.page(identifier))
            page = None if found is None else seen(found)
        if page is None or page.trashed:
            return None
        known = self.known.get(page.id)
        if known is not None and self.roots and known.parent != page.parent:
            raise Moved
        return page

    async def _children(self, page: Seen) -> Sequence[Child]:
        version = page.version(self.now)
        known = self.known.get(page.id)
        if known is not None and known.version == version and not version.endswith("~") and page.id not in self._edited:
            children = known.children
        else:
            blocks = await self.notion.blocks(page.id)
            children = tuple((kind, unhyphened(one)) for kind, one in child_ids(blocks))
        self.pages[page.id] = Known(version, page.parent, children)
        return children

    async def _database(self, identifier: str) -> AsyncIterator[Sequence[Child]]:
        """Yield the rows of a database that is there and not in the trash."""
        found = await self._absent_or(self.notion.database(identifier))
        if found is None or found.get("in_trash") is True or found.get("archived") is True:
            self._check_root((DATABASE, identifier))
            return
        for source in get_objects(found, "data_sources"):
            async for rows in self.notion.rows(require_text(source, "id")):
                pages = [seen(row) for row in rows]
                self._fresh.update((page.id, page) for page in pages)
                yield [(PAGE, page.id) for page in pages]

    def _check_root(self, child: Child) -> None:
        if child in self.roots:
            raise SourceError(
                f"Notion has no page or database {child[1]} that is shared with Kvasir's connection. Share it (••• › "
                "Connections), or take it out of kvasir.toml; nothing was deleted."
            )

    async def _absent_or(self, call: Awaitable[JsonObject]) -> JsonObject | None:
        try:
            return await call
        except CallRefused as error:
            if error.status in _ABSENT:
                return None
            raise


def saved(pages: Mapping[str, Known]) -> JsonObject:
    """Return what a walk saw, as JSON."""
    return {identifier: page.saved() for identifier, page in pages.items()}


def restored(value: JsonObject) -> Mapping[str, Known]:
    """Read what ``saved`` returned."""
    return {identifier: Known.read(get_object(value, identifier)) for identifier in value}
