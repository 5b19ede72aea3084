"""Tests of the stored verified answers, with two processes."""

from __future__ import annotations

from dataclasses import replace

from bot.answering.asker import ALL_TEAMS
from bot.answering.events import Passage
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import Ledger
from bot.storage.verified_answers import VerifiedAnswers

PASSAGE = Passage(1, "docs", "a.md", "A", "H", "https://kb.example/a", "", chunks=("c1", "c2"))
ANSWER = VerifiedAnswer(
    id="a1", team="T1", question="Why?", phrasings=("What for?", "为什么？"), answer="So [1].", language="en",
    passages=(PASSAGE,), owner="U1", owner_name="Ada", verified_at=1.0, expires_at=2.0,
)  # fmt: skip


async def test_answers_are_stored_replaced_marked_and_deleted(ledger: Ledger) -> None:
    stored = VerifiedAnswers(ledger.database, SharedChanges(ledger.database))
    await stored.save_answer(ANSWER)
    assert await stored.list_answers("T1") == [ANSWER]
    await stored.save_answer(later := replace(ANSWER, answer="Other.", verified_at=3.0))
    await stored.save_answer(other := replace(ANSWER, id="a2", verified_at=4.0))
    assert await stored.list_answers("T1") == [other, later], "the newest first"
    await stored.mark_for_review("a1")
    assert await stored.find_answer("T1", "a1") == replace(later, needs_review=True)
    await stored.save_answer(third := replace(ANSWER, id="a3"), ["a1", "a2"])
    assert await stored.list_answers("T1") == [third]
    await stored.delete_answer("a3")
    assert await stored.list_answers("T1") == []


async def test_another_workspace_sees_no_answer(ledger: Ledger) -> None:
    stored = VerifiedAnswers(ledger.database, SharedChanges(ledger.database))
    await stored.save_answer(ANSWER)
    assert await stored.list_answers("T1") == [ANSWER]
    assert await stored.list_answers("T2") == []
    assert await stored.find_answer("T2", ANSWER.id) is None
    assert await stored.list_answers(ALL_TEAMS) == [ANSWER]
    assert await stored.list_answers("") == [], "nobody said which"


async def test_other_processes_see_changes(ledger: Ledger) -> None:
    changes = [SharedChanges(ledger.database) for _ in range(2)]
    mine, theirs = (VerifiedAnswers(ledger.database, one) for one in changes)
    for one in changes:
        await one.read_changes()
    assert await theirs.list_answers("T1") == []
    await mine.save_answer(ANSWER)
    await changes[1].read_changes()
    assert await theirs.list_answers("T1") == [ANSWER]


def test_answers_are_active_until_they_expire_or_need_review() -> None:
    assert ANSWER.is_active(1.9)
    assert not ANSWER.is_active(2.0)
    assert not replace(ANSWER, needs_review=True).is_active(1.0)
