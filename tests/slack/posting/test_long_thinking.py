"""Tests of answers that take many minutes, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, InLine, Question, Sources, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from tests.slack.running_bot import PASSAGE, get_markdown, make_finished, run_bot_in_sandbox

pytestmark = pytest.mark.slow

MINUTES = 12
MAX_STREAM_S = 250.0


async def test_answer_of_twelve_minutes_streams_no_message_too_long(tmp_path: Path) -> None:
    """It thinks for five minutes and writes for seven; Slack's clock and the bot's go on together."""
    now = [0.0]
    sentences = [f"Sentence {n} of a long answer. " for n in range(MINUTES * 60 // 10)]
    thinking = 5 * 60 // 10

    capabilities = SlackCapabilities(now=lambda: now[0], plan_after_s=0.0)
    async with run_bot_in_sandbox(tmp_path, capabilities=capabilities) as bot:

        async def pass_time(seconds: float) -> None:
            now[0] += seconds
            await bot.sandbox.advance(seconds)
            await asyncio.sleep(0.05)

        async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
            yield Step("is searching…", "search")
            yield Sources((PASSAGE,))
            yield Step("is thinking…", "think")
            for n, sentence in enumerate(sentences):
                if n < thinking:
                    yield InLine(f"You are number {len(sentences) - n} in line.")
                else:
                    yield Text(sentence)
                await pass_time(10.0)
            yield make_finished()

        bot.answerer.script = script
        root = await bot.ask()
        await bot.wait_for_turn(root, sentences[-1].strip())
        answers = await bot.list_answers(root)
        calls = [call for call in await bot.sandbox.requests() if call["method"].startswith("chat.")]
    assert not [call for call in calls if call["error"]]
    assert "".join(get_markdown(one).strip() + " " for one in answers) == "".join(sentences[thinking:])
    started = [call["at"] for call in calls if call["method"] == "chat.startStream"]
    stopped = [call["at"] for call in calls if call["method"] == "chat.stopStream"]
    assert len(started) == len(stopped) >= 3
    assert all(end - begin <= MAX_STREAM_S for begin, end in zip(started, stopped, strict=True))
    assert max(stopped) - min(started) >= MINUTES * 60 - 30


async def test_place_in_the_line_is_never_older_than_fifteen_seconds(tmp_path: Path) -> None:
    """The clock runs ten times as fast."""
    loop, speed = asyncio.get_running_loop(), 10.0
    capabilities = SlackCapabilities(now=lambda: loop.time() * speed, plan_after_s=0.0)

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Step("is thinking…", "think")
        for left_s in range(120, 0, -2):
            yield InLine(f"You are number 2 in line for the engine, about {left_s} s.")
            await asyncio.sleep(2.0 / speed)
        yield InLine("")
        yield Text("That is all.")
        yield make_finished()

    async with run_bot_in_sandbox(tmp_path, script=script, capabilities=capabilities) as bot:
        root = await bot.ask()
        message = await bot.wait_for_answer(root)
        calls = await bot.sandbox.requests()
    times = [call["at"] * speed for call in calls if "in line" in str(call["args"].get("chunks"))]
    assert len(times) >= 8
    assert all(later - earlier <= 15.0 for earlier, later in itertools.pairwise(times))
    assert "in line" not in str(message)
