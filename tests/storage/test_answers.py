"""Tests of the stored answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.storage.answers import Answers, StoredAnswer, StoredPassage, erase_answer
from bot.storage.retention import Retention
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from tests.slack.running_bot import get_text, run_bot_in_sandbox

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


async def test_old_answers_are_purged_with_their_turns(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    await answers.save_answer(make_answer())
    await ledger.purge_rows(Retention(60, 60))
    assert await answers.find_answer(KEY) is not None
    await ledger.purge_rows(Retention(-60, 60))
    assert await answers.find_answer(KEY) is None


async def test_text_that_a_database_cannot_store_is_replaced(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    await answers.save_answer(make_answer(text="A\x00B \ud83d."))
    stored = await answers.find_answer(KEY)
    assert stored is not None
    assert stored.answer == "AB ?."


async def test_a_deleted_question_keeps_no_answer(ledger: Ledger) -> None:
    answers = Answers(ledger.database)
    message = QuestionMessage(KEY, KEY.ts, "U1", "Why?")
    await ledger.claim_question(message)
    await answers.save_answer(make_answer())
    await ledger.withdraw_question(KEY, None)
    assert await answers.find_answer(KEY) is None
    await answers.save_answer(make_answer())
    assert await answers.find_answer(KEY) is None, "an answer that ended at the same time"


@pytest.mark.parametrize("text", ["How <much> & why?"])
async def test_a_turn_stores_its_answer(tmp_path: Path, text: str) -> None:
    async with run_bot_in_sandbox(tmp_path) as bot:
        ts = await bot.ask(f"@Kvasir {text}")
        answer = await bot.wait_for_turn(ts)
        stored = await Answers(bot.ledger.database).find_answer(QuestionKey("T0SANDBOX1", answer["channel"], ts))
        assert stored is not None
        assert (stored.question, stored.user) == (text, "U0ADA00001")
        assert stored.answer == f"You asked: {text} [1]. That is all."
        assert [passage.document for passage in stored.passages] == ["sources.md"]
        assert "That is all." in get_text(answer)
