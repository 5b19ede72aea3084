"""The whole search over a real embedded store, with an embedder and a manifest made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import EmbedderError, StoreError, StoreUnavailable
from knowledge.interfaces import CurrentChunk
from knowledge.search.hybrid import HybridSearch
from knowledge.search.plan import shorten_words
from knowledge.search.ranking.fusion import ScoredCandidate
from knowledge.stores.lancedb.store import LanceDBStore
from tests.search.search_bench import CALIBRATION, EVERYWHERE, SYNCED, SearchBench, ids


async def test_a_hit_has_the_shown_and_cited_fields(bench: SearchBench) -> None:
    await bench.add({"a": "The office opens at nine.", "b": "Bread needs flour."})
    result = await bench.search().search("when does the office open", scope=EVERYWHERE)
    first = result.hits[0]
    assert (first.id, first.source, first.document, first.title, first.heading, first.url, first.text) == (
        "a", "docs", "a.md", "T", "H", "u/a.md", "The office opens at nine.",
    )  # fmt: skip
    assert first.synced_at == SYNCED
    assert 0 < first.confidence <= 1
    assert first.score == max(hit.score for hit in result.hits)
    assert result.seconds > 0
    assert result.query == "when does the office open"


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
async def test_an_empty_question_finds_nothing_and_embeds_nothing(bench: SearchBench, query: str) -> None:
    await bench.add({"a": "Words."})
    result = await bench.search().search(query, scope=EVERYWHERE)
    assert (result.hits, result.answerable, bench.embedder.asked) == ((), False, [])


@pytest.mark.parametrize("query", ["!?", "🦙", "'; DROP TABLE x; --", "\x00", '"quoted" (and) -more*'])
async def test_a_question_without_words_is_no_error(bench: SearchBench, query: str) -> None:
    await bench.add({"a": "Words."})
    assert await ids(bench.search(), query) == ["a"]


async def test_a_very_long_question_is_bounded(bench: SearchBench) -> None:
    await bench.add({"a": "The office opens at nine.", "b": "Bread needs flour."})
    query = "when does the office open " + "x y z " * 7000
    assert len(query) > 40_000
    assert (await ids(bench.search(), query))[0] == "a"
    assert len(bench.embedder.asked[0]) <= 8193


async def test_answerable_follows_the_confidence(bench: SearchBench) -> None:
    await bench.add({f"r{n}": f"Topic number {n} about something else." for n in range(30)})
    await bench.add({"a": "The quick brown fox jumps over the lazy dog."})
    assert (await bench.search().search("quick brown fox jumps over the lazy dog", scope=EVERYWHERE)).answerable
    assert not (await bench.search().search("parental leave policy", scope=EVERYWHERE)).answerable
    assert not (await bench.search().search("", scope=EVERYWHERE)).answerable


# ── The manifest decides ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_unlisted_rows_are_dropped_and_the_search_widens(bench: SearchBench) -> None:
    texts = {f"old{n:03}": f"office opens at nine version {n}" for n in range(300)}
    await bench.add(texts)
    await bench.add({f"new{n}": f"office closes late, remark {n} of the porter" for n in range(4)})
    for id_ in texts:
        del bench.manifest[id_]
    assert set(await ids(bench.search(pool=10), "office opens at nine", limit=4)) == {f"new{n}" for n in range(4)}
    assert bench.asked_manifest[-1] > bench.asked_manifest[0]


async def test_widening_ends(bench: SearchBench) -> None:
    await bench.add({f"old{n:03}": f"office opens at nine version {n}" for n in range(300)})
    bench.manifest.clear()
    assert await ids(bench.search(pool=10, widest_pool=40), "office opens at nine", limit=2) == []
    assert len(bench.asked_manifest) == 4, "the widest pool is searched twice, because a sync may have run in between"
    bench.asked_manifest.clear()
    assert await ids(bench.search(), "office opens at nine") == []
    assert len(bench.asked_manifest) < 8


async def test_a_document_replaced_between_store_and_manifest_is_found_in_one_version(bench: SearchBench) -> None:
    """The store proposes the old passage, then the switch happens, and the manifest knows only the new one."""
    await bench.add({"old": "The office opens at nine."})
    switched = False

    async def current(asked_ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        nonlocal switched
        if not switched:
            switched = True
            await bench.add({"new": "The office opens at ten."})
            del bench.manifest["old"]
        return await bench.current(asked_ids)

    search = HybridSearch(bench.embedder, bench.store, current, CALIBRATION)
    assert await ids(search, "when does the office open") == ["new"]


class Reversing:
    """A reranker that turns the order around."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, frozenset[str]]] = []

    async def rerank(self, question: str, ranked: Sequence[ScoredCandidate], /) -> Sequence[ScoredCandidate]:
        self.asked.append((question, frozenset(one.candidate.chunk.id for one in ranked)))
        return [ScoredCandidate(one.candidate, 1 / n) for n, one in enumerate(reversed(ranked), 1)]


