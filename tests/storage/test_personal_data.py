"""What is kept of one person, and the replicas: the statements that only one kind of database might refuse."""

from __future__ import annotations

from dataclasses import replace

from bot.storage.answers import Answers, StoredAnswer
from bot.storage.feedback import Feedback, Vote
from bot.storage.preferences import NO_PREFERENCES, PersonalPreferences, Preferences
from bot.storage.replicas import Replicas
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState


def make_answer(ts: str, user: str) -> StoredAnswer:
    return StoredAnswer(QuestionKey("T1", "C1", ts), ts, user, "en", "Why?", "So.", (), "engine", "r1")


async def test_erasing_a_person_leaves_the_others(ledger: Ledger) -> None:
    """Her answers go with all votes on them, and her votes on other answers."""
    answers, votes = Answers(ledger.database), Feedback(ledger.database)
    hers, his = make_answer("1.0", "U1"), make_answer("2.0", "U2")
    elsewhere = replace(make_answer("3.0", "U1"), key=QuestionKey("T2", "C1", "3.0"))
    for answer in (hers, his, elsewhere):
        await answers.save_answer(answer)
    for key, voter in ((hers.key, "U2"), (his.key, "U1"), (his.key, "U3")):
        await votes.save_vote(key, voter, Vote.BAD)
    assert await answers.count_answers("T1", "U1") == 1
    await answers.erase_person("T1", "U1")
    assert await answers.count_answers("T1", "U1") == 0
    assert [(one.voter, one.answer.key) for one in await votes.list_bad("T1", 10)] == [("U3", his.key)]
    assert await answers.find_answer(elsewhere.key) is not None


async def test_settings_of_a_person_are_changed(ledger: Ledger) -> None:
    wishes = PersonalPreferences(ledger.database)
    for chosen in (Preferences("deep", "zh", "long", keeps_answers=False), NO_PREFERENCES, Preferences(length="short")):
        await wishes.change_preferences("T1", "U1", lambda _, chosen=chosen: chosen)  # type: ignore[misc]
        assert await wishes.find_preferences("T1", "U1") == chosen


async def test_replicas_are_listed_until_they_leave_or_are_gone_for_a_day(ledger: Ledger) -> None:
    now = [1_000.0]
    first, second, other = (
        Replicas(ledger.database, team, "1.2", name=f"{name}|7|1.0|x", now=lambda: now[0])
        for team, name in (("T1", "a"), ("T1", "b"), ("T2", "c"))
    )
    for replica in (first, second, other):
        await replica.record_heartbeat()
    now[0] += 60
    await first.record_heartbeat()
    assert [(one.host, one.pid, one.started_at, one.seen_at) for one in await first.list_all()] == [
        ("a", "7", 1_000.0, 1_060.0),
        ("b", "7", 1_000.0, 1_000.0),
    ]
    await second.remove_replica()
    assert [one.host for one in await second.list_all()] == ["a"]
    now[0] += 90_000
    await other.record_heartbeat()
    assert await first.list_all() == []


async def test_question_of_a_person_who_keeps_nothing_has_no_text_after_its_turn(ledger: Ledger) -> None:
    wishes = PersonalPreferences(ledger.database)
    await wishes.change_preferences("T1", "U1", lambda before: replace(before, keeps_answers=False))
    await wishes.change_preferences("T2", "U2", lambda before: replace(before, keeps_answers=False))
    for number, user in enumerate(("U1", "U2", "U1")):
        message = QuestionMessage(QuestionKey("T1", "C1", f"{number}.0"), f"{number}.0", user, "Why?")
        await ledger.claim_question(message, begun=True)
        if number < 2:
            assert await ledger.finish_turn(message.key, 0, TurnState.DONE)
        else:
            await ledger.refuse_question(message.key)
        turn = await ledger.find_turn(message.key)
        assert turn is not None
        assert turn.message.text == ("" if user == "U1" else "Why?")
