"""Store and manifest are compared: differences are counted, repaired or read again, and never shown meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from knowledge.interfaces import EVERYONE, Scope, make_class_key, number_readers
from knowledge.interfaces.audiences import ANY_NUMBER
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import LastRepair
from knowledge.sync.manifest.running_backups import RunningBackups
from knowledge.sync.running.repair import Drift, clean_up, repair_index
from tests.sync.doubles import MemoryStore
from tests.sync.many_rows import GeneratedStore, fill_manifest


def _one(rig: Any, text: str) -> str:
    return next(id_ for id_, row in rig.store.rows_by_id.items() if row.chunk.text == text)


def _spoil(rig: Any, passage: str, **changes: Any) -> str:
    """Change the store's row, and return its id."""
    id_ = _one(rig, passage)
    row = rig.store.rows_by_id[id_]
    rig.store.rows_by_id[id_] = replace(row, chunk=replace(row.chunk, **changes))
    return id_


@pytest.fixture
async def synced(rig: Any) -> Any:
    rig.source.modified_at = datetime(2026, 1, 2, tzinfo=UTC)
    rig.source.readers = frozenset({"U1", "U2"})
    rig.source.put("a.md", "one\n\ntwo\n\nthree")
    rig.source.put("b.md", "four")
    await rig.sync()
    return rig


async def test_no_difference_is_reported_if_there_is_none(synced: Any) -> None:
    assert await synced.index.read_last_repair() is None
    assert await repair_index(synced.store, synced.index, thorough=True, now=lambda: 5.0) == Drift()
    assert await synced.index.read_last_repair() == LastRepair(5.0, 0, 0)
    synced.store.calls.clear()
    assert await clean_up(synced.store, synced.index) == 0
    assert synced.store.calls == ["count"], "the look at each sync is cheap"
    assert await synced.index.read_last_repair() == LastRepair(5.0, 0, 0), "and is no comparison"


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": make_class_key(EVERYONE)},
        {"audience": make_class_key(frozenset({"U1"}))},
        {"kind": "pdf"},
        {"modified_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"modified_at": None},
    ],
)
async def test_a_row_with_wrong_readers_or_date_is_corrected(synced: Any, changes: dict[str, Any]) -> None:
    before = dict(synced.store.rows_by_id)
    id_ = _spoil(synced, "two", **changes)
    embedded = len(synced.embedder.embedded)
    drift = await repair_index(synced.store, synced.index, thorough=True)
    assert (drift, drift.differences, drift.repairs) == (Drift(stale=1), 1, 1)
    assert synced.store.rows_by_id[id_].chunk == before[id_].chunk
    assert np.array_equal(synced.store.rows_by_id[id_].vector, before[id_].vector)
    assert len(synced.embedder.embedded) == embedded
    assert await repair_index(synced.store, synced.index, thorough=True) == Drift()


@pytest.mark.parametrize("changes", [{"text": "forged"}, {"document": "b.md"}, {"heading": "forged"}, {"source": "x"}])
async def test_a_row_with_a_wrong_text_is_hidden_and_read_again(
    synced: Any, changes: dict[str, Any], expected: Callable[..., Any]
) -> None:
    id_ = _spoil(synced, "two", **changes)
    drift = await repair_index(synced.store, synced.index, thorough=True)
    assert (drift, drift.differences, drift.repairs) == (Drift(wrong=1), 1, 0)
    assert await synced.index.find_current([id_], [synced.source.key.id]) == []
    report = await synced.sync()
    assert (report.repaired, report.sources["handbook"].chunks_written) == (0, 1)
    assert await synced.answers() == expected(synced.source)
    assert await synced.agree()
    assert await repair_index(synced.store, synced.index, thorough=True) == Drift()


