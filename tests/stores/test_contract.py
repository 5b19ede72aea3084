"""The contract of all stores."""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.errors import IndexLost, StoreError, StoreMisconfigured
from knowledge.interfaces import EVERYONE, Candidate, Chunk, Scope, Store, StoredChunk, make_class_key
from tests.stores.conftest import Bench
from tests.stores.rows import DIMENSIONS, row, some_unit, unit
from tests.stores.toy_store import TOY

DOCS = ("docs",)
WRITER = Path(__file__).parent / "writer_process.py"
MADE = datetime(2026, 3, 29, 1, 30, 0, 123_457, UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)


async def found(
    store: Store,
    terms: str = "",
    *,
    pool: int = 50,
    sources: Collection[str] = DOCS,
    classes: Collection[frozenset[str]] | None = (EVERYONE,),
    kinds: Collection[str] = (),
    after: datetime | None = None,
    before: datetime | None = None,
) -> dict[str, Candidate]:
    audiences = None if classes is None else frozenset(map(make_class_key, classes))
    scope = Scope(frozenset(sources), kinds=frozenset(kinds), after=after, before=before, audiences=audiences)
    candidates = await store.find_candidates(unit(1), terms, pool=pool, scope=scope)
    ids = [candidate.chunk.id for candidate in candidates]
    assert len(ids) == len(set(ids))
    return {candidate.chunk.id: candidate for candidate in candidates}


def proposed(chunk: Chunk) -> Chunk:
    """Return a passage as a search returns it, without the fields that only the manifest has."""
    return replace(chunk, audience="", kind="", modified_at=None)


async def all_ids(store: Store) -> list[str]:
    return sorted([id_ async for batch in store.list_ids() for id_ in batch])


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_row_is_found_by_the_very_next_search_in_either_leg(store: Store) -> None:
    await store.write([row("a", "alpha", unit(0, 1))])
    assert (await found(store, "alpha", pool=1))["a"].bm25 > 0
    await store.write([row("b", "beta", unit(1, 0))])
    assert set(await found(store, "alpha", pool=1)) == {"a", "b"}
    await store.maintain()
    await store.write([row("c", "gamma", unit(1, 0.01))])
    assert "c" in await found(store, "gamma", pool=1)


async def test_a_row_comes_back_as_it_was_written(store: Store) -> None:
    chunk = Chunk(
        "x'1", "名\x1ffolder\x1f/a b", 'dir/o\'clock "x".md', "標題", "甲 › 乙", "一\n\n| a\\b |\n'; --", None
    )
    dated = replace(chunk, id="x'2", kind="md", modified_at=MADE)
    await store.write([StoredChunk(chunk, unit(1), "標題"), StoredChunk(dated, unit(1), "標題")])
    hits = await found(store, "標題", sources=[chunk.source])
    assert (hits["x'1"].chunk, hits["x'2"].chunk) == (proposed(chunk), proposed(dated))
    rows = {one.chunk.id: one for one in await store.read_rows(["x'1", "x'2", "absent"])}
    assert {id_: one.chunk for id_, one in rows.items()} == {"x'1": chunk, "x'2": dated}
    assert rows["x'1"].terms == "標題"
    assert rows["x'1"].vector == pytest.approx(unit(1))


@pytest.mark.parametrize(
    "made", [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), MADE, LATEST]
)
async def test_a_date_comes_back_to_the_microsecond(store: Store, made: datetime) -> None:
    await store.write([row("a", modified_at=made)])
    assert [one.chunk.modified_at for one in await store.read_rows(["a"])] == [made]
    assert set(await found(store, after=made)) == {"a"}
    assert await found(store, before=made) == {}


