"""Tests that a person is erased from every table and every file of the database, and nobody else is."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bot.storage.columns import StorableText
from bot.storage.personal_data import PERSON_COLUMNS, PersonalData
from bot.storage.tables import changes, feedback, insert_into, tables, turns
from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from bot.storage.workspace_rows import WorkspaceRows

HERS, HIS = "U1", "U12"
"""The id of one begins with that of the other."""
PLANTED = "planted-7f3a"
NO_PERSON = {
    "account", "answer", "answering", "channel", "comment", "enterprise", "error", "event_ts", "hash", "hits", "id",
    "outcome", "kind", "language", "length", "model", "name", "owner_name", "passages", "phrasings", "problem",
    "profile", "question", "reason", "reasons", "replies", "root", "route", "scopes", "sealed_tokens", "shared_ts",
    "source", "sources", "state", "target", "target_name", "team", "text", "thread_ts", "think", "tone", "ts",
    "unasked_at", "version", "vote", "web", "what", "workspace", "edited_ts", "pseudonym", "key", "named_by",
}  # fmt: skip
"""Names of columns of text that hold no id of a person. Declare others in ``PERSON_COLUMNS``."""
OTHER_MEANINGS = frozenset(
    {
        "bot_turns.subject",
        "bot_turns.owner",
        "bot_refresh_messages.owner",
        "bot_engine_places.owner",
        "bot_engine_places.engine",
        "bot_audit_people.person",
    }
)
"""The message that a question is about, processes, engines, and what ``erase_audit_names`` erases."""


def test_every_column_that_may_hold_a_person_is_declared() -> None:
    declared = {str(one.column) for one in PERSON_COLUMNS}
    found = {
        str(column)
        for table in tables.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.String | StorableText) and column.name not in NO_PERSON
    }
    assert found - OTHER_MEANINGS == declared, "declare the new column in bot/storage/personal_data.py"


def make_row(table: sa.Table, number: int, person: str, rng: random.Random) -> dict[str, Any]:
    """Return a row about a person; what is to be erased of her has ``PLANTED``."""
    row: dict[str, Any] = {}
    columns = {one.column.name: one for one in PERSON_COLUMNS if one.column.table is table}
    for column in table.columns:
        if column.autoincrement is True:
            continue
        if column.name in columns:
            row[column.name] = f"T1 x:{person} {number}" if columns[column.name].is_list else person
        elif isinstance(column.type, StorableText) and getattr(column.type.impl, "length", None) is None:
            is_erased = person == HERS and any(not one.clears or column.name in one.clears for one in columns.values())
            row[column.name] = f"{PLANTED if is_erased else 'other'} {rng.randbytes(rng.randrange(3000)).hex()}"
        elif isinstance(column.type, sa.String | StorableText):
            row[column.name] = f"{person}.{number}" if column.name not in {"team", "state"} else "T1"
        else:
            row[column.name] = column.type.python_type(number)
    if table is turns:
        row["state"] = rng.choice([*TurnState])
        row["replies"] = "[]"
    return row


async def fill_tables(ledger: Ledger) -> None:
    rng = random.Random(7)

    def insert(connection: sa.Connection) -> None:
        for table in dict.fromkeys(one.column.table for one in PERSON_COLUMNS):
            statement = insert_into(table, connection.dialect.name).on_conflict_do_nothing()
            for number in range(40):
                for person in (HERS, HIS):
                    connection.execute(statement, make_row(table, number, person, rng))

    await ledger.database.write(insert)


async def count_rows(ledger: Ledger, person: str) -> int:
    found = 0
    for one in PERSON_COLUMNS:
        found += len(await ledger.database.fetch_rows(sa.select(one.column).where(one.is_person(person))))
    return found


def count_planted(folder: Path) -> int:
    return sum(path.read_bytes().count(PLANTED.encode()) for path in folder.rglob("*") if path.is_file())


async def test_a_person_is_erased_from_rows_and_files_while_another_process_is_connected(
    ledger: Ledger, tmp_path: Path
) -> None:
    await fill_tables(ledger)
    his, hers = await count_rows(ledger, HIS), await count_rows(ledger, HERS)
    is_file = "sqlite" in str(ledger.database._url)
    assert hers > 100
    assert count_planted(tmp_path) > 100 or not is_file

    async with open_ledger(ledger.database._url.render_as_string(hide_password=False)) as command:
        data = PersonalData(command.database, HERS)
        counts = await data.erase_rows(is_trial=True)
        assert (await count_rows(ledger, HERS), await count_rows(ledger, HIS)) == (hers, his), "a trial changes nothing"
        exported = await data.export_rows()
        assert sum(map(len, exported.values())) == hers
        assert "sealed_tokens" not in str(exported)
        assert await data.erase_rows() == counts
        assert await command.database.scrub_files(20.0, compact=True)
    assert (await count_rows(ledger, HERS), await count_rows(ledger, HIS)) == (0, his)
    assert count_planted(tmp_path) == 0
    rows = await ledger.database.fetch_rows(sa.select(turns.c.text, turns.c.state).where(turns.c.user == ""))
    assert {(row.text, row.state in {"received", "answering"}) for row in rows} == {("", False)}
    kinds = {row.kind for row in await ledger.database.fetch_rows(sa.select(changes.c.kind))}
    assert kinds >= {"preference", "directory", "verified", "channel", "question"}


async def test_votes_of_others_on_her_answers_go_too(ledger: Ledger) -> None:
    key = QuestionKey("T1", "C1", "1.0")
    await ledger.claim_question(QuestionMessage(key, "1.0", HERS, "How?"), begun=True)
    row = {"team": "T1", "channel": "C1", "ts": "1.0", "user": HIS, "vote": "bad", "reasons": "", "comment": PLANTED}
    insert = sa.insert(feedback).values(**row, answered_at=0.0, voted_at=0.0)
    await ledger.database.write(lambda connection: connection.execute(insert))
    assert (await PersonalData(ledger.database, HERS).erase_rows())["bot_feedback"] == 1
    turn = await ledger.find_turn(key)
    assert turn is not None
    assert (turn.state, turn.message.text, turn.message.user) == (TurnState.SUPERSEDED, "", "")


async def test_the_trial_of_a_workspace_changes_nothing(ledger: Ledger) -> None:
    await fill_tables(ledger)
    rows = WorkspaceRows(ledger.database, "T1")
    counts = await rows.erase_workspace(is_trial=True)
    assert await count_rows(ledger, HERS)
    assert await rows.erase_workspace() == counts
    remaining = {"bot_changes"}
    for table in tables.sorted_tables:
        assert table.name in remaining or not await ledger.database.fetch_rows(sa.select(table)), table.name


async def test_an_export_names_canvases_and_shares_of_her_answers_alone(ledger: Ledger) -> None:
    names = ["bot_answer_documents", "bot_answer_shares"]

    def insert(connection: sa.Connection) -> None:
        for name in names:
            for number, person in enumerate((HERS, HIS)):
                row = make_row(tables.tables[name], number, person, random.Random(7)) | {"ts": f"{number}.0"}
                connection.execute(sa.insert(tables.tables[name]), row | {"team": "T1", "channel": "C1"})

    for number, person in enumerate((HERS, HIS)):
        key = QuestionKey("T1", "C1", f"{number}.0")
        await ledger.claim_question(QuestionMessage(key, key.ts, person, "How?"), begun=True)
    await ledger.database.write(insert)
    exported = await PersonalData(ledger.database, HERS).export_rows()
    assert [[row["ts"] for row in exported[name]] for name in names] == [["0.0"], ["0.0"]]


async def test_writers_go_on_while_a_reader_delays_the_cleaning(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    async with open_ledger(url, patience_s=30.0) as command, open_ledger(url, patience_s=0.2) as ledger:
        reader = sa.create_engine(url).connect()
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT COUNT(*) FROM bot_turns").all()
        await ledger.claim_question(QuestionMessage(QuestionKey("T1", "C1", "0.0"), "1.0", HERS, "How?"))
        cleaning = asyncio.create_task(command.database.scrub_files(1.0))
        number = 0
        while not cleaning.done():
            number += 1
            message = QuestionMessage(QuestionKey("T1", "C1", f"{number}.0"), "1.0", HERS, "How?")
            await ledger.claim_question(message)
        assert number
        assert not await cleaning
        reader.close()


async def test_a_reader_that_does_not_end_makes_the_cleaning_incomplete(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    async with open_ledger(url, patience_s=0.05) as ledger:
        reader = sa.create_engine(url).connect()
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT COUNT(*) FROM bot_turns").all()
        await ledger.claim_question(QuestionMessage(QuestionKey("T1", "C1", "1.0"), "1.0", HERS, "How?"))
        assert not await ledger.database.scrub_files(0.2)
        reader.close()
        assert await ledger.database.scrub_files(5.0)
        assert (tmp_path / "ledger.sqlite3-wal").stat().st_size == 0
