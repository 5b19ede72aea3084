"""Asks the identity sources in order which principals people hold."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from knowledge.errors import KnowledgeError
from knowledge.identity.readers import is_from_chat
from knowledge.interfaces.audiences import is_single_principal
from knowledge.interfaces.people import IdentitySource, Person, is_membership

_log = structlog.get_logger(__name__)

TTL_S: Final = 50.0
"""How long an answer is cached, from the start of the question to the sources. A lost group counts within a minute."""
MAX_PEOPLE: Final = 50
"""A larger audience asks only the sources that answer in bulk. Its people hold no principals of the others."""
_DEADLINE_S = 3.0
"""How long one source may take to answer."""
_PAUSE_S = 5.0
"""How long a source that failed is not asked again."""
_MAX_CACHED = 20_000
_NOTHING: frozenset[str] = frozenset()


class IdentityMap:
    """Adds to people's principals those of other systems.

    A failure, a timeout or an unknown person means fewer principals, never more. ``failures`` counts failures by
    source. People have different ids.
    """

    def __init__(
        self,
        sources: Sequence[IdentitySource],
        *,
        now: Callable[[], float] = time.monotonic,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        self.sources = tuple(sources)
        self.failures: Counter[str] = Counter()
        self._now = now
        self._deadline_s = deadline_s
        self._cache: OrderedDict[tuple[Person, bool], tuple[float, frozenset[str]]] = OrderedDict()
        self._paused_until: dict[str, float] = {}

    async def expand_people(self, people: Sequence[Person], /) -> Sequence[frozenset[str]]:
        """Return all principals of each person, in the same order."""
        are_few = len(people) <= MAX_PEOPLE
        now = self._now()
        entries = {person: self._cache.get((person, are_few), (0.0, _NOTHING)) for person in people}
        held = {person: principals for person, (expires_at, principals) in entries.items() if expires_at > now}
        missing = [person for person in entries if person not in held]
        if missing:
            held |= await self._ask_systems(missing, are_few=are_few)
        return [held[person] for person in people]

    async def find_holdable(self, principals: frozenset[str]) -> frozenset[str]:
        """Return which of these principals somebody may hold; a source that fails gives none."""
        found = frozenset(filter(is_from_chat, principals))
        for source in self.sources:
            with contextlib.suppress(KnowledgeError):
                found |= await source.find_holdable(principals)
        return found

    async def _ask_systems(self, people: Sequence[Person], *, are_few: bool) -> Mapping[Person, frozenset[str]]:
        """Return all principals of people who are not in the cache, and cache them."""
        started, ttl_s = self._now(), TTL_S
        held = {person: person.principals for person in people}
        for source in self.sources:
            if not are_few and not source.answers_in_bulk:
                continue
            found = await self._ask_source(source, [replace(one, principals=held[one]) for one in people])
            if found is None:
                ttl_s = _PAUSE_S
                continue
            for person in people:
                if more := found.get(person.id):
                    held[person] |= self._select_valid(source, more)
        for person, principals in held.items():
            self._cache[person, are_few] = (started + ttl_s, principals)
            self._cache.move_to_end((person, are_few))
        while len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
        return held

    async def _ask_source(
        self, source: IdentitySource, people: Sequence[Person]
    ) -> Mapping[str, frozenset[str]] | None:
        """Return what a source says, None if it fails or failed a moment ago."""
        name = source.identity_name
        if self._paused_until.get(name, float("-inf")) > self._now():
            return None
        try:
            async with asyncio.timeout(self._deadline_s):
                return await source.find_principals(people)
        except TimeoutError:
            why = f"no answer within {self._deadline_s:g} s"
        except KnowledgeError as error:
            why = str(error)
        self.failures[name] += 1
        self._paused_until[name] = self._now() + _PAUSE_S
        _log.warning("identities not found", source=name, people=len(people), error=why)
        return None

    def _select_valid(self, source: IdentitySource, principals: Collection[str]) -> frozenset[str]:
        """Return the principals that a source may give: only the chat says who is a member or a guest."""
        valid = frozenset(one for one in principals if is_single_principal(one) and not is_membership(one))
        if len(valid) < len(principals):
            self.failures[source.identity_name] += 1
            _log.warning("principals refused", source=source.identity_name, refused=len(principals) - len(valid))
        return valid
