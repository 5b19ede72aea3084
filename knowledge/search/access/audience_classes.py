"""Choose the audience classes that the viewers of an answer may use, so that a store proposes nothing else.

A list of the classes that is a few seconds old is safe, because the manifest has the last word on each passage. A class
that another process adds meanwhile is not found yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from knowledge.interfaces import EVERYONE, NumberedStore, Scope, Store, Viewers, may_read, number_viewers
from knowledge.interfaces.audiences import split_reader
from knowledge.sync.manifest.records import AudienceList, AudienceRow, decode_readers

_MAX_AGE_S: Final = 3.0
"""The age at which the list of classes is read again, because another process may have written."""
_READING_SHARE: Final = 0.05
"""The largest share of the time for reading it. Only new classes are read, but all after one was removed."""
_WHOLE_EVERY_S: Final = 600.0
"""All classes are read again after so long: a database that was recovered to an earlier point repeats their numbers."""
_MANY_CLASSES: Final = 2000
"""From this number of classes on, a store filters by principals. A class costs LanceDB 3 µs, and a principal 20."""
_COUNTED_FOR_S: Final = 60.0
_CACHED_PEOPLE: Final = 20_000
"""Viewers whose usable classes are cached: four channels of 5,000 members, or the direct messages of everybody."""


class AudienceClasses:
    """The audience classes of one index. Several tasks may use it at once."""

    def __init__(
        self,
        read_audiences: Callable[[AudienceList | None], Awaitable[AudienceList]],
        count_writes: Callable[[], int],
        *,
        has_audiences: Callable[[int], Awaitable[bool]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take ``Lookups.read_audiences``, and a function that counts what this process wrote into the manifest.

        With ``Lookups.has_audiences``, the viewers' principals replace a list of very many classes.
        """
        self._read_audiences = read_audiences
        self.count_writes = count_writes
        self._has_audiences = has_audiences
        self._now = now
        self._known = AudienceList()
        self._named: frozenset[str] = frozenset()
        self._valid_until, self._writes, self._whole_until = -math.inf, -1, -math.inf
        self._has_many, self._counted_until = False, -math.inf
        self._reading = asyncio.Lock()
        self._usable: OrderedDict[tuple[Viewers, frozenset[str]], frozenset[str] | None] = OrderedDict()

    async def narrow_scope(self, scope: Scope, store: Store) -> Scope:
        """Return the scope with what a store may propose: audience classes, or the principals of very many classes.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if isinstance(store, NumberedStore) and store.is_numbered and await self._are_many():
            return replace(scope, principals=number_viewers(scope.viewers))
        return replace(scope, audiences=await self.find_usable(scope.viewers, scope.sources))

    async def _are_many(self) -> bool:
        """Return whether there are so many classes that reading and weighing them would delay questions."""
        if self._has_audiences is not None and self._now() >= self._counted_until:
            self._has_many = await self._has_audiences(_MANY_CLASSES)
            self._counted_until = self._now() + _COUNTED_FOR_S
        return self._has_many

    async def find_usable(self, viewers: Viewers, sources: frozenset[str]) -> frozenset[str] | None:
        """Return the keys of the classes in some sources that all viewers may read; None if these are all.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        async with self._reading:
            await self._refresh_classes()
        key = viewers, sources
        if key in self._usable:
            self._usable.move_to_end(key)
            return self._usable[key]
        rows = [row for row in self._known.rows if row.source in sources]
        readable = [row for row in rows if may_read(viewers, decode_readers(row.readers))]
        is_all = bool(viewers.people) and len(readable) == len(rows)
        usable = None if is_all else frozenset[str]().union(*(row.class_keys for row in readable))
        self._usable[key] = usable
        while sum(len(one.people) for one, _ in self._usable) > _CACHED_PEOPLE:
            self._usable.popitem(last=False)
        return usable

    async def find_rights_key(self, viewers: Viewers, sources: frozenset[str]) -> str:
        """Return a key that is equal for viewers who may read the same classes in some sources.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        if await self._are_many():
            return _hash_principals(viewers)
        usable = await self.find_usable(viewers, sources)
        return "all" if usable is None else hashlib.sha256(" ".join(sorted(usable)).encode()).hexdigest()

    async def list_named_principals(self) -> frozenset[str]:
        """Return the principals that open documents which not every full member may read.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        async with self._reading:
            await self._refresh_classes(may_be_old=self._has_many)
        return self._named

    async def _refresh_classes(self, *, may_be_old: bool = False) -> None:
        writes, now = self.count_writes(), self._now()
        if now < self._valid_until and (may_be_old or writes == self._writes):
            return
        is_whole = now >= self._whole_until
        known, read = self._known, await self._read_audiences(None if is_whole else self._known)
        if known.rows is not read.rows and known.rows != read.rows:
            before = self._named if known.rows <= read.rows else frozenset[str]()
            named = await asyncio.to_thread(_list_named, read.rows - known.rows if before else read.rows)
            self._named = before | named
            self._usable.clear()
        self._known = read  # after all awaits, so that a cancelled question changes nothing
        if is_whole:
            self._whole_until = now + _WHOLE_EVERY_S
        self._writes, self._valid_until = writes, now + max(_MAX_AGE_S, (self._now() - now) / _READING_SHARE)


@lru_cache(maxsize=64)
def _hash_principals(viewers: Viewers) -> str:
    """Return a key of all principals; viewers with other ones might read other documents."""
    people = sorted(json.dumps(sorted(principals)) for principals in viewers.people)
    return hashlib.sha256("\n".join(people).encode()).hexdigest()


def _list_named(rows: Iterable[AudienceRow]) -> frozenset[str]:
    audiences = (readers for row in rows if not (readers := decode_readers(row.readers)) >= EVERYONE)
    return frozenset(principal for readers in audiences for reader in readers for principal in split_reader(reader))
