"""Tests of a process that loses a question to another one: it leaves no message and changes nothing of the other's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.slack.turns.settings import TurnSettings
from bot.storage.tables import turns
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import QuestionKey, TurnState
from tests.slack.running_bot import PausedScript, RunningBot, get_text, run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID

pytestmark = pytest.mark.slow

CHANNEL = "C0GENERAL1"


async def take_over(other: Ledger, key: QuestionKey) -> None:
    """Let the lease of a question expire, and begin its turn in another process."""
    await other.database.write(lambda connection: connection.execute(sa.update(turns).values(lease_until=0.0)))
    assert [turn.message.key for turn in await other.list_unfinished()] == [key]
    assert await other.begin_turn(key) is not None


@pytest.mark.parametrize("finishes_first", [False, True])
@pytest.mark.parametrize("when", ["before the generation", "before the first word", "within the answer"])
async def test_process_that_lost_a_question_leaves_it_alone(tmp_path: Path, when: str, *, finishes_first: bool) -> None:
    settings = TurnSettings(heartbeat_s=60.0, drain_s=0.2)
    async with run_bot_in_sandbox(tmp_path, settings=settings) as bot:
        other = Ledger(bot.ledger.database, owner="another process")
        bot.answerer.script = paused = PausedScript("The first half. " if when == "within the answer" else "")
        if when == "before the generation":
            await bot.sandbox.faults({"method": "conversations.info", "hang_s": 0.5})
        ts = await bot.ask()
        key = QuestionKey(TEAM_ID, CHANNEL, ts)
        match when:
            case "before the generation":
                await bot.sandbox.wait_for_faults()
            case "before the first word":
                await paused.paused.wait()
            case _:
                await bot.sandbox.wait_for_message(lambda m: m["root"] == ts and "The first half." in get_text(m))
        await take_over(other, key)
        await other.note_replies(key, ["9.9"])
        if finishes_first:
            assert await other.finish_turn(key, 0, TurnState.DONE)
        paused.resume.set()
        await bot.wait_until_idle()
        assert await bot.list_answers(ts) == []
        if when == "before the generation":
            assert not bot.answerer.questions
            assert not await bot.sandbox.requests("chat.postMessage")
        turn = await other.find_turn(key)
        assert turn is not None
        assert (turn.replies, turn.attempts) == (("9.9",), 2)
        assert turn.state is (TurnState.DONE if finishes_first else TurnState.ANSWERING)


@pytest.mark.parametrize("is_open", [False, True])
async def test_answer_that_was_found_and_then_deleted_is_written_again(tmp_path: Path, *, is_open: bool) -> None:
    """The other process finds the answer in the thread at the moment at which this one deletes it."""
    async with run_bot_in_sandbox(tmp_path, settings=TurnSettings(heartbeat_s=60.0)) as bot:
        other = Ledger(bot.ledger.database, owner="another process")
        await bot.sandbox.faults(
            {"method": "conversations.info", "hang_s": 0.3}, {"method": "chat.delete", "hang_s": 2.0}
        )
        ts = await bot.ask("@Kvasir")
        key = QuestionKey(TEAM_ID, CHANNEL, ts)
        await bot.sandbox.wait_until(lambda: bot.app.workspace.turns.running, what="turn")
        await asyncio.sleep(0.1)
        await take_over(other, key)
        found = await bot.sandbox.wait_for_message(lambda m: m["root"] == ts and m.get("metadata"))
        await bot.sandbox.wait_for_faults()
        await other.note_replies(key, [found["ts"]])
        if is_open:
            await bot.wait_until_idle()
            assert not await other.finish_turn(key, 0, TurnState.DONE), "it has to answer the question again"
            turn = await other.find_turn(key)
            assert turn is not None
            assert (turn.replies, turn.state) == ((), TurnState.ANSWERING)
            return
        assert await other.finish_turn(key, 0, TurnState.DONE)
        await bot.sandbox.wait_until(lambda: is_answered_again(bot, ts, found["ts"]), what="another answer")


async def is_answered_again(bot: RunningBot, root: str, before: str) -> bool:
    await bot.wait_until_idle()
    return [m["ts"] != before for m in await bot.list_answers(root)] == [True]
