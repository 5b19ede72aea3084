"""Who may read a document, and who sees an answer.

A document has *readers*: the principals that may read it. A principal is a person, a group or a channel, as Slack or a
source names it (``U024BE7LH``, ``confluence:group:board``). An answer has *viewers*: people, each with all principals
that they hold. A document may be used for an answer if every viewer holds one of its readers.

Documents with the same readers form an *audience class*. A store knows only the key of the class.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import combinations
from operator import and_
from typing import Final

EVERYONE = frozenset({"*"})
"""The readers of a document that every full member of the company may read."""
GUESTS: Final = "guests"
"""The principal of every guest of the workspace."""
WORLD: Final = "world"
"""The principal that everybody holds, also people of other companies."""
ANY_NUMBER: Final = 0
"""Stands for any principal in the numbers of a document (``number_readers``)."""
_PUBLIC: Final = frozenset({*EVERYONE, GUESTS, WORLD})
_FEW_PEOPLE: Final = 32
"""So many viewers are asked one by one. For more, each principal has a number with a bit for each viewer."""
_FEW_PARTS: Final = 8
"""Principals of a joined reader that is compared with all others; more need too many comparisons."""
_MOST_JOINED: Final = 10_000
"""Joined readers of one document. Two lists of more pairs than this would fill the memory."""
_MOST_NUMBERS: Final = 256
"""Numbers of one document; more would make its rows long."""
_FILTERED_PEOPLE: Final = 4
"""Viewers by whom a store filters. Each costs it about a millisecond, and the manifest decides for all."""
_BOTH = "\x1f"
"""Joins principals that a person must hold together. No principal contains it."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """The people who will see an answer: for each, the principals that the person holds.

    Nobody is known not to see it if there are no people, so nothing may be shown.
    """

    people: frozenset[frozenset[str]]

    @classmethod
    def of(cls, *people: Iterable[str]) -> Viewers:
        """Return viewers; each argument has the principals of one person."""
        return cls(frozenset(frozenset({*principals, WORLD}) for principals in people))


ANY_MEMBER: Final = Viewers.of(EVERYONE)
"""A full member of whom nothing else is known."""


def may_read(viewers: Viewers, readers: frozenset[str]) -> bool:
    """Return whether every viewer may read a document with these readers."""
    people = viewers.people
    if len(people) <= _FEW_PEOPLE:
        return bool(people) and all(holds_reader(principals, readers) for principals in people)
    holders = _find_holders(viewers)
    found = 0
    for reader in readers:
        found |= reduce(and_, (holders.get(principal, 0) for principal in split_reader(reader)))
    return found == (1 << len(people)) - 1


@lru_cache(maxsize=16)
def _find_holders(viewers: Viewers) -> dict[str, int]:
    """Return the holders of each principal as a number with one bit for each viewer."""
    holders: defaultdict[str, int] = defaultdict(int)
    for place, principals in enumerate(viewers.people):
        for principal in principals:
            holders[principal] |= 1 << place
    return dict(holders)


def holds_reader(principals: frozenset[str], readers: frozenset[str]) -> bool:
    """Return whether a person with these principals is one of the readers."""
    if not principals.isdisjoint(readers):
        return True
    return any(principals.issuperset(split_reader(reader)) for reader in readers if _BOTH in reader)


def find_held_readers(principals: frozenset[str], readers: frozenset[str]) -> frozenset[str]:
    """Return which of the readers a person with these principals is."""
    return frozenset(reader for reader in readers if holds_reader(principals, frozenset({reader})))


def is_single_principal(principal: str) -> bool:
    """Return whether a text can be one principal of a person: it is not empty and joins no others."""
    return bool(principal) and _BOTH not in principal


@lru_cache(maxsize=65_536)
def split_reader(reader: str) -> tuple[str, ...]:
    """Return the principals that a person must hold together to be this reader; most readers are one principal."""
    return tuple(reader.split(_BOTH))


@lru_cache(maxsize=8192)
def make_class_key(readers: frozenset[str]) -> str:
    """Return the key of the audience class of documents with exactly these readers: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(sorted(readers)).encode()).hexdigest()[:16]


