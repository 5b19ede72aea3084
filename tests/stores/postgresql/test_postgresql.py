"""What only the store in PostgreSQL does: its counts, its graph of vectors, its tables and its errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from knowledge.database.database import Database
from knowledge.errors import IndexLost, StoreError, StoreMisconfigured, StoreReadOnly, StoreUnavailable
from knowledge.interfaces import EVERYONE, Scope, StoredChunk, make_class_key
from knowledge.stores.postgresql.store import PostgreSQLLimits, PostgreSQLStore
from tests.postgres import create_database
from tests.services import free_ports
from tests.stores.rows import DIMENSIONS, row, some_unit, unit
from tests.stores.toy_store import make_bm25

pytestmark = pytest.mark.slow

INDEX = "kvasir_one"
DOCS = frozenset({"docs"})
ALL = Scope(DOCS)
FEW = PostgreSQLLimits(compared_vectors=50, batch_rows=40)
"""So few vectors are compared that a small index has a graph."""


@pytest.fixture
def database(vector_postgres: str) -> str:
    return create_database(vector_postgres)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgreSQLStore]:
    store = PostgreSQLStore(database, limits=FEW)
    await store.open(INDEX, DIMENSIONS)
    yield store
    await store.close()


async def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements as another program would, and return the rows of the last one."""
    database = Database(url)
    try:
        *first, last = statements
        for statement in first:
            await database.write(lambda connection, one=statement: connection.exec_driver_sql(one) and None)

        def fetch(connection: Any) -> list[tuple[Any, ...]]:
            found = connection.exec_driver_sql(last)
            return [tuple(one) for one in found] if found.returns_rows else []

        return await database.write(fetch)
    finally:
        await database.close()


async def find_wrong_counts(url: str) -> list[tuple[Any, ...]]:
    """Return each count that is not what counting all rows gives."""
    return await run(
        url,
        """
        SELECT 'totals', passages, words FROM kvasir_one_totals EXCEPT
        SELECT 'totals', count(*), coalesce(sum(array_length(string_to_array(terms, ' '), 1)), 0)
        FROM kvasir_one_passages
        UNION ALL (SELECT 'term', term, holders FROM kvasir_one_terms WHERE holders <> 0 EXCEPT
        SELECT 'term', term, count(*) FROM kvasir_one_postings GROUP BY term)
        UNION ALL (SELECT 'shelf', number, passages FROM kvasir_one_shelves WHERE passages <> 0 EXCEPT
        SELECT 'shelf', shelf, count(*) FROM kvasir_one_passages GROUP BY shelf)
        UNION ALL (SELECT 'vectors', passage, shelf FROM kvasir_one_vectors EXCEPT
        SELECT 'vectors', number, shelf FROM kvasir_one_passages)
        UNION ALL (SELECT DISTINCT 'postings', passage, shelf FROM kvasir_one_postings EXCEPT
        SELECT 'postings', number, shelf FROM kvasir_one_passages)
        """,
    )


# ── Counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_counts_stay_right_while_several_write_replace_and_delete(database: str, store: PostgreSQLStore) -> None:
    other = PostgreSQLStore(database, limits=FEW)
    await other.open(INDEX, DIMENSIONS)
    rng = random.Random(5)
    words = [f"w{n}" for n in range(30)]

    async def change(one: PostgreSQLStore) -> None:
        ids = [f"r{rng.randrange(120)}" for _ in range(60)]
        terms = [" ".join(rng.choices(words, k=rng.randrange(20))) for _ in ids]
        readers = [frozenset({f"C{rng.randrange(4)}"}) for _ in ids]
        await one.write([row(*pair, readers=who) for *pair, who in zip(ids, terms, readers, strict=True)])
        await one.delete(rng.sample(ids, 20))

    await asyncio.gather(*(change(one) for one in (store, other) * 5))
    assert await find_wrong_counts(database) == []
    assert await store.count() == len(await run(database, "SELECT id FROM kvasir_one_passages"))
    await store.maintain()
    assert await find_wrong_counts(database) == []
    await other.delete([f"r{n}" for n in range(120)])
    await store.maintain()
    tables = ("passages", "vectors", "postings", "terms", "shelves")
    left = await run(database, " UNION ALL ".join(f"(SELECT '{one}' FROM kvasir_one_{one} LIMIT 1)" for one in tables))
    assert left == []
    await store.check()
    await other.close()