async def test_writing_an_id_again_replaces_its_row(store: Store) -> None:
    await store.write([row("a", "old", unit(1), text="Old."), row("b", "other", unit(0, 1))])
    await store.write([row("a", "new", unit(0, 0, 1), text="New.", readers=frozenset({"C1"}))])
    assert await store.count() == 2
    assert set(await found(store, "old new")) == {"b"}
    mine = [EVERYONE, frozenset({"C1"})]
    after = await found(store, "old new", classes=mine)
    assert after["a"].chunk.text == "New."
    assert after["a"].cosine == pytest.approx(0, abs=1e-6)
    assert "a" not in {c.chunk.id for c in (await found(store, "old", classes=mine)).values() if c.bm25 > 0}


async def test_the_last_row_of_an_id_in_a_batch_counts(store: Store) -> None:
    await store.write([row("a", text="First."), row("a", text="Second.")])
    assert await store.count() == 1
    assert (await found(store))["a"].chunk.text == "Second."


async def test_writing_nothing_is_no_error(store: Store) -> None:
    await store.write([])
    assert await store.count() == 0


async def test_deleting(store: Store) -> None:
    await store.write([row(f"r{n}", vector=some_unit(n)) for n in range(2500)])
    await store.delete([f"r{n}" for n in range(2400)] + ["never there", "o'clock"])
    await store.delete([])
    assert await store.count() == 100
    assert await all_ids(store) == sorted(f"r{n}" for n in range(2400, 2500))
    assert set(await found(store, "term", pool=200)) == {f"r{n}" for n in range(2400, 2500)}


@pytest.mark.parametrize("bad", [np.ones(DIMENSIONS + 1, np.float32), np.full(DIMENSIONS, np.nan, np.float32)])
async def test_a_vector_that_does_not_fit_is_refused_and_nothing_is_written(store: Store, bad: np.ndarray) -> None:
    with pytest.raises(StoreMisconfigured, match="kvasir sync"):
        await store.write([row("a"), row("b", vector=bad)])
    assert await store.count() == 0


async def test_invalid_unicode_is_refused_in_our_words(store: Store) -> None:
    with pytest.raises(StoreError, match=r"guide\.md"):
        await store.write([row("a", text="half a pair \ud800")])
    of_url = row("a")
    with pytest.raises(StoreError, match=r"guide\.md"):
        await store.write([replace(of_url, chunk=replace(of_url.chunk, url="https://docs.example/\ud800"))])


@pytest.mark.slow
async def test_many_writers_at_once_leave_one_row_an_id(bench: Bench) -> None:
    stores = [await bench.open(), await bench.open()]
    batches = [[row(f"r{(7 * k + n) % 60}", vector=some_unit(n)) for n in range(20)] for k in range(12)]
    await asyncio.gather(*(stores[k % 2].write(batch) for k, batch in enumerate(batches)))
    written = {row.chunk.id for batch in batches for row in batch}
    assert await all_ids(stores[0]) == sorted(written)
    assert await stores[1].count() == len(written)


# ── Searching ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cosines_are_exact_and_only_the_lexical_leg_has_bm25(store: Store) -> None:
    near, far = unit(1, 0.2, -0.1), unit(-1, 0.5)
    await store.write([row("near", "beta", near), row("far", "alpha", far)])
    for _ in range(2):
        hits = await found(store, "alpha", pool=1)
        assert hits["near"].bm25 == 0
        assert hits["far"].bm25 > 0
        assert hits["near"].cosine == pytest.approx(float(near @ unit(1)), abs=1e-6)
        assert hits["far"].cosine == pytest.approx(float(far @ unit(1)), abs=1e-6)
        await store.maintain()


async def test_a_rarer_term_and_more_terms_score_higher(store: Store) -> None:
    await store.write(
        [row(f"r{n}", "common x") for n in range(20)] + [row("rare", "rare y"), row("two", "common rare")]
    )
    hits = await found(store, "common rare")
    assert hits["two"].bm25 > hits["rare"].bm25 > hits["r0"].bm25 > 0


async def test_all_stores_score_by_the_textbook(store: Store) -> None:
    """Okapi BM25 with k1 1.2 and b 0.75, so that one threshold fits every store."""
    await store.write([row(f"r{n}", f"other{n}", some_unit(n)) for n in range(9)] + [row("a", "rare")])
    await store.maintain()
    assert (await found(store, "rare"))["a"].bm25 == pytest.approx(math.log(1 + (10 - 1 + 0.5) / (1 + 0.5)), rel=1e-3)


