"""The manifest on real databases: every way in which one fails, and two processes at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from knowledge.errors import DatabaseError
from knowledge.interfaces import SourceKey
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexIdentity
from tests.sync.many_rows import KEY, fill_manifest

IDENTITY = IndexIdentity("memory", "arithmetic", "blank lines", "words")


async def test_a_locked_database_is_reported_and_loses_nothing(rig_on: Any, tmp_path: Path) -> None:
    async with rig_on(f"sqlite:///{tmp_path / 'kvasir.db'}", lock_wait_s=0.2) as rig:
        await _locked_and_free_again(rig, tmp_path)


async def _locked_and_free_again(rig: Any, tmp_path: Path) -> None:
    rig.source.put("a.md", "one")
    await rig.sync()
    rig.source.put("b.md", "two")
    holder = sqlite3.connect(tmp_path / "kvasir.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    report = await rig.report()
    assert "is locked by another program" in report.error
    assert await rig.answers() == {"a.md": ["one"]}, "searches go on"
    holder.execute("ROLLBACK")
    holder.close()
    assert (await rig.report()).added == 1
    assert await rig.agree()


@pytest.mark.slow
async def test_a_slow_write_makes_the_next_one_of_this_process_wait_and_not_fail(rig_on: Any, tmp_path: Path) -> None:
    """A disk that is busy with something else takes seconds for a commit; SQLite's own wait is for others."""
    async with rig_on(f"sqlite:///{tmp_path / 'kvasir.db'}", lock_wait_s=0.1) as rig:
        slow = asyncio.create_task(rig.manifest.database.write(lambda _: time.sleep(0.8)))
        await asyncio.sleep(0.1)
        other = asyncio.create_task(rig.index.add_pending_chunks(["a"]))
        await asyncio.wait([other], timeout=0.5)
        assert not other.done()
        await asyncio.gather(slow, other)
        assert await rig.index.list_pending_chunks(9) == ["a"]


async def test_a_write_cancelled_at_any_moment_leaves_no_transaction_behind(rig: Any, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db", timeout=2.0, isolation_level=None)) as other:
        for step in range(40):
            write = asyncio.create_task(rig.index.add_pending_chunks([f"id {n}" for n in range(300)]))
            # The driver works in a thread of its own: only time brings it on.
            await asyncio.sleep(step / 5000)
            write.cancel()
            await asyncio.wait([write])
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_end_of_a_large_sync_is_recorded_in_short_transactions(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """In one, a million documents would keep every other writer waiting."""
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("empty_postgres")
    await fill_manifest(url, 120_000)
    manifest = await open_manifest(url)
    (row,) = await manifest.list_indexes()
    index, documents = manifest.open_index(row), tables.documents.c
    await index.mark_pending_deletions([7], 1.0)
    writes = manifest.database.writes
    await index.record_sync_end(SourceKey(*KEY.split("\x1f")), listed_at=5000.0, error=None, lists_rights=True)
    assert manifest.database.writes - writes == 4  # 5,000, 5,000 and 2,000 documents, and the source
    old = await manifest.database.fetch_rows(select(documents.id).where(documents.rights_at != 5000.0))
    assert [id_ for (id_,) in old] == [7]
    assert (await index.count_source(SourceKey(*KEY.split("\x1f")))).listed_at == 5000.0
    await manifest.close()


async def test_a_database_that_another_program_writes_can_be_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await (await open_manifest(url)).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        manifest = await open_manifest(url, lock_wait_s=0.1)
        assert await manifest.list_indexes() == []
        await manifest.close()


async def test_a_database_of_a_newer_kvasir_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await (await open_manifest(url)).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db")) as connection:
        connection.execute("UPDATE knowledge_revision SET version_num = '0099', compatible_since = '0098'")
        connection.commit()
    with pytest.raises(DatabaseError, match="revision 0099"):
        await open_manifest(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://x", "is not a database that Kvasir knows"),
        ("nonsense", "is not a database that Kvasir knows"),
        ("postgresql://kvasir:hunter2@127.0.0.1:port/x", "cannot be read"),
        ("postgresql://kvasir:hunter2@127.0.0.1:1/x", "Check that it runs"),
        ("sqlite:////nowhere/at/all/kvasir.db", "cannot be opened"),
    ],
)
async def test_a_wrong_url_is_reported_without_its_password(url: str, says: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        await open_manifest(url)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "kvasir.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseError, match="no SQLite database"):
        await open_manifest(f"sqlite:///{tmp_path / 'kvasir.db'}")


async def test_the_first_index_is_active_and_a_second_waits(tmp_path: Path) -> None:
    manifest = await open_manifest(f"sqlite:///{tmp_path / 'kvasir.db'}")
    first = await manifest.add_index(IDENTITY)
    second = await manifest.add_index(IndexIdentity("memory", "another", "blank lines", "words"))
    assert (first.active, second.active) == (True, False)
    assert await manifest.add_index(IDENTITY) == first
    await manifest.activate_index(second)
    await manifest.forget_index(first)
    assert [(row.name, row.active) for row in await manifest.list_indexes()] == [(second.name, True)]
    await manifest.close()


async def test_a_forgotten_index_loses_its_documents(rig: Any, tmp_path: Path) -> None:
    rig.source.put("a.md", "one")
    await rig.sync()
    await rig.manifest.forget_index((await rig.manifest.list_indexes())[0])
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db")) as connection:
        for table in ("sources", "documents", "chunks", "pending"):
            assert connection.execute(f"SELECT count(*) FROM knowledge_{table}").fetchone() == (0,)


@pytest.mark.slow
async def test_many_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from knowledge.sync.manifest.records import IndexIdentity\n"
        "from knowledge.sync.manifest.manifest import open_manifest\n"
        "async def main():\n"
        "    manifest = await open_manifest(sys.argv[1])\n"
        "    print((await manifest.add_index(IndexIdentity('memory', 'e', 'c', 't'))).id)\n"
        "    await manifest.close()\n"
        "asyncio.run(main())\n"
    )
    argv = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'kvasir.db'}"]
    started = [await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE) for _ in range(3)]
    printed = [(await process.communicate())[0] for process in started]
    assert printed == [b"1\n"] * 3


