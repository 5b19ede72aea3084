"""Tests of writing tables into files and reading them: how much memory that takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from knowledge.database.database import Database
from knowledge.database.dump import dump_tables, load_tables
from tests.database.scripts import run_script

_FILES, _MB = 40, 1_000_000
_SCRIPT = f"""
CREATE TABLE knowledge_files (id INTEGER PRIMARY KEY, data BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {_FILES})
INSERT INTO knowledge_files SELECT i, zeroblob({_MB}) FROM n
"""


async def test_memory_is_that_of_a_few_files(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    await run_script(url, _SCRIPT)
    database = Database(url)
    tracemalloc.start()
    try:
        rows, _ = await database.read(lambda connection: dump_tables(connection, tmp_path, ()))
        assert rows == {"knowledge_files": _FILES}
        await database.write(lambda connection: load_tables(connection, tmp_path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await database.close()
    assert peak < _FILES * _MB / 2
