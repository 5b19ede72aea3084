"""A database that a Kvasir without revisions of the bot's tables made goes on, in place, with all its rows."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from bot.storage.channels.channel_event_log import ChannelEvent, ChannelEventKind, ChannelEventLog, ConnectionPeriod
from bot.storage.preferences import PersonalPreferences, Preferences
from bot.storage.tables import MIGRATIONS
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import LedgerTurn, QuestionKey, QuestionMessage, TurnState
from bot.storage.turns.threads import ThreadRecords
from knowledge.errors import DatabaseError
from knowledge.sync.manifest.manifest import open_manifest
from tests.database.scripts import EMPTY_POSTGRESQL, run_script

HERE = Path(__file__).parent
KEY = QuestionKey("T1", "C1", "100.1")
QUESTION = QuestionMessage(KEY, "100.1", "U1", "how many days? 几天?", files=2, is_direct=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database as the last Kvasir without revisions left it."""
    kind = request.param
    url: str = f"sqlite:///{tmp_path / 'kvasir.db'}" if kind == "sqlite" else request.getfixturevalue("postgres")
    script = (HERE / f"bot_0.{kind}.sql").read_text(encoding="utf-8")
    await run_script(url, script if kind == "sqlite" else f"{EMPTY_POSTGRESQL};\n{script}")
    return url


async def test_its_rows_are_there(old: str) -> None:
    async with open_ledger(old) as ledger:
        state = TurnState.ANSWERING
        assert await ledger.find_turn(KEY) == LedgerTurn(QUESTION, state, 1, ("100.2", "100.3"), 2, 1000.0)
        thread = await ThreadRecords(ledger.database).find_thread(QUESTION.thread, "U1")
        assert thread is not None
        assert (thread.is_muted, thread.has_asked, thread.talkers) == (False, True, "")
        assert await PersonalPreferences(ledger.database).find_preferences("T1", "U1") == Preferences("deep")
        events = ChannelEventLog(ledger.database)
        assert await events.list_events_after("T1", 0) == [
            (1, ChannelEvent("C1", "100.1", ChannelEventKind.SAID, "100.1"))
        ]
        assert await events.list_periods("T1") == [ConnectionPeriod(900.0, 1000.0)]


async def test_its_turns_go_on(old: str) -> None:
    async with open_ledger(old) as ledger:
        assert not await ledger.claim_question(QUESTION)
        [unfinished] = await ledger.list_unfinished()
        assert unfinished.message == QUESTION
        assert await ledger.finish_turn(KEY, 1, TurnState.DONE)
        assert await ledger.claim_question(QuestionMessage(QuestionKey("T1", "C1", "200.1"), "200.1", "U1", "new?"))


async def test_tables_that_were_never_needed_are_made(old: str) -> None:
    dropped = ("TABLE bot_wishes", "TABLE bot_news", "TABLE bot_watches", "INDEX bot_turns_state")
    await run_script(old, ";\n".join(f"DROP {what}" for what in dropped))
    async with open_ledger(old) as ledger:
        preferences, events = PersonalPreferences(ledger.database), ChannelEventLog(ledger.database)
        await preferences.change_preferences("T1", "U1", lambda _: Preferences("off"))
        assert await preferences.find_preferences("T1", "U1") == Preferences("off")
        assert await events.find_last_number("T1") == 0
        assert await ledger.find_turn(KEY) is not None


async def test_the_manifest_lies_in_the_same_database(old: str) -> None:
    manifest = await open_manifest(old)
    async with open_ledger(old) as ledger:
        assert await ledger.find_turn(KEY) is not None
        assert await manifest.list_indexes() == []
    await manifest.close()


async def test_tables_of_a_newer_kvasir_are_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kvasir.db'}"
    async with open_ledger(url) as ledger:
        await ledger.claim_question(QUESTION)
    await run_script(url, "UPDATE bot_revision SET version_num = '0099', compatible_since = '0099'")
    with pytest.raises(
        DatabaseError, match=rf"newer Kvasir .* bot's tables have revision 0099.* knows {MIGRATIONS.newest}"
    ):
        async with open_ledger(url):
            pass
    with contextlib.closing(sqlite3.connect(tmp_path / "kvasir.db")) as connection:
        assert connection.execute("SELECT version_num FROM bot_revision").fetchall() == [("0099",)]
        assert connection.execute("SELECT count(*) FROM bot_turns").fetchall() == [(1,)]
