"""The embedded store: maintenance, damage, full and read-only disks, several processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from knowledge.errors import IndexLost, StoreError, StoreReadOnly, StoreUnavailable
from knowledge.interfaces import EVERYONE, Scope, Store, make_class_key
from knowledge.stores.lancedb.errors import translate_error
from knowledge.stores.lancedb.store import (
    _VECTOR_INDEX,
    LanceDBLimits,
    LanceDBStore,
    MaintenanceState,
    _measure_table,
)
from tests.stores.rows import DIMENSIONS, row, some_unit, unit

INDEX = "kvasir_0a1b2c3d"
WRITER = Path(__file__).parents[1] / "writer_process.py"


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[LanceDBStore]:
    store = LanceDBStore(tmp_path / "lancedb")
    await store.open(INDEX, DIMENSIONS)
    yield store
    await store.close()


async def ids(store: Store) -> set[str]:
    return {id_ async for batch in store.list_ids() for id_ in batch}


async def search(store: Store, terms: str = "term") -> set[str]:
    found = await store.find_candidates(unit(1), terms, pool=50, scope=Scope(frozenset({"docs"})))
    return {candidate.chunk.id for candidate in found}


@pytest.mark.slow
def test_clients_of_remote_catalogues_are_not_imported() -> None:
    code = "import sys, knowledge.stores.lancedb.store; print('lance_namespace_urllib3_client.api' in sys.modules)"
    said = subprocess.check_output((sys.executable, "-c", code), text=True, cwd=Path(__file__).parents[3])
    assert said == "False\n"


async def test_a_table_of_an_earlier_version_still_answers_and_takes_rows(tmp_path: Path) -> None:
    """It answers while the new index grows, completely but without kinds, dates and audience classes."""
    store = LanceDBStore(tmp_path)
    await store.open(INDEX, DIMENSIONS)
    await store.write([row("old", "alpha", unit(1), kind="", readers=frozenset({"C1"}))])
    await store._table.drop_columns(["kind", "modified_at", "class_number"])
    await store._table.add_columns(pa.field("audience", pa.string()))
    assert {"kind", "modified_at", "class_number"}.isdisjoint((await store._table.schema()).names)
    await store.close()
    again = LanceDBStore(tmp_path)
    await asyncio.gather(again.open(INDEX, DIMENSIONS), store.open(INDEX, DIMENSIONS))
    scope = Scope(frozenset({"docs"}), audiences=frozenset({make_class_key(EVERYONE)}))
    assert [one.chunk.id for one in await again.find_candidates(unit(1), "alpha", pool=5, scope=scope)] == ["old"]
    assert [one.chunk for one in await again.read_rows(["old"])] == [replace(row("old", kind="").chunk, audience="")]
    await again.write([row("new", "alpha", unit(1), kind="pdf")])
    typed = replace(scope, kinds=frozenset({"pdf"}))
    assert {one.chunk.id for one in await again.find_candidates(unit(1), "alpha", pool=5, scope=typed)} == {"new"}
    await again.close()
    await store.close()


# ── Upkeep ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "optimize", "index"),
    [
        (MaintenanceState(rows=0, unindexed_rows=0, fragments=0, index_parts={}), False, False),
        (MaintenanceState(rows=10, unindexed_rows=10, fragments=1, index_parts={}), True, False),
        (MaintenanceState(rows=1000, unindexed_rows=99, fragments=3, index_parts={}), False, False),
        (MaintenanceState(rows=1000, unindexed_rows=100, fragments=3, index_parts={}), True, False),
        (MaintenanceState(rows=90_000, unindexed_rows=1999, fragments=19, index_parts={"vector": 1}), False, False),
        (MaintenanceState(rows=90_000, unindexed_rows=2000, fragments=3, index_parts={"vector": 1}), True, False),
        (MaintenanceState(rows=90_000, unindexed_rows=0, fragments=20, index_parts={}), True, True),
    ],
)
def test_maintenance_is_due_after_enough_changes(state: MaintenanceState, *, optimize: bool, index: bool) -> None:
    assert (state.needs_compaction(LanceDBLimits()), state.needs_vector_index(LanceDBLimits())) == (optimize, index)


@pytest.mark.parametrize(
    ("rows", "unindexed_rows", "merged_rows", "parts", "due"),
    [
        (90_000, 10_000, 20_000, 9, True),
        (90_000, 10_000, 20_000, 8, False),
        (90_000, 10_000, 50_000, 9, False),  # a sync goes on, and the table has not doubled
        (90_000, 100, 50_000, 9, True),
    ],
)
def test_an_index_of_many_parts_is_merged(
    rows: int, unindexed_rows: int, merged_rows: int, parts: int, *, due: bool
) -> None:
    state = MaintenanceState(rows, unindexed_rows, 1, {"terms": 1, "vector": parts})
    assert state.list_split_columns(LanceDBLimits(), merged_rows) == ["vector"] * due


@pytest.mark.slow
async def test_indexes_have_few_parts_after_many_steps(tmp_path: Path) -> None:
    """A step is indexed as a part; at the end of a sync, when nothing else is due, the parts are merged."""
    store = LanceDBStore(tmp_path, limits=LanceDBLimits(vector_index_rows=300, index_parts=3))
    await store.open(INDEX, 32)
    for step in range(8):
        numbers = range(300 * step, 300 * (step + 1))
        await store.write([row(f"r{n}", "alpha", some_unit(n, 32)) for n in numbers])
        await store.maintain()
    await store.maintain()
    state = await _measure_table(store._table)
    assert state.unindexed_rows == 0
    assert max(state.index_parts.values()) <= 3
    scope = Scope(frozenset({"docs"}))
    found = await store.find_candidates(some_unit(7, 32), "alpha", pool=5, scope=scope)
    assert "r7" in {one.chunk.id for one in found}
    await store.close()


class BusyTable:
    """A table into which another writer commits first whenever an index is built as a whole."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    async def create_index(self, *_: object, **__: object) -> None:
        raise RuntimeError("Commit conflict for version 7: please retry")