async def test_a_reranker_orders_admitted_passages_before_some_are_picked(bench: SearchBench) -> None:
    await bench.add({"open": "The office opens at nine.", "walk": "Walk to the office.", "bread": "Bread needs flour."})
    await bench.add({"board": "The office opens at nine for the board."}, readers=frozenset({"C1"}))
    del bench.manifest["walk"]
    usual, reranker = await ids(bench.search(), "when does the office open"), Reversing()
    search = HybridSearch(bench.embedder, bench.store, bench.current, CALIBRATION, reranker=reranker)
    assert await ids(search, "when does the office open", limit=1) == usual[-1:] == ["bread"]
    assert set(reranker.asked) == {("when does the office open", frozenset({"open", "bread"}))}


async def test_a_small_store_is_searched_once(bench: SearchBench) -> None:
    await bench.add({"a": "The office opens at nine."})
    assert await ids(bench.search(), "office") == ["a"]
    assert bench.asked_manifest == [1]


async def test_readers_are_the_manifests_not_the_stores(bench: SearchBench) -> None:
    """Store and manifest disagree about the readers, in both directions."""
    await bench.add({"revoked": "office hours of the board"})
    await bench.add({"board": "office hours of the board, minutes"}, readers=frozenset({"C1"}))
    bench.manifest["revoked"] = CurrentChunk("docs", frozenset({"C9"}), SYNCED)
    assert await ids(bench.search(), "office hours") == []
    assert await ids(bench.search(), "office hours", readers=["C1"]) == ["board"]
    assert await ids(bench.search(), "office hours", readers=["C9"]) == ["revoked"]


async def test_every_reader_must_be_allowed(bench: SearchBench) -> None:
    await bench.add({"one": "office hours, first"}, readers=frozenset({"U1"}))
    await bench.add({"both": "office hours, second"}, readers=frozenset({"U1", "U2"}))
    await bench.add({"all": "office hours, third"})
    search = bench.search()
    assert set(await ids(search, "office hours", readers=["U1"])) == {"one", "both", "all"}
    assert set(await ids(search, "office hours", readers=["U1", "U2"])) == {"both", "all"}
    assert set(await ids(search, "office hours", readers=["U1", "U2", "U3"])) == {"all"}
    assert set(await ids(search, "office hours", readers=["U1", "*"])) == {"all"}
    assert set(await ids(search, "office hours", readers=[])) == {"all"}


# ── Which are picked ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_text_is_shown_once(bench: SearchBench) -> None:
    await bench.add(
        {"a": "The office opens at nine.", "b": "the  OFFICE opens\nat nine.", "c": "The office opens at ten."}
    )
    assert set(await ids(bench.search(), "office opens")) - {"c"} in ({"a"}, {"b"})
    assert len(await ids(bench.search(), "office opens")) == 2


async def test_one_document_does_not_fill_every_place(bench: SearchBench) -> None:
    await bench.add({f"m{n}": f"office opens at nine, part {n}" for n in range(10)}, document="manual.md")
    await bench.add({f"o{n}": f"office and garden and other things {n} far away" for n in range(3)})
    found = await ids(bench.search(per_document=3), "office opens at nine", limit=5)
    assert sum(id_.startswith("m") for id_ in found) == 3
    assert found[0].startswith("m")


