"""A source from a dictionary that says who may read, and a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace

from knowledge.interfaces import ListedDocument
from tests.sync.doubles import DictSource


class RightsDict(DictSource):
    """A source from a dictionary that says who may read; ``rights`` has the readers of documents that exist."""

    lists_rights = True

    def __init__(self, name: str = "wiki", root: str = "/wiki") -> None:
        super().__init__(name, root)
        self.rights: dict[str, frozenset[str]] = {}
        self.asked: list[frozenset[str]] = []
        self.open = asyncio.Event()
        self.open.set()

    def put(self, document: str, text: str, *readers: str) -> None:
        super().put(document, text)
        self.rights[document] = frozenset(readers or {"board"})

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        async for batch in super().list():
            yield [replace(one, readers=self.rights[one.document]) for one in batch if one.document in self.rights]

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        self.asked.append(frozenset(documents))
        self.check("rights")
        await self.open.wait()
        return {one: self.rights[one] for one in documents if one in self.rights}


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.s


def make_minutes(count: int) -> RightsDict:
    """Return a source with so many minutes of the board."""
    source = RightsDict()
    for n in range(count):
        source.put(f"{n}.md", f"# Minutes {n}\nThe board minutes number {n}.")
    return source