async def test_scores_are_those_of_the_textbook_after_changes(store: PostgreSQLStore) -> None:
    rng = random.Random(7)
    words = [f"w{n}" for n in range(40)]

    def make(n: int) -> StoredChunk:
        return row(f"r{n}", " ".join(rng.choices(words, range(1, 41), k=rng.randrange(1, 40))), some_unit(n))

    rows = {one.chunk.id: one for one in map(make, range(150))}
    await store.write([*rows.values()])
    changed = [make(n) for n in range(0, 150, 3)]
    rows |= {one.chunk.id: one for one in changed}
    await store.write(changed)
    gone = [f"r{n}" for n in range(0, 150, 5)]
    await store.delete(gone)
    left = {id_: one for id_, one in rows.items() if id_ not in gone}
    question = "w39 w38 w3 w0 absent"
    score = make_bm25(question, [one.terms.split() for one in left.values()])
    wanted = {id_: score(one.terms.split()) for id_, one in left.items()}
    found = await store.find_candidates(None, question, pool=200, scope=ALL)
    assert {one.chunk.id: one.bm25 for one in found} == pytest.approx({k: v for k, v in wanted.items() if v})


async def test_terms_of_any_length_and_number_are_stored(store: PostgreSQLStore) -> None:
    long = "x" * 100_000
    await store.write([row("long", long), row("many", " ".join(f"t{n % 20_000}" for n in range(40_000)))])
    assert [one.chunk.id for one in await store.find_candidates(None, long, pool=5, scope=ALL)] == ["long"]
    assert [one.chunk.id for one in await store.find_candidates(None, "t7", pool=5, scope=ALL)] == ["many"]
    await store.delete(["long", "many"])
    assert await store.count() == 0


# ── The graph of vectors ─────────────────────────────────────────────────────────────────────────────────────────────


def make_shelf() -> Sequence[StoredChunk]:
    return [
        row(f"r{n}", "term", some_unit(n), kind="md" if n % 50 else "pdf", readers=frozenset({f"C{n % 2}"}))
        for n in range(400)
    ]


async def has_graph(url: str) -> bool:
    found = await run(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('kvasir_one_graph')")
    return found == [(True,)]


async def test_a_large_index_gets_a_graph_which_finds_the_nearest_in_a_scope(
    database: str, store: PostgreSQLStore
) -> None:
    rows = make_shelf()
    await store.write(rows[:300])
    assert not await has_graph(database)
    await store.maintain()
    assert await has_graph(database)
    await store.write(rows[300:])
    audiences = frozenset({make_class_key(frozenset({"C1"}))})
    for scope in (ALL, Scope(DOCS, audiences=audiences)):
        inside = [one for one in rows if scope.audiences is None or one.chunk.audience in audiences]
        for n in range(20):
            vector = some_unit(1000 + n)
            nearest = sorted(inside, key=lambda one: -float(one.vector @ vector))[:10]
            found = await store.find_candidates(vector, "", pool=10, scope=scope)
            exact = {one.chunk.id: float(one.vector @ vector) for one in rows}
            assert {one.chunk.id: one.cosine for one in found} == pytest.approx(
                {one.chunk.id: exact[one.chunk.id] for one in nearest}, abs=1e-6
            )


async def test_a_walk_that_ends_early_is_followed_by_a_comparison(store: PostgreSQLStore, database: str) -> None:
    """All passages of the scope are far from the question, so the graph proposes none of them."""
    await store.write([row(f"near{n}", vector=unit(1, n / 1e5)) for n in range(3000)])
    await store.write([row(f"far{n}", vector=unit(-1, n / 100), kind="pdf") for n in range(60)])
    await store.maintain()
    assert await has_graph(database)
    name = database.rpartition("/")[2]
    # Without these the planner compares all, because a test's index is small.
    for setting in (
        "hnsw.max_scan_tuples = 100",
        "enable_sort = off",
        "enable_bitmapscan = off",
        "enable_seqscan = off",
    ):
        await run(database, f"ALTER DATABASE {name} SET {setting}")
    again = PostgreSQLStore(database, limits=FEW)
    await again.open(INDEX, DIMENSIONS)
    found = await again.find_candidates(unit(1), "", pool=60, scope=Scope(DOCS, kinds=frozenset({"pdf"})))
    assert {one.chunk.id for one in found} == {f"far{n}" for n in range(60)}
    await again.close()
    walks = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'kvasir_one_graph'"
    assert await run(database, walks) == [(1,)]


async def test_a_search_within_dates_reads_no_vectors_of_other_dates(database: str) -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(1500)]
    store = PostgreSQLStore(database)
    await store.open(INDEX, 384)
    await store.write([row(f"r{n}", vector=some_unit(n, 384), modified_at=day) for n, day in enumerate(days)])
    await store.maintain()
    await store.close()  # which reports what its connections read
    read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'kvasir_one_vectors'"
    before = await run(database, read)
    await store.open(INDEX, 384)
    found = await store.find_candidates(some_unit(0, 384), "term", pool=50, scope=replace(ALL, after=days[-135]))
    await store.close()
    assert len({one.chunk.id for one in found}) >= 50
    assert {one.chunk.id for one in found} <= {f"r{n}" for n in range(1365, 1500)}
    assert await run(database, read) == before


