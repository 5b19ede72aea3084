"""Write all rows of Kvasir's tables into files, and read them into an empty database of either kind.

A table is a gzip file of JSON lines: the names of its columns, then a list for each row. Bytes are in base64. Tables
are found by their names, so that a new one needs nothing here.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, MetaData, Table, delete, func, insert, inspect, select
from sqlalchemy.types import Integer

from knowledge.database.migrations import Migrations, read_revision

PREFIXES: Final = ("bot_", "knowledge_")
"""Names of Kvasir's tables begin so; other programs may have tables in the same database."""
TEMPORARY: Final = frozenset(
    {
        "bot_engine_places",
        "bot_replicas",
        "knowledge_backups",
        "knowledge_leases",
        "knowledge_replica_configurations",
        "knowledge_requests",
    }
)
"""What running processes tell each other, which is wrong in another place at another time."""
_SUFFIX: Final = ".jsonl.gz"
_AT_ONCE: Final = 1000
_FILES_AT_ONCE: Final = 4
"""Rows of a table with bytes, which may be whole files, that are in memory at once."""
_FAST: Final = 3


def dump_tables(
    connection: Connection, folder: Path, migrations: Iterable[Migrations]
) -> tuple[dict[str, int], dict[str, str]]:
    """Write all tables, of a database ``one_snapshot``; return how many rows each has, and their revisions."""
    rows = {table.name: _dump_table(connection, table, folder) for table in reflect_tables(connection)}
    revisions = {one.name: read_revision(connection, one) for one in migrations}
    return rows, {name: revision for name, revision in revisions.items() if revision is not None}


def load_tables(connection: Connection, folder: Path) -> None:
    """Replace the rows of all tables by those of the files; the tables must have the same revisions."""
    tables = reflect_tables(connection)
    with _suspend_triggers(connection, tables):
        for table in reversed(tables):
            connection.execute(delete(table))
        for table in tables:
            if (path := folder / f"{table.name}{_SUFFIX}").exists():
                _load_table(connection, table, path)


@contextmanager
def _suspend_triggers(connection: Connection, tables: Iterable[Table]) -> Iterator[None]:
    """Run no triggers within this block, because the files already have what they wrote."""
    if connection.dialect.name == "postgresql":
        off, on = (
            [f"ALTER TABLE {one.name} {state} TRIGGER USER" for one in tables] for state in ("DISABLE", "ENABLE")
        )
    else:
        triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        found = connection.exec_driver_sql(triggers).all()
        off, on = [f"DROP TRIGGER {name}" for name, _ in found], [sql for _, sql in found]
    for statement in off:
        connection.exec_driver_sql(statement)
    yield
    for statement in on:
        connection.exec_driver_sql(statement)


def drop_empty_tables(connection: Connection, except_: Container[str]) -> str:
    """Drop all tables if none of them has rows, as after a migration; return the name of one that has.

    Rows of the tables ``except_`` do not count.
    """
    tables = reflect_tables(connection, temporary=True)
    for table in tables:
        if table.name not in except_ and connection.execute(select(table).limit(1)).first():
            return table.name
    for table in reversed(tables):
        table.drop(connection)
    return ""


def reflect_tables(connection: Connection, *, temporary: bool = False) -> list[Table]:
    """Return Kvasir's tables; each comes after those that it refers to. ``temporary`` ones are in no backup."""
    names = [name for name in inspect(connection).get_table_names() if name.startswith(PREFIXES)]
    metadata = MetaData()
    metadata.reflect(connection, only=[name for name in names if temporary or name not in TEMPORARY])
    return metadata.sorted_tables


def read_rows(folder: Path, table: str, *columns: str) -> Iterator[list[Any]]:
    """Yield some columns of a table in files."""
    with gzip.open(folder / f"{table}{_SUFFIX}", "rt", encoding="ascii") as file:
        names = json.loads(next(file))
        places = [names.index(name) for name in columns]
        for line in file:
            row = json.loads(line)
            yield [row[place] for place in places]


def _dump_table(connection: Connection, table: Table, folder: Path) -> int:
    binary = [place for place, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]
    count = 0
    with gzip.open(folder / f"{table.name}{_SUFFIX}", "wt", compresslevel=_FAST, encoding="ascii") as file:
        file.write(f"{json.dumps(table.columns.keys())}\n")
        at_once = _FILES_AT_ONCE if binary else _AT_ONCE
        for row in connection.execution_options(yield_per=at_once).execute(select(table)):
            values = list(row)
            for place in binary:
                values[place] = values[place] and base64.b64encode(values[place]).decode()
            file.write(f"{json.dumps(values)}\n")
            count += 1
    return count


def _load_table(connection: Connection, table: Table, path: Path) -> None:
    with gzip.open(path, "rt", encoding="ascii") as file:
        names = json.loads(next(file))
        binary = [name for name in names if isinstance(table.c[name].type, LargeBinary)]
        at_once = _FILES_AT_ONCE if binary else _AT_ONCE
        while some := [dict(zip(names, json.loads(line), strict=True)) for line in islice(file, at_once)]:
            for values in some:
                values |= {name: base64.b64decode(values[name]) for name in binary if values[name] is not None}
            connection.execute(insert(table), some)
    if connection.dialect.name == "postgresql":
        # The numbers of new rows come after those that were read.
        for column in table.primary_key:
            if isinstance(column.type, Integer):
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(select(func.setval(sequence, select(func.max(column)).scalar_subquery())))
