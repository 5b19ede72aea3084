"""``kvasir migrate`` as an operator calls it, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.storage.tables import MIGRATIONS
from knowledge.database.database import Database
from knowledge.sync.manifest.tables import MIGRATIONS as MANIFEST
from tests.database.scripts import EMPTY_POSTGRESQL, run_script
from tests.e2e.conftest import Place

OLD = Path(__file__).parents[1] / "storage"
MANIFEST_REVISIONS = [f"{number:04}" for number in range(1, int(MANIFEST.newest) + 1)]
BOT_REVISIONS = [f"{number:04}" for number in range(1, int(MIGRATIONS.newest) + 1)]

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
async def old(request: pytest.FixtureRequest, place: Place) -> str:
    """Return the URL of a database that a Kvasir without revisions of the bot's tables made."""
    script = (OLD / f"bot_0.{request.param}.sql").read_text(encoding="utf-8")
    if request.param == "sqlite":
        place.home.mkdir()
        url = f"sqlite:///{place.home / 'kvasir.db'}"
    else:
        url = request.getfixturevalue("postgres")
        script = f"{EMPTY_POSTGRESQL};\n{script}"
    await run_script(url, script)
    return url


async def test_due_revisions_are_shown_and_applied(place: Place, old: str) -> None:
    status, out, _ = await place.command("migrate", "--check", KVASIR_DATABASE_URL=old)
    assert status == 1
    parts = ["manifest:"] * len(MANIFEST_REVISIONS) + ["bot:"] * len(BOT_REVISIONS)
    assert [line.partition(" ")[0] for line in out.splitlines()] == [*parts, "Run"]
    assert "bot: due: 0001 The first tables: questions, threads" in out
    status, out, _ = await place.command("migrate", "--apply", KVASIR_DATABASE_URL=old)
    assert status == 0
    assert "bot: applied: 0001 The first tables: questions, threads" in out
    status, out, _ = await place.command("migrate", "--check", KVASIR_DATABASE_URL=old)
    newest = f"manifest: current, revision {MANIFEST_REVISIONS[-1]}\nbot: current, revision {BOT_REVISIONS[-1]}\n"
    assert (status, out) == (0, newest)
    database = Database(old)
    rows = await database.read(lambda connection: connection.exec_driver_sql("SELECT ts FROM bot_turns").all())
    await database.close()
    assert [ts for (ts,) in rows] == ["100.1", "90.1"]


async def test_only_one_of_two_processes_migrates(place: Place, old: str) -> None:
    both = await asyncio.gather(
        *(place.fork_command("migrate", "--apply", "--json", KVASIR_DATABASE_URL=old) for _ in range(2))
    )
    assert [status for status, _, _ in both] == [0, 0]
    applied = [json.loads(out)["applied"] for _, out, _ in both]
    for name, revisions in (("manifest", MANIFEST_REVISIONS), ("bot", BOT_REVISIONS)):
        steps = [[step["id"] for step in one[name]] for one in applied]
        assert sorted(steps) == [[], revisions]


async def test_check_creates_no_file(place: Place) -> None:
    status, out, _ = await place.command("migrate", "--check", "--json")
    assert status == 1
    assert json.loads(out)["ok"] is False
    assert not place.home.exists()


async def test_failures_have_their_own_exit_status(place: Place) -> None:
    status, _, err = await place.command("migrate")
    assert status == 2
    status, _, err = await place.command("migrate", "--check", "--config", "none.toml")
    assert (status, "does not exist" in err) == (2, True)
    nowhere = "postgresql://kvasir:hunter2@127.0.0.1:9/kvasir"
    for way in ("--check", "--apply"):
        status, _, err = await place.command("migrate", way, KVASIR_DATABASE_URL=nowhere)
        assert status == 3
        assert "Check that it runs" in err
        assert "hunter2" not in err
    assert (await place.command("migrate", "--apply"))[0] == 0
    await run_script(
        f"sqlite:///{place.home / 'kvasir.db'}",
        "UPDATE bot_revision SET version_num = '0099', compatible_since = '0099'",
    )
    for way in ("--check", "--apply"):
        status, _, err = await place.command("migrate", way)
        assert status == 3
        assert "A newer Kvasir wrote this database" in err


async def test_migrations_do_not_use_the_connection_pooler(place: Place, empty_postgres: str) -> None:
    """Here nothing listens at the pooler's address."""
    pooler = "postgresql://kvasir:hunter2@127.0.0.1:9/kvasir?pgbouncer=transaction"
    urls = {"KVASIR_DATABASE_URL": pooler, "KVASIR_DATABASE_DIRECT_URL": empty_postgres}
    assert (await place.command("migrate", "--check", **urls))[0] == 1
    assert (await place.command("migrate", "--apply", **urls))[0] == 0
    status, out, _ = await place.command("migrate", "--check", **urls)
    assert status == 0
    assert "bot: current" in out
