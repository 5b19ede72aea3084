"""Databases as the contract sees them: a SQLite file, and a real PostgreSQL."""

from __future__ import annotations

import atexit
import contextlib
import functools
import sqlite3
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import asyncpg

from tests.postgres import postgres_server
from tests.sources.contract import Ability, Workbench


@functools.cache
def postgres() -> str:
    """Return the URL of a PostgreSQL that lives as long as the process."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(postgres_server())


class SqliteBench(Workbench):
    kind = "sql"
    cannot = frozenset({Ability.BYTES, Ability.MEMORY})
    unnameable = frozenset("\n\t")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "records.db"

    @property
    def secrets(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"url": f"sqlite:///{self.path}"}

    def hushed(self) -> Collection[str]:
        return ()  # a path is no secret

    async def open(self) -> None:
        self.run("CREATE TABLE records (name TEXT, body TEXT)")

    def run(self, statement: str, *values: object) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, values)

    def options(self) -> dict[str, object]:
        return {
            "url_env": "URL",
            "table": "records",
            "key": "name",
            "text": "body",
            "link": "https://example.com/{key}",
            "max_mb": 0.1,
        }

    async def put(self, name: str, data: bytes) -> None:
        self.run("DELETE FROM records WHERE name = ?", name)
        self.run("INSERT INTO records VALUES (?, ?)", name, data.decode())

    async def remove(self, name: str) -> None:
        self.run("DELETE FROM records WHERE name = ?", name)

    async def break_down(self) -> None:
        self.path.unlink()

    async def break_midway(self) -> None:
        self.run("DELETE FROM records WHERE name = '011.md'")
        self.run("INSERT INTO records VALUES ('000.md', 'the same key again'), ('011.md', 'behind it')")


class PostgresBench(Workbench):
    kind = "sql"
    needs_server = True
    cannot = frozenset({Ability.BYTES, Ability.MEMORY})
    unnameable = frozenset("\n\t")
    secrets: ClassVar[Mapping[str, str]] = {}
    examples = 4

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.table = f"records_{uuid.uuid4().hex}"
        self.user = f"reader_{uuid.uuid4().hex}"
        where = postgres().partition("@")[2]
        self.secrets = {"url": f"postgresql://{self.user}:hush-{self.user}@{where}"}  # type: ignore[misc]

    def hushed(self) -> Collection[str]:
        return (f"hush-{self.user}",)

    async def open(self) -> None:
        self.connection: asyncpg.Connection[Any] = await asyncpg.connect(postgres())
        await self.run(f"CREATE TABLE {self.table} (name text, body text, at timestamptz DEFAULT clock_timestamp())")
        await self.run(f"CREATE ROLE {self.user} LOGIN PASSWORD 'hush-{self.user}'")
        await self.run(f"GRANT ALL ON {self.table} TO {self.user}")

    async def run(self, statement: str, *values: object) -> None:
        await self.connection.execute(statement, *values)

    async def close(self) -> None:
        await self.run(f"DROP OWNED BY {self.user}")
        await self.run(f"DROP TABLE {self.table}")
        await self.run(f"DROP ROLE {self.user}")
        await self.connection.close()

    def options(self) -> dict[str, object]:
        return {
            "url_env": "URL",
            "query": f"SELECT name, body, at FROM {self.table} WHERE name <> 'a:b' ORDER BY name;",
            "key": "name",
            "text": "{body}",
            "updated_at": "at",
            "link": "https://example.com/{key}",
            "max_mb": 0.1,
        }

    async def put(self, name: str, data: bytes) -> None:
        await self.remove(name)
        await self.run(f"INSERT INTO {self.table} VALUES ($1, $2)", name, data.decode())

    async def remove(self, name: str) -> None:
        await self.run(f"DELETE FROM {self.table} WHERE name = $1", name)

    async def break_down(self) -> None:
        await self.run(f"ALTER ROLE {self.user} PASSWORD 'another'")
        await self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", self.user)

    async def break_midway(self) -> None:
        await self.run(f"INSERT INTO {self.table} SELECT '000.md', 'the same key again'")


BENCHES = (SqliteBench, PostgresBench)
