"""The SQL source on a real PostgreSQL and on SQLite: rows, keys and servers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import EVERYONE, RightsSource, Source
from knowledge.interfaces.audiences import holds_reader
from knowledge.sources.sql.rows import SqlOptions, format_value
from knowledge.sources.sql.statement import check_statement
from tests import mariadb
from tests.growth import takes_linear_time
from tests.sources.building import build
from tests.sources.contract import listing, opened
from tests.sources.sql.bench_sql import PostgresBench


def sqlite(folder: Path, *statements: str, **options: object) -> Source:
    with contextlib.closing(sqlite3.connect(folder / "x.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    settings = {"url_env": "URL", "key": "id"} | options
    return build("sql", folder, secrets={"url": "sqlite:///x.db"}, **settings)


async def texts(source: Source) -> dict[str, str]:
    found = {name: (await source.read(one)).data.decode() for name, one in (await listing(source)).items()}
    await source.close()
    return found


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_row_as_a_document(tmp_path: Path) -> None:
    made = (
        "CREATE TABLE p (id INTEGER, name TEXT, notes TEXT, at TEXT, people TEXT)",
        "INSERT INTO p VALUES (7, 'Ann', NULL, '2026-02-03 04:05:06', 'U1, U2'), (8, 'Bo', 'x', NULL, NULL)",
    )
    source = sqlite(
        tmp_path, *made, table="p", title="Record of {name}", text="{name}\n{notes}!", updated_at="at",
        link="https://example.com/{key}?n={name}", readers_column="people", format="markdown",
    )  # fmt: skip
    listed = await listing(source)
    assert listed["7"].url == "https://example.com/7?n=Ann"
    assert listed["7"].readers == {"U1", "U2"}
    assert listed["8"].readers == frozenset()
    assert str(listed["7"].modified_at) == "2026-02-03 04:05:06+00:00"
    assert listed["8"].modified_at is None
    content = await source.read(listed["7"])
    assert (content.data, content.title, content.media_type) == (b"Ann\n!", "Record of Ann", "text/markdown")
    assert (await source.read(listed["8"])).version == listed["8"].version
    await source.close()


async def test_without_a_text_each_column_is_a_line(tmp_path: Path) -> None:
    source = sqlite(
        tmp_path, "CREATE TABLE p (id TEXT, name TEXT, age INTEGER, none TEXT, raw BLOB)",
        "INSERT INTO p VALUES ('a/b', 'Ann', 5, NULL, x'ff00')", table="p",
    )  # fmt: skip
    assert await texts(source) == {"a/b": "name: Ann\nage: 5"}


async def test_configured_readers_are_never_widened(tmp_path: Path) -> None:
    made = ("CREATE TABLE p (id, who)", """INSERT INTO p VALUES (1, '["U1","U9"]'), (2, '*'), (3, '')""")
    sqlite(tmp_path, *made, table="p")
    source = build(
        "sql", tmp_path, secrets={"url": "sqlite:///x.db"}, readers=frozenset({"U1", "U2"}),
        url_env="URL", key="id", table="p", readers_column="who",
    )  # fmt: skip
    listed = await listing(source)
    people = ("U1", "U2", "U9")
    allowed = {
        key: {one for one in people if holds_reader(frozenset({one}), row.readers)} for key, row in listed.items()
    }
    assert allowed == {"1": {"U1"}, "2": {"U1", "U2"}, "3": set()}
    await source.close()


async def test_keys_of_several_kinds_in_one_column(tmp_path: Path) -> None:
    made = (
        "CREATE TABLE p (id, t)",
        "INSERT INTO p VALUES (7, 'int'), ('08', 'text'), (1.5, 'real'), ('x y/z', 'odd')",
    )
    source = sqlite(tmp_path, *made, table="p", text="t")
    assert await texts(source) == {"7": "int", "08": "text", "1.5": "real", "x y/z": "odd"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("(1, 'a'), (2, 'b'), (1, 'c')", "Two rows have the key 1"),
        ("(1, 'a'), ('1', 'b')", "Two rows have the key 1"),
        ("(1, 'a'), (NULL, 'b')", "no key in the column id"),
        ("(1, 'a'), ('', 'b')", "no key in the column id"),
        ("(1, 'a'), ('x' || char(10), 'b')", "no key in the column id"),
    ],
)
async def test_invalid_keys_are_refused(rows: str, says: str, tmp_path: Path) -> None:
    source = sqlite(tmp_path, "CREATE TABLE p (id, t)", f"INSERT INTO p VALUES {rows}", table="p", text="t")
    with pytest.raises(SourceError, match=says):
        await listing(source)
    await source.close()


async def test_a_key_that_is_no_longer_unique_is_reported(tmp_path: Path) -> None:
    source = sqlite(tmp_path, "CREATE TABLE p (id, t)", "INSERT INTO p VALUES (1, 'a')", table="p", text="t")
    listed = (await listing(source))["1"]
    sqlite(tmp_path, "INSERT INTO p VALUES (1, 'b')", table="p")
    with pytest.raises(SourceError, match="Two rows have the key 1"):
        await source.read(listed)
    await source.close()


async def test_a_table_that_changes_after_it_was_listed(tmp_path: Path) -> None:
    source = sqlite(tmp_path, "CREATE TABLE p (id, t)", "INSERT INTO p VALUES (1, 'a')", table="p", text="t")
    listed = (await listing(source))["1"]
    sqlite(tmp_path, "ALTER TABLE p RENAME COLUMN t TO u", table="p")
    with pytest.raises(SourceError, match="no column t"):
        await source.read(listed)
    await source.close()


async def test_a_missing_column_is_named(tmp_path: Path) -> None:
    source = sqlite(tmp_path, "CREATE TABLE p (id, name)", table="p", text="{name} {nmae}", updated_at="at")
    with pytest.raises(SourceError, match=r"no column at, nmae\. Its columns are: id, name"):
        await listing(source)
    await source.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("x", "x"),
        (True, "true"),
        (b"\xff", ""),
        ("二".encode(), "二"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
    ],
)
def test_values_are_written_for_people(value: object, text: str) -> None:
    assert format_value(value) == text


@given(st.text(), st.text())
def test_a_version_without_updated_at_is_a_hash_of_the_text(one: str, other: str) -> None:
    form = SqlOptions("", "id", text="t")
    assert (form.make_version({"id": 1, "t": one}) == form.make_version({"id": 2, "t": other})) == (one == other)


# ── Reading only ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1", " select a from b; ", "(SELECT 1) UNION (SELECT 2)", "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT ';delete' AS \"update\" FROM t -- ; drop\n", "SELECT updated_at, deleted FROM t", "VALUES (1)",
        "SELECT $$;$$, `insert` FROM t /* ; */ WHERE a = 'it''s; into'",
    ],
)  # fmt: skip
def test_reading_statements_are_accepted(query: str) -> None:
    assert check_statement(query, None)


@pytest.mark.parametrize(
    "query",
    [
        "", "DELETE FROM t", "SELECT 1; DELETE FROM t", "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "SELECT * INTO b FROM a", "SELECT 1 FOR UPDATE", "INSERT INTO t VALUES (1)", "/* SELECT */ DROP TABLE t",
        "EXPLAIN ANALYZE DELETE FROM t", "COPY t TO '/tmp/x'", "PRAGMA journal_mode", "ATTACH 'x' AS y", "SET ROLE x",
        "SELECT 'a'; SELECT 'b'", "-- SELECT\nUPDATE t SET a = 1",
    ],
)  # fmt: skip
def test_writing_statements_are_refused(query: str) -> None:
    with pytest.raises(ValueError, match="query"):
        check_statement(query, None)


@pytest.mark.parametrize(
    "make_hostile",
    [
        lambda size: "/* " * size,
        lambda size: "".join(f" ${n}$" for n in range(size)),
        lambda size: "'" * (2 * size + 1),
        lambda size: "a$b" * size,
    ],
)
def test_a_statement_with_unclosed_quotes_is_read_in_linear_time(make_hostile: Callable[[int], str]) -> None:
    def check(size: int) -> None:
        with pytest.raises(ValueError, match="INTO"):
            check_statement(f"SELECT 1 INTO b {make_hostile(size)}", None)

    assert takes_linear_time(check, 40_000)


@pytest.mark.parametrize("opening", ["/*", " $$", " $a$", "'", "a$b$"])
def test_text_after_an_unclosed_quote_is_checked_too(opening: str) -> None:
    with pytest.raises(ValueError, match="one statement"):
        check_statement(f"SELECT 1 {opening}; DELETE FROM t", None)


@pytest.mark.parametrize(
    "query", ["SELECT a$b$c, delete a$b$d", "SELECT a$$$, delete b$$$", "SELECT a$$$ --$$\n, delete"]
)
def test_a_dollar_inside_a_name_quotes_nothing(query: str) -> None:
    with pytest.raises(ValueError, match="DELETE"):
        check_statement(query, None)


async def test_sqlite_writes_nothing_even_when_asked(tmp_path: Path) -> None:
    """Behind the look at the statement: the file is opened for reading, and the connection refuses as well."""
    source = sqlite(tmp_path, "CREATE TABLE p (id, t)", "INSERT INTO p VALUES (1, 'a')", table="p")
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(SourceError, match="only read"):
        async for _ in source._database.fetch_batches("INSERT INTO p VALUES (2, 'b')"):  # type: ignore[attr-defined]
            pass
    assert (tmp_path / "x.db").read_bytes() == before
    await source.close()


async def test_sqlite_creates_no_file_and_attaches_no_other(tmp_path: Path) -> None:
    source = build("sql", tmp_path, secrets={"url": "sqlite:///none.db"}, url_env="U", key="id", table="t")
    with pytest.raises(SourceUnavailable, match="no database"):
        await listing(source)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "none.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(SourceUnavailable, match="not a SQLite database"):
        await listing(source)
    await source.close()


async def test_a_statement_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT count(*) AS id FROM n"
    source = sqlite(tmp_path, "CREATE TABLE p (id)", query=endless, timeout_s=0.2)
    with pytest.raises(SourceUnavailable, match="timeout_s"):
        await listing(source)
    await source.close()


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("sqlite:///x.db", {}, "query or a table"),
        ("sqlite:///x.db", {"query": "SELECT 1", "table": "t"}, "query or a table"),
        ("sqlite:///x.db", {"table": "t; DROP TABLE t"}, "plain name"),
        ("sqlite://", {"table": "t"}, "name a file"),
        ("hush://", {"table": "t"}, "not an address"),
        ("postgresql://u:hush@host:port/x", {"table": "t"}, "not an address"),
        ("mysql+aiomysql://u:hush@h/x", {"table": "t"}, "aiomysql"),
        ("sqlite:///x.db", {"table": "t", "format": "pdf"}, "format"),
        ("sqlite:///x.db", {"table": "t", "timeout_s": 0}, "timeout_s"),
        ("sqlite:///x.db", {"query": "DELETE FROM t"}, "query must be a SELECT"),
    ],
)
def test_an_invalid_value_is_refused(url: str, options: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(SourceMisconfigured) as caught:
        build("sql", tmp_path, secrets={"url": url}, url_env="URL", key="id", **options)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[PostgresBench]:
    bench = PostgresBench(tmp_path)
    async with opened(bench):
        yield bench


def on(bench: PostgresBench, **options: object) -> Source:
    return build("sql", bench.folder, secrets=dict(bench.secrets), **({"url_env": "URL"} | options))


TYPES = """
    SELECT id, d, b, j, at, day, u, a, s FROM (VALUES (
        'k'::char(3), 1.50::numeric(10,2), true, '{"x": [1, "二"]}'::jsonb, '2026-01-02 03:04:05+02'::timestamptz,
        '2026-01-02'::date, 'c5f6f2f0-3b0e-4ba5-9f6a-111111111111'::uuid, ARRAY['a', 'b'], '10.0.0.1'::inet)
    ) AS v(id, d, b, j, at, day, u, a, s)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "driver", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg_async"]
)
@pytest.mark.parametrize("key", ["id", "d", "at", "day", "u", "s"])
async def test_types_of_postgresql(postgres: PostgresBench, driver: str, key: str) -> None:
    """A row is found again by its listed id, whatever the driver and the key's type."""
    text = "{d}|{b}|{j}|{day}|{u}|{a}|{s}"
    url = postgres.secrets["url"].replace("postgresql", driver)
    source = build("sql", postgres.folder, secrets={"url": url}, url_env="U", query=TYPES, key=key, text=text)
    (found,) = (await texts(source)).values()
    assert found.startswith(
        '1.50|true|{"x": [1, "二"]}|2026-01-02|c5f6f2f0-3b0e-4ba5-9f6a-111111111111|["a", "b"]|10.0.0.1'
    )
    [document] = await texts(source)
    fresh = build("sql", postgres.folder, secrets={"url": url}, url_env="U", query=TYPES, key=key, text=text)
    assert isinstance(fresh, RightsSource)
    if key == "s":  # a type that is not known from a first row alone
        with pytest.raises(SourceError, match="Sync it"):
            await fresh.read_rights([document])
    else:
        assert await fresh.read_rights([document]) == {document: EVERYONE}
    await fresh.close()


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
async def test_postgresql_writes_nothing_even_when_asked(postgres: PostgresBench, driver: str) -> None:
    url = postgres.secrets["url"].replace("postgresql", driver)
    source = build("sql", postgres.folder, secrets={"url": url}, url_env="U", table=postgres.table, key="name")
    for statement in (
        f"INSERT INTO {postgres.table} VALUES ('x')",
        "SELECT set_config('transaction_read_only', 'off', true)",
    ):
        with pytest.raises(SourceError):
            async for _ in source._database.fetch_batches(statement):  # type: ignore[attr-defined]
                pass
    assert await listing(source) == {}
    await source.close()


