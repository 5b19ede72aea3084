"""Tests of ``kvasir audit``: what the commands leave in it, and what its own actions print."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bot.audit.entries import AuditEntry, Event
from bot.audit.file_log import open_audit_log
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from tests.audit.writing import list_chains, make_settings
from tests.cli.test_commands import make_place
from tests.e2e.conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(720)]

ADA = "T1/U0ADA00001"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


async def export(place: Place, *arguments: str) -> list[dict[str, Any]]:
    status, out, err = await place.command("audit", "export", "--json", *arguments)
    assert status == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def record_question(place: Place, text: str) -> None:
    """Record a question as the bot does."""
    async with open_ledger(f"sqlite:///{place.home / 'kvasir.db'}") as ledger:
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        async with open_audit_log(make_settings(place.home), people) as log:
            passages = [{"source": "hr", "document": "leave.md", "chunks": ["c1"]}]
            await log.record(AuditEntry(Event.QUESTION, ADA, {"passages": passages}, {"text": text}))


async def test_commands_are_recorded_with_their_account_and_no_question(place: Place) -> None:
    await place.json("sync")
    await place.json("search", "how many days of quetzal?")
    await place.command("status")
    entries = await export(place)
    assert [one["event"] for one in entries] == ["command", "sync", "command", "command", "export"]
    sync, synced, search, _, _ = (one["facts"] for one in entries)
    assert (sync["command"], search["command"], search["others"]) == ("sync", "search", ["json", "limit", "query"])
    assert sync["configuration"] == hashlib.sha256((place.folder / "kvasir.toml").read_bytes()).hexdigest()
    assert sync["account"]
    assert (synced["source"], synced["added"], synced["readers_changed"]) == ("hr", 3, 0)
    assert "quetzal" not in json.dumps(entries)
    assert len(list_chains(make_settings(place.home))) == 1
    assert await place.json("audit", "verify") == {
        "ok": True,
        "entries": 7,
        "files": {list_chains(make_settings(place.home))[0].name: 7},
        "problems": [],
        "remarks": [],
    }


async def test_changed_readers_are_named(place: Place) -> None:
    await place.json("sync")
    with (place.folder / "kvasir.toml").open("a", encoding="utf-8") as file:
        file.write('readers = ["U0ADA00001"]\n')
    await place.json("sync")
    synced = [one["facts"] for one in await export(place) if one["event"] == "sync"][-1]
    assert (synced["readers_changed"], set(synced["documents"])) == (3, {"leave.md", "pay.md", "报销.md"})


async def test_a_change_is_found_and_the_exit_status_says_so(place: Place) -> None:
    await place.json("search", "how many days?")
    chain = list_chains(make_settings(place.home))[0]
    chain.write_bytes(chain.read_bytes().replace(b'"search"', b'"serach"'))
    status, out, err = await place.command("audit", "verify")
    assert (status, "entries in 2 file(s)" in out) == (1, True)
    assert f"{chain.name}: entry 2 is not the one that was written. Intact entries before it: 1." in err


async def test_entries_are_exported_for_one_person(place: Place) -> None:
    await place.json("status")
    await record_question(place, "=HYPERLINK(\x1b[31m)")
    await record_question(place, "有多少天假？")
    (first, second, _) = await export(place, "--person", "U0ADA00001")
    assert (first["person"], first["sealed"]["text"], second["sealed"]["text"]) == (
        ADA, "=HYPERLINK()", "有多少天假？",
    )  # fmt: skip
    assert await export(place, "--since", "2999-01-01") == []
    report = await place.json("audit", "report")
    assert (report["people"], report["sources"]) == ({ADA: 2}, {"hr": 2})
    assert report["events"]["export"] == 3
    _, out, _ = await place.command("audit", "report")
    assert f"         2  {ADA}" in out


async def test_a_new_key_is_used_by_the_next_command(place: Place) -> None:
    await place.json("search", "how many days?")
    key = (await place.json("audit", "rotate"))["key"]
    assert [line.split()[0] for line in (place.home / "audit.key").read_text().splitlines()][-1] == key
    await place.json("search", "how many days?")
    assert (await place.json("audit", "verify"))["problems"] == []


async def test_an_audit_that_cannot_be_written_stops_no_command(place: Place) -> None:
    place.home.mkdir()
    (place.home / "audit").write_text("a file in the place of the folder")
    status, out, err = await place.fork_command("sync", "--json")
    assert (status, json.loads(out)["ok"]) == (0, True)
    assert "audit not written" in err