async def test_parts_that_another_writer_kept_from_merging_are_merged_at_the_next_step(tmp_path: Path) -> None:
    async def sleep(_: float) -> None: ...

    store = LanceDBStore(tmp_path, limits=LanceDBLimits(vector_index_rows=300, index_parts=2), sleep=sleep)
    await store.open(INDEX, 32)
    await store.write([row(f"r{n}", vector=some_unit(n, 32)) for n in range(300)])
    await store._table.create_index("vector", config=_VECTOR_INDEX)
    for step in range(3):
        await store.write([row(f"{step}.{n}", vector=some_unit(n, 32)) for n in range(100)])
        await store._table.optimize()
    await store.write([row(f"more{n}", vector=some_unit(n, 32)) for n in range(100)])
    table, store._table = store._table, BusyTable(store._table)
    await store.maintain()
    assert max((await _measure_table(table)).index_parts.values()) > 2
    store._table = table
    await store.write([row(f"last{n}", vector=some_unit(n, 32)) for n in range(100)])
    await store.maintain()
    assert max((await _measure_table(table)).index_parts.values()) <= 2
    await store.close()


@pytest.mark.slow
async def test_an_index_that_is_not_built_in_time_is_tried_again_when_the_table_has_doubled(tmp_path: Path) -> None:
    limits = LanceDBLimits(vector_index_rows=300, build_s=0.0, build_row_s=0.0)
    store = LanceDBStore(tmp_path, limits=limits)
    await store.open(INDEX, 32)
    await store.write([row(f"r{n}", "alpha", some_unit(n, 32)) for n in range(400)])
    with pytest.raises(StoreUnavailable):
        await store.maintain()
    await store.maintain()  # the next batches of the sync do not wait for it again
    await store.write([row(f"more{n}", "alpha", some_unit(n, 32)) for n in range(400)])
    with pytest.raises(StoreUnavailable):
        await store.maintain()
    await store.close()


@pytest.mark.slow
async def test_a_grown_table_gets_a_vector_index_that_finds_the_same(tmp_path: Path) -> None:
    store = LanceDBStore(tmp_path, limits=LanceDBLimits(vector_index_rows=500))
    await store.open(INDEX, 32)
    vectors = {f"r{n}": some_unit(n, 32) for n in range(900)}
    audience = {id_: frozenset({f"C{n % 20}"}) for n, id_ in enumerate(vectors)}
    await store.write([row(id_, vector=v, readers=audience[id_]) for id_, v in vectors.items()])
    await store.maintain()
    vectors |= {f"late{n}": some_unit(5000 + n, 32) for n in range(50)}
    audience |= {id_: EVERYONE for id_ in vectors if id_.startswith("late")}
    await store.write([row(id_, vector=v) for id_, v in vectors.items() if id_.startswith("late")])
    gone = [f"r{n}" for n in range(100)]
    await store.delete(gone)
    usable = frozenset(map(make_class_key, (EVERYONE, frozenset({"C3"}))))
    scope = Scope(frozenset({"docs"}), audiences=usable)
    hits = overlap = 0
    for seed in range(20):
        query = some_unit(9000 + seed, 32)
        readable = [i for i in vectors if i not in gone and audience[i] & {"*", "C3"}]
        best = sorted(readable, key=lambda i: -float(vectors[i] @ query))[:10]
        found = await store.find_candidates(query, "", pool=10, scope=scope)
        assert all(c.cosine == pytest.approx(float(vectors[c.chunk.id] @ query), abs=1e-5) for c in found)
        hits, overlap = hits + len(best), overlap + len({c.chunk.id for c in found} & set(best))
    assert overlap >= 0.98 * hits
    assert "vector" in {column for index in await store._table.list_indices() for column in index.columns}
    await store.close()