async def test_terms_are_not_changed(store: Store) -> None:
    """No stemming, stop words, folding or splitting: the store searches the terms of ``knowledge.lexical.terms``."""
    terms = {
        "running": "run",
        "the": "th",
        "Upper": "upper",
        "café": "cafe",
        "c++": "c",
        "中文": "中",
        "x" * 300: "x" * 299,
        "a.b": "a",
        '"q"': "q",
        "(p)": "p",
        "-m": "m",
        "f*": "f",
    }
    await store.write([row(f"r{n}", term, some_unit(n)) for n, term in enumerate(terms)])
    for n, (term, other) in enumerate(terms.items()):
        assert {id_ for id_, c in (await found(store, term)).items() if c.bm25 > 0} == {f"r{n}"}
        assert not any(c.bm25 > 0 for c in (await found(store, other)).values())


@pytest.mark.parametrize("terms", ["", "  ", "\n"])
async def test_only_the_dense_leg_answers_without_terms(store: Store, terms: str) -> None:
    await store.write([row("a")])
    assert (await found(store, terms))["a"].bm25 == 0


async def test_only_the_lexical_leg_answers_without_a_vector(store: Store) -> None:
    await store.write(
        [row("a", "alpha", unit(1)), row("b", "beta", unit(1)), row("c", "alpha", readers=frozenset("x"))]
    )
    scope = Scope(frozenset(DOCS), audiences=frozenset({make_class_key(EVERYONE)}))
    hits = await store.find_candidates(None, "alpha", pool=5, scope=scope)
    assert [(hit.chunk.id, hit.cosine) for hit in hits] == [("a", 0.0)]
    assert hits[0].bm25 == pytest.approx((await found(store, "alpha"))["a"].bm25)
    assert not await store.find_candidates(None, " ", pool=5, scope=scope)


async def test_the_pool_has_the_best_of_each_leg(store: Store) -> None:
    rows = [row(f"r{n:02}", "term " * (n + 1), unit(1, n / 10)) for n in range(40)]
    await store.write(rows)
    hits = await found(store, "term", pool=5)
    assert {f"r{n:02}" for n in range(5)} <= set(hits)
    assert len(hits) <= 10
    assert len(await found(store, "term", pool=500)) == 40


async def test_an_empty_index_finds_nothing(store: Store) -> None:
    assert await found(store, "alpha 中文") == {}


async def test_long_queries_and_long_filters_are_answered(store: Store) -> None:
    await store.write([row("a", "t7")])
    sources = ["docs", *(f"source {n}" for n in range(2000))]
    classes = [EVERYONE, *(frozenset({f"U{n}"}) for n in range(5000))]
    terms = " ".join(f"t{n}" for n in range(2000))
    assert (await found(store, terms, sources=sources, classes=classes))["a"].bm25 > 0


# ── Filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_the_named_sources_are_searched_by_their_exact_names(store: Store) -> None:
    names = ["docs", "Docs", "docs2", "docs ", " docs", "do", "docs wiki", "d'ocs", "docs\x1ffolder\x1f/x"]
    await store.write([row(name, source=name) for name in names])
    for name in names:
        assert set(await found(store, "term", sources=[name])) == {name}
    assert set(await found(store, "term", sources=names[:2])) == set(names[:2])
    assert await found(store, "term", sources=[]) == {}
    assert await found(store, "term", sources=["absent"]) == {}