@lru_cache(maxsize=65_536)
def number_principal(principal: str) -> int:
    """Return the number of a principal, which is never ``ANY_NUMBER``."""
    return int.from_bytes(hashlib.sha256(principal.encode()).digest()[:8], signed=True) or 1


def number_readers(readers: frozenset[str]) -> tuple[int, ...]:
    """Return numbers of which every reader of a document holds at least one; ``ANY_NUMBER`` if there are too many."""
    # Of joined principals one is enough. Most people hold a public one, so any other narrows more.
    parts = {min(split_reader(reader), key=lambda part: (part in _PUBLIC, part)) for reader in readers}
    return tuple(sorted(map(number_principal, parts))) if len(parts) <= _MOST_NUMBERS else (ANY_NUMBER,)


def holds_numbers(numbers: Collection[int], viewers: Iterable[Collection[int]]) -> bool:
    """Return whether each of ``number_viewers`` has one of a document's ``number_readers``."""
    return all(not set(numbers).isdisjoint(held) for held in viewers)


@lru_cache(maxsize=64)
def number_viewers(viewers: Viewers) -> tuple[tuple[int, ...], ...]:
    """Return the numbers that some of the viewers hold, of those with the fewest principals; none if nobody views.

    A document that all viewers may read has a number of each. The reverse need not be true.
    """
    fewest = heapq.nsmallest(_FILTERED_PEOPLE, viewers.people, key=len)
    return tuple((ANY_NUMBER, *sorted(map(number_principal, principals))) for principals in fewest)


def format_reader(reader: str) -> str:
    """Return a reader for people: principals that a person must hold together, joined by a plus sign."""
    return " + ".join(split_reader(reader))


def intersect_readers(configured: frozenset[str], named: frozenset[str]) -> frozenset[str]:
    """Return the readers whom both the configuration and a source admit.

    A person who holds a principal of each may read, so different principals are joined. For example, both ``C1`` and
    ``confluence:group:board`` must admit the reader. Then those who hold both may read the document. An empty set is
    valid: Kvasir keeps such a document and shows it to nobody.

    Configured full members narrow nobody but the world, so that readers stay short: a search checks the configured
    readers as well. Nothing else checks what a source names. So a guest whom the configuration admits does not read
    what the source opens to full members.
    """
    if WORLD in configured or (configured >= EVERYONE and WORLD not in named):
        return named
    if WORLD in named:
        return configured
    return narrow_readers(configured, named)


def narrow_readers(before: frozenset[str], now: frozenset[str]) -> frozenset[str]:
    """Return the readers of a document who could read it before and can read it now.

    Here ``*`` is a principal like any other. A document that only full members could read is not for a guest who is
    named now, because its text may be older. Of two very long lists, only readers who are in both remain.
    """
    both = before & now
    others, named = before - both, now - both
    if len(others) * len(named) > _MOST_JOINED:
        return _drop_covered(both)
    return _drop_covered(both | {_join_readers(first, second) for first in others for second in named})


def _drop_covered(readers: frozenset[str]) -> frozenset[str]:
    """Return an audience without joined readers who hold another of its readers anyway."""
    return frozenset(one for one in readers if _BOTH not in one or readers.isdisjoint(_list_parts(one)))


def _list_parts(reader: str) -> Iterator[str]:
    """Yield the readers of which a joined one holds more than all principals."""
    principals = split_reader(reader)
    sizes = range(1, len(principals)) if len(principals) <= _FEW_PARTS else ()
    return (_BOTH.join(some) for size in sizes for some in combinations(principals, size))


def _join_readers(one: str, other: str) -> str:
    return _BOTH.join(sorted({*split_reader(one), *split_reader(other)}))
