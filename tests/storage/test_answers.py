"""Tests of the stored answers."""

from __future__ import annotations

from bot.storage.answers import Answers, StoredAnswer, StoredPassage, erase_answer
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage

KEY = QuestionKey("T1", "C1", "1.0")
PASSAGE = StoredPassage(1, "docs", "a.md", "A", "H", "https://kb.example/a", ("c1", "c2"))


def make_answer(ts: str = "1.0", user: str = "U1", text: str = "Yes [1].") -> StoredAnswer:
    key = QuestionKey("T1", "C1", ts)
    return StoredAnswer(key, ts, user, "en", "Why?", text, (PASSAGE,), "engine", "R1", marked=1, seconds=0.5)


async def test_an_answer_is_found_replaced_and_erased(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    assert await answers.find_answer(KEY) is None
    await answers.save_answer(first := make_answer())
    assert await answers.find_answer(KEY) == first
    await answers.save_answer(second := make_answer(text="No."))
    assert await answers.find_answer(KEY) == second
    await answers.database.write(lambda connection: erase_answer(connection, KEY))
    assert await answers.find_answer(KEY) is None


async def test_recent_answers_are_those_of_the_person(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    for n in range(4):
        await answers.save_answer(make_answer(f"{n}.0", "U1" if n else "U2"))
    assert [one.key.ts for one in await answers.list_recent("T1", "U1", 2)] == ["3.0", "2.0"]
    assert await answers.list_recent("T2", "U1", 2) == []


async def test_a_deleted_question_keeps_no_answer(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    message = QuestionMessage(KEY, KEY.ts, "U1", "Why?")
    await ledger.claim_question(message)
    await answers.save_answer(make_answer())
    await ledger.withdraw_question(KEY, None)
    assert await answers.find_answer(KEY) is None
    await answers.save_answer(make_answer())
    assert await answers.find_answer(KEY) is None, "an answer that ended at the same time"