@pytest.mark.slow
async def test_a_function_that_writes_is_refused(postgres: PostgresBench) -> None:
    await postgres.run(
        f"CREATE FUNCTION {postgres.table}_f() RETURNS int LANGUAGE sql AS "
        f"$$ INSERT INTO {postgres.table} VALUES ('x', 'y') RETURNING 1 $$"
    )
    source = on(postgres, query=f"SELECT {postgres.table}_f() AS id", key="id")
    with pytest.raises(SourceError, match="only read"):
        await listing(source)
    await source.close()
    await postgres.run(f"DROP FUNCTION {postgres.table}_f")


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
async def test_a_slow_statement_is_cut_by_the_server(postgres: PostgresBench, driver: str) -> None:
    url = postgres.secrets["url"].replace("postgresql", driver)
    source = build(
        "sql", postgres.folder, secrets={"url": url}, url_env="U", query="SELECT 1 AS id FROM pg_sleep(60)", key="id",
        timeout_s=0.3,
    )  # fmt: skip
    with pytest.raises(SourceUnavailable, match="timeout_s"):
        await listing(source)
    await source.close()
    assert await busy(postgres) == 0


@pytest.mark.slow
async def test_a_listing_fails_in_the_middle(postgres: PostgresBench) -> None:
    query = "SELECT n AS id, 1 / (2500 - n) AS t FROM generate_series(1, 3000) AS n"
    source = on(postgres, query=query, key="id")
    batches = aiter(source.list())
    assert [len(await anext(batches)) for _ in range(3)] == [0, 1000, 1000]
    with pytest.raises(SourceError):
        await anext(batches)
    await source.close()


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
async def test_many_rows_come_in_batches(postgres: PostgresBench, driver: str) -> None:
    url = postgres.secrets["url"].replace("postgresql", driver)
    query = "SELECT n AS id, repeat('x', 1000) AS t FROM generate_series(1, 20000) AS n"
    source = build("sql", postgres.folder, secrets={"url": url}, url_env="U", query=query, key="id")
    sizes = [len(batch) async for batch in source.list()]
    assert sum(sizes) == 20_000
    assert max(sizes) <= 1000
    batches = aiter(source.list())
    await anext(batches)
    await batches.aclose()  # type: ignore[attr-defined]
    await source.close()
    assert await busy(postgres) == 0


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg"])
async def test_a_refusal_of_the_server_is_reported_without_the_password(postgres: PostgresBench, driver: str) -> None:
    right = postgres.secrets["url"].replace("postgresql", driver)
    host = right.partition("@")[2]
    cases: list[tuple[str, dict[str, object], type[SourceError], str]] = [
        (
            right.replace("hush", "husher"),
            {"table": postgres.table},
            SourceUnavailable if "psycopg" in driver else SourceDenied,
            "",
        ),
        (right.replace("/kvasir", "/nowhere"), {"table": postgres.table}, SourceUnavailable, ""),
        (right.replace(host, "127.0.0.1:9/kvasir"), {"table": postgres.table}, SourceUnavailable, "cannot be read"),
        (right, {"table": "no_such_table"}, SourceError, "no_such_table"),
        (right, {"query": "SELECT FROM WHERE"}, SourceError, "syntax"),
        (right, {"table": "pg_authid"}, SourceDenied, "GRANT SELECT"),
    ]
    for url, options, kind, says in cases:
        source = build("sql", postgres.folder, secrets={"url": url}, url_env="U", key="name", **options)
        with pytest.raises(kind) as caught:
            await listing(source)
        assert says in str(caught.value)
        assert "hush" not in str(caught.value)
        assert str(caught.value).endswith(".")
        await source.close()


