"""Tests of turns while Slack, the ledger or the engine fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.turns.settings import TurnSettings
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from engine.errors import EngineInterrupted
from engine.notes import NoteCode
from tests.slack.people.world import ADA, SHARED, TEAM, run_company
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    get_markdown,
    get_text,
    make_script,
    run_bot_in_sandbox,
    wait_for_heartbeats,
)

pytestmark = pytest.mark.slow


WHOLE = "You asked: how?"


async def test_answer_appears_once_after_slack_recovers(bot: RunningBot) -> None:
    """The answer appears once, also if Slack had created the first message."""
    await bot.sandbox.faults({"method": "chat.*", "status": 503, "times": 4})
    ts = await bot.ask()
    await bot.wait_for_turn(ts, WHOLE)
    assert len([m for m in await bot.list_answers(ts) if WHOLE in m["text"]]) == 1


async def test_first_message_with_lost_response_becomes_apology(bot: RunningBot) -> None:
    """Slack created the message without a response; recovery finds it in the thread."""
    await bot.sandbox.faults({"method": "chat.startStream", "lose_reply": True, "times": 1})
    ts, _ = await bot.pause_answer()
    bot.answerer.script = make_script("The whole answer.")
    await bot.wait_for_turn(ts, "The whole answer.")
    first, second = await bot.list_answers(ts)
    assert get_markdown(first) == "_ℹ️ I was interrupted here; the answer follows below._"
    assert get_markdown(second) == "The whole answer."


async def test_unconfirmed_complete_answer_is_found_in_thread(bot: RunningBot) -> None:
    await bot.sandbox.faults(
        {"method": "chat.startStream", "error": "unknown_method", "times": -1},
        {"method": "chat.postMessage", "skip": 1, "lose_reply": True, "times": 1},
    )
    await bot.wait_for_answer(await bot.ask())
    ts = await bot.ask()
    await bot.wait_for_answer(ts, WHOLE)
    await bot.sandbox.wait_until(bot.has_no_open_turns)
    assert len(await bot.list_answers(ts)) == 1
    assert len(bot.answerer.questions) == 2


@pytest.mark.parametrize("error", ["is_archived", "not_in_channel"])
async def test_missing_channel_ends_turn_without_retry(bot: RunningBot, error: str) -> None:
    _, held = await bot.pause_answer()
    await bot.sandbox.faults({"method": "chat.*", "error": error, "times": -1})
    held.resume.set()
    await bot.wait_until_idle()
    await bot.sandbox.faults(clear=True)
    await wait_for_heartbeats(bot.sandbox)  # it is not tried again
    assert len(bot.answerer.questions) == 1
    assert not bot.running.done()


async def test_answer_ends_at_deadline(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, settings=TurnSettings(deadline_s=6.0, drain_s=0.1, heartbeat_s=0.1)) as bot:
        bot.answerer.script = held = PausedScript()
        ts = await bot.ask()
        message = await bot.wait_for_answer(ts, "It took too long")
        assert "The first half." in message["text"]
        assert not held.resume.is_set()
        assert bot.answerer.closed == 1


async def test_interrupted_engine_ends_answer_with_its_message(bot: RunningBot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("Half. ")
        raise EngineInterrupted(NoteCode.ERROR.fill(text="The engine stopped in mid-answer. Ask again in a minute."))

    bot.answerer.script = script
    ts = await bot.ask()
    assert "Ask again in a minute." in get_text(await bot.wait_for_answer(ts, "Half."))


async def test_unreadable_thread_adds_notice(bot: RunningBot) -> None:
    ts = await bot.ask("The build is red.")
    await bot.sandbox.faults({"method": "conversations.replies", "error": "missing_scope", "times": -1})
    await bot.ask("@Kvasir why?", thread_ts=ts)
    assert "could not read this thread" in get_text(await bot.wait_for_answer(ts, "You asked: why?"))


async def test_locked_ledger_makes_slack_retry_and_informs_the_person(tmp_path: Path) -> None:
    """Slack sends the event again, and the person sees why the answer is late."""
    async with run_bot_in_sandbox(
        tmp_path, sandbox_options={"ack_deadline_s": 0.8, "retry_delays_s": (0.0,) * 20}
    ) as bot:
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("BEGIN IMMEDIATE")
            ts = await bot.ask()
            reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
            assert "is locked by another program" in get_text(reply)
            other.rollback()
        await bot.wait_for_turn(ts, WHOLE)
        assert len(await bot.list_answers(ts)) == 1


async def test_answer_continues_while_ledger_is_locked(tmp_path: Path) -> None:
    """The answer appears, and recovery finds it complete once the ledger works again."""
    async with run_bot_in_sandbox(tmp_path) as bot:
        bot.answerer.script = held = PausedScript("")
        ts = await bot.ask()
        await held.paused.wait()
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("BEGIN IMMEDIATE")
            held.resume.set()
            await bot.wait_for_answer(ts, "The second half.")
            await asyncio.sleep(0.7)  # longer than the ledger's patience
            other.rollback()
        await bot.sandbox.wait_until(bot.has_no_open_turns)
        assert len(bot.answerer.questions) == 1
        assert len(await bot.list_answers(ts)) == 1


async def test_turn_stays_open_while_the_approval_cannot_be_read(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("ALTER TABLE bot_approved_channels RENAME TO lost")
        ts = await bot.sandbox.say("ada", SHARED, "How?")
        await bot.ledger.claim_question(QuestionMessage(QuestionKey(TEAM, SHARED, ts), ts, ADA, "How?"))
        await wait_for_heartbeats(bot.sandbox, 6)  # several attempts, each after twice as long
        with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
            other.execute("ALTER TABLE lost RENAME TO bot_approved_channels")
        await bot.wait_for_answer(ts, "until an owner allows it", channel=SHARED)