async def test_many_surplus_rows_cost_no_current_one(synced: Any) -> None:
    """They come first in the store's listing, and some hashes are neighbours of those of current rows."""
    row, rows = next(iter(synced.store.rows_by_id.values())), dict(synced.store.rows_by_id)
    surplus = {f"surplus {n}": replace(row, chunk=replace(row.chunk, id=f"surplus {n}")) for n in range(200)}
    synced.store.rows_by_id = surplus | rows
    assert await repair_index(synced.store, synced.index) == Drift(surplus=200)
    assert synced.store.rows_by_id == rows


async def test_missing_and_surplus_rows_are_counted_separately(synced: Any, expected: Callable[..., Any]) -> None:
    gone = _one(synced, "one")
    synced.store.rows_by_id["stranger"] = synced.store.rows_by_id.pop(gone)
    drift = await repair_index(synced.store, synced.index)
    assert (drift, drift.differences, drift.repairs) == (Drift(surplus=1, missing=1), 2, 1)
    assert (await synced.index.read_last_repair())[1:] == (2, 1)
    await synced.sync()
    assert await synced.answers() == expected(synced.source)
    assert await synced.agree()


async def test_a_store_that_lost_everything_is_filled_again(synced: Any, expected: Callable[..., Any]) -> None:
    synced.store.rows_by_id.clear()
    report = await synced.sync()
    assert (report.repaired, report.sources["handbook"].chunks_written) == (4, 4)
    assert await synced.answers() == expected(synced.source)


async def test_rows_that_a_listing_misses_are_not_lost(synced: Any) -> None:
    """A walk through a cluster may ask a copy that lags behind."""

    async def walk() -> AsyncIterator[list[str]]:
        yield list(synced.store.rows_by_id)[2:]

    synced.store.list_ids = walk
    assert await repair_index(synced.store, synced.index) == Drift()
    assert await synced.agree()


async def test_a_duplicate_row_is_read_again_once(synced: Any, expected: Callable[..., Any]) -> None:
    twice = _one(synced, "four")

    async def walk() -> AsyncIterator[list[str]]:
        yield [*synced.store.rows_by_id, twice]

    synced.store.list_ids = walk
    assert await repair_index(synced.store, synced.index) == Drift(missing=1)
    del synced.store.list_ids
    assert twice not in synced.store.rows_by_id
    await synced.sync()
    assert await synced.answers() == expected(synced.source)
    assert await synced.agree()


async def test_a_store_that_fails_in_mid_repair_loses_nothing(
    synced: Any, store_down: Exception, expected: Callable[..., Any]
) -> None:
    _spoil(synced, "two", text="forged")
    synced.store.plan("delete", store_down)
    with pytest.raises(type(store_down)):
        await repair_index(synced.store, synced.index, thorough=True)
    assert await synced.index.read_last_repair() is None
    await synced.sync()
    assert await synced.answers() == expected(synced.source)
    assert await repair_index(synced.store, synced.index, thorough=True) == Drift()


async def test_the_embedded_store_is_compared_and_repaired(synced: Any, tmp_path: Path) -> None:
    store = LanceDBStore(tmp_path / "lancedb")
    await store.open("kvasir_repair", 8)
    try:
        rows = list(synced.store.rows_by_id.values())
        await store.write(rows)
        assert await repair_index(store, synced.index, thorough=True) == Drift()
        wide, forged, gone, stranger = rows
        await store.write(
            [
                replace(wide, chunk=replace(wide.chunk, audience=make_class_key(EVERYONE))),
                replace(forged, chunk=replace(forged.chunk, text="forged")),
                replace(stranger, chunk=replace(stranger.chunk, id="00000000-0000-0000-0000-000000000000")),
            ]
        )
        await store.delete([gone.chunk.id])
        assert await repair_index(store, synced.index, thorough=True) == Drift(1, 1, 1, 1)
        mine = make_class_key(frozenset({"U1", "U2"}))
        scope = Scope(frozenset({synced.source.key.id}), audiences=frozenset({mine}))
        found = await store.find_candidates(wide.vector, "", pool=9, scope=scope)
        assert {one.chunk.id for one in found} == {wide.chunk.id, stranger.chunk.id}
        assert {row.chunk.audience for row in await store.read_rows([wide.chunk.id, stranger.chunk.id])} == {mine}
    finally:
        await store.close()