@pytest.mark.slow
def test_searches_continue_while_an_index_is_built_on_one_core(tmp_path: Path) -> None:
    script = Path(__file__).with_name("search_during_build.py")
    said = subprocess.check_output((sys.executable, script, tmp_path), text=True)
    assert int(said) > 20, "with one thread for all work it is about five"


async def test_another_open_store_uses_a_new_vector_index(tmp_path: Path) -> None:
    one = LanceDBStore(tmp_path, limits=LanceDBLimits(vector_index_rows=300))
    other = LanceDBStore(tmp_path)
    await one.open(INDEX, DIMENSIONS)
    await other.open(INDEX, DIMENSIONS)
    await one.write([row(f"r{n}", vector=some_unit(n)) for n in range(400)])
    await one.maintain()
    best = sorted(range(400), key=lambda n: -float(some_unit(n) @ unit(1)))[:5]
    found = await other.find_candidates(unit(1), "", pool=5, scope=Scope(frozenset({"docs"})))
    assert {c.chunk.id for c in found} == {f"r{n}" for n in best}
    await one.close()
    await other.close()


@pytest.mark.slow
async def test_maintenance_during_writes_loses_nothing(tmp_path: Path) -> None:
    store, other = LanceDBStore(tmp_path), LanceDBStore(tmp_path)
    await store.open(INDEX, DIMENSIONS)
    await other.open(INDEX, DIMENSIONS)

    async def write(writer: LanceDBStore, name: str) -> None:
        for n in range(12):
            await writer.write([row(f"{name}{n}", vector=some_unit(n))])
            await writer.delete([f"{name}{n - 1}"] if n % 3 == 0 else [])

    async def upkeep() -> None:
        for _ in range(6):
            await other.maintain()

    await asyncio.gather(write(store, "a"), write(other, "b"), upkeep())
    left = {f"{name}{n}" for name in "ab" for n in range(12) if n not in {2, 5, 8}}
    assert await ids(store) == await ids(other) == left
    await other.maintain()
    assert await search(store) == left
    await store.close()
    await other.close()


@pytest.mark.slow
async def test_maintenance_deletes_old_versions(tmp_path: Path) -> None:
    store = LanceDBStore(tmp_path, limits=LanceDBLimits(history_s=0.001))
    await store.open(INDEX, DIMENSIONS)
    for n in range(40):
        await store.write([row("always the same", vector=some_unit(n))])
    await store.maintain()
    versions = list((tmp_path / f"{INDEX}.lance" / "_versions").iterdir())
    assert len(versions) < 10
    assert await search(store) == {"always the same"}
    await store.close()


# ── Damage and full disks ────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount a disk of its own size; the function it yields mounts it again with other options."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root; the child with a file-size limit covers the same refusal")
    directory.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("this machine mounts no tmpfs; the child with a file-size limit covers the same refusal")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(directory)], check=True) and None
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.slow
async def test_a_full_disk_is_reported_and_keeps_acknowledged_rows(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as remount:
        store = LanceDBStore(tmp_path / "disk" / "store")
        await store.open(INDEX, 384)
        written: set[str] = set()

        async def fill() -> None:
            for n in range(100):
                batch = [row(f"r{n}.{k}", vector=some_unit(100 * n + k, 384)) for k in range(50)]
                await store.write(batch)
                written.update(one.chunk.id for one in batch)

        with pytest.raises(StoreReadOnly, match="full"):
            await fill()
        assert written
        assert await ids(store) >= written
        assert (await store.find_candidates(some_unit(0, 384), "term", pool=3, scope=Scope(frozenset({"docs"}))))[
            0
        ].chunk.id in written
        remount("size=20m")
        await store.write([row("after", vector=some_unit(1, 384))])
        assert "after" in await ids(store)
        await store.close()


async def test_a_read_only_disk_still_answers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "20m") as remount:
        store = LanceDBStore(tmp_path / "disk" / "store")
        await store.open(INDEX, DIMENSIONS)
        await store.write([row("a")])
        remount("ro")
        await store.close()
        await store.open(INDEX, DIMENSIONS)
        assert await search(store) == {"a"}
        for call in (
            lambda: store.write([row("b")]),
            lambda: store.delete(["a"]),
            lambda: store.open("kvasir_11111111", DIMENSIONS),
            lambda: store.drop_index(INDEX),
        ):
            with pytest.raises(StoreReadOnly, match="accepts no writes"):
                await call()
        assert await search(store) == {"a"}
        await store.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the read-only disk covers it")