async def test_only_the_usable_classes_are_found(store: Store) -> None:
    """Readers that differ in one letter, one space or their number are different classes."""
    tokens = ["C1", "C12", "c1", "C1 x", "C1 ", "1", "C", "*x", "C1,C2", "C'1", "用户", "\ud800", "\x1f", "[]", ""]
    every = {f"of {n}": frozenset({token}) for n, token in enumerate(tokens)}
    every |= {"open": EVERYONE, "of two": frozenset({"C1", "C2"}), "of nobody": frozenset()}
    await store.write([row(id_, readers=readers) for id_, readers in every.items()])
    for id_, readers in every.items():
        assert set(await found(store, "term", classes=[readers])) == {id_}
    assert set(await found(store, "term", classes=[every["of two"], EVERYONE, every["of 3"]])) == {
        "open",
        "of two",
        "of 3",
    }
    assert set(await found(store, "term", classes=None)) == set(every)
    assert await found(store, "term", classes=[]) == {}
    assert await found(store, "term", classes=[frozenset({"unknown"})]) == {}


@pytest.mark.slow
async def test_thousands_of_classes_in_store_and_filter_are_distinguished(store: Store) -> None:
    mine = [frozenset({f"C{n}", f"U{n % 7}"}) for n in range(6000)]
    await store.write([row(f"r{n}", readers=readers) for n, readers in enumerate(mine[:3000])])
    await store.maintain()
    assert set(await found(store, "term", pool=4000, classes=mine[2000:])) == {f"r{n}" for n in range(2000, 3000)}


async def test_the_filter_comes_before_the_pool(store: Store) -> None:
    """Better rows of other classes do not displace the one that may be seen, also in the largest pool."""
    await store.write([row(f"r{n}", "term term", unit(1), readers=frozenset({f"C{n % 9}"})) for n in range(2000)])
    await store.write([row("mine", "term other words", unit(0.1, 1), readers=frozenset({"C99"}))])
    for pool in (3, 800):
        assert set(await found(store, "term", pool=pool, classes=[frozenset({"C99"})])) == {"mine"}
    await store.maintain()
    assert set(await found(store, "term", pool=800, classes=[frozenset({"C99"})])) == {"mine"}


async def test_a_filter_of_hundreds_of_classes_comes_before_the_pool(store: Store) -> None:
    """Whether half of the best rows may be seen, or none of them."""
    mine = [frozenset({f"C{n}"}) for n in range(1000)]
    await store.write(
        [
            row(
                f"r{n:03}",
                "term " * (200 - n) + "other " * n,  # of one length, because Lucene rounds lengths
                unit(1, n / 1000),
                readers=frozenset({"U1"}) if n % 2 else mine[n],
            )
            for n in range(200)
        ]
    )
    assert set(await found(store, "term", pool=20, classes=mine)) == {f"r{n:03}" for n in range(0, 40, 2)}
    assert set(await found(store, "term", pool=3, classes=mine[190:])) == {"r190", "r192", "r194"}
    assert len(await found(store, "term", pool=800, classes=mine)) == 100
    assert await found(store, "term", pool=3, classes=mine[500:]) == {}
    assert all(one.chunk.audience == "" for one in (await found(store, "term", classes=mine)).values())


async def test_only_the_requested_kinds_are_found(store: Store) -> None:
    kinds = ["md", "pdf", "", "PDF", "p", "m'd", "md ", "tar.gz", "页面"]
    await store.write([row(f"of {kind}", kind=kind) for kind in kinds])
    assert len(await found(store, "term")) == len(kinds)
    for kind in kinds:
        if kind:
            assert set(await found(store, "term", kinds=[kind])) == {f"of {kind}"}
    assert set(await found(store, "term", kinds=["md", "pdf", "absent"])) == {"of md", "of pdf"}
    assert await found(store, "term", kinds=["absent"]) == {}


async def test_date_filters_exclude_rows_without_a_date(store: Store) -> None:
    step = timedelta(microseconds=1)
    days = {"day before": MADE - timedelta(days=1), "just before": MADE - step, "then": MADE, "just after": MADE + step}
    await store.write([row(name, modified_at=made) for name, made in days.items()] + [row("undated")])
    assert set(await found(store, "term")) == {*days, "undated"}
    assert set(await found(store, "term", after=MADE)) == {"then", "just after"}
    assert set(await found(store, "term", before=MADE)) == {"day before", "just before"}
    assert set(await found(store, "term", after=MADE - step, before=MADE + step)) == {"just before", "then"}
    assert await found(store, "term", after=MADE, before=MADE) == {}


