"""The identity map of a library: e-mail addresses, the file of people, and the sources' own groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from knowledge.errors import IdentityError
from knowledge.identity.email_addresses import EmailIdentitySource
from knowledge.identity.identity_map import IdentityMap
from knowledge.identity.people_file import FileIdentitySource
from knowledge.interfaces import Source
from knowledge.interfaces.people import IdentifyingSource, IdentitySource, Person
from knowledge.sources.narrowing import find_listing_source


def make_identity_map(file: Path | None, sources: Iterable[Source]) -> IdentityMap:
    """Return the identity map: the sources see the accounts that the file names."""
    return IdentityMap(
        [
            EmailIdentitySource(),
            *([] if file is None else [FileIdentitySource(file)]),
            *_separate_groups(_list_systems(sources)),
        ]
    )


def _list_systems(sources: Iterable[Source]) -> list[IdentitySource]:
    """Return the systems of sources, each once."""
    listing = (find_listing_source(source) for source in sources)
    found = [source.identities for source in listing if isinstance(source, IdentifyingSource)]
    return list({one.identity_name: one for one in found if one is not None}.values())


def _separate_groups(systems: Sequence[IdentitySource]) -> list[IdentitySource]:
    """Return the systems; those whose groups have the same names as another's are replaced by an error."""
    by_namespace: dict[str, list[IdentitySource]] = {}
    for system in systems:
        by_namespace.setdefault(system.namespace or system.identity_name, []).append(system)
    return [each[0] if len(each) == 1 else _AmbiguousSystems(name, each) for name, each in by_namespace.items()]


class _AmbiguousSystems:
    """Several systems that may give the same name to different groups: nobody gets a principal of them."""

    answers_in_bulk = True

    def __init__(self, namespace: str, systems: Sequence[IdentitySource]) -> None:
        self.namespace = namespace
        self.identity_name = ", ".join(system.identity_name for system in systems)

    async def find_principals(self, _: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        raise IdentityError(
            f"{self.identity_name} may have different groups of the same name, so nobody gets rights from them. "
            "Run a Kvasir for each, or name the people of each group in the file of people."
        )

    async def find_holdable(self, _: frozenset[str], /) -> frozenset[str]:
        return frozenset()

    async def check_identities(self) -> str:
        await self.find_principals([])
        return ""