async def test_a_read_only_folder_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreReadOnly, match="accepts no writes"):
        await LanceDBStore(tmp_path / "store").open(INDEX, DIMENSIONS)


@pytest.mark.slow
def test_a_file_size_limit_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, WRITER, "--file-limit", "4096", INDEX, "lancedb", str(tmp_path)],
        input="one row\n" * 3, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "StoreReadOnly" in child.stdout


@pytest.mark.parametrize("part", ["data", "_versions", "_indices"])
async def test_damaged_files_are_reported_with_the_next_step(opened: LanceDBStore, tmp_path: Path, part: str) -> None:
    await opened.write([row(f"r{n}", vector=some_unit(n)) for n in range(50)])
    await opened.maintain()
    await opened.close()
    for path in (tmp_path / "lancedb" / f"{INDEX}.lance" / part).rglob("*"):
        if path.is_file():
            path.write_bytes(b"not what was written")

    async def open_and_search() -> None:
        await opened.open(INDEX, DIMENSIONS)
        await search(opened)

    with pytest.raises(IndexLost, match="builds a damaged index again") as caught:
        await open_and_search()
    assert "not what was written" not in str(caught.value)
    with pytest.raises(IndexLost):
        await opened.check()
    await opened.drop_index(INDEX)
    await opened.open(INDEX, DIMENSIONS)
    await opened.check()
    assert await opened.count() == 0


async def test_a_word_index_that_was_cut_is_found_without_a_search_and_built_from_the_rows(
    opened: LanceDBStore, tmp_path: Path
) -> None:
    await opened.write([row(f"r{n}", "alpha", some_unit(n)) for n in range(50)])
    await opened.maintain()
    await opened.check()
    (path,) = (tmp_path / "lancedb").rglob("part_0_invert.lance")
    os.truncate(path, path.stat().st_size // 2)
    later = LanceDBStore(tmp_path / "lancedb")
    await later.open(INDEX, DIMENSIONS)
    with pytest.raises(IndexLost):
        await later.check()
    await opened.check(heal=True)
    assert await search(opened, "alpha")
    await later.check()
    assert await search(later, "alpha")
    assert await later.count() == 50
    await later.close()


@pytest.mark.slow
async def test_each_file_that_is_emptied_is_found_or_not_needed(tmp_path: Path) -> None:
    """A store that is open finds out without a search, and one that opens later, too."""
    whole = LanceDBStore(tmp_path / "whole", limits=LanceDBLimits(vector_index_rows=50, history_s=0))
    await whole.open(INDEX, DIMENSIONS)
    for batch in range(3):
        await whole.write([row(f"r{batch}-{n}", "alpha", some_unit(n)) for n in range(30)])
    await whole.delete(["r0-1"])
    await whole.maintain()
    await whole.write([row("late", "alpha", unit(1))])
    await whole.delete(["r0-2"])
    await whole.check()
    table = tmp_path / "whole" / f"{INDEX}.lance"
    files = [path.relative_to(table) for path in table.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} >= {"data", "_indices", "_versions", "_deletions"}
    lost = {path for path in files if await _notices_damage(tmp_path, path)}
    assert {path.parts[0] for path in lost} >= {"data", "_indices", "_versions", "_deletions"}


async def _notices_damage(folder: Path, emptied: Path) -> bool:
    """Return whether an emptied file was named; if not, all that searches and syncs do must work without it."""
    shutil.copytree(folder / "whole", copy := folder / "copy" / "-".join(emptied.parts))
    store = LanceDBStore(copy)
    await store.open(INDEX, DIMENSIONS)
    path = copy / f"{INDEX}.lance" / emptied
    path.write_bytes(b"")
    os.utime(path, (0, 0))  # long ago
    later = LanceDBStore(copy)
    await later.open(INDEX, DIMENSIONS)
    found = []
    for one in (store, later):
        try:
            await one.check()
            found.append(False)
        except IndexLost:
            found.append(True)
    assert len(set(found)) == 1
    if not found[0]:
        every = await ids(later)
        assert len(await later.read_rows(every)) == await later.count() == len(every)
        assert await search(later, "alpha")
        typed = Scope(frozenset({"docs"}), kinds=frozenset({""}), audiences=frozenset({make_class_key(EVERYONE)}))
        await later.find_candidates(unit(1), "alpha", pool=5, scope=typed)
        await later.write([row("more", "alpha", unit(2))])
        await later.delete(["late"])
        await later.maintain()
        await store.check()
    await store.close()
    await later.close()
    shutil.rmtree(copy)
    return found[0]


async def test_a_deleted_file_is_found_by_the_search_that_fails(opened: LanceDBStore, tmp_path: Path) -> None:
    await opened.write([row("a", "alpha", unit(1))])
    await opened.check()
    for path in (tmp_path / "lancedb" / f"{INDEX}.lance" / "data").iterdir():
        path.unlink()
    with pytest.raises(StoreError):
        await search(opened, "alpha")
    with pytest.raises(IndexLost):
        await opened.check()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["page_data.lance", "part_*_tokens.lance"])