async def test_a_filter_on_kind_and_date_comes_before_the_pool(store: Store) -> None:
    await store.write([row(f"r{n}", "term term", unit(1), kind="md", modified_at=MADE) for n in range(100)])
    await store.write([row("pdf", "term other words", unit(0.1, 1), kind="pdf", modified_at=MADE - timedelta(days=9))])
    assert set(await found(store, "term", pool=3, kinds=["pdf"])) == {"pdf"}
    assert set(await found(store, "term", pool=3, before=MADE)) == {"pdf"}
    await store.maintain()
    assert set(await found(store, "term", pool=3, kinds=["pdf"], before=MADE)) == {"pdf"}


_KINDS = ("md", "pdf", "")
_READERS = (EVERYONE, frozenset({"C1"}), frozenset({"C1", "U2"}), frozenset({"U2"}))
moments = st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2025, 1, 2), timezones=st.just(UTC))  # noqa: DTZ001
_SHELF = [
    row(
        f"r{n}",
        "common " + ("odd" if n % 2 else "even"),
        some_unit(n),
        source=f"s{n % 3}",
        kind=_KINDS[n % 3],
        readers=_READERS[n % 4],
        modified_at=None if n % 5 == 0 else datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=17 * n),
    )
    for n in range(80)
]
scopes = st.builds(
    Scope,
    st.frozensets(st.sampled_from(["s0", "s1", "s2", "s9"])),
    kinds=st.frozensets(st.sampled_from(["md", "pdf", "xlsx"])),
    after=moments,
    before=moments,
    audiences=st.none() | st.frozensets(st.sampled_from([*map(make_class_key, _READERS), "0123456789abcdef"])),
)


def within(chunk: Chunk, scope: Scope) -> bool:
    """Return whether a row is in a scope, in the plainest form."""
    dated = chunk.modified_at
    return (
        chunk.source in scope.sources
        and (scope.audiences is None or chunk.audience in scope.audiences)
        and (not scope.kinds or chunk.kind in scope.kinds)
        and (scope.after is None or (dated is not None and dated >= scope.after))
        and (scope.before is None or (dated is not None and dated < scope.before))
    )


