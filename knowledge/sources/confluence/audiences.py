"""Finds the readers of Confluence's pages, by its rights and by the configuration.

A reader may see a page if the space, the page's own view restriction and the restrictions of all its ancestors admit
the reader. A restriction that cannot be read admits nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from knowledge.interfaces import EVERYONE, RightsLimit, intersect_readers, narrow_readers
from knowledge.sources.common import widen_to_everyone
from knowledge.sources.confluence.cloud import Cloud
from knowledge.sources.confluence.model import GROUP, NOBODY, ConfluencePage, ContentRef, Space, TreeNode
from knowledge.sources.confluence.server import DataCenter
from knowledge.sources.hosted.http_api import run_concurrently

CALLS_AT_ONCE = 8
Edition = Cloud | DataCenter


class PageAudiences:
    """The readers of pages, with the space, the pages' restrictions and those of all ancestors."""

    def __init__(
        self,
        edition: Edition,
        *,
        rights: str,
        readers: frozenset[str],
        everyone: frozenset[str],
    ) -> None:
        """``rights`` and ``everyone`` are keys of the source."""
        self._edition = edition
        self._rights = rights
        self._readers = readers
        self._everyone = everyone

    async def find_readers(self, space: Space, pages: Mapping[str, ConfluencePage]) -> Mapping[str, frozenset[str]]:
        """Return the readers of each page, by Confluence's rights and the configuration."""
        if self._rights == "ignore" or not pages:
            return dict.fromkeys(pages, self._readers)
        space_readers = await self._find_space_readers(space)
        nodes = await self._build_tree(space, pages)
        admitted = {one: [space_readers, *iterate_constraints(page.ref, nodes)] for one, page in pages.items()}
        named = set[str]().union(*(find_groups(each) for each in admitted.values()))
        members = {group: await self._edition.fetch_members(group) for group in sorted(named)}
        own = {one: intersect_audiences(each, members) for one, each in admitted.items()}
        if self._rights == "own" and space_readers >= EVERYONE:
            # Who sees the space is a full member, so a restriction of a page admits no guest.
            own = {one: narrow_readers(EVERYONE, readers) for one, readers in own.items()}
        return {one: intersect_readers(self._readers, readers) for one, readers in own.items()}

    async def explain_readers(self, space: Space, page: ConfluencePage) -> Sequence[RightsLimit]:
        """Return what limits the readers of a page: its space, its own restriction, and those of all ancestors."""
        if self._rights == "ignore":
            return []
        limits = [RightsLimit(f"the permission to view the space {space.key}", await self._find_space_readers(space))]
        nodes, ref = await self._build_tree(space, {page.ref.id: page}), page.ref
        for restriction in iterate_constraints(page.ref, nodes):
            what = "its page restriction" if ref == page.ref else f"page restriction of {space.key}/{ref.id}, above it,"
            limits.append(RightsLimit(what, restriction))
            ref = nodes[ref.id].parent or ref if ref.id in nodes else ref
        return limits

    async def _find_space_readers(self, space: Space) -> frozenset[str]:
        if self._rights == "restrictions":
            return EVERYONE
        return widen_to_everyone(await self._edition.fetch_space_readers(space), self._everyone)

    async def _build_tree(self, space: Space, pages: Mapping[str, ConfluencePage]) -> Mapping[str, TreeNode]:
        """Return the nodes of a space's tree with their restrictions, including folders and unlisted pages."""
        unknown_pages = [one for one, page in pages.items() if page.restriction is None]
        restrictions: Mapping[str, frozenset[str]] = {}
        if unknown_pages and isinstance(self._edition, Cloud):  # the listings of Data Center contain them
            restrictions = await self._edition.fetch_restrictions(space, unknown_pages)
        nodes = {
            one: TreeNode(page.restriction or restrictions.get(one, NOBODY), page.parent) for one, page in pages.items()
        }
        while unknown := find_missing(nodes):
            calls = [partial(self._edition.fetch_node, ref) for ref in unknown]
            fetched = await run_concurrently(calls, CALLS_AT_ONCE)
            nodes.update((ref.id, node) for ref, node in zip(unknown, fetched, strict=True))
        return {
            one: replace(node, restriction=widen_to_everyone(node.restriction, self._everyone))
            for one, node in nodes.items()
        }


def find_missing(nodes: Mapping[str, TreeNode]) -> list[ContentRef]:
    """Return the parents that are not among the nodes, each once."""
    above = [node.parent for node in nodes.values() if node.parent is not None]
    return list({ref.id: ref for ref in above if ref.id not in nodes}.values())


def iterate_constraints(ref: ContentRef | None, nodes: Mapping[str, TreeNode]) -> Iterator[frozenset[str]]:
    """Yield the readers whom a page and each ancestor admit; nobody if one is missing or the path is a circle."""
    path_ids: set[str] = set()
    while ref is not None:
        node = nodes.get(ref.id)
        if node is None or ref.id in path_ids:
            yield NOBODY
            return
        path_ids.add(ref.id)
        yield node.restriction
        ref = node.parent


def find_groups(admitted: Sequence[frozenset[str]]) -> set[str]:
    """Return the groups whose members are needed to intersect these audiences."""
    narrow = {one for one in admitted if not one >= EVERYONE}
    return {name for one in narrow for name in one if name.startswith(GROUP)} if len(narrow) > 1 else set()


def intersect_audiences(admitted: Iterable[frozenset[str]], members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the readers whom all audiences admit: the groups that are in each, and people by membership."""
    narrow = {one for one in admitted if not one >= EVERYONE}
    if len(narrow) < 2:  # noqa: PLR2004 - nothing to combine
        return next(iter(narrow), EVERYONE)
    return frozenset.intersection(*(one.union(*(members.get(name, NOBODY) for name in one)) for one in narrow))
