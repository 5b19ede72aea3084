"""Finds the readers of Confluence's pages, by its rights and by the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from knowledge.interfaces import EVERYONE, RightsLimit, intersect_readers, narrow_readers
from knowledge.sources.common import widen_to_everyone
from knowledge.sources.confluence.cloud import Cloud
from knowledge.sources.confluence.model import NOBODY, ConfluencePage, Edition, Space, TreeNode
from knowledge.sources.confluence.rights import find_groups, find_missing, intersect_audiences, iterate_constraints
from knowledge.sources.hosted.http_api import run_concurrently

CALLS_AT_ONCE = 8


class PageAudiences:
    """The readers of pages, with the space, the pages' restrictions and those of all ancestors."""

    def __init__(
        self,
        edition: Edition,
        lookups: Cloud | None,
        *,
        rights: str,
        readers: frozenset[str],
        everyone: frozenset[str],
    ) -> None:
        """``rights`` and ``everyone`` are keys of the source; ``lookups`` are extra calls of an edition."""
        self._edition = edition
        self._lookups = lookups
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
        restrictions = (
            await self._lookups.fetch_restrictions(space, unknown_pages) if self._lookups and unknown_pages else {}
        )
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
