"""Tests of how long rows are kept: nothing is deleted early, and nothing old stays."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.asker import ALL_TEAMS
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.feedback import Feedback, Vote
from bot.storage.retention import CutOffs, Retention, find_cut_offs
from bot.storage.shared_changes import SharedChanges
from bot.storage.tables import feedback, threads, turns
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from bot.storage.verified_answers import VerifiedAnswers

DAY_S = 86_400.0
SPANS = st.floats(3_600, 1e9) | st.just(math.inf)
RETENTIONS = st.builds(Retention, *[SPANS] * len(fields(Retention)))
MOMENTS = st.floats(1e9, 3e9)


@given(RETENTIONS, MOMENTS, st.floats(0, 2e9))
def test_only_what_is_older_than_its_span_is_before_its_cut_off(kept: Retention, now: float, age_s: float) -> None:
    cut_offs = asdict(find_cut_offs(kept, now))
    for name, span_s in asdict(kept).items():
        cut_off = cut_offs[name.removesuffix("_s")]
        if age_s > span_s + 1:
            assert now - age_s < cut_off
        elif age_s < span_s - 1:
            assert now - age_s >= cut_off


@given(RETENTIONS, MOMENTS, st.floats(0, 1e8))
def test_a_later_moment_never_brings_something_back(kept: Retention, now: float, later_s: float) -> None:
    early, late = asdict(find_cut_offs(kept, now)), asdict(find_cut_offs(kept, now + later_s))
    assert all(late[name] >= early[name] for name in early)


def test_each_span_has_its_cut_off() -> None:
    assert [f"{one.name}_s" for one in fields(CutOffs)] == [one.name for one in fields(Retention)]


async def test_each_kind_of_row_goes_after_its_own_span(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        answers, votes = Answers(ledger.database), Feedback(ledger.database)
        verified = VerifiedAnswers(ledger.database, SharedChanges(ledger.database))
        for ts, age_s in (("1.0", 20 * DAY_S), ("2.0", 0.0)):
            key, then = QuestionKey("T1", "C1", ts), time.time() - age_s
            await ledger.claim_question(QuestionMessage(key, ts, "U1", "How?"), begun=True)
            await ledger.finish_turn(key, 0, TurnState.DONE)
            await answers.save_answer(StoredAnswer(key, ts, "U1", "en", "How?", "So.", (), "engine", "r1"))
            await votes.save_vote(key, "U2", Vote.GOOD)
            await verified.save_answer(
                VerifiedAnswer(
                    id=ts,
                    team="T1",
                    question="How?",
                    phrasings=(),
                    answer="So.",
                    language="en",
                    passages=(),
                    owner="U3",
                    owner_name="Ada",
                    verified_at=then,
                    expires_at=then + 1e9,
                    needs_review=False,
                )
            )
            of_key = (turns.c.ts == ts, threads.c.thread_ts == ts, feedback.c.ts == ts)
            for column, is_row in zip(
                (turns.c.updated_at, threads.c.last_at, feedback.c.voted_at), of_key, strict=True
            ):
                change = sa.update(column.table).where(is_row).values({column.name: then})
                await ledger.database.write(lambda connection, change=change: connection.execute(change))  # type: ignore[misc]

        async def count_rows() -> dict[str, int]:
            counts = {}
            for table in (turns, threads, feedback):
                counts[table.name] = len(await ledger.database.fetch_rows(sa.select(table)))
            return counts | {"verified": len(await verified.list_answers(ALL_TEAMS))}

        everything = {"bot_turns": 2, "bot_threads": 2, "bot_feedback": 2, "verified": 2}
        await ledger.purge_rows(Retention())
        assert await count_rows() == everything
        for change, table in (
            ({"feedback_s": 10 * DAY_S}, "bot_feedback"),
            ({"verified_s": 10 * DAY_S}, "verified"),
            ({"threads_s": 10 * DAY_S}, "bot_threads"),
            ({"turns_s": 10 * DAY_S}, "bot_turns"),
        ):
            await ledger.purge_rows(replace(Retention(), **change))
            everything[table] = 1
            assert await count_rows() == everything, table
