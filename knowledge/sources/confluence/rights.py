"""Who may see a page of Confluence. Pure.

A reader may see a page if the space, the page's own view restriction and the restrictions of all its ancestors admit
the reader. A restriction that cannot be read admits nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from knowledge.interfaces import EVERYONE
from knowledge.sources.confluence.model import NOBODY, ContentRef, TreeNode

USER, GROUP = "confluence:user:", "confluence:group:"
"""Prefixes of readers: people by account id (Cloud) or user name (Data Center), groups by id or name."""


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
