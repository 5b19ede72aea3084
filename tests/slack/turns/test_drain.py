"""The end of a process: what it has begun it answers, and the rest is another process's at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, InLine, Question, Text
from bot.slack.turns.settings import TurnSettings
from tests.slack.running_bot import RunningBot, get_text, make_finished, make_script, run_bot
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

PATIENT = TurnSettings(drain_s=60.0, heartbeat_s=0.1, concurrent=2)


class OldScript:
    """Begins the answer to "begun", waits for the engine with "line", and has no place for the others."""

    def __init__(self) -> None:
        self.resume = asyncio.Event()
        self.asked: list[str] = []

    async def __call__(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        self.asked.append(question.text)
        if "line" in question.text:
            yield InLine("You are number 7.")
            await asyncio.Event().wait()
        yield Text("The first half. ")
        await self.resume.wait()
        yield Text("The second half.")
        yield make_finished()


async def find_generations(bot: RunningBot, ts: str) -> int:
    turn = await bot.find_turn(ts)
    return turn.generations


@pytest.mark.slow
@pytest.mark.parametrize("has_plan", [False, True])
async def test_begun_answers_end_and_the_others_are_answered_elsewhere_at_once(
    tmp_path: Path, *, has_plan: bool
) -> None:
    old = OldScript()
    async with open_sandbox(tmp_path) as sandbox, contextlib.AsyncExitStack() as ending:
        first = await ending.enter_async_context(run_bot(sandbox, tmp_path, script=old, settings=PATIENT))
        begun = await first.ask("@Kvasir begun?")
        await sandbox.wait_for_message(lambda m: m["root"] == begun and "The first half." in get_text(m))
        line, queued = [await first.ask(f"@Kvasir {word}?") for word in ("line", "queued")]
        turns = first.app.workspace.turns

        async def waits() -> bool:
            replies = [one.reply for one in turns.running.values()]
            return any(reply is not None and reply.is_in_line for reply in replies) and bool(
                turns._queue.list_waiting()
            )

        await sandbox.wait_until(waits)
        if has_plan:
            await sandbox.wait_for_message(lambda m: m["root"] == line and m.get("bot_id"))
        async with run_bot(sandbox, tmp_path, script=make_script("All of it.")) as second:
            end = asyncio.create_task(ending.aclose())
            for ts in (line, queued):
                await second.wait_for_answer(ts, "All of it.")
                assert await find_generations(second, ts) <= 1
            assert not end.done(), "the answer that had begun goes on"
            old.resume.set()
            await end
            await sandbox.wait_for_message(lambda m: m["root"] == begun and "The second half." in get_text(m))
            await second.wait_until_idle()
            assert old.asked == ["begun?", "line?"]
            assert sorted(one.text for one in second.answerer.questions) == ["line?", "queued?"]
            for ts in (begun, line, queued):
                assert len(await second.list_answers(ts)) == 1


async def test_a_second_signal_ends_the_wait_also_if_it_comes_before_the_wait(tmp_path: Path) -> None:
    old, begun = OldScript(), asyncio.Event()

    async def serve() -> None:
        async with run_bot(sandbox, tmp_path, script=old, settings=TurnSettings(drain_s=3_600.0)) as bot:
            await bot.ask("@Kvasir begun?")
            await sandbox.wait_for_message(lambda m: "The first half." in get_text(m))
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                begun.clear()
                await asyncio.Event().wait()  # load balancers do not know yet

    async with open_sandbox(tmp_path) as sandbox, asyncio.timeout(WAIT_S):
        serving = asyncio.create_task(serve())
        await begun.wait()
        serving.cancel()
        while begun.is_set():  # noqa: ASYNC110 - of a task that ends
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled()


async def test_no_questions_are_taken_while_the_process_drains(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path) as bot:
        await bot.app.drain()
        assert not bot.app.is_connected
        ts = await bot.ask("@Kvasir late?")
        async with run_bot(sandbox, tmp_path, script=make_script("All of it.")) as other:
            await other.wait_for_answer(ts, "All of it.")
        assert bot.answerer.questions == []