async def test_rows_without_numbers_of_their_readers_get_them(synced: Any, tmp_path: Path) -> None:
    """An earlier Kvasir wrote them. Nothing is embedded."""
    store, embedded = LanceDBStore(tmp_path / "lancedb"), len(synced.embedder.embedded)
    await store.open("kvasir_repair", 8)
    try:
        rows = list(synced.store.rows_by_id.values())
        await store.write([replace(row, chunk=replace(row.chunk, principals=(ANY_NUMBER,))) for row in rows])
        assert await repair_index(store, synced.index, thorough=True) == Drift(stale=4)
        numbers = number_readers(frozenset({"U1", "U2"}))
        assert {row.chunk.principals for row in await store.read_rows(synced.store.rows_by_id)} == {numbers}
        assert await repair_index(store, synced.index, thorough=True) == Drift()
        assert len(synced.embedder.embedded) == embedded
    finally:
        await store.close()


async def test_a_backup_that_begins_meanwhile_ends_the_deletions(synced: Any) -> None:
    database, pending = synced.index.database, 3000
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {pending})"
    rows = f"INSERT INTO knowledge_pending (id, index_id) {numbers} SELECT CAST(i AS TEXT), x.id FROM n"
    await database.write(lambda connection: connection.exec_driver_sql(f"{rows}, knowledge_indexes x"))
    async with contextlib.AsyncExitStack() as backup:

        class BackedUpStore(MemoryStore):
            async def delete(self, ids: Collection[str]) -> None:
                await super().delete(ids)
                await backup.enter_async_context(RunningBackups(database).keep_rows())

        async with asyncio.timeout(30):
            assert await clean_up(BackedUpStore(), synced.index) == 0
        assert len(await synced.index.list_pending_chunks(pending)) == pending - 2000


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "thorough", "limit"), [(200_000, False, 9_000_000), (20_000, True, 20_000_000)])
async def test_a_comparison_needs_little_memory(tmp_path: Path, rows: int, thorough: bool, limit: int) -> None:  # noqa: FBT001
    """The ids of a million chunks would be more than a hundred megabytes, and their rows some gigabytes."""
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await fill_manifest(url, rows)
    manifest = await open_manifest(url)
    (index,) = await manifest.list_indexes()
    store = GeneratedStore(rows)
    store.gone, store.surplus = frozenset({7, 15_000}), 3
    tracemalloc.start()
    drift = await repair_index(store, manifest.open_index(index), thorough=thorough)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await manifest.close()
    assert (drift.surplus, drift.missing, drift.wrong) == (3, 2, 0)
    assert peak < limit


@pytest.mark.slow
async def test_a_large_loss_is_recorded_in_short_transactions(rig: Any) -> None:
    """Each has a deadline: in one, a large index could never be put right."""
    for n in range(3):
        rig.source.put(f"{n}.md", "\n\n".join(f"text {n} {part}" for part in range(1500)))
    await rig.sync()
    rig.store.rows_by_id.clear()
    deleted = [0]

    def executed(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            deleted.append(0)
        elif statement.startswith("DELETE FROM knowledge_chunks"):
            deleted[-1] += cursor.rowcount

    event.listen(Engine, "after_cursor_execute", executed)
    drift = await repair_index(rig.store, rig.index)
    event.remove(Engine, "after_cursor_execute", executed)
    assert (drift.missing, sum(deleted)) == (4500, 4500)
    assert max(deleted) <= 2000
    assert [row.chunks for row in await rig.index.list_documents(rig.source.key)] == [0, 0, 0]
    assert (await rig.report()).chunks_written == 4500
    assert await rig.agree()
