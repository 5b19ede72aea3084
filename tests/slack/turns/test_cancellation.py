"""Tests of answers that end early: no stream stays open, nothing is doubled, and the answer's source is closed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.turns.settings import TurnSettings
from bot.storage.questions import QuestionKey, QuestionMessage
from tests.slack.running_bot import RunningBot, get_markdown, make_finished, run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID


async def yield_control(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def say_twelve_words(_question: Question) -> AsyncGenerator[AnswerEvent]:
    for n in range(12):
        yield Text(f"Word {n}. ")
        await asyncio.sleep(0.004)
    yield make_finished()


async def list_open_streams(bot: RunningBot) -> list[str]:
    return [m["ts"] for m in await bot.sandbox.messages() if m.get("streaming") or m.get("stream") == "streaming"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "stopped", "edited"])
async def test_cancellation_at_any_moment_doubles_no_text(tmp_path: Path, how: str) -> None:
    """Each of twenty answers is cancelled a little later, from before its first call to after its last."""
    async with run_bot_in_sandbox(tmp_path, "socket", sandbox_options={"pace": "off"}) as bot:
        bot.answerer.script = say_twelve_words
        turns = bot.app._turns
        asked = []
        for number in range(20):
            ts = await bot.ask(f"@Kvasir question {number}")
            asked.append(ts)
            key = QuestionKey(TEAM_ID, "C0GENERAL1", ts)
            await bot.sandbox.wait_until(
                lambda ts=ts: bot.answerer.questions and bot.answerer.questions[-1].id.endswith(ts)
            )
            await asyncio.sleep(0.003 * number)
            await yield_control(number % 5)
            if how == "deleted":
                await turns.handle_deletion(key)
            elif how == "edited":
                edited = QuestionMessage(key, ts, "U0ADA00001", f"<@U0KVASIR01> edited {number}")
                await turns.handle_edit(edited, f"{ts}9")
            else:
                await turns.handle_stop("C0GENERAL1", ts)
            await bot.wait_until_idle()
        assert bot.answerer.closed == len(bot.answerer.questions)
        assert not await list_open_streams(bot)
        sessions = (await bot.sandbox.state())["sessions"]
        assert {session["status"] for session in sessions} <= {"active"}
        for ts in asked:
            words = " ".join(get_markdown(m) for m in await bot.list_answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))
            if how == "edited":
                assert len(numbers) == 12


@pytest.mark.slow
async def test_deadline_at_any_moment_doubles_no_text(tmp_path: Path) -> None:
    settings = TurnSettings(deadline_s=0.03, drain_s=0.2, heartbeat_s=0.1)
    async with run_bot_in_sandbox(tmp_path, "socket", settings=settings, sandbox_options={"pace": "off"}) as bot:
        bot.answerer.script = say_twelve_words
        asked = [await bot.ask(f"@Kvasir question {number}") for number in range(40)]
        for ts in asked:
            await bot.wait_for_answer(ts, "")
        await bot.wait_until_idle()
        assert not await list_open_streams(bot)
        for ts in asked:
            words = " ".join(get_markdown(m) for m in await bot.list_answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))