async def test_damage_in_the_middle_of_an_index_is_found_after_a_call_that_fails(tmp_path: Path, name: str) -> None:
    """The first rows are found without the damaged part."""
    words = {f"r{n:05}": f"{zlib.crc32(b'%d' % n):x}" for n in range(9_000)}
    whole = LanceDBStore(tmp_path)
    await whole.open(INDEX, DIMENSIONS)
    await whole.write([row(id_, word) for id_, word in words.items()])
    await whole.maintain()
    for path in tmp_path.rglob(name):
        content, half = path.read_bytes(), path.stat().st_size // 2
        damage = random.Random(0).randbytes(half // 4)
        path.write_bytes(content[:half] + damage + content[half + len(damage) :])
    damaged = LanceDBStore(tmp_path)
    await damaged.open(INDEX, DIMENSIONS)
    with pytest.raises(IndexLost):  # noqa: PT012
        await damaged.read_rows(list(words))
        await search(damaged, " ".join(list(words.values())[::50]))
    with pytest.raises(IndexLost):
        await damaged.check()
    await whole.close()
    await damaged.close()


async def test_a_file_instead_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="store"):
        await LanceDBStore(tmp_path / "store").open(INDEX, DIMENSIONS)


async def test_a_deleted_table_is_reported_and_created_again(opened: LanceDBStore, tmp_path: Path) -> None:
    await opened.write([row("a")])
    shutil.rmtree(tmp_path / "lancedb")
    with pytest.raises(StoreError, match="is gone"):
        await opened.count()
    await opened.open(INDEX, DIMENSIONS)
    assert await opened.count() == 0


async def test_a_missed_deadline_is_reported(tmp_path: Path) -> None:
    store = LanceDBStore(tmp_path, limits=LanceDBLimits(read_s=0))
    await store.open(INDEX, DIMENSIONS)
    with pytest.raises(StoreUnavailable, match="within 0 s"):
        await store.count()
    await store.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("IO: No space left on device (os error 28) at path", StoreReadOnly),
        ("Permission denied (os error 13)", StoreReadOnly),
        ("Too many open files (os error 24)", StoreUnavailable),
        ("Retryable commit conflict for version 3", StoreUnavailable),
        ("anything else: secret words", IndexLost),
        ("Input/output error (os error 5)", StoreUnavailable),
    ],
)
def test_no_text_of_the_library_reaches_a_person(text: str, kind: type[StoreError]) -> None:
    error = translate_error(RuntimeError(text), Path("/srv/store"))
    assert type(error) is kind
    assert "/srv/store" in str(error)
    assert "os error" not in str(error)
    assert "secret" not in str(error)


async def test_searches_end_normally_after_close(opened: LanceDBStore) -> None:
    await opened.write([row(f"r{n}", vector=some_unit(n)) for n in range(200)])
    searches = [asyncio.ensure_future(search(opened)) for _ in range(20)]
    await asyncio.sleep(0)
    await opened.close()
    for done in await asyncio.gather(*searches, return_exceptions=True):
        assert isinstance(done, set) or "not open" in str(done)


