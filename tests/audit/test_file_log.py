"""Tests of the audit of a process: people, a full disk, and what is left of somebody who was forgotten."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.audit.chain import parse_line, read_head
from bot.audit.entries import AuditEntry, AuditFailed, AuditLog, Event
from bot.audit.file_log import open_audit_log
from bot.audit.keys import load_keys
from bot.audit.reading import EntryReader, ReadEntry, summarise_entries
from bot.audit.recorder import AuditRecorder
from bot.audit.settings import SYSLOG, AuditSettings
from bot.audit.verification import verify_audit
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import Ledger
from bot.storage.workspace_rows import WorkspaceRows
from tests.audit.disk import fill_disk
from tests.audit.writing import list_chains, make_settings
from tests.waiting import WAIT_S

ADA, BO = "T1/U0ADA00001", "T1/U0BO000002"


@pytest.fixture
def people(ledger: Ledger) -> AuditPeople:
    return AuditPeople(ledger.database, SharedChanges(ledger.database))


def make_question(person: str, text: str, *documents: str) -> AuditEntry:
    passages = [{"source": "hr", "document": one, "chunks": ["c1"]} for one in documents]
    return AuditEntry(Event.QUESTION, person, {"passages": passages}, {"text": text}, {"viewers": [ADA, BO]})


async def read_entries(settings: AuditSettings, people: AuditPeople, **chosen: str) -> list[ReadEntry]:
    return list(EntryReader(settings, await people.list_people()).read_entries(**chosen))


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the thread of the audit works by itself
            await asyncio.sleep(0.01)


async def fill_audit(log: AuditLog, size: int) -> None:
    """Make the audit larger than the database, so that only the audit meets a limit of the size of files."""
    for _ in range(size // 1_000_000 + 1):
        await log.record(AuditEntry(Event.ACTION, facts={"fill": "x" * 1_000_000}), required=True)


async def test_entries_name_people_until_they_are_forgotten(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with open_audit_log(settings, people) as log:
        await log.record(make_question(ADA, "How many days of leave?", "leave.md"))
        await log.record(make_question(BO, "多少天假？"))
    first, second = await read_entries(settings, people)
    assert (first.person, first.sealed, first.facts["viewers"]) == (ADA, {"text": "How many days of leave?"}, [ADA, BO])
    assert second.sealed == {"text": "多少天假？"}
    stored = b"".join(path.read_bytes() for path in settings.folder.iterdir())
    assert not any(one in stored for one in (b"U0ADA00001", b"U0BO000002", b"leave?"))
    assert await people.forget_person(ADA)
    assert not await people.forget_person(ADA)
    first, second = await read_entries(settings, people)
    assert first.sealed is None
    assert len(first.person) == 16
    assert first.facts["viewers"] == [first.person, BO]
    assert (second.person, second.sealed) == (BO, {"text": "多少天假？"})
    assert [one.person for one in await read_entries(settings, people, user="U0BO000002")] == [first.person, BO]
    assert verify_audit(settings).problems == []
    assert "bot_audit_people" not in await WorkspaceRows(people.database, "T1", keeps_audit=True).erase_workspace()
    assert (await WorkspaceRows(people.database, "T1").erase_workspace())["bot_audit_people"] == 1
    assert [one.sealed for one in await read_entries(settings, people)] == [None, None]


async def test_secrets_are_masked_in_what_people_wrote(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with open_audit_log(settings, people) as log:
        sealed = {
            "text": "Mail jo@example.com",
            "reason": "jo@example.com",
            "conversation": "T1-C1-1764480000.123456",
            "metadata": "jo@example.com",
            "files": ["jo@example.com.pdf"],
        }
        await log.record(AuditEntry(Event.QUESTION, ADA, sealed=sealed))
    (entry,) = await read_entries(settings, people)
    assert entry.sealed is not None
    assert "jo@" not in str(entry.sealed)
    assert entry.sealed["conversation"] == "T1-C1-1764480000.123456"


async def test_a_forgotten_person_who_comes_back_is_somebody_new(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    changes = SharedChanges(people.database)
    here = AuditPeople(people.database, changes)
    await changes.read_changes()
    async with open_audit_log(settings, here) as log:
        await log.record(make_question(ADA, "before"))
        await people.forget_person(ADA)  # by another process
        await changes.read_changes()
        await log.record(make_question(ADA, "after"))
    before, after = await read_entries(settings, people)
    assert (before.sealed, after.sealed, after.person) == (None, {"text": "after"}, ADA)


async def test_nothing_is_written_where_the_audit_is_off(people: AuditPeople, tmp_path: Path) -> None:
    async with open_audit_log(make_settings(tmp_path, enabled=False), people) as log:
        await log.record(make_question(ADA, "What?"), required=True)
    assert not (tmp_path / "audit").exists()


async def test_a_full_disk_stops_only_what_a_strict_audit_requires(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, strict=True)
    async with open_audit_log(settings, people) as log:
        await fill_audit(log, 3_000_000)
        with fill_disk(list_chains(settings)[0]):
            with pytest.raises(AuditFailed):
                await log.record(make_question(ADA, "while full"), required=True)
            await log.record(make_question(ADA, "optional"))
            await wait_until(lambda: log.lost == 2)
        await log.record(make_question(ADA, "afterwards"), required=True)
    entries = await read_entries(settings, people)
    assert [one.facts["count"] for one in entries if one.event == Event.LOST] == [2]
    assert [one.sealed for one in entries if one.event == Event.QUESTION] == [{"text": "afterwards"}]
    assert verify_audit(settings).problems == []


async def test_a_full_disk_is_only_counted_without_strict(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with open_audit_log(settings, people) as log:
        await fill_audit(log, 3_000_000)
        await wait_until(lambda: bool(list_chains(settings)) and list_chains(settings)[0].stat().st_size > 4_000_000)
        with fill_disk(list_chains(settings)[0]):
            await log.record(make_question(ADA, "while full"), required=True)
            await wait_until(lambda: log.lost == 1)
    assert verify_audit(settings).problems == []


async def test_a_database_that_is_gone_stops_only_a_strict_audit(ledger: Ledger, tmp_path: Path) -> None:
    people = AuditPeople(ledger.database, SharedChanges(ledger.database))
    settings = make_settings(tmp_path)
    async with (
        open_audit_log(settings, people) as log,
        open_audit_log(replace(settings, strict=True), people) as strict_log,
    ):
        await ledger.database.write(lambda connection: connection.exec_driver_sql("DROP TABLE bot_audit_people"))
        await log.record(make_question(ADA, "What?"), required=True)
        with pytest.raises(AuditFailed):
            await strict_log.record(make_question(BO, "What?"), required=True)
    (entry,) = EntryReader(settings, ()).read_entries()
    assert (entry.person, entry.sealed) == ("", {})


async def test_many_entries_at_once_are_all_durable(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, strict=True)
    async with open_audit_log(settings, people) as log:
        await asyncio.gather(*(log.record(make_question(ADA, str(n)), required=True) for n in range(200)))
        assert len(await read_entries(settings, people)) == 200
    assert verify_audit(settings).entries == 201


async def test_heads_go_to_syslog_and_to_another_folder(people: AuditPeople, tmp_path: Path) -> None:
    address = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(address)
        settings = replace(make_settings(tmp_path, heads=SYSLOG), syslog_socket=address)
        async with open_audit_log(settings, people) as log:
            await log.record(make_question(ADA, "What?"))
        received = [await asyncio.to_thread(syslog.recv, 4_000) for _ in range(2)]
    assert received[0].startswith(b"<86>kvasir-audit: {")
    head = read_head(received[1], load_keys(settings.key_file))
    assert head is not None
    assert (head.file, head.entries) == (list_chains(settings)[0].name, 2)
    kept = tmp_path / "kept.log"
    kept.write_bytes(b"\n".join(b"Nov 30 10:00:00 host " + one for one in received))
    chain = list_chains(settings)[0]
    chain.write_bytes(chain.read_bytes().splitlines(keepends=True)[0])
    for path in settings.folder.glob("heads-*"):
        path.unlink()
    assert verify_audit(settings).problems == []
    assert "but it was longer" in verify_audit(settings, kept).problems[0]
    elsewhere = make_settings(tmp_path / "b", heads=str(tmp_path / "evidence"))
    async with open_audit_log(elsewhere, people) as log:
        await log.record(make_question(ADA, "What?"))
    assert len(list((tmp_path / "evidence").iterdir())) == 1
    assert len(list(elsewhere.folder.iterdir())) == 1


async def test_the_summary_names_who_reads_far_more_than_others(people: AuditPeople, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    async with open_audit_log(settings, people) as log:
        for number in range(5):
            await log.record(make_question(f"T1/U0000000{number}", "What?", "a.md", "b.md"))
        for number in range(40):
            await log.record(make_question(ADA, "What?", f"{number}.md"))
        await log.record(AuditEntry(Event.REFUSAL, BO))
    summary = summarise_entries(await read_entries(settings, people))
    assert summary.events == {"question": 45, "refusal": 1}
    assert (summary.sources, summary.refusals, summary.unusual) == ({"hr": 45}, {BO: 1}, {ADA: 40})
    assert summary.usual == 2


def test_an_entry_is_one_line_of_json(tmp_path: Path) -> None:
    """Whatever people write: line ends, halves of surrogate pairs and NUL."""
    settings = make_settings(tmp_path)
    recorder = AuditRecorder(settings)
    strange = "a\nb\u2028c\x00\ud83d"
    recorder.write([{"event": "action", "text": strange}])
    recorder.close()
    lines = list_chains(settings)[0].read_bytes().splitlines()
    assert json.loads(lines[1])["text"] == strange
    assert parse_line(lines[1])["event"] == "action"
    assert verify_audit(settings).problems == []
