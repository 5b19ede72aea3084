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
from tests.slack.running_bot import PausedScript, get_text, run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID

pytestmark = pytest.mark.slow

CHANNEL = "C0GENERAL1"


async def take_over(other: Ledger, key: QuestionKey) -> None:
    """Let the lease of a question expire, and answer it in another process."""
    await other.database.write(lambda connection: connection.execute(sa.update(turns).values(lease_until=0.0)))
    assert [turn.message.key for turn in await other.list_unfinished()] == [key]
    assert await other.begin(key) is not None
    await other.note_replies(key, ["9.9"])


@pytest.mark.parametrize("finishes_first", [False, True])
@pytest.mark.parametrize("when", ["before the generation", "before the first word", "within the answer"])
async def test_process_that_lost_a_question_leaves_it_alone(tmp_path: Path, when: str, *, finishes_first: bool) -> None:
    settings = TurnSettings(heartbeat_s=60.0, drain_s=0.2)
    async with run_bot_in_sandbox(tmp_path, "socket", settings=settings) as bot:
        other = Ledger(bot.ledger.database, owner="another process")
        bot.answerer.script = paused = PausedScript("The first half. " if when == "within the answer" else "")
        if when == "before the generation":
            await bot.sandbox.faults({"method": "conversations.info", "hang_s": 0.5})
        ts = await bot.ask()
        key = QuestionKey(TEAM_ID, CHANNEL, ts)
        match when:
            case "before the generation":
                await bot.sandbox.wait_until(lambda: bot.app.workspace.turns.running, what="turn")
            case "before the first word":
                await paused.paused.wait()
            case _:
                await bot.sandbox.wait_for_message(lambda m: m["root"] == ts and "The first half." in get_text(m))
        await asyncio.sleep(0.2)
        await take_over(other, key)
        if finishes_first:
            assert await other.finish(key, 0, TurnState.DONE)
        paused.resume.set()
        await bot.wait_until_idle()
        assert await bot.list_answers(ts) == []
        if when == "before the generation":
            assert not bot.answerer.questions
            assert not await bot.sandbox.requests("chat.postMessage")
        turn = await other.find(key)
        assert turn is not None
        assert (turn.replies, turn.attempts) == (("9.9",), 2)
        assert turn.state is (TurnState.DONE if finishes_first else TurnState.ANSWERING)
