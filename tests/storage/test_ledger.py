"""The ledger's promises, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot.storage.processes import LAST_CALLS_S, name_this_process
from bot.storage.retention import Retention
from bot.storage.turns.ledger import Ledger, ThreadBusy, open_ledger
from bot.storage.turns.open_statuses import OpenStatuses
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnLost, TurnState
from bot.storage.turns.threads import ThreadRecords
from knowledge.errors import DatabaseError, DatabaseFull, DatabaseUnavailable

DEAD = name_this_process().replace(f"|{os.getpid()}|", "|4194305|")
"""A process of this machine that has ended: no process has a larger number than 2²²."""


def make_question(ts: str = "100.1", thread_ts: str = "", text: str = "how? 怎么?") -> QuestionMessage:
    return QuestionMessage(QuestionKey("T1", "C1", ts), thread_ts or ts, "U1", text)


async def test_two_processes_claim_question_once(ledgers: tuple[Ledger, Ledger]) -> None:
    one, other = ledgers
    questions = [make_question(f"{n}.0") for n in range(30)]
    claims = await asyncio.gather(*(side.claim_question(question) for question in questions for side in (one, other)))
    assert len(claims) - claims.count(None) == 30


async def test_turn_passes_through_its_states(ledger: Ledger) -> None:
    question = QuestionMessage(QuestionKey("T1", "C1", "5.5"), "1.1", "U1", "how\x00 \ud800?", is_direct=True, files=2)
    await ledger.claim_question(question)
    turn = await ledger.begin_turn(question.key)
    assert turn is not None
    assert (turn.state, turn.attempts, turn.revision, turn.replies) == (TurnState.ANSWERING, 1, 0, ())
    assert turn.message == QuestionMessage(question.key, "1.1", "U1", "how ??", is_direct=True, files=2)
    await ledger.note_replies(question.key, ["6.1", "6.2"])
    assert await ledger.list_replies("T1", "C1", "1.1") == {"6.1", "6.2"}
    assert await ledger.finish_turn(question.key, 0, TurnState.DONE)
    assert not await ledger.finish_turn(question.key, 0, TurnState.FAILED)
    done = await ledger.find_turn(question.key)
    assert done is not None
    assert done.state is TurnState.DONE
    assert await ledger.begin_turn(question.key) is None
    assert await ledger.find_turn(QuestionKey("T1", "C1", "nowhere")) is None


async def test_claim_may_begin_the_turn(ledger: Ledger) -> None:
    await ledger.claim_question(make_question(), begun=True)
    edited = await ledger.edit_question(make_question(text="new?"), "101.0")
    assert edited is not None
    assert edited.state is TurnState.ANSWERING
    turn = await ledger.begin_turn(make_question().key)
    assert turn is not None
    assert turn.attempts == 2


async def test_process_waits_for_the_answer_of_another_one_in_the_thread(ledgers: tuple[Ledger, Ledger]) -> None:
    root, second, third = make_question("1.0"), make_question("2.0", "1.0"), make_question("3.0", "1.0")
    one, other = ledgers
    assert await one.claim_question(root, begun=True) is TurnState.ANSWERING
    await other.claim_question(second)
    await one.claim_question(third)
    with pytest.raises(ThreadBusy) as busy:
        await other.begin_turn(second.key)
    assert busy.value.state is TurnState.ANSWERING
    await one.finish_turn(root.key, 0, TurnState.DONE)
    with pytest.raises(ThreadBusy) as busy:
        await one.begin_turn(third.key)
    assert busy.value.state is TurnState.RECEIVED
    assert await other.begin_turn(second.key) is not None
    with pytest.raises(ThreadBusy):
        await one.begin_turn(third.key, wait_for=[TurnState.ANSWERING])
    await other.refund_attempt(second.key)
    assert await one.begin_turn(third.key) is not None


async def test_only_one_process_begins_in_a_thread(ledgers: tuple[Ledger, Ledger]) -> None:
    """Both ask at the same moment."""
    questions = [make_question(f"{n}.0", "0.5") for n in range(2)]
    one, other = ledgers
    for ledger, question in zip((one, other), questions, strict=True):
        await ledger.claim_question(question)
    begins = (one.begin_turn(questions[0].key, wait_for=[TurnState.ANSWERING]), other.begin_turn(questions[1].key))
    results = await asyncio.gather(*begins, return_exceptions=True)
    assert sum(isinstance(result, ThreadBusy) for result in results) == 1


async def test_claim_of_a_known_thread_waits(ledgers: tuple[Ledger, Ledger]) -> None:
    """An edit adds a mention to the first message of a thread in which an answer runs."""
    one, other = ledgers
    await one.claim_question(make_question("2.0", "1.0"))
    await one.begin_turn(make_question("2.0").key)
    assert await other.claim_question(make_question("1.0"), begun=True) is TurnState.RECEIVED
    turn = await other.find_turn(make_question("1.0").key)
    assert turn is not None
    assert (turn.state, turn.attempts) == (TurnState.RECEIVED, 0)


async def test_a_question_that_is_given_up_is_taken_over_at_once(url: str) -> None:
    """Its attempt does not count, nor does a generation that the engine has not begun."""
    async with open_ledger(url) as ending, open_ledger(url) as other:
        question = make_question()
        await ending.claim_question(question)
        assert await ending.begin_turn(question.key) is not None
        assert await ending.reserve_generation(question.key, most=1)
        assert await other.list_unfinished() == []
        await ending.release_turn(question.key, unused=1)
        assert await ending.renew_leases() == {}, "a late renewal does not take it back"
        [turn] = await other.list_unfinished()
        assert (turn.message, turn.generations) == (question, 0)
        assert await ending.list_unfinished() == []
        assert await ending.begin_turn(question.key) is None
        assert await other.begin_turn(question.key) is not None
        assert await other.reserve_generation(question.key, most=1)


async def test_open_questions_of_another_workspace_are_left_alone(url: str) -> None:
    """A process has a ledger for each workspace; all of them have one owner."""
    other = QuestionMessage(QuestionKey("T2", "C2", "200.1"), "200.1", "U2", "and there?")
    async with open_ledger(url, owner=DEAD) as dead:
        await dead.claim_question(make_question())
        await dead.claim_question(other)
        await dead.withdraw_question(other.key, None)
        await dead.note_replies(other.key, ["200.2"])
    now = [time.time()]
    async with open_ledger(url, now=lambda: now[0]) as ledger:
        first, second = ledger.select_teams(["T1"]), ledger.select_teams(["T2", "T3"])
        assert [turn.message.key for turn in await first.list_unfinished()] == [make_question().key]
        assert not await second.list_unfinished()
        assert set(await first.renew_leases()) == {make_question().key}
        assert not await second.renew_leases()
        assert not [*await first.list_withdrawn(), *await second.list_withdrawn()]
        now[0] += LAST_CALLS_S
        assert not await first.list_withdrawn()
        assert [turn.message.key for turn in await second.list_withdrawn()] == [other.key]
        assert not await OpenStatuses(ledger.database, ["T1"], now=lambda: time.time() + 3_600).take_due()
        assert len(await OpenStatuses(ledger.database, ["T2"], now=lambda: time.time() + 3_600).take_due()) == 1


async def test_open_status_is_taken_once_and_not_while_the_thread_has_an_open_turn(ledger: Ledger) -> None:
    statuses = OpenStatuses(ledger.database, ["T1"])
    first, later = make_question("100.1"), make_question("100.2", thread_ts="100.1")
    await ledger.claim_question(first, begun=True)
    await ledger.claim_question(later)
    await ledger.finish_turn(first.key, 0, TurnState.DONE, clear_status_in_s=0.0)
    assert not await statuses.take_due()
    assert await ledger.begin_turn(later.key, wait_for=()) is not None
    await ledger.finish_turn(later.key, 0, TurnState.DONE)
    due = [*await statuses.take_due(), *await statuses.take_due()]
    assert [(one.channel, one.thread_ts) for one in due] == [("C1", "100.1")]
    await statuses.settle_status(due[0], 0.0)
    [again] = await statuses.take_due()
    await statuses.settle_status(again, None)
    late = OpenStatuses(ledger.database, ["T1"], now=lambda: time.time() + 3_600)
    assert not await late.take_due()


async def test_generations_are_counted_until_the_question_is_edited(url: str) -> None:
    question = make_question()
    async with open_ledger(url, owner=DEAD) as killed:
        await killed.claim_question(question, begun=True)
        assert await killed.reserve_generation(question.key, 2)
    async with open_ledger(url) as ledger:
        with pytest.raises(TurnLost):
            await ledger.reserve_generation(question.key, 2)
        [turn] = await ledger.list_unfinished()
        assert turn.generations == 1
        await ledger.refund_attempt(question.key)
        assert await ledger.reserve_generation(question.key, 2)
        assert not await ledger.reserve_generation(question.key, 2)
        await ledger.edit_question(make_question(text="new?"), "101.0")
        assert await ledger.reserve_generation(question.key, 2)
        await ledger.finish_turn(question.key, 1, TurnState.DONE)
        assert not await ledger.reserve_generation(question.key, 2)


async def edit(ledger: Ledger, text: str, edited_ts: str) -> TurnState | None:
    """Edit the question and return its state, None if nothing changed."""
    turn = await ledger.edit_question(make_question(text=text), edited_ts)
    return turn.state if turn is not None else None


async def test_edit_of_open_question_raises_its_revision(ledger: Ledger) -> None:
    question = make_question()
    await ledger.claim_question(question)
    assert await edit(ledger, "new?", "101.0") is TurnState.RECEIVED
    assert await edit(ledger, "new?", "102.0") is None
    turn = await ledger.begin_turn(question.key)
    assert turn is not None
    assert (turn.message.text, turn.revision, turn.revises) == ("new?", 1, False)
    assert await edit(ledger, "newer?", "103.0") is TurnState.ANSWERING
    assert not await ledger.finish_turn(question.key, 1, TurnState.DONE)
    assert await ledger.finish_turn(question.key, 2, TurnState.DONE)
    assert (
        await ledger.edit_question(QuestionMessage(QuestionKey("T", "C", "1"), "1", "U1", "unknown"), "104.0") is None
    )


@pytest.mark.parametrize("end", [TurnState.DONE, TurnState.FAILED])
async def test_edit_of_closed_question_opens_it_again(ledger: Ledger, end: TurnState) -> None:
    question = make_question()
    await ledger.claim_question(question, begun=True)
    await ledger.note_replies(question.key, ["100.2"])
    await ledger.finish_turn(question.key, 0, end)
    assert await edit(ledger, question.text, "101.0") is None
    assert await edit(ledger, "new?", "102.0") is TurnState.RECEIVED
    turn = await ledger.begin_turn(question.key)
    assert turn is not None
    assert (turn.message.text, turn.revision, turn.replies, turn.revises, turn.attempts) == (
        "new?", 1, ("100.2",), True, 1
    )  # fmt: skip
    assert await ledger.finish_turn(question.key, 1, TurnState.DONE)


async def test_late_edits_and_edits_by_others_change_nothing(ledger: Ledger) -> None:
    await ledger.claim_question(make_question(text="first"))
    assert await edit(ledger, "third", "103.0") is TurnState.RECEIVED
    assert await edit(ledger, "second", "102.0") is None
    assert await edit(ledger, "third", "104.0") is None
    assert await edit(ledger, "late", "103.5") is None
    other = QuestionMessage(make_question().key, "100.1", "U2", "mine now")
    assert await ledger.edit_question(other, "105.0") is None
    turn = await ledger.find_turn(make_question().key)
    assert turn is not None
    assert (turn.message.text, turn.message.user, turn.revision) == ("third", "U1", 1)


@pytest.mark.parametrize("is_done", [False, True])
async def test_deleted_question_is_erased_for_good(ledger: Ledger, *, is_done: bool) -> None:
    question = make_question()
    await ledger.claim_question(question)
    await ledger.begin_turn(question.key)
    await ledger.note_replies(question.key, ["100.2"])
    if is_done:
        await ledger.finish_turn(question.key, 0, TurnState.DONE)
    turn = await ledger.withdraw_question(question.key, None)
    assert turn is not None
    assert (turn.message.text, turn.state, turn.replies) == ("", TurnState.SUPERSEDED, ("100.2",))
    assert await ledger.withdraw_question(question.key, question) is None
    assert not await ledger.finish_turn(question.key, 0, TurnState.DONE)
    assert question.key not in await ledger.renew_leases()
    assert await edit(ledger, "again?", "109.0") is None
    assert not await ledger.claim_question(question)
    assert [one.message.key for one in await ledger.list_withdrawn()] == [question.key]
    await ledger.note_replies(question.key, ())
    assert await ledger.list_withdrawn() == []


async def test_question_that_arrives_after_its_deletion_is_not_stored(ledger: Ledger) -> None:
    question = make_question()
    assert await ledger.withdraw_question(question.key, question) is None
    assert not await ledger.claim_question(question)
    turn = await ledger.find_turn(question.key)
    assert turn is not None
    assert turn.message.text == ""
    assert await ledger.withdraw_question(make_question("7.0").key, None) is None
    assert await ledger.find_turn(make_question("7.0").key) is None


async def test_withdrawal_of_dead_process_is_taken_over(url: str) -> None:
    now = [time.time()]

    def open_other() -> contextlib.AbstractAsyncContextManager[Ledger]:
        return open_ledger(url, now=lambda: now[0])

    async with open_other() as living, open_ledger(url, owner=DEAD) as dead, open_other() as other:
        for ts, ledger in (("1.0", living), ("2.0", dead)):
            await ledger.claim_question(make_question(ts))
            await ledger.note_replies(make_question(ts).key, ["9.0"])
            await ledger.withdraw_question(make_question(ts).key, None)
        assert not await other.list_withdrawn()
        now[0] += LAST_CALLS_S
        assert [turn.message.key.ts for turn in await other.list_withdrawn()] == ["2.0"]


async def test_files_of_a_later_event_belong_to_the_young_question(ledger: Ledger) -> None:
    question = make_question()
    await ledger.claim_question(question, begun=True)
    turn = await ledger.add_files(replace(question, files=2), within_s=30)
    assert turn is not None
    assert (turn.message.files, turn.revision, turn.state) == (2, 1, TurnState.ANSWERING)
    assert await ledger.add_files(replace(question, files=2), within_s=30) is None, "the same event again"
    assert not await ledger.finish_turn(question.key, 0, TurnState.DONE), "the answer without files does not count"
    assert await ledger.finish_turn(question.key, 1, TurnState.DONE)
    turn = await ledger.add_files(replace(question, files=3), within_s=30)
    assert turn is not None
    assert (turn.state, turn.attempts) == (TurnState.RECEIVED, 0), "a complete answer is revised"
    await ledger.finish_turn(question.key, 2, TurnState.DONE, "stopped")
    assert await ledger.add_files(replace(question, files=4), within_s=30) is None, "the person wants no answer"


async def test_files_that_come_later_change_no_answer(url: str) -> None:
    now = [1_000.0]
    async with open_ledger(url, now=lambda: now[0]) as ledger:
        question = make_question()
        await ledger.claim_question(question)
        now[0] += 31
        assert await ledger.add_files(replace(question, files=3), within_s=30) is None


async def test_turns_of_dead_process_are_taken_over_in_order(url: str) -> None:
    """The last calls of the dead process may still reach Slack, so nobody repeats them for a second."""
    now = [time.time()]
    async with open_ledger(url, owner=DEAD) as dead:
        for n in (3, 1, 2):
            await dead.claim_question(make_question(f"{n}.0"))
        await dead.begin_turn(make_question("1.0").key)
        async with open_ledger(url, now=lambda: now[0]) as one, open_ledger(url, now=lambda: now[0]) as other:
            assert not [*await one.list_unfinished(), *await other.list_unfinished()]
            now[0] += LAST_CALLS_S
            both = await asyncio.gather(one.list_unfinished(), other.list_unfinished())
            order = [turn.message.key.ts for turns in both for turn in turns]
            assert sorted(order) == ["1.0", "2.0", "3.0"]
            if both[0] and not both[1]:
                assert order == ["3.0", "1.0", "2.0"]
            assert await dead.begin_turn(make_question("2.0").key) is None
            assert await one.list_unfinished() == []


async def test_turns_of_living_process_stay_until_lease_ends(url: str) -> None:
    now = [1_000.0]
    async with open_ledger(url, now=lambda: now[0], lease_s=30) as one, open_ledger(url, now=lambda: now[0]) as other:
        await one.claim_question(make_question())
        now[0] += 25
        assert await other.list_unfinished() == []
        await one.renew_leases()
        now[0] += 25
        assert await other.list_unfinished() == []
        now[0] += 10
        [turn] = await other.list_unfinished()
        assert turn.message == make_question()
        assert await one.renew_leases() == {}


async def test_purge_removes_old_finished_turns(url: str) -> None:
    now = [1_000.0]
    async with open_ledger(url, now=lambda: now[0]) as ledger:
        for ts in ("1.0", "2.0"):
            await ledger.claim_question(make_question(ts))
        await ledger.begin_turn(make_question("1.0").key)
        await ledger.finish_turn(make_question("1.0").key, 0, TurnState.DONE)
        now[0] += 100
        assert await ledger.purge_rows(Retention(200, 200)) == 0
        assert await ledger.purge_rows(Retention(50, 50)) == 1
        assert await ledger.find_turn(make_question("2.0").key) is not None
        assert not await ThreadRecords(ledger.database).find_thread(("T1", "C1", "1.0"), "U1")


async def test_attempts_are_counted_and_refunded(ledger: Ledger) -> None:
    await ledger.claim_question(make_question())
    for _ in range(3):
        turn = await ledger.begin_turn(make_question().key)
    assert turn is not None
    assert turn.attempts == 3
    await ledger.refund_attempt(make_question().key)
    turn = await ledger.begin_turn(make_question().key)
    assert turn is not None
    assert turn.attempts == 3


async def test_cancelled_call_leaves_no_lock(url: str) -> None:
    """However early or late the cancellation comes."""
    async with open_ledger(url, patience_s=0.5) as ledger:
        for turns in range(1, 40):
            task = asyncio.ensure_future(ledger.claim_question(make_question(f"{turns}.0")))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await ledger.claim_question(make_question(f"{turns}.5"))
        assert await ledger.begin_turn(make_question("39.5").key) is not None


async def test_lock_error_names_next_step(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    async with open_ledger(f"sqlite:///{path}", patience_s=0.05) as ledger:
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match=r"ledger\.sqlite3 is locked .* Close that program"):
                await ledger.claim_question(make_question())
        assert await ledger.claim_question(make_question())


async def test_a_burst_waits_in_this_process_longer_than_for_a_lock(tmp_path: Path) -> None:
    """A claim that is refused although it is stored afterwards would get an apology and an answer."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", patience_s=0.05) as ledger:
        slow = asyncio.create_task(ledger.database.write(lambda _: time.sleep(0.5)))
        assert all(await asyncio.gather(*(ledger.claim_question(make_question(f"{n}.0")) for n in range(50))))
        await slow


