"""Tests of the stored votes, over both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.storage.answers import Answers, erase_answer
from bot.storage.feedback import Feedback, Vote, VoteReason
from bot.storage.retention import Retention
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionMessage, TurnState
from tests.storage.test_answers import KEY, make_answer

ANSWER = make_answer()


@pytest.fixture
async def ledger(ledger: Ledger) -> Ledger:
    """Return a ledger with an answer."""
    await Answers(ledger.database).save_answer(ANSWER)
    return ledger


async def test_each_person_has_one_vote(ledger: Ledger) -> None:
    votes = Feedback(ledger.database)
    assert await votes.count_votes("T1") == {Vote.GOOD: 0, Vote.BAD: 0}
    for user, vote in (("U1", Vote.GOOD), ("U2", Vote.BAD), ("U1", Vote.BAD), ("U2", Vote.BAD)):
        assert await votes.save_vote(KEY, user, vote)
    assert await votes.count_votes("T1") == {Vote.GOOD: 0, Vote.BAD: 2}
    [newest, _] = await votes.list_bad("T1", 9)
    assert (newest.voter, newest.answer, newest.is_current) == ("U2", ANSWER, True)
    assert [one.voter for one in await votes.list_of_person("T1", "U1", 9)] == ["U1"]
    assert await votes.count_votes("T2") == {Vote.GOOD: 0, Vote.BAD: 0}


async def test_reasons_belong_to_a_bad_vote(ledger: Ledger) -> None:
    votes = Feedback(ledger.database)
    assert not await votes.save_reasons(KEY, "U1", [VoteReason.WRONG], "")
    await votes.save_vote(KEY, "U1", Vote.BAD)
    assert await votes.save_reasons(KEY, "U1", [VoteReason.WRONG, VoteReason.SOURCES], "No\x00 link")
    await votes.save_vote(KEY, "U1", Vote.BAD)
    [stored] = await votes.list_bad("T1", 9)
    assert (stored.reasons, stored.comment) == ((VoteReason.WRONG, VoteReason.SOURCES), "No link")
    await votes.save_vote(KEY, "U1", Vote.GOOD)
    assert not await votes.save_reasons(KEY, "U1", [VoteReason.WRONG], "")
    [stored] = await votes.list_of_person("T1", "U1", 9)
    assert stored.reasons == ()


async def test_a_vote_belongs_to_the_answer_that_the_person_saw(ledger: Ledger) -> None:
    votes = Feedback(ledger.database)
    await votes.save_vote(KEY, "U1", Vote.BAD)
    await Answers(ledger.database).save_answer(replace(ANSWER, answer="No.", created_at=ANSWER.created_at + 1))
    [stored] = await votes.list_bad("T1", 9)
    assert not stored.is_current
    assert await votes.list_current() == []
    await votes.save_vote(KEY, "U1", Vote.GOOD)
    [stored] = await votes.list_current()
    assert stored.answer.answer == "No."


async def test_votes_end_with_their_answer(ledger: Ledger) -> None:
    votes, answers = Feedback(ledger.database), Answers(ledger.database)
    message = QuestionMessage(KEY, KEY.ts, "U1", "Why?")
    await ledger.claim_question(message)
    for end in ("withdrawn", "purged", "erased"):
        await answers.save_answer(make_answer())  # now: the time of ``ANSWER`` is that of the import
        assert await votes.save_vote(KEY, "U1", Vote.BAD)
        if end == "erased":
            await answers.database.write(lambda connection: erase_answer(connection, KEY))
        elif end == "purged":
            await ledger.purge_rows(Retention(60, 60))
            assert await votes.count_votes("T1") == {Vote.GOOD: 0, Vote.BAD: 1}
            await ledger.purge_rows(Retention(-60, 60))
        else:
            await ledger.withdraw_question(KEY, None)
            await ledger.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM bot_turns"))
        assert await votes.count_votes("T1") == {Vote.GOOD: 0, Vote.BAD: 0}
        assert not await votes.save_vote(KEY, "U1", Vote.BAD)


async def test_only_an_ended_turn_is_opened_again(ledger: Ledger) -> None:
    await ledger.claim_question(QuestionMessage(KEY, KEY.ts, "U1", "Why?"), begun=True)
    assert await ledger.reopen_question(KEY) is None
    await ledger.note_replies(KEY, ["1.1"])
    await ledger.finish_turn(KEY, 0, TurnState.DONE)
    turn = await ledger.reopen_question(KEY)
    assert turn is not None
    assert (turn.state, turn.revision, turn.revises, turn.regenerates) == (TurnState.RECEIVED, 1, True, True)
    await ledger.begin_turn(KEY)
    await ledger.finish_turn(KEY, 1, TurnState.DONE)
    edited = await ledger.edit_question(QuestionMessage(KEY, KEY.ts, "U1", "How?"), "2.0")
    assert edited is not None
    assert not edited.regenerates
    await ledger.withdraw_question(KEY, None)
    assert await ledger.reopen_question(KEY) is None