async def test_one_document_fills_free_places(bench: SearchBench) -> None:
    await bench.add({f"m{n}": f"office opens at nine, part {n}" for n in range(10)}, document="manual.md")
    await bench.add({"o": "office and garden"})
    assert len(await ids(bench.search(), "office opens at nine", limit=6)) == 6


async def test_the_order_is_the_same_every_time(bench: SearchBench) -> None:
    await bench.add({f"r{n}": f"office opens at nine {n}" for n in range(60)})
    search = bench.search()
    first = await ids(search, "office opens")
    assert all([await ids(search, "office opens") == first for _ in range(5)])


# ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_the_embedder_words_alone_find_passages(bench: SearchBench) -> None:
    await bench.add({"office": "The office opens at nine.", "lunch": "Lunch is at noon."})
    search = bench.search()
    bench.embedder.broken = True
    found = await search.search("office opens", scope=EVERYWHERE)
    assert [hit.id for hit in found.hits] == ["office"]
    assert isinstance(found.trouble, EmbedderError)
    assert found.answerable
    bench.embedder.broken = False
    found = await search.search("office opens", scope=EVERYWHERE)
    assert (found.hits[0].id, found.trouble) == ("office", None)


async def test_an_error_is_raised_unchanged(bench: SearchBench) -> None:
    await bench.store.close()
    with pytest.raises(StoreError):
        await bench.search().search("office", scope=EVERYWHERE)


async def test_cancelling_a_search_leaves_it_usable(bench: SearchBench) -> None:
    await bench.add({"a": "The office opens at nine."})
    search = bench.search()
    for turns in range(12):
        task = asyncio.ensure_future(ids(search, "office"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        assert done == ["a"] or isinstance(done, asyncio.CancelledError)
    assert await ids(search, "office") == ["a"]


async def test_a_failing_manifest_fails_the_search(bench: SearchBench) -> None:
    async def broken(_ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        raise StoreUnavailable("gone: try again")

    await bench.add({"a": "Words."})
    with pytest.raises(StoreUnavailable):
        await HybridSearch(bench.embedder, bench.store, broken, CALIBRATION).search("words", scope=EVERYWHERE)


@pytest.mark.slow
async def test_fifty_searches_run_at_once(bench: SearchBench) -> None:
    await bench.add({f"r{n}": f"office opens at nine {n}" for n in range(60)})
    search = bench.search()
    answers = await asyncio.gather(*(ids(search, "office opens") for _ in range(50)))
    assert all(answer == answers[0] for answer in answers)


@given(st.text(max_size=300), st.integers(2, 100))
def test_names_are_bounded(text: str, characters: int) -> None:
    short = shorten_words(text, characters)
    assert len(short) <= characters + 1
    assert short == text if len(text) <= characters else text.startswith(short[: characters // 2])


async def test_the_confidence_follows_a_growing_store(bench: SearchBench) -> None:
    """The number of rows is part of the confidence: one that was counted before a sync makes anything look certain."""
    search = bench.search()
    assert await ids(search, "when does the office open") == []
    await bench.add(
        {f"n{n}": f"Paragraph {n} tells of the office, of nothing else, and of number {n}." for n in range(300)}
    )
    result = await search.search("when does the office open", scope=EVERYWHERE)
    fresh = await bench.search().search("when does the office open", scope=EVERYWHERE)
    assert [hit.confidence for hit in result.hits] == [hit.confidence for hit in fresh.hits]


class Uncounted(LanceDBStore):
    """A cluster that has lost nodes: it answers searches and cannot count."""

    async def count(self) -> int:
        raise StoreUnavailable("Two of three nodes are down. Start them.")


async def test_a_store_that_cannot_count_still_answers(bench: SearchBench, tmp_path: Path) -> None:
    await bench.add({"a": "The office opens at nine."})
    rows = await bench.store.read_rows(["a"])
    store = Uncounted(tmp_path / "uncounted")
    await store.open("kvasir_0a1b2c3d", len(rows[0].vector))
    await store.write(rows)
    search = bench.search(store=store)
    assert await ids(search, "when does the office open") == ["a"]
    await store.close()