async def test_calls_of_one_process_keep_their_order(tmp_path: Path) -> None:
    """Questions that arrive together are answered in the order in which they came."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        slow = asyncio.create_task(ledger.database.write(lambda _: time.sleep(0.2)))
        await asyncio.sleep(0.05)
        question = make_question("1.0")
        threads = ThreadRecords(ledger.database)
        claimed, record = await asyncio.gather(
            ledger.claim_question(question), threads.find_thread(question.thread, "U1")
        )
        assert (claimed, record is not None) == (TurnState.RECEIVED, True)
        await slow


async def test_full_disk_error_names_next_step(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        await ledger.database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 12"))
        with pytest.raises(DatabaseFull, match=r"is full\. Free some space"):
            await asyncio.gather(*(ledger.claim_question(make_question(f"{n}.0", text="x" * 4_000)) for n in range(50)))


async def test_read_only_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened"):
        async with open_ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'l.sqlite3'}"):
            pass


@pytest.mark.parametrize(
    "url", ["mysql://root:hunter2@h/db", "::not a url with hunter2::", "postgresql://kvasir:hunter2@127.0.0.1:9/kvasir"]
)
async def test_url_error_omits_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        async with open_ledger(url, patience_s=1):
            pass
    error: BaseException | None = caught.value
    assert "hunter2" not in str(error)


@pytest.mark.slow
async def test_wrong_password_is_reported(postgres: str) -> None:
    with pytest.raises(DatabaseError, match="refused the login") as caught:
        async with open_ledger(postgres.replace(":secret@", ":hunter2@")):
            pass
    assert "hunter2" not in str(caught.value)