@settings(
    max_examples=min(60, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(scope=scopes, pool=st.integers(1, 100), terms=st.sampled_from(["", "odd", "even common"]))
async def test_any_scope_finds_the_same_as_a_full_scan(bench: Bench, scope: Scope, pool: int, terms: str) -> None:
    store = bench.made[0] if bench.made else await bench.open()
    if not await store.count():
        await store.write(_SHELF)
        await store.maintain()
    inside = sorted((one for one in _SHELF if within(one.chunk, scope)), key=lambda one: -float(one.vector @ unit(1)))
    hits = {one.chunk.id: one for one in await store.find_candidates(unit(1), terms, pool=pool, scope=scope)}
    assert set(hits) <= {one.chunk.id for one in inside}
    assert {one.chunk.id for one in inside[:pool]} <= set(hits), "the dense leg is exact"
    lexical = {id_ for id_, hit in hits.items() if hit.bm25 > 0}
    matching = [one for one in inside if set(terms.split()) & set(one.terms.split())]
    assert len(lexical) == min(pool, len(matching))


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)


@pytest.mark.slow
@settings(
    max_examples=min(25, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(anything, min_size=2, max_size=4, unique=True))
async def test_any_text_can_be_an_id_a_source_or_a_document(bench: Bench, texts: list[str]) -> None:
    store = bench.made[0] if bench.made else await bench.open()
    rows = [row(text, source=text, text=text, document=text) for text in texts]
    await store.write(rows)
    for one in rows:
        documents = await found(store, "term", sources=[one.chunk.source])
        assert {id_: hit.chunk for id_, hit in documents.items()} == {one.chunk.id: proposed(one.chunk)}
        assert [kept.chunk for kept in await store.read_rows([one.chunk.id])] == [one.chunk]
    assert await all_ids(store) == sorted(texts)
    await store.delete(texts)
    assert await store.count() == 0


# ── The whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_index_keeps_its_rows_when_opened_again(bench: Bench) -> None:
    first = await bench.open()
    await first.write([row("a", "alpha")])
    await first.close()
    again = await bench.open()
    assert (await found(again, "alpha"))["a"].bm25 > 0


async def test_two_open_stores_see_each_other_at_once(bench: Bench) -> None:
    one, other = await asyncio.gather(bench.open(), bench.open())
    await one.write([row("a", "alpha")])
    assert set(await found(other, "alpha")) == {"a"}
    await other.delete(["a"])
    assert await found(one, "alpha") == {}
    assert await one.count() == 0


async def test_an_index_of_other_dimensions_is_refused(bench: Bench) -> None:
    await bench.open()
    with pytest.raises(StoreMisconfigured, match="kvasir sync"):
        await bench.open(DIMENSIONS * 2)


async def test_indexes_are_named_and_dropped(bench: Bench) -> None:
    store = await bench.open()
    await store.write([row("a")])
    assert bench.index in await store.list_indexes()
    await store.drop_index(bench.index)
    await store.drop_index(bench.index)
    assert bench.index not in await store.list_indexes()
    with pytest.raises(StoreError, match="is gone"):
        await store.write([row("b")])
    with pytest.raises(StoreError, match="is gone"):
        await found(store, "term")
    with pytest.raises(IndexLost):
        await store.check()
    await store.open(bench.index, DIMENSIONS)
    await store.check()
    assert await store.count() == 0


async def test_indexes_can_be_named_before_one_is_open(bench: Bench) -> None:
    store = bench.make()
    assert bench.index not in await store.list_indexes()


async def test_a_store_that_is_not_open_says_so(bench: Bench) -> None:
    store = bench.make()
    for call in (store.count, lambda: store.write([row("a")]), lambda: store.delete(["a"]), lambda: found(store)):
        with pytest.raises(StoreError, match="not open"):
            await call()
    await store.close()
    await store.close()


async def test_ids_come_in_batches_and_each_once(store: Store) -> None:
    await store.write([row(f"r{n}") for n in range(1500)])
    await store.delete([f"r{n}" for n in range(100)])
    batches = [batch async for batch in store.list_ids()]
    assert len(batches) > 1
    assert sorted(itertools.chain.from_iterable(batches)) == sorted(f"r{n}" for n in range(100, 1500))


async def test_a_cancelled_call_is_cancelled_and_leaves_the_store_usable(store: Store) -> None:
    await store.write([row(f"r{n}", vector=some_unit(n)) for n in range(200)])
    calls = (
        lambda: store.find_candidates(unit(1), "term", pool=50, scope=Scope(frozenset(DOCS))),
        lambda: store.write([row(f"w{n}", vector=some_unit(n)) for n in range(200)]),
        lambda: store.delete(["r1"]),
        store.count,
        store.maintain,
    )
    for call in calls:
        for turns in range(4):
            task = asyncio.ensure_future(call())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError | None)
    await store.write([row("last", "last")])
    assert (await found(store, "last"))["last"].bm25 > 0


@pytest.mark.slow
async def test_another_process_writes_and_is_seen_at_once(bench: Bench) -> None:
    if bench.settings.store == TOY.name:
        pytest.skip("the toy is in the memory of this process")
    store = await bench.open()
    await store.write([row("mine", "alpha")])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        WRITER,
        *bench.arguments(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin
    assert child.stdout
    try:
        for n in range(3):
            child.stdin.write(f"theirs {n}\n".encode())
            assert (await child.stdout.readline()).decode().split() == [str(n + 2)]
            assert f"theirs {n}" in await found(store, "term alpha")
    finally:
        child.stdin.close()
        await asyncio.wait_for(child.wait(), 60)
    assert await store.count() == 4
