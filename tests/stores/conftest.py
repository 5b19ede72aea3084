"""A store of each kind, on a real directory or a real server, made as the product makes it."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from knowledge.interfaces import Store
from knowledge.settings import KnowledgeSettings
from knowledge.stores.registry import STORES, make_store
from tests.opensearch import SearchServer
from tests.pgbouncer import add_parameter, pgbouncer_server
from tests.services import WeaviateServer
from tests.store_servers import share_server
from tests.stores.rows import DIMENSIONS
from tests.stores.toy_store import TOY

# ── The workbench of each store: a fixture with its variables ────────────────────────────────────────────────────────


@pytest.fixture
def lancedb_variables() -> Mapping[str, str]:
    return {}


@pytest.fixture
def toy_variables(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.setitem(STORES, TOY.name, TOY)
    return {}


@pytest.fixture(scope="session")
def weaviate() -> WeaviateServer:
    return share_server("weaviate")  # type: ignore[no-any-return]


@pytest.fixture
def weaviate_variables(weaviate: WeaviateServer) -> Mapping[str, str]:
    return weaviate.variables


@pytest.fixture
def postgresql_variables(vector_postgres: str) -> Mapping[str, str]:
    return {"POSTGRESQL_URL": vector_postgres}


@pytest.fixture(scope="session")
def pooled_vector_postgres(vector_postgres: str) -> Iterator[str]:
    with pgbouncer_server(vector_postgres) as url:
        yield add_parameter(url)


@pytest.fixture
def pooled_postgresql_variables(pooled_vector_postgres: str) -> Mapping[str, str]:
    return {"POSTGRESQL_URL": pooled_vector_postgres}


@pytest.fixture(scope="session")
def opensearch() -> SearchServer:
    return share_server("opensearch")  # type: ignore[no-any-return]


@pytest.fixture
def opensearch_variables(opensearch: SearchServer) -> Mapping[str, str]:
    return opensearch.variables


@pytest.fixture(scope="session")
def elasticsearch() -> SearchServer:
    return share_server("elasticsearch")  # type: ignore[no-any-return]


@pytest.fixture
def elasticsearch_variables(elasticsearch: SearchServer) -> Mapping[str, str]:
    return elasticsearch.variables


# ── What the contract uses ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Bench:
    """Makes stores that share their data, and names an index of this test."""

    settings: KnowledgeSettings
    index: str = field(default_factory=lambda: f"kvasir_{uuid.uuid4().hex[:8]}")
    made: list[Store] = field(default_factory=list)

    def make(self) -> Store:
        store = make_store(self.settings)
        self.made.append(store)
        return store

    async def open(self, dimensions: int = DIMENSIONS) -> Store:
        store = self.make()
        await store.open(self.index, dimensions)
        return store

    def arguments(self) -> list[str]:
        """Return the arguments of ``writer_process.py``."""
        settings = self.settings
        return [self.index, settings.store, str(settings.home), json.dumps(settings.store_variables)]


_SERVERS = (pytest.mark.slow, pytest.mark.servers)


@pytest.fixture(
    params=[
        "toy",
        *(pytest.param(one.name, marks=_SERVERS if one.setting else []) for one in STORES.values()),
        pytest.param("pooled_postgresql", marks=_SERVERS),
    ]
)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Return a workbench of each store. One with a setting has a server, and starting it is slow."""
    variables = request.getfixturevalue(f"{request.param}_variables")
    store = request.param.removeprefix("pooled_")
    settings = KnowledgeSettings(tmp_path, tmp_path, "", store=store, store_variables=variables)
    bench = Bench(settings)
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