# ── Several processes ────────────────────────────────────────────────────────────────────────────────────────────────


def child(home: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, str(WRITER), INDEX, "lancedb", str(home)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
async def test_two_processes_that_write_the_same_ids_leave_one_row_each(opened: LanceDBStore, tmp_path: Path) -> None:
    lines = "".join(f"r{n}\n" for n in range(30))
    children = [child(tmp_path) for _ in range(2)]
    await asyncio.gather(*(asyncio.to_thread(one.communicate, lines, 60) for one in children))
    assert [one.returncode for one in children] == [0, 0]
    assert await opened.count() == 30
    assert await ids(opened) == {f"r{n}" for n in range(30)}


@pytest.mark.slow
async def test_kill_9_of_a_writer_loses_no_acknowledged_row(opened: LanceDBStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    acknowledged: set[str] = set()
    for turn in range(4):
        writer = child(tmp_path)
        assert writer.stdin
        assert writer.stdout
        last = int(rng.integers(1, 25))
        for n in range(last):
            writer.stdin.write(f"t{turn}.{n}\n")
            writer.stdin.flush()
            assert await asyncio.to_thread(writer.stdout.readline)
            acknowledged.add(f"t{turn}.{n}")
        writer.stdin.write("".join(f"t{turn}.late{n}\n" for n in range(200)))
        writer.stdin.flush()
        writer.kill()
        with contextlib.suppress(BrokenPipeError):
            writer.communicate()
        assert await ids(opened) >= acknowledged
    await opened.maintain()
    assert await ids(opened) >= acknowledged
    await opened.write([row("after", "after")])
    assert "after" in await search(opened, "after")


# ── Erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def count_bytes(folder: Path, text: str) -> int:
    return sum(path.read_bytes().count(text.encode()) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("planted", [1, 40])
@pytest.mark.parametrize("size", [60, 2_500])
async def test_scrub_leaves_nothing_of_deleted_rows_in_any_file(tmp_path: Path, planted: int, size: int) -> None:
    """Also if they are few of many in one file, and while another process has the table open.

    A file that no version names is left by a compaction that lost against another writer.
    """
    limits = LanceDBLimits(read_s=2.0, vector_index_rows=2_000)
    store, other = (LanceDBStore(tmp_path, limits=limits) for _ in range(2))
    for one in (store, other):
        await one.open(INDEX, DIMENSIONS)
    texts = {f"{n}": f"secretword{n}x" if n < planted else f"common{n % 7}" for n in range(size)}
    await store.write([row(id_, text, some_unit(int(id_)), text=f"Says {text}.") for id_, text in texts.items()])
    await store.maintain()
    await store.delete([str(n) for n in range(planted)])
    await other.write([row("late", "lateword", some_unit(9_999))])
    assert count_bytes(tmp_path, "secretword") > 0
    [*files] = (tmp_path / f"{INDEX}.lance" / "data").iterdir()
    for path in files:
        shutil.copy(path, path.with_name(f"{path.stem[::-1]}.lance"))
    await store.scrub()
    assert count_bytes(tmp_path, "secretword") == 0
    assert await ids(other) == {*(str(n) for n in range(planted, size)), "late"}
    assert "late" in await search(other, "lateword")
    await other.write([row("later", "laterword", some_unit(8_888))])
    assert "later" in await search(store, "laterword")
    for one in (store, other):
        await one.close()


@pytest.mark.parametrize("part", ["data", "_indices"])
async def test_a_read_of_a_version_that_another_process_deletes_is_retried(
    opened: LanceDBStore, tmp_path: Path, part: str
) -> None:
    await opened.write([row(f"r{n}", vector=some_unit(n)) for n in range(50)])
    await opened.maintain()
    folder = tmp_path / "lancedb" / f"{INDEX}.lance" / part
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            folder.with_name("gone").rename(folder)

    reader = LanceDBStore(tmp_path / "lancedb", sleep=sleep)
    await reader.open(INDEX, DIMENSIONS)
    folder.rename(folder.with_name("gone"))
    assert len(await search(reader)) == 50
    assert waited
    await reader.close()


async def test_an_empty_table_is_scrubbed(opened: LanceDBStore) -> None:
    opened._limits = replace(opened._limits, read_s=0.1)
    await opened.scrub()
    await opened.write([row("a")])
    assert await ids(opened) == {"a"}
