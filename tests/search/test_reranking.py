"""The reranker behind HTTP: what it is sent, the order that it gives, and what happens without its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from knowledge.search.hybrid import HybridSearch
from knowledge.search.ranking.fusion import ScoredCandidate
from knowledge.search.reranking import HttpReranker
from knowledge.settings import RerankerSettings
from knowledge.web.http.settings import ServerAddress
from tests.embedding.embedding_server import KEY, EmbeddingServer, make_json, serve_embeddings
from tests.search.search_bench import CALIBRATION, EVERYWHERE, SearchBench
from tests.waiting import WAIT_S

QUESTION = "when does the office open"
PASSAGES = {"nine": "The office opens at nine.", "walk": "Walk to the office.", "bread": "Bread needs flour."}


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with serve_embeddings() as server:
        server.scores = lambda _query, text: {"Bread": 0.9, "Walk": 0.5}.get(text.rpartition("\n")[2].split()[0], 0.1)
        yield server


def make_reranker(server: EmbeddingServer, limit_s: float = WAIT_S) -> HttpReranker:
    return HttpReranker(RerankerSettings(ServerAddress(f"{server.url}/v1/rerank", KEY), "ranks"), limit_s=limit_s)


async def search(bench: SearchBench, reranker: HttpReranker | None) -> list[tuple[str, float]]:
    hybrid = HybridSearch(bench.embedder, bench.store, bench.current, CALIBRATION, reranker=reranker)
    return [(hit.id, hit.score) for hit in (await hybrid.search(QUESTION, scope=EVERYWHERE)).hits]


@pytest.mark.parametrize("form", ["vllm", "tei"])
async def test_both_forms_give_the_order_and_scores_stay(
    bench: SearchBench, server: EmbeddingServer, form: str
) -> None:
    await bench.add(PASSAGES)
    server.rerank_format = form
    reranker = make_reranker(server)
    before, after = await search(bench, None), await search(bench, reranker)
    assert [id_ for id_, _ in before] == ["nine", "walk", "bread"]
    assert [id_ for id_, _ in after] == ["bread", "walk", "nine"]
    assert [score for _, score in after] == [score for _, score in before]
    (request,) = server.requests
    assert (request["model"], request["query"]) == ("ranks", QUESTION)
    await reranker.close()


async def test_no_text_is_sent_that_the_viewers_may_not_read(bench: SearchBench, server: EmbeddingServer) -> None:
    """The store proposes all of these; the manifest says that one is another's, one is deleted and one was replaced."""
    await bench.add(PASSAGES)
    await bench.add({"board": "The office of the board opens at six."}, readers=frozenset({"C1"}))
    await bench.add({"deleted": "The office opens at ten.", "revoked": "The office opens at four."})
    del bench.manifest["deleted"]
    await bench.add({"revoked": "The office opens at four."}, readers=frozenset({"U9"}))
    reranker = make_reranker(server)
    await search(bench, reranker)
    assert {text.rpartition("\n")[2] for text in server.texts} == set(PASSAGES.values())
    await reranker.close()


async def answer_late() -> web.StreamResponse:
    await asyncio.sleep(WAIT_S)
    return web.Response()


async def answer_500() -> web.StreamResponse:
    return web.Response(status=500, text=KEY)


async def answer_nan() -> web.StreamResponse:
    return make_json({"results": [{"index": 0, "relevance_score": float("nan")}]})


async def answer_unknown_place() -> web.StreamResponse:
    return make_json([{"index": 99, "score": 1.0}])


async def answer_text() -> web.StreamResponse:
    return web.Response(text="<html>")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (answer_late, "gave no answer within 0.2 s"),
        (answer_500, "failed (HTTP 500)"),
        (answer_nan, "answers with scores that cannot be used"),
        (answer_unknown_place, "answers with scores that cannot be used"),
        (answer_text, "answers with something other than scores"),
    ],
)
async def test_without_an_answer_the_order_stays(
    bench: SearchBench, server: EmbeddingServer, caplog: pytest.LogCaptureFixture, fault: object, why: str
) -> None:
    await bench.add(PASSAGES)
    reranker = make_reranker(server, limit_s=0.2)
    server.rerank_fault = fault  # type: ignore[assignment]
    with caplog.at_level(logging.INFO, logger="knowledge"):
        assert await search(bench, reranker) == await search(bench, None)
    (record,) = caplog.records
    assert why in record.getMessage()
    assert KEY not in caplog.text
    await reranker.close()


async def test_one_that_is_down_is_not_asked_each_time(bench: SearchBench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.add(PASSAGES)
    async with serve_embeddings() as server:
        pass
    seconds = [0.0]
    reranker = HttpReranker(RerankerSettings(ServerAddress(server.url)), now=lambda: seconds[0])
    expected = await search(bench, None)
    for _ in range(5):
        assert await search(bench, reranker) == expected
    assert [record.getMessage().partition(" at ")[0] for record in caplog.records] == [
        "The order of passages stays, because the reranker"
    ] * 3
    seconds[0] = 31.0
    await search(bench, reranker)
    assert len(caplog.records) == 4
    await reranker.close()


async def test_what_it_does_not_score_comes_last(server: EmbeddingServer, bench: SearchBench) -> None:
    await bench.add(PASSAGES)

    async def answer_one() -> web.StreamResponse:
        return make_json({"results": [{"index": 1, "relevance_score": -7.5}]})

    server.rerank_fault = answer_one
    reranker = make_reranker(server)
    assert [id_ for id_, _ in await search(bench, reranker)] == ["walk", "nine", "bread"]
    await reranker.close()


async def test_a_cancelled_search_lets_the_next_one_try(server: EmbeddingServer, bench: SearchBench) -> None:
    await bench.add(PASSAGES)
    reranker = make_reranker(server)
    server.rerank_fault = answer_late
    task = asyncio.create_task(search(bench, reranker))
    async with asyncio.timeout(WAIT_S):
        while not server.requests:  # noqa: ASYNC110 - a server does not report what it works on
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.rerank_fault = None
    assert [id_ for id_, _ in await search(bench, reranker)] == ["bread", "walk", "nine"]
    await reranker.close()


async def test_many_passages_are_sent_in_part(server: EmbeddingServer, bench: SearchBench) -> None:
    reranker = make_reranker(server)
    await bench.add({"a": "The office opens."})
    vector = await bench.embedder.embed_query("office")
    (candidate,) = await bench.store.find_candidates(vector, "office", pool=1, scope=EVERYWHERE)
    ranked = [ScoredCandidate(candidate, 1.0 - n / 100) for n in range(50)]
    again = await reranker.rerank(QUESTION, ranked)
    assert [one.score for one in again] == [one.score for one in ranked]
    assert len(server.texts) == 32
    await reranker.close()