async def test_current_chunks_are_read_at_one_moment(rig: Any) -> None:
    for n in range(30):
        rig.source.put(f"{n}.md", "\n\n".join(f"part {n} {m}" for m in range(40)))
    await rig.sync()
    ids = [*rig.store.rows_by_id, "unknown"]
    rows = await rig.index.find_current(ids, [rig.source.key.id])
    assert {row.id for row in rows} == set(rig.store.rows_by_id)
    assert await rig.index.find_current(ids, []) == []
    assert await rig.index.find_current([], [rig.source.key.id]) == []


async def test_a_complete_listing_confirms_its_documents(rig: Any) -> None:
    for name in ("kept.md", "held.md"):
        rig.source.put(name, "text")
    await rig.sync()
    first = rig.clock_s
    rig.clock_s += 1000
    await rig.sync()
    rows = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert {row.confirmed_at for row in rows} == {rig.clock_s}
    rig.source.texts.clear()
    rig.clock_s += 1000
    await rig.sync()
    rows = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert {row.confirmed_at for row in rows} == {first}


def _mount(folder: Path) -> int:
    return subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or _mount(folder):
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_is_reported_and_loses_nothing(rig_on: Any, small_disk: Path) -> None:
    async with rig_on(f"sqlite:///{small_disk / 'kvasir.db'}") as rig:
        rig.source.put("a.md", "one")
        await rig.sync()
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        for n in range(200):
            rig.source.put(f"{n}.md", "\n\n".join(f"part {n} {m}" for m in range(20)))
        report = await rig.report()
        assert "cannot grow, because its disk is full" in report.error
        assert (await rig.answers())["a.md"] == ["one"]
        ballast.unlink()
        rig.source.texts = {name: rig.source.texts[name] for name in ["a.md", *map("{}.md".format, range(20))]}
        assert (await rig.report()).error is None
        assert len(await rig.answers()) >= 21
        assert await rig.agree()


async def test_a_removed_source_loses_its_memory(rig: Any, new_source: Any) -> None:
    other = new_source("wiki", "/wiki")
    for source in (rig.source, other):
        await rig.manifest.get_source_memory(source.key).save(b"what was listed")
    rig.source.put("a.md", "one")
    await rig.sync(rig.source, configured=[rig.source.key.id, other.key.id])
    assert await rig.manifest.get_source_memory(other.key).load() == b"what was listed"
    await rig.sync(rig.source)
    assert await rig.manifest.get_source_memory(other.key).load() is None
    assert await rig.manifest.get_source_memory(rig.source.key).load() == b"what was listed"


@pytest.mark.slow
async def test_a_large_index_is_forgotten_in_short_transactions(rig: Any) -> None:
    for n in range(1100):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    row = (await rig.manifest.list_indexes())[0]
    deleted = [0]

    def executed(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            deleted.append(0)
        elif statement.startswith("DELETE FROM knowledge_documents"):
            deleted[-1] += cursor.rowcount

    event.listen(Engine, "after_cursor_execute", executed)
    await rig.manifest.forget_index(row)
    event.remove(Engine, "after_cursor_execute", executed)
    assert (sum(deleted), max(deleted)) == (1100, 500)
    assert await rig.manifest.list_indexes() == []
    assert await rig.index.count_chunks() == 0
