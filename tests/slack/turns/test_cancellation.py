"""Tests of answers that end early: no stream stays open, nothing is doubled, and the answer's source is closed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.turns.running_turn import CancelReason
from bot.slack.turns.settings import TurnSettings
from bot.slack.turns.turns import TurnManager
from bot.storage.turns.questions import QuestionKey, QuestionMessage
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


async def say_three_words(_question: Question) -> AsyncGenerator[AnswerEvent]:
    for n in range(3):
        yield Text(f"Word {n}. ")
        await asyncio.sleep(0.002)
    yield make_finished()


ROOT = f"{Path(__file__).parents[3]}/"


class AwaitCounter:
    """Counts the awaits of the next turn, with those of the tasks that it starts, and acts once at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self._act_at = 0
        self._act: Callable[[], object] = lambda: None
        self._watched: WeakSet[asyncio.Task[Any]] = WeakSet()

    def arm(self, act_at: int, act: Callable[[], object]) -> None:
        self.count, self._act_at, self._act = 0, act_at, act

    def create_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """Create a task, as ``loop.set_task_factory`` needs it."""
        is_turn = getattr(coroutine, "__qualname__", "") == TurnManager._run_turn.__qualname__
        if not is_turn and asyncio.current_task() not in self._watched:
            return asyncio.Task(coroutine, loop=loop, **options)
        task = asyncio.Task(self.watch(coroutine), loop=loop, **options)
        task.add_done_callback(lambda _: coroutine.close())  # it never begins if the task is cancelled before
        self._watched.add(task)
        return task

    async def watch(self, coroutine: Coroutine[Any, Any, Any]) -> object:
        """Run a coroutine to its end."""
        return await WatchedAwaits(coroutine, self._count_await)

    def _count_await(self) -> None:
        self.count += 1
        if self.count == self._act_at:
            self._act()


class WatchedAwaits:
    """Runs a coroutine, and calls a function at each await of it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], on_await: Callable[[], None]) -> None:
        self._coroutine = coroutine
        self._on_await = on_await

    def __await__(self) -> Generator[Any, Any, Any]:
        step = functools.partial(self._coroutine.send, None)
        while True:
            try:
                awaited = step()
            except StopIteration as end:
                return end.value
            self._on_await()
            try:
                step = functools.partial(self._coroutine.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001 - passed on to the coroutine
                step = functools.partial(self._coroutine.throw, error)


def list_bot_tasks() -> list[str]:
    """Return the names of the bot's own tasks that run."""
    names = []
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        if isinstance(coroutine, types.CoroutineType):
            path = coroutine.cr_code.co_filename.removeprefix(ROOT)
            if path.startswith("bot/slack") or coroutine.__name__ == "watch":
                names.append(coroutine.__qualname__)
    return sorted(names)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "ending", "deleted", "edited"])
async def test_cancellation_at_each_await_leaves_nothing_open(tmp_path: Path, how: str) -> None:
    """No answer of the engine, stream, status, lease or task is left, whichever await of a turn is cancelled."""
    async with run_bot_in_sandbox(tmp_path, sandbox_options={"pace": "off"}) as bot:
        bot.answerer.script = say_three_words
        turns = bot.app.workspace.turns
        awaits = AwaitCounter()
        acting: list[asyncio.Task[object]] = []

        def act() -> None:
            # An earlier question that was ended may be tried again at the same time.
            key, running = max(turns.running.items(), key=lambda one: float(one[0].ts))
            if how == "deleted":
                acting.append(asyncio.ensure_future(turns.handle_deletion(key)))
            elif how == "edited":
                edited = QuestionMessage(key, key.ts, "U0ADA00001", "<@U0KVASIR01> edited")
                acting.append(asyncio.ensure_future(turns.handle_edit(edited, f"{key.ts}9")))
            else:
                running.cancel(CancelReason(how))

        await bot.wait_for_turn(await bot.ask("@Kvasir warm up"), "Word 2.")
        before = list_bot_tasks()
        asyncio.get_running_loop().set_task_factory(awaits.create_task)
        act_at = 0
        while awaits.count >= act_at:
            act_at += 1
            awaits.arm(act_at, act)
            ts = await bot.ask(f"@Kvasir question {act_at}")
            await bot.sandbox.wait_delivered()
            await bot.sandbox.wait_until(bot.has_no_open_turns)
            await bot.wait_until_idle()
            await asyncio.gather(*acting)
            assert bot.answerer.closed == len(bot.answerer.questions)
            assert not await bot.list_open_streams()
            sessions = (await bot.sandbox.state())["sessions"]
            assert {session["status"] for session in sessions} <= {"active"}
            await bot.sandbox.wait_until(lambda: list_bot_tasks() == before, what="end of the turn's tasks")
            words = " ".join(get_markdown(m) for m in await bot.list_answers(ts)).split()
            assert words.count("Word") <= 6
        asyncio.get_running_loop().set_task_factory(None)
        assert act_at > 10


async def test_turn_cancelled_before_its_task_runs_frees_its_thread(bot: RunningBot) -> None:
    turns = bot.app.workspace.turns
    ts = await bot.ask("a message that is not for Kvasir")
    key = QuestionKey(TEAM_ID, "C0GENERAL1", ts)
    await turns.submit(QuestionMessage(key, ts, "U0ADA00001", "how?"))
    turns.running[key].cancel(CancelReason.ENDING)
    await bot.wait_for_answer(ts, "You asked: how?")  # the turn is open, so it is tried again


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "stopped", "edited"])
async def test_cancellation_at_any_moment_doubles_no_text(tmp_path: Path, how: str) -> None:
    """Each of twenty answers is cancelled a little later, from before its first call to after its last."""
    async with run_bot_in_sandbox(tmp_path, sandbox_options={"pace": "off"}) as bot:
        bot.answerer.script = say_twelve_words
        turns = bot.app.workspace.turns
        question_ids = []
        for number in range(20):
            ts = await bot.ask(f"@Kvasir question {number}")
            question_ids.append(ts)
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
        assert not await bot.list_open_streams()
        sessions = (await bot.sandbox.state())["sessions"]
        assert {session["status"] for session in sessions} <= {"active"}
        for ts in question_ids:
            words = " ".join(get_markdown(m) for m in await bot.list_answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))
            if how == "edited":
                assert len(numbers) == 12


@pytest.mark.slow
async def test_deadline_at_any_moment_doubles_no_text(tmp_path: Path) -> None:
    settings = TurnSettings(deadline_s=0.03, drain_s=0.2, heartbeat_s=0.1)
    async with run_bot_in_sandbox(tmp_path, settings=settings, sandbox_options={"pace": "off"}) as bot:
        bot.answerer.script = say_twelve_words
        question_ids = [await bot.ask(f"@Kvasir question {number}") for number in range(40)]
        for ts in question_ids:
            await bot.wait_for_answer(ts, "")
        await bot.wait_until_idle()
        assert not await bot.list_open_streams()
        for ts in question_ids:
            words = " ".join(get_markdown(m) for m in await bot.list_answers(ts)).replace("_", " ").split()
            numbers = [int(word.rstrip(".")) for before, word in itertools.pairwise(words) if before == "Word"]
            assert numbers == list(range(len(numbers)))
