"""Tests of the status that Slack shows while Kvasir works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, InLine, Question, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.wire.rate_limits import RefusedMethods
from tests.slack.running_bot import PausedScript, RunningBot, Script, get_text, make_finished, run_bot_in_sandbox

pytestmark = pytest.mark.slow


async def test_answer_needs_no_status(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "a*.setStatus", "error": "unknown_method", "times": -1})
    await bot.wait_for_answer(await bot.ask())
    await bot.wait_for_answer(await bot.ask())
    assert len(await bot.sandbox.requests("agents.sessions.setStatus")) == 1
    assert len(await bot.sandbox.requests("assistant.threads.setStatus")) == 1


@pytest.mark.parametrize("method", ["chat.startStream", "agents.sessions.setStatus", "assistant.threads.setStatus"])
async def test_refusal_for_one_person_concerns_nobody_else(tmp_path: Path, method: str) -> None:
    """It is tried again after some time; only a missing method is not used for anybody."""
    now = [1000.0]
    capabilities = SlackCapabilities(refused_methods=RefusedMethods(lambda: now[0]))
    async with run_bot_in_sandbox(tmp_path, capabilities=capabilities) as bot:

        async def count_calls(person: str) -> int:
            before = len(await bot.sandbox.requests(method))
            await bot.wait_for_turn(await bot.sandbox.say(person, "#general", "@Kvasir how?"))
            return min(1, len(await bot.sandbox.requests(method)) - before)

        await bot.sandbox.faults({"method": method, "error": "team_not_found", "times": -1, "concerns": "U0ADA00001"})
        assert [await count_calls(person) for person in ("ada", "ada", "bo", "bo")] == [1, 0, 1, 1]
        now[0] += 601
        assert await count_calls("ada") == 1
        await bot.sandbox.faults({"method": method, "error": "unknown_method"}, clear=True)
        assert [await count_calls(person) for person in ("bo", "bo", "chen")] == [1, 0, 0]


async def test_status_replaces_missing_sessions(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
    await bot.wait_for_answer(await bot.ask())
    [status, *_] = await bot.sandbox.requests("assistant.threads.setStatus")
    assert status["args"]["status"] == "is searching the documents…"


async def test_status_that_appears_after_the_first_text_is_cleared(bot: RunningBot) -> None:
    """Slack clears a status only with a new message, and this one comes later than the message."""
    sandbox = bot.sandbox
    await sandbox.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
    await sandbox.faults({"method": "assistant.threads.setStatus", "hang_s": 0.5})
    bot.answerer.script = paused = PausedScript()
    ts = await bot.ask()
    await sandbox.wait_for_message(lambda m: "The first half." in get_text(m) and m.get("bot_id"))
    await sandbox.wait_until(lambda: has_status(bot, "processing"))
    paused.resume.set()
    await bot.wait_for_turn(ts, "The second half.")
    assert await has_status(bot, "active")


async def test_stop_while_a_status_call_ends_leaves_no_task(bot: RunningBot) -> None:
    sandbox = bot.sandbox
    await sandbox.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
    await sandbox.faults({"method": "assistant.threads.setStatus", "hang_s": 1.0})
    ts = await bot.ask()
    await bot.wait_for_answer(ts)
    await bot.app.workspace.turns.handle_stop("C0GENERAL1", ts)
    await bot.wait_until_idle()
    assert "slack status" not in {task.get_name() for task in asyncio.all_tasks()}


async def has_status(bot: RunningBot, status: str) -> bool:
    return {session["status"] for session in (await bot.sandbox.state())["sessions"]} == {status}


def make_queue_script(*said: str) -> Script:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        for text in (*said, ""):
            yield InLine(text)
            await asyncio.sleep(0.05)
        yield Text("That is all.")
        yield make_finished()

    return script


async def test_queue_position_appears_in_status(tmp_path: Path) -> None:
    """The status shows the newest position at each call, and the answer shows none."""
    async with run_bot_in_sandbox(tmp_path, capabilities=SlackCapabilities(status_every_s=0.2)) as bot:
        await bot.sandbox.faults({"method": "agents.*", "error": "unknown_method", "times": -1})
        await bot.wait_for_answer(await bot.ask())  # this answer shows that Slack has no sessions
        before = len(await bot.sandbox.requests("assistant.threads.setStatus"))
        bot.answerer.script = make_queue_script(*(f"You are number {place} in line." for place in range(20, 0, -1)))
        message = await bot.wait_for_answer(await bot.ask())
        assert "in line" not in get_text(message)
        calls = (await bot.sandbox.requests("assistant.threads.setStatus"))[before:]
        statuses = [str(call["args"]["status"]) for call in calls]
        places = [int(status.split()[5]) for status in statuses if status.startswith("is busy. You are number")]
        assert 2 <= len(places) <= 7
        assert places == sorted(places, reverse=True)


async def test_status_shows_current_step(tmp_path: Path) -> None:
    """The words appear next to the session, which lasts until the answer; no plan replaces them."""
    capabilities = SlackCapabilities(plan_after_s=600.0)
    async with run_bot_in_sandbox(tmp_path, capabilities=capabilities) as bot:
        await check_steps(bot)


async def check_steps(bot: RunningBot) -> None:
    steps: list[tuple[str, str]] = []

    async def shows(text: str) -> bool:
        sessions = (await bot.sandbox.state())["sessions"]
        steps.extend((one["status"], one["text"]) for one in sessions if one["text"] == text)
        return any(one["text"] == text for one in sessions)

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        await bot.sandbox.wait_until(lambda: shows("正在检索文档…"), what="first status")
        yield Step("正在阅读 8 段资料…")
        await bot.sandbox.wait_until(lambda: shows("正在阅读 8 段资料…"), what="second status")
        yield Text("That is all.")
        yield make_finished()

    bot.answerer.script = script
    await bot.wait_for_turn(await bot.ask("@Kvasir 年假有多少天？"))
    assert {status for status, _ in steps} == {"processing"}
    (session,) = (await bot.sandbox.state())["sessions"]
    assert (session["status"], session["text"]) == ("active", "")


async def test_status_is_cleared_after_edit(bot: RunningBot) -> None:
    """The question is edited before its answer has text."""
    queue = asyncio.Queue[str]()

    async def script(question: Question) -> AsyncGenerator[AnswerEvent]:
        queue.put_nowait(question.text)
        if "first" in question.text:
            await asyncio.Event().wait()
        yield Text("That is all.")
        yield make_finished()

    async def words() -> list[object]:
        return [call["args"]["status"] for call in await bot.sandbox.requests("assistant.threads.setStatus")]

    bot.answerer.script = script
    ts = await bot.ask("@Kvasir the first question?")
    await queue.get()
    await bot.sandbox.wait_until(words, what="the first status")
    await bot.sandbox.edit("ada", "#general", ts, "@Kvasir the second question?")
    await bot.wait_for_turn(ts, "That is all.")
    assert "" in await words()


async def test_queue_position_is_a_message_while_statuses_are_limited(bot: RunningBot) -> None:
    """The message is updated, and becomes the answer."""
    await bot.sandbox.faults({"method": "a*.setStatus", "status": 429, "retry_after_s": 30, "times": -1})

    async def shows(text: str) -> bool:
        return any(text in get_text(m) for m in await bot.sandbox.messages() if m.get("bot_id"))

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        for place in (3, 2):
            yield InLine(f"You are number {place} in line.")
            await bot.sandbox.wait_until(lambda place=place: shows(f"number {place} in line"), what="waiting line")
        yield InLine("")
        await bot.sandbox.wait_until(lambda: shows("working on your question"), what="end of the queue")
        yield Text("That is all.")
        yield make_finished()

    bot.answerer.script = script
    root = await bot.ask()
    await bot.wait_for_answer(root)
    [message] = await bot.list_answers(root)
    assert "number" not in get_text(message)
    assert "working" not in get_text(message)


async def test_queue_position_without_status_and_plan_is_a_notice(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method", "times": -1})
    await bot.wait_for_answer(await bot.ask())  # this answer shows that Slack has no streams
    bot.answerer.script = make_queue_script("You are number 2 in line.", "You are number 1 in line.")
    message = await bot.wait_for_answer(await bot.ask())
    assert message["text"].count("in line") == 1
