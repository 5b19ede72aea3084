"""Who may see a page of Confluence: pure.

A page is seen by those who may see its space *and* whom its own view restriction *and* that of each ancestor admits.
What cannot be told admits nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from knowledge.interfaces import EVERYONE
from knowledge.sources.confluence.model import NOBODY, ContentRef, TreeNode

USER, GROUP = "confluence:user:", "confluence:group:"
"""How readers are named: people by account id (Cloud) or name (Data Center), groups by id or name likewise."""


def find_missing(nodes: Mapping[str, TreeNode]) -> list[ContentRef]:
    """Return what something hangs under and nothing is known of, each once."""
    above = [node.parent for node in nodes.values() if node.parent is not None]
    return list({ref.id: ref for ref in above if ref.id not in nodes}.values())


def iterate_constraints(ref: ContentRef | None, nodes: Mapping[str, TreeNode]) -> Iterator[frozenset[str]]:
    """Yield whom a page and each of its ancestors admits; nobody where the way up is broken or a circle."""
    seen: set[str] = set()
    while ref is not None:
        node = nodes.get(ref.id)
        if node is None or ref.id in seen:
            yield NOBODY
            return
        seen.add(ref.id)
        yield node.restriction
        ref = node.parent


def find_groups(admitted: Sequence[frozenset[str]]) -> set[str]:
    """Return the groups whose members must be known to tell whom all of these admit."""
    narrow = {one for one in admitted if not one >= EVERYONE}
    return {name for one in narrow for name in one if name.startswith(GROUP)} if len(narrow) > 1 else set()


def intersect_audiences(admitted: Iterable[frozenset[str]], members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return whom each of several audiences admits: groups that are in all of them, and people, by membership."""
    narrow = {one for one in admitted if not one >= EVERYONE}
    if len(narrow) < 2:  # noqa: PLR2004 - nothing to combine
        return next(iter(narrow), EVERYONE)
    return frozenset.intersection(*(one.union(*(members.get(name, NOBODY) for name in one)) for one in narrow))
