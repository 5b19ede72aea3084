"""The workbenches of the source contract: each kind adds and removes documents in its own way.

A kind joins with a file ``bench_KIND.py`` below ``tests/sources``, whose ``BENCHES`` lists its workbenches. No other
file changes. ``cannot`` names unsupported abilities, and tests that need them skip the kind.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from knowledge.interfaces import EVERYONE, DocumentContent, ListedDocument, Source
from tests.sources.building import build

_Test = TypeVar("_Test", bound=Callable[..., Any])


class Ability(StrEnum):
    """Abilities of most kinds."""

    BYTES = "documents may hold any bytes, not text alone"
    NAMES = "documents may have any name that a file can have"
    REMOVE = "a document can be taken away"
    MIDWAY = "a listing can fail after its first documents (``break_midway``)"
    MANY = "a hundred documents are put within a second or two"
    LIMIT = "a document over ``max_mb`` is refused"
    LINK = "every document has a link"
    EMPTY = "it may hold nothing at all"
    RIGHTS = "it says who may read some documents without a listing"
    MEMORY = "it remembers a listing for the next one"


class Workbench:
    """A place for documents, and the source that reads it.

    ``source`` builds with ``max_mb = 0.1`` if the kind has a limit. Use a bench in ``async with opened(…)``.
    """

    kind: ClassVar[str]
    cannot: ClassVar[frozenset[Ability]] = frozenset()
    slow: ClassVar[bool] = False
    """Whether it needs more than about two seconds."""
    needs_server: ClassVar[bool] = False
    """Whether it needs a real server."""
    examples: ClassVar[int] = 8
    """How many series of random edits are tried."""
    unnameable: ClassVar[frozenset[str]] = frozenset()
    """Characters that the server of the test, or the kind, takes in no name."""
    secrets: ClassVar[Mapping[str, str]] = {}
    """Values of the keys that end in ``_env``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hushed(self) -> Collection[str]:
        """Return the secrets that no error may contain."""
        return self.secrets.values()

    async def open(self) -> None:
        """Start the place. ``close`` is always called."""

    async def close(self) -> None:
        """End it."""

    def options(self) -> dict[str, object]:
        """Return the keys of the ``[[source]]`` table, the limit among them."""
        raise NotImplementedError

    def source(
        self, name: str = "bench", *, readers: frozenset[str] = EVERYONE, kept: dict[str, bytes] | None = None
    ) -> Source:
        """Build the source. Another name has its own files, another ``kept`` its own memory."""
        return build(
            self.kind, self.folder, name=name, readers=readers, secrets=dict(self.secrets), kept=kept, **self.options()
        )

    async def put(self, name: str, data: bytes) -> None:
        """Make a document, or change it."""
        raise NotImplementedError

    async def put_all(self, documents: Mapping[str, bytes]) -> None:
        """Make many documents."""
        for name, data in documents.items():
            await self.put(name, data)

    async def remove(self, name: str) -> None:
        """Take a document away."""
        raise NotImplementedError

    async def break_down(self) -> None:
        """Make the whole source unavailable: disconnected, deleted, or with revoked credentials."""
        raise NotImplementedError

    async def break_midway(self) -> None:
        """Make the next listing fail after its first documents."""
        raise NotImplementedError

    def document(self, name: str) -> str:
        """Return the id under which the document that was put as ``name`` is listed."""
        return name

    def holds(self, content: DocumentContent, data: bytes) -> bool:
        """Return whether a text has what was put. A kind that wraps it (a page, a record) searches it."""
        return content.data == data


@asynccontextmanager
async def opened(bench: Workbench) -> AsyncIterator[Workbench]:
    """Open a workbench for a block, and always close it."""
    try:
        await bench.open()
        yield bench
    finally:
        await bench.close()


def workbenches() -> Mapping[str, type[Workbench]]:
    """Return every workbench by its class's name, in a steady order."""
    return {bench.__name__: bench for bench in _found()}


def _found() -> Iterator[type[Workbench]]:
    here = Path(__file__).parent
    for path in sorted(here.rglob("bench_*.py"), key=lambda path: path.name):
        module = ".".join(("tests", "sources", *path.relative_to(here).with_suffix("").parts))
        yield from importlib.import_module(module).BENCHES


def needs(*abilities: Ability) -> Callable[[_Test], _Test]:
    """Skip a test for kinds without the abilities that it needs."""

    def marked(test: _Test) -> _Test:
        test.needs = frozenset(abilities)  # type: ignore[attr-defined]
        return test

    return marked


async def listing(source: Source) -> dict[str, ListedDocument]:
    """Return the listed documents by id."""
    return {one.document: one async for batch in source.list() for one in batch}
