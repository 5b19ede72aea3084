"""Tests of an answer's messages while Slack fails: no text is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.posting.message_sink import SlackCapabilities
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    get_markdown,
    get_text,
    make_finished,
    make_script,
    run_bot_in_sandbox,
)

pytestmark = pytest.mark.slow


async def list_successful_calls(bot: RunningBot, *methods: str) -> list[str]:
    return [call["method"] for call in await bot.sandbox.requests() if call["method"] in methods and not call["error"]]


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "method_not_supported_for_channel_type"])
async def test_answer_without_streams_is_posted_and_updated(bot: RunningBot, error: str) -> None:
    """Later answers do not try an unsupported method again."""
    await bot.sandbox.faults({"method": "chat.startStream", "error": error, "times": -1})
    ts, held = await bot.pause_answer()
    held.resume.set()
    message = await bot.wait_for_answer(ts, "The first half. The second half.")
    assert len(await bot.list_answers(ts)) == 1
    assert message["edited"]
    ts, again = await bot.pause_answer()
    again.resume.set()
    await bot.wait_for_answer(ts, "The second half.")
    tried = await bot.sandbox.requests("chat.startStream")
    assert len(tried) == (2 if error.startswith("method_not") else 1)


async def test_rate_limit_loses_no_text(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.stopStream", "status": 429, "retry_after_s": 1, "times": 1})
    ts, held = await bot.pause_answer()
    held.resume.set()
    message = await bot.wait_for_answer(ts, "The first half. The second half.")
    assert message["text"].count("The second half.") == 1


async def test_many_questions_respect_slacks_rate_limits(tmp_path: Path) -> None:
    """After a rate limit, the waiting calls continue one by one."""
    async with run_bot_in_sandbox(tmp_path, sandbox_options={"pace": "exact"}) as bot:
        question_ids = [await bot.ask(f"@Kvasir number {n}") for n in range(14)]
        for ts in question_ids:
            await bot.sandbox.wait_for_message(lambda m, ts=ts: m["root"] == ts and "That is all." in get_text(m), 60)
        refused = [call for call in await bot.sandbox.requests("chat.postMessage") if call["error"] == "ratelimited"]
        assert len(refused) <= 14


async def test_rate_limited_stream_falls_back_to_post(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "status": 429, "retry_after_s": 30, "times": -1})
    for _ in range(2):
        ts, held = await bot.pause_answer()
        held.resume.set()
        await bot.wait_for_answer(ts, "The first half. The second half.")
    assert len(await bot.sandbox.requests("chat.startStream")) == 1


async def test_text_during_a_call_is_sent_together(bot: RunningBot) -> None:
    """A few calls send three hundred pieces in order."""
    pieces = [f"Piece {n}. " for n in range(300)]
    bot.answerer.script = make_script(*pieces)
    ts = await bot.ask()
    message = await bot.wait_for_answer(ts, "Piece 299.")
    assert get_markdown(message).strip() == "".join(pieces).strip()
    assert len(await list_successful_calls(bot, "chat.startStream", "chat.appendStream", "chat.stopStream")) <= 6


async def test_long_code_continues_in_messages_with_own_fences(bot: RunningBot) -> None:
    """The answer is streamed, so each message fills piece by piece; no canvas or file takes its place."""
    methods = ("canvases.create", "files.getUploadURLExternal")
    await bot.sandbox.faults(*({"method": one, "error": "missing_scope", "times": -1} for one in methods))
    lines = [f"line_{n} = {n}" for n in range(2_500)]

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("```python\n")
        for line in lines:
            yield Text(f"{line}\n")
            if line.endswith("00"):
                await asyncio.sleep(0.002)
        yield Text("```\nDone.")
        yield make_finished()

    bot.answerer.script = script
    ts = await bot.ask()
    await bot.wait_for_turn(ts, "Done.")
    bodies = [get_markdown(m) for m in await bot.list_answers(ts)]
    assert len(bodies) > 3
    assert all(text.startswith("```python\n") and text.count("```") == 2 for text in bodies)
    assert [line for text in bodies for line in text.splitlines() if line.startswith("line_")] == lines


async def test_old_stream_continues_in_new_message(tmp_path: Path) -> None:
    """After four minutes, the fence is closed in the old message and reopened in the new one."""
    now = [0.0]
    capabilities = SlackCapabilities(now=lambda: now[0])
    async with run_bot_in_sandbox(tmp_path, capabilities=capabilities) as bot:
        bot.answerer.script = held = PausedScript("```python\nfirst = 1\n", "second = 2\n```\nDone.")
        ts = await bot.ask()
        await bot.sandbox.wait_for_message(lambda m: "first = 1" in get_text(m) and m.get("bot_id"))
        now[0] = 241.0
        held.resume.set()
        await bot.wait_for_answer(ts, "Done.")
        first, second = await bot.list_answers(ts)
        assert first["text"] == "```python\nfirst = 1\n```"
        assert second["text"] == "```python\nsecond = 2\n```\nDone."


async def test_expired_stream_loses_no_text(bot: RunningBot) -> None:
    """Slack ends a stream after five minutes."""
    ts, held = await bot.pause_answer()
    await bot.sandbox.advance(301)
    held.resume.set()
    await bot.wait_for_answer(ts, "The second half.")
    assert [m["text"].strip() for m in await bot.list_answers(ts)] == ["The first half.", "The second half."]


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_lost_response_loses_and_doubles_no_text(bot: RunningBot, method: str) -> None:
    await bot.sandbox.faults({"method": method, "lose_reply": True, "times": 1})

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("One. ")
        await bot.sandbox.wait_for_message(lambda m: "One." in get_text(m) and m.get("bot_id"))
        yield Text("Two. ")
        await bot.sandbox.wait_until(lambda: _tried("chat.appendStream"))
        yield Text("Three.")
        yield make_finished()

    async def _tried(method: str) -> bool:
        return bool(await bot.sandbox.requests(method))

    bot.answerer.script = script
    ts = await bot.ask()
    await bot.wait_for_turn(ts, "Three.")
    texts = " ".join(m["text"] for m in await bot.list_answers(ts))
    assert texts.split() == ["One.", "Two.", "Three."]
