"""Tests of the counts of questions by other apps."""

from __future__ import annotations

import time

from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.question_counts import AppTurns
from bot.storage.turns.questions import QuestionKey, QuestionMessage


async def test_counts_of_an_hour_are_those_of_all_apps(url: str) -> None:
    def make_question(ts: str, user: str = "B1", thread_ts: str = "1.0", channel: str = "C1") -> QuestionMessage:
        return QuestionMessage(QuestionKey("T1", channel, ts), thread_ts, user, "how?")

    now = time.time()
    async with open_ledger(url) as ledger:
        counts = AppTurns(ledger.database, lambda: now)
        app_question = make_question("9.0")
        assert await counts.count_last_hour(app_question) == (0, 0)
        for question in (
            app_question,
            make_question("2.0"),
            make_question("3.0", "B2"),
            make_question("4.0", "B2", "4.0"),
            make_question("5.0", "U1"),
            make_question("6.0", channel="C2"),
        ):
            await ledger.claim_question(question)
        assert await counts.count_last_hour(app_question) == (3, 2)
        now += 3_700
        assert await counts.count_last_hour(app_question) == (0, 0)
