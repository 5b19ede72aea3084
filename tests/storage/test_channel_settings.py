"""Tests of the stored settings of channels, as two processes see them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.storage.channels.channel_settings import ChannelSettings, ChannelSettingsStore
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.turns.threads import ThreadRecords
from bot.storage.workspace_rows import WorkspaceRows

ALL = ChannelSettings(("docs", "手册"), "off", "zh", "deep", "formal", True, 3)


class Process:
    """The settings as one process of the bot sees them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.changes = SharedChanges(ledger.database)
        self.store = ChannelSettingsStore(ledger.database, "T1", self.changes, lambda: self.now)
        self.now = 1_000_000.0


@pytest.fixture
async def processes(ledgers: tuple[Ledger, Ledger]) -> tuple[Process, Process]:
    """Return two processes that have read all changes."""
    both = Process(ledgers[0]), Process(ledgers[1])
    for process in both:
        await process.changes.read_changes()
    return both


def make_message(ts: str) -> QuestionMessage:
    return QuestionMessage(QuestionKey("T1", "C1", ts), ts, "U1", "how?", is_unasked=True)


async def test_another_process_sees_a_change_at_its_next_reading(processes: tuple[Process, Process]) -> None:
    one, other = processes
    assert await other.store.find_settings("C1") == ChannelSettings()
    await one.store.save_settings("C1", ALL, "U1")
    assert await one.store.find_settings("C1") == ALL
    await other.changes.read_changes()
    assert await other.store.find_settings("C1") == ALL
    await one.store.save_settings("C1", replace(ALL, tone=""), "U2")
    await other.changes.read_changes()
    assert (await other.store.find_settings("C1")).tone == ""
    assert await other.store.find_settings("C2") == ChannelSettings()
    await WorkspaceRows(one.ledger.database, "T1").erase_workspace()
    await other.changes.read_changes()
    assert await other.store.find_settings("C1") == ChannelSettings()


async def test_all_processes_together_answer_as_many_unasked_questions_as_allowed(
    processes: tuple[Process, Process],
) -> None:
    """A question counts once, and the hour is the last one, not one of the clock."""
    await processes[0].store.save_settings("C1", ALL, "U1")
    reserved = await asyncio.gather(
        *(processes[n % 2].store.reserve_unasked(make_message(f"{n}.5"), 3) for n in range(12))
    )
    assert sum(reserved) == 3
    counted = f"{reserved.index(True)}.5"
    assert await processes[1].store.reserve_unasked(make_message(counted), 3)
    assert await processes[0].store.count_unasked(make_message("99.5")) == 3
    assert await processes[0].store.count_unasked(make_message(counted)) == 2
    processes[0].now += 3_599
    assert not await processes[0].store.reserve_unasked(make_message("20.5"), 3)
    processes[0].now += 2
    assert await processes[0].store.reserve_unasked(make_message("20.5"), 3)
    assert await processes[0].store.count_unasked(make_message("99.5")) == 1
    assert await processes[0].store.find_settings("C1") == ALL


async def test_thread_of_an_unasked_question_begins_with_its_answer(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    records = ThreadRecords(one.ledger.database)
    message = make_message("30.5")
    await one.ledger.claim_question(message)
    assert await records.find_thread(message.thread, "U1") is None
    assert await one.store.reserve_unasked(message, 1)
    thread = await records.find_thread(message.thread, "U1")
    assert thread is not None
    assert not thread.has_asked


async def test_question_without_an_answer_is_forgotten_and_one_with_an_answer_stays(
    processes: tuple[Process, Process],
) -> None:
    one, _ = processes
    for ts in ("40.5", "41.5"):
        await one.ledger.claim_question(make_message(ts))
    await one.ledger.note_replies(make_message("41.5").key, ["41.6"])
    for ts in ("40.5", "41.5"):
        assert await one.ledger.forget_unasked(make_message(ts).key, 0) is (ts == "40.5")
    assert await one.ledger.find_turn(make_message("40.5").key) is None
    turn = await one.ledger.find_turn(make_message("41.5").key)
    assert turn is not None
    assert turn.message.is_unasked


async def test_edit_with_a_mention_makes_it_a_question_to_kvasir(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    message = make_message("50.5")
    await one.ledger.claim_question(message)
    still = await one.ledger.edit_question(replace(message, text="how much?"), "51")
    assert still is not None
    assert still.message.is_unasked
    turn = await one.ledger.edit_question(replace(message, text="<@U2> how much?", is_unasked=False), "52")
    assert turn is not None
    assert not turn.message.is_unasked
    thread = await ThreadRecords(one.ledger.database).find_thread(message.thread, "U1")
    assert thread is not None
    assert thread.has_asked
