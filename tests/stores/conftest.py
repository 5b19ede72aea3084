"""A store of each kind, on a real directory or a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from knowledge.interfaces import Store
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.stores.weaviate.store import WeaviateStore
from tests.services import WeaviateServer, weaviate_server
from tests.stores.rows import DIMENSIONS


@pytest.fixture(scope="session")
def weaviate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    with weaviate_server(tmp_path_factory.mktemp("weaviate")) as server:
        yield server


@dataclass
class Bench:
    """Makes stores that share their data, and names an index of this test."""

    make: Callable[[], Store]
    kind: str
    where: tuple[str, ...]
    """Return the store's arguments as text, for a process of its own."""
    index: str = field(default_factory=lambda: f"kvasir_{uuid.uuid4().hex[:8]}")
    made: list[Store] = field(default_factory=list)

    async def open(self, dimensions: int = DIMENSIONS) -> Store:
        store = self.make()
        self.made.append(store)
        await store.open(self.index, dimensions)
        return store


@pytest.fixture(params=["lancedb", pytest.param("weaviate", marks=pytest.mark.slow)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "lancedb":
        bench = Bench(lambda: LanceDBStore(tmp_path / "store"), "lancedb", (str(tmp_path / "store"),))
    else:
        server: WeaviateServer = request.getfixturevalue("weaviate")
        where = (server.url, server.grpc_url, server.api_key)
        bench = Bench(lambda: WeaviateStore(*where), "weaviate", where)
    try:
        yield bench
    finally:
        if bench.made:
            await bench.made[0].drop_index(bench.index)
        for store in bench.made:
            await store.close()


@pytest.fixture
async def store(bench: Bench) -> Store:
    return await bench.open()
