"""Tests of the plan that shows the progress of an answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Passage, Question, Sources, Step, Text
from bot.slack.posting.message_sink import SlackCapabilities
from tests.slack.running_bot import PASSAGE, RunningBot, Script, get_markdown, make_finished, run_bot_in_sandbox

pytestmark = pytest.mark.slow

SECRET = Passage(2, "docs", "secret.md", "Secret plan", "", "https://kb.example/secret", "Secret.")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[RunningBot]:
    """Run a bot that shows plans soon."""
    async with run_bot_in_sandbox(tmp_path, capabilities=SlackCapabilities(plan_after_s=0.05)) as served:
        yield served


def get_plan(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan block of a message, {} if it has none."""
    return next((block for block in message.get("blocks") or () if block["type"] == "plan"), {})


async def wait_for_plan(bot: RunningBot, root: str, **tasks: str) -> dict[str, Any]:
    """Wait for a message whose plan has tasks with these statuses; return its plan."""

    def fits(message: Mapping[str, Any]) -> bool:
        statuses = {task["task_id"]: task["status"] for task in get_plan(message).get("tasks", ())}
        return message["root"] == root and tasks.items() <= statuses.items() and bool(statuses)

    return get_plan(await bot.sandbox.wait_for_message(fits))


def make_thinking_script(resume: asyncio.Event) -> Script:
    """Return a script that searches, thinks until it is resumed, and answers."""

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Step("is searching…", "search")
        yield Sources((PASSAGE, replace(PASSAGE, n=3, url=f"{PASSAGE.url}#push"), replace(SECRET, url=None)))
        yield Step("is thinking…", "think")
        await resume.wait()
        yield Step("is writing…", "write")
        yield Text("Add it [1]. ", (PASSAGE,))
        yield Text("That is all.")
        yield make_finished(PASSAGE)

    return script


async def test_plan_shows_tasks_with_seconds_and_sources(bot: RunningBot) -> None:
    resume = asyncio.Event()
    bot.answerer.script = make_thinking_script(resume)
    root = await bot.ask()
    plan = await wait_for_plan(bot, root, search="complete", think="in_progress")
    search = plan["tasks"][0]
    assert plan["title"] == "Working on it…"
    assert search["title"] == "Search the documents"
    assert re.fullmatch(r"3 passages · \d+ s", search["output"])
    assert search["sources"] == [{"type": "url", "url": "https://kb.example/sources", "text": "Adding a source"}]
    resume.set()
    message = await bot.wait_for_answer(root)
    plan = get_plan(message)
    assert re.fullmatch(r"Answered in \d+ s", plan["title"])
    assert [task["status"] for task in plan["tasks"]] == ["complete"] * 3
    assert plan["tasks"][2]["output"].startswith("1 source · ")
    assert len(await bot.list_answers(root)) == 1
    (started,) = await bot.sandbox.requests("chat.startStream")
    assert started["args"]["task_display_mode"] == "plan"


async def test_quick_answer_has_no_plan(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, capabilities=SlackCapabilities(plan_after_s=60.0)) as bot:
        message = await bot.wait_for_answer(await bot.ask())
        assert not get_plan(message)


async def test_plan_of_a_search_that_starts_over_is_deleted(bot: RunningBot) -> None:
    """The search found what a new viewer may not see."""
    resume = asyncio.Event()

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Step("is searching…", "search")
        yield Sources((SECRET,))
        yield Step("is thinking…", "think")
        await resume.wait()
        yield Sources(())
        yield Step("is searching…", "search")
        yield Sources((PASSAGE,))
        yield Step("is thinking…", "think")
        await asyncio.sleep(0.3)
        yield Text("That is all.")
        yield make_finished(PASSAGE)

    bot.answerer.script = script
    root = await bot.ask()
    await wait_for_plan(bot, root, think="in_progress")
    resume.set()
    message = await bot.wait_for_answer(root)
    assert len(await bot.list_answers(root)) == 1
    assert "secret" not in str(message)
    assert get_plan(message)["tasks"][0]["sources"][0]["url"] == "https://kb.example/sources"


async def test_failed_answer_names_no_passages(bot: RunningBot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((SECRET,))
        yield Step("is thinking…", "think")
        await asyncio.sleep(0.3)
        raise OSError(28, "No space left on device")

    bot.answerer.script = script
    root = await bot.ask()
    message = await bot.wait_for_answer(root, "No space left on device")
    assert len(await bot.list_answers(root)) == 1
    assert "secret" not in str(message)


async def test_plan_of_a_stopped_answer_ends(bot: RunningBot) -> None:
    bot.answerer.script = make_thinking_script(asyncio.Event())
    root = await bot.ask()
    await wait_for_plan(bot, root, think="in_progress")
    await bot.sandbox.stop("ada", "#general", root)
    await bot.wait_for_answer(root, "Stopped.")


async def test_refused_plan_leaves_the_answer(bot: RunningBot) -> None:
    resume = asyncio.Event()
    bot.answerer.script = make_thinking_script(resume)
    root = await bot.ask()
    await wait_for_plan(bot, root, think="in_progress")
    await bot.sandbox.faults({"method": "chat.*Stream", "error": "invalid_chunks", "times": 1})
    resume.set()
    message = await bot.wait_for_answer(root)
    assert len(await bot.list_answers(root)) == 1
    assert get_markdown(message).startswith("Add it")


async def test_answer_without_streams_shows_one_status_line(bot: RunningBot) -> None:
    resume = asyncio.Event()
    await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method", "times": -1})
    bot.answerer.script = make_thinking_script(resume)
    root = await bot.ask()

    async def thinks() -> bool:
        return any(one["text"] == "is thinking…" for one in (await bot.sandbox.state())["sessions"])

    await bot.sandbox.wait_until(thinks, what="status")
    resume.set()
    assert not get_plan(await bot.wait_for_answer(root))