async def busy(bench: PostgresBench) -> int:
    """Count the connections of the source's user that are left."""
    for _ in range(100):
        count = await bench.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND pg_sleep(0.02) IS NOT NULL", bench.user
        )
        if not count:
            break
    return int(count)


# ── MariaDB ──────────────────────────────────────────────────────────────────────────────────────────────────────────

CLINIC = (
    "CREATE DATABASE clinic CHARACTER SET utf8mb4",
    "CREATE TABLE clinic.records (id INT PRIMARY KEY, body TEXT, at DATETIME)",
    "INSERT INTO clinic.records VALUES (1, 'Ann 文档', '2026-01-02 03:04:05'), (2, 'Bo', NULL)",
    """CREATE FUNCTION clinic.written() RETURNS INT MODIFIES SQL DATA
    BEGIN INSERT INTO clinic.records VALUES (9, 'x', NULL); RETURN 1; END""",
    "CREATE USER reader@'%' IDENTIFIED BY 'hush'",
    "GRANT SELECT, INSERT, EXECUTE ON clinic.* TO reader@'%'",
)


@pytest.fixture(scope="module")
def clinic() -> Iterator[tuple[int, Any]]:
    """Yield a MariaDB's port, and a function that runs statements there."""
    if not mariadb.installed():
        pytest.skip("No MariaDB is installed. On Debian: apt-get install mariadb-server-core mariadb-client-core.")
    with mariadb.mariadb_server() as port, pymysql.connect(port=port, user="root", host="127.0.0.1") as connection:
        connection.autocommit(True)
        cursor = connection.cursor()
        for statement in CLINIC:
            cursor.execute(statement)
        yield port, cursor


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mysql+pymysql", "mariadb+pymysql"])
async def test_mariadb_by_either_name(clinic: tuple[int, Any], tmp_path: Path, scheme: str) -> None:
    """The source only reads it. Errors name their kind, without password or user."""
    port, cursor = clinic

    def source(user: str = "reader:hush", database: str = "clinic", **options: object) -> Source:
        url = f"{scheme}://{user}@127.0.0.1:{port}/{database}"
        settings = {"url_env": "U", "key": "id", "text": "{body}", **options}
        return build("sql", tmp_path, secrets={"url": url}, **settings)

    made = source(table="records", updated_at="at")
    found = await listing(made)
    assert {one: str(listed.modified_at) for one, listed in found.items()} == {
        "1": "2026-01-02 03:04:05+00:00", "2": "None",
    }  # fmt: skip
    assert (await made.read(found["1"])).data.decode() == "Ann 文档"
    cursor.execute("UPDATE clinic.records SET at = '2026-01-03 00:00:00' WHERE id = 1")
    again = await listing(made)
    assert (again["1"].version != found["1"].version, again["2"].version) == (True, found["2"].version)
    cursor.execute("UPDATE clinic.records SET at = '2026-01-02 03:04:05' WHERE id = 1")
    await made.close()
    for wrong, kind, words in (
        (source("reader:other", table="records"), SourceDenied, "refuses these credentials"),
        (source(database="nowhere", table="records"), SourceDenied, "refuses these credentials"),
        (source("root:", database="nowhere", table="records"), SourceUnavailable, "There is no database"),
        (source(table="nowhere"), SourceError, "does not accept the query"),
        (source(query="SELECT id, body, clinic.written() FROM records"), SourceError, "may only read"),
        (source(query="SELECT id, body, sleep(5) FROM records", timeout_s=1.0), SourceUnavailable, "within 1 s"),
    ):
        with pytest.raises(kind, match=words) as caught:
            await listing(wrong)
        await wrong.close()
        assert "hush" not in str(caught.value)
        assert "reader" not in str(caught.value)
    cursor.execute("SELECT count(*) FROM clinic.records")
    assert cursor.fetchone() == (2,), "nothing was written"
