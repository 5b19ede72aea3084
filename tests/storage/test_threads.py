"""Tests of the threads that Kvasir takes part in: who talks there, and which are muted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.turns.threads import ThreadRecord, ThreadRecords

THREAD = ("T1", "C1", "1.0")


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    async with open_ledger(url, now=lambda: 50.0) as opened:
        yield opened


@pytest.fixture
def records(ledger: Ledger) -> ThreadRecords:
    return ThreadRecords(ledger.database, lambda: 70.0)


async def claim(ledger: Ledger, ts: str = "2.0", user: str = "U1") -> QuestionMessage:
    message = QuestionMessage(QuestionKey("T1", "C1", ts), "1.0", user, "how?")
    await ledger.claim_question(message)
    return message


async def test_thread_says_whether_a_person_has_asked_in_it(ledger: Ledger, records: ThreadRecords) -> None:
    assert await records.find_thread(THREAD, "U1") is None
    await claim(ledger)
    assert await records.find_thread(THREAD, "U1") == ThreadRecord(50.0, "", is_muted=False, has_asked=True)
    assert await records.find_thread(THREAD, "U2") == ThreadRecord(50.0, "", is_muted=False, has_asked=False)


async def test_question_ends_the_talk_and_keeps_a_thread_muted(ledger: Ledger, records: ThreadRecords) -> None:
    await claim(ledger)
    await records.set_talkers(THREAD, "U2")
    assert await records.set_muted(THREAD, muted=True, at=10.0)
    assert await records.find_thread(THREAD, "U1") == ThreadRecord(70.0, "U2", is_muted=True, has_asked=True)
    await claim(ledger, "3.0")
    assert await records.find_thread(THREAD, "U1") == ThreadRecord(50.0, "", is_muted=True, has_asked=True)


async def test_only_the_newest_decision_counts(records: ThreadRecords) -> None:
    """Slack may deliver an older one again; the thread may be one in which Kvasir was never asked."""
    assert await records.set_muted(THREAD, muted=True, at=10.0)
    assert not await records.set_muted(THREAD, muted=True, at=10.0)
    assert await records.set_muted(THREAD, muted=False, at=20.0)
    assert not await records.set_muted(THREAD, muted=True, at=10.0)
    thread = await records.find_thread(THREAD, "U1")
    assert thread is not None
    assert not thread.is_muted


async def test_thread_of_an_answer_is_found_by_any_of_its_messages(ledger: Ledger, records: ThreadRecords) -> None:
    question = await claim(ledger)
    await ledger.note_replies(question.key, ["2.5", "2.6"])
    assert await records.find_thread_of_answer("T1", "C1", "2.6") == THREAD
    assert await records.find_thread_of_answer("T1", "C1", "2") is None
    assert await records.find_thread_of_answer("T1", "C1", "%") is None
    assert await records.find_thread_of_answer("T1", "C2", "2.6") is None