async def test_maintenance_replaces_the_index_of_dates_of_an_earlier_state(
    store: PostgreSQLStore, database: str
) -> None:
    await store.write(make_shelf()[:10])
    await run(
        database,
        "DROP INDEX kvasir_one_dates",
        "CREATE INDEX kvasir_one_dates ON kvasir_one_passages (modified_at, number)",
    )
    find = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass('kvasir_one_dates')"
    await store.maintain()
    ((index,),) = await run(database, find)
    assert index.endswith("(modified_at, shelf, number)")
    await run(database, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('kvasir_one_dates')")
    await store.maintain()
    assert await run(database, f"{find} AND indisvalid") == [(index,)]


async def test_an_interrupted_build_is_made_again(store: PostgreSQLStore, database: str) -> None:
    await store.write(make_shelf())
    await store.maintain()
    mark = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('kvasir_one_graph')"
    await run(database, mark)
    assert len(await store.find_candidates(unit(1), "", pool=10, scope=ALL)) == 10
    await store.maintain()
    assert await has_graph(database)


async def test_maintenance_runs_beside_a_writer(store: PostgreSQLStore, database: str) -> None:
    rows = make_shelf()
    await store.write(rows[:200])
    done, _ = await asyncio.gather(store.write(rows[200:]), store.maintain())
    await store.scrub()
    assert done is None
    assert await store.count() == 400
    assert await find_wrong_counts(database) == []


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_installations_share_a_database(database: str, store: PostgreSQLStore) -> None:
    acme = PostgreSQLStore(database, "acme")
    await acme.open(INDEX, DIMENSIONS)
    await acme.write([row("theirs")])
    assert await store.count() == 0
    assert (await store.list_indexes(), await acme.list_indexes()) == ([INDEX], [INDEX])
    await store.drop_index(INDEX)
    assert (await store.list_indexes(), await acme.list_indexes()) == ([], [INDEX])
    assert await acme.count() == 1
    await acme.close()


@pytest.mark.parametrize("table", ["totals", "postings", "vectors", "terms", "shelves", "passages"])
async def test_an_emptied_or_dropped_table_loses_the_index(database: str, store: PostgreSQLStore, table: str) -> None:
    await store.write([row("a")])
    await store.check()
    await run(database, f"TRUNCATE kvasir_one_{table}")
    with pytest.raises(IndexLost):
        await store.check()
    await run(database, f"DROP TABLE kvasir_one_{table}")
    with pytest.raises(IndexLost, match="is gone from PostgreSQL"):
        await store.check()
    await store.drop_index(INDEX)
    await store.open(INDEX, DIMENSIONS)
    await store.write([row("a")])
    await store.check()


async def test_a_table_that_is_missing_when_the_store_opens_loses_the_index(database: str) -> None:
    first = PostgreSQLStore(database)
    await first.open(INDEX, DIMENSIONS)
    await first.write([row("a")])
    await first.close()
    await run(database, "DROP TABLE kvasir_one_vectors")
    again = PostgreSQLStore(database)
    await again.open(INDEX, DIMENSIONS)
    with pytest.raises(IndexLost):
        await again.check()
    await again.close()


@pytest.mark.parametrize("dimensions", [1024, 3072])
async def test_long_vectors_are_stored_in_full(database: str, dimensions: int) -> None:
    store = PostgreSQLStore(database, limits=FEW)
    await store.open(INDEX, dimensions)
    rows = [row(f"r{n}", vector=some_unit(n, dimensions)) for n in range(60)]
    await store.write(rows)
    await store.maintain()
    assert await has_graph(database)
    [kept] = await store.read_rows(["r7"])
    assert (kept.vector == rows[7].vector).all()
    [nearest] = await store.find_candidates(rows[7].vector, "", pool=1, scope=ALL)
    assert (nearest.chunk.id, nearest.cosine) == ("r7", pytest.approx(1, abs=1e-5))
    await store.close()


async def test_vectors_that_no_index_takes_are_refused(database: str) -> None:
    with pytest.raises(StoreMisconfigured, match="4000"):
        await PostgreSQLStore(database).open(INDEX, 4001)


async def test_an_empty_scope_and_unknown_readers_find_nothing(store: PostgreSQLStore) -> None:
    await store.write([row("a", readers=EVERYONE)])
    assert await store.find_candidates(unit(1), "term", pool=5, scope=Scope(frozenset())) == ()
    nobody = frozenset({make_class_key(frozenset({"U9"}))})
    assert not await store.find_candidates(unit(1), "term", pool=5, scope=Scope(DOCS, audiences=nobody))


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_server_without_pgvector_is_named_with_the_next_step(empty_postgres: str) -> None:
    store = PostgreSQLStore(empty_postgres)
    with pytest.raises(StoreMisconfigured, match="CREATE EXTENSION vector"):
        await store.open(INDEX, DIMENSIONS)
    await store.close()


async def test_a_role_without_rights_is_told_what_it_needs(database: str) -> None:
    name = database.rpartition("/")[2]
    guest = database.replace("kvasir:secret", f"{name}:hush-hush")
    await run(database, f"CREATE ROLE {name} LOGIN PASSWORD 'hush-hush'")
    store = PostgreSQLStore(guest)
    with pytest.raises(StoreMisconfigured, match="CREATE EXTENSION vector"):
        await store.open(INDEX, DIMENSIONS)
    await run(database, "CREATE EXTENSION vector")
    with pytest.raises(StoreReadOnly, match="right to write"):
        await store.open(INDEX, DIMENSIONS)
    await run(database, f"GRANT CREATE ON SCHEMA public TO {name}")
    await store.open(INDEX, DIMENSIONS)
    await store.write([row("a")])
    await store.maintain()
    await store.close()


async def test_an_old_pgvector_is_refused(database: str) -> None:
    old = "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"
    await run(database, "CREATE EXTENSION vector", old)
    store = PostgreSQLStore(database)
    with pytest.raises(StoreMisconfigured, match=r"pgvector 0\.7\.4.*ALTER EXTENSION vector UPDATE"):
        await store.open(INDEX, DIMENSIONS)
    await store.close()


async def test_a_wrong_password_names_the_variable_and_not_the_password(database: str) -> None:
    store = PostgreSQLStore(database.replace(":secret@", ":hush-hush@"))
    with pytest.raises(StoreMisconfigured, match="POSTGRESQL_URL") as caught:
        await store.open(INDEX, DIMENSIONS)
    assert "hush" not in str(caught.value)
    await store.close()


async def test_a_server_that_is_down_does_not_stop_the_start() -> None:
    [port] = free_ports(1)
    store = PostgreSQLStore(f"postgresql://kvasir:hush-hush@127.0.0.1:{port}/kvasir")
    await store.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreUnavailable, match="POSTGRESQL_URL"):
        await store.count()
    await store.close()


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreMisconfigured, match="postgresql://USER:PASSWORD@HOST/DATABASE"):
        PostgreSQLStore("sqlite:////tmp/kvasir.db")
    with pytest.raises(StoreError, match="POSTGRESQL_URL"):
        PostgreSQLStore("https://example.com")
