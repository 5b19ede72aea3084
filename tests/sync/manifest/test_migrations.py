"""A manifest of version 1 is migrated in place and still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from knowledge.database.database import Database
from knowledge.database.migrations import apply_revisions
from knowledge.errors import DatabaseError
from knowledge.sync.manifest.manifest import Manifest, open_manifest
from knowledge.sync.manifest.records import decode_readers
from knowledge.sync.manifest.tables import MIGRATIONS
from tests.database.scripts import EMPTY_POSTGRESQL, run_script

HERE = Path(__file__).parent


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database as version 1 left it."""
    kind = request.param
    script = (HERE / f"manifest_1.{kind}.sql").read_text()
    url: str = f"sqlite:///{tmp_path / 'kvasir.db'}" if kind == "sqlite" else request.getfixturevalue("postgres")
    await run_script(url, script if kind == "sqlite" else f"{EMPTY_POSTGRESQL};\n{script}")
    return url


async def migrate_manifest(url: str) -> Manifest:
    """Migrate a manifest as ``kvasir run`` does, and open it."""
    await apply_revisions(url, MIGRATIONS)
    return await open_manifest(url)


async def _shape(manifest: Manifest) -> dict[str, Any]:
    """Return every table's columns, keys and indexes."""

    def look(connection: Connection) -> dict[str, Any]:
        found = inspect(connection)
        return {
            name: (
                sorted((c["name"], str(c["type"]), c["nullable"], _default(c)) for c in found.get_columns(name)),
                found.get_pk_constraint(name)["constrained_columns"],
                sorted((index["name"], index["column_names"]) for index in found.get_indexes(name)),
            )
            for name in found.get_table_names()
        }

    return await manifest.database.read(look)


def _default(column: Any) -> str | None:
    default = column["default"]
    return None if default is None or "nextval" in default else default


async def test_migrated_tables_equal_those_of_a_new_database(old: str, tmp_path: Path) -> None:
    manifest = await migrate_manifest(old)
    migrated = await _shape(manifest)
    await manifest.close()
    if old.startswith("postgresql"):
        await run_script(old, EMPTY_POSTGRESQL)
        fresh = await migrate_manifest(old)
    else:
        fresh = await open_manifest(f"sqlite:///{tmp_path / 'fresh.db'}")
    assert migrated == await _shape(fresh)
    await fresh.close()


async def test_the_rows_survive_a_migration(old: str, kinds: Any, new_source: Callable[..., Any]) -> None:
    rig_type, _, expected, _ = kinds
    manifest = await migrate_manifest(old)
    [row] = await manifest.list_indexes()
    assert row.active
    rig = rig_type(manifest, manifest.open_index(row))
    source = rig.source = new_source("handbook", "/handbook")
    records = {one.document: one for one in await rig.index.list_documents(source.key)}
    assert {name: (one.pending_deletion, one.chunks, one.kind, one.modified_at) for name, one in records.items()} == {
        "a.md": (True, 2, "", None),
        "b.md": (True, 0, "", None),
        "c.md": (True, 1, "", None),
    }
    assert await rig.index.list_pending_chunks(9) == ["0000"]
    current = await rig.index.find_current(await rig.index.list_chunk_ids(), [source.key.id])
    assert {decode_readers(one.readers) for one in current} == {frozenset({"*"})}
    # The store of this rig is empty: the next sync finds that, and brings everything back.
    for name, words in {"a.md": "one\n\ntwo", "b.md": "mended", "c.md": "three"}.items():
        source.put(name, words)
    rig.clock_s += 1000
    assert (await rig.sync()).repaired == 3
    assert await rig.answers() == expected(source)
    assert await rig.agree()
    await manifest.close()


async def test_a_command_leaves_older_tables_alone(old: str) -> None:
    with pytest.raises(DatabaseError, match=r"have revision 0001, .* needs 00\d\d\. Run `kvasir migrate --apply`"):
        await open_manifest(old)
    await _change(old, "SELECT 1")


async def test_several_processes_migrate_at_once(old: str) -> None:
    manifests = await asyncio.gather(*(migrate_manifest(old) for _ in range(4)))
    for manifest in manifests:
        assert len(await manifest.list_indexes()) == 1
        await manifest.close()


async def test_a_migration_that_dies_leaves_the_old_tables_whole(old: str) -> None:
    """The last of its statements fails: none of them happened, and the next start migrates."""
    sabotage, repair = (
        "DROP INDEX knowledge_chunks_document",
        "CREATE INDEX knowledge_chunks_document ON knowledge_chunks (document_id)",
    )
    await _change(old, sabotage)
    with pytest.raises(Exception, match="knowledge_chunks_document"):
        await migrate_manifest(old)
    await _change(old, repair)
    manifest = await migrate_manifest(old)
    assert len(await manifest.list_indexes()) == 1
    await manifest.close()


async def _change(url: str, statement: str) -> None:
    """Change tables that are still those of version 1."""
    database = Database(url)
    [version] = await database.fetch_rows(text("SELECT max(version) FROM knowledge_schema"))
    await database.close()
    assert version[0] == 1
    await run_script(url, statement)
