"""Tests of two processes of the bot over one database: each event arrives at one of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from engine.interfaces import ChatMessage, Sampling
from engine.service import Engine
from tests.engine.fakes import delta, fake_sglang, ready_engine
from tests.slack.bot_process import run_bot_process
from tests.slack.running_bot import PausedScript, RunningBot, get_text, make_finished, make_script, run_bot
from tests.slack_sandbox import TEAM_ID, SandboxClient, open_sandbox
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "pgbouncer"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return an empty database's URL."""
    is_sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path / 'shared.sqlite3'}" if is_sqlite else request.getfixturevalue("pooled_postgres")
    return url


@pytest.fixture
async def replicas(tmp_path: Path, database: str) -> AsyncIterator[tuple[RunningBot, RunningBot]]:
    """Run two bots in one workspace, with one database."""
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot(sandbox, tmp_path, database=database) as one,
        run_bot(sandbox, tmp_path, database=database) as other,
    ):
        await sandbox.wait_until(lambda: has_two_connections(sandbox))
        yield one, other


async def test_stop_and_the_end_of_a_real_process(tmp_path: Path, database: str) -> None:
    """Stop reaches another process. If that is killed, the thread goes on here, in order."""
    async with (
        open_sandbox(tmp_path) as sandbox,
        run_bot_process(sandbox, tmp_path, DATABASE_URL=database, PAUSE_S="0.2") as process,
    ):
        await sandbox.wait_connected(60)
        stopped, root = [await sandbox.say("ada", "#general", f"@Kvasir {word}?") for word in ("stop", "root")]
        for ts in (stopped, root):
            await sandbox.wait_for_message(lambda m, ts=ts: m["root"] == ts and "Part 1." in get_text(m))
        async with run_bot(sandbox, tmp_path, database=database) as bot:
            await bot.app.workspace.turns.handle_stop("C0GENERAL1", stopped)
            await sandbox.wait_for_message(lambda m: m["root"] == stopped and "Stopped." in get_text(m))
            ts = await sandbox.say("ada", "#general", "more?", root)
            key = QuestionKey(TEAM_ID, "C0GENERAL1", ts)
            await bot.app.workspace.turns.submit(QuestionMessage(key, root, "U0ADA00001", "<@U0KVASIR01> more?"))
            process.send_signal(signal.SIGKILL)
            await bot.sandbox.wait_for_message(lambda m: "You asked: more?" in get_text(m))
            assert [question.text for question in bot.answerer.questions] == ["root?", "more?"]


async def has_two_connections(sandbox: SandboxClient) -> bool:
    return bool((await sandbox.state())["connections"] == 2)


class EngineScript:
    """An answer that an engine streams."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        messages = [ChatMessage("user", question.text)]
        stream = self._engine.stream(messages, Sampling(), request_id=question.id)
        async with aclosing(stream) as deltas:  # type: ignore[type-var]
            async for one in deltas:
                yield Text(getattr(one, "text", ""))
        yield make_finished()


async def test_stop_reaches_the_engine_from_any_replica(
    replicas: tuple[RunningBot, RunningBot], tmp_path: Path
) -> None:
    """The event arrives at the replica that does not answer, or at any of them."""
    sandbox = replicas[0].sandbox
    async with fake_sglang() as fake, ready_engine(fake.url, tmp_path / "engine") as engine:
        for bot in replicas:
            bot.answerer.script = EngineScript(engine)
        for number in range(6):
            fake.disconnected.clear()
            fake.stream(delta(content="The first half. "), asyncio.Event())
            ts = await sandbox.say("ada", "#general", f"@Kvasir question {number}")
            await sandbox.wait_for_message(lambda m, ts=ts: m["root"] == ts and "The first half." in get_text(m))
            watchers = [bot.app.workspace.turns._changes._watchers for bot in replicas]
            assert any(watchers), "the one that answers reads the changes closely"
            if number % 2:
                await sandbox.stop("ada", "#general", ts)
            else:
                (idle,) = [bot for bot in replicas if not bot.app.workspace.turns.running]
                await idle.app.workspace.turns.handle_stop("C0GENERAL1", ts)
            await asyncio.wait_for(fake.disconnected.wait(), WAIT_S)
            await sandbox.wait_for_message(lambda m, ts=ts: m["root"] == ts and "Stopped." in get_text(m))
    for bot in replicas:
        await bot.wait_until_idle()
    assert {session["status"] for session in (await sandbox.state())["sessions"]} <= {"active"}


@pytest.mark.parametrize("how", ["deleted", "edited"])
async def test_change_of_a_question_reaches_the_engine_from_the_other_replica(
    replicas: tuple[RunningBot, RunningBot], tmp_path: Path, how: str
) -> None:
    sandbox = replicas[0].sandbox
    async with fake_sglang() as fake, ready_engine(fake.url, tmp_path / "engine") as engine:
        for bot in replicas:
            bot.answerer.script = EngineScript(engine)
        fake.stream(delta(content="The first half. "), asyncio.Event())
        ts = await sandbox.say("ada", "#general", "@Kvasir why?")
        await sandbox.wait_for_message(lambda m: m["root"] == ts and "The first half." in get_text(m))
        (idle,) = [bot for bot in replicas if not bot.app.workspace.turns.running]
        for bot in replicas:
            bot.answerer.script = make_script("All of the new answer.")
        if how == "deleted":
            await idle.app.workspace.turns.handle_deletion(QuestionKey(TEAM_ID, "C0GENERAL1", ts))
        else:
            message = QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", ts), ts, "U0ADA00001", "<@U0KVASIR01> how?")
            await idle.app.workspace.turns.handle_edit(message, f"{float(ts) + 1:.6f}")
        await asyncio.wait_for(fake.disconnected.wait(), WAIT_S)
        if how == "edited":
            await idle.wait_for_answer(ts, "All of the new answer.")
    for bot in replicas:
        await bot.wait_until_idle()
    expected = 0 if how == "deleted" else 1
    await sandbox.wait_until(lambda: has_answers(idle, ts, expected), what="one answer, or none")


async def has_answers(bot: RunningBot, ts: str, expected: int) -> bool:
    return len(await bot.list_answers(ts)) == expected


async def test_edit_that_arrives_at_both_replicas_revises_the_answer_once(
    replicas: tuple[RunningBot, RunningBot],
) -> None:
    """Slack sends one edit under several event ids, and the replicas share the deliveries."""
    one, other = replicas
    ts = await one.ask("@Kvasir how?")
    before = await one.wait_for_answer(ts, "You asked: how?")
    for bot in replicas:
        await bot.wait_until_idle()
    await one.sandbox.faults(duplicate_events=11)
    await one.sandbox.edit("ada", "#general", ts, "@Kvasir why?")
    after = await one.wait_for_answer(ts, "You asked: why?")
    await one.wait_for_turn(await one.ask("@Kvasir what next?"), "what next?")
    await other.wait_until_idle()
    assert after["ts"] == before["ts"]
    assert len(await one.list_answers(ts)) == 1
    assert sorted(question.text for bot in (one, other) for question in bot.answerer.questions) == [
        "how?",
        "what next?",
        "why?",
    ]


async def test_thread_is_answered_in_order_by_two_replicas(replicas: tuple[RunningBot, RunningBot]) -> None:
    one, other = replicas
    spoken: list[str] = []

    async def speak(question: Question) -> AsyncGenerator[AnswerEvent]:
        spoken.append(f"begin {question.text}")
        yield Text(f"About {question.text}. ")
        await asyncio.sleep(0.05)
        spoken.append(f"end {question.text}")
        yield make_finished()

    paused = PausedScript("Well. ")
    one.answerer.script = other.answerer.script = paused
    root = await one.ask("@Kvasir root")
    await paused.paused.wait()
    one.answerer.script = other.answerer.script = speak
    question_ids = [await one.ask(f"q{n}", thread_ts=root) for n in range(5)]
    await one.sandbox.wait_delivered()
    assert not spoken
    paused.resume.set()
    for n in range(len(question_ids)):
        await one.sandbox.wait_for_message(lambda m, n=n: f"About q{n}." in get_text(m) and m.get("metadata"))
    assert spoken == [f"{when} q{n}" for n in range(5) for when in ("begin", "end")]
    assert one.answerer.questions
    assert other.answerer.questions


async def test_choice_of_a_person_counts_at_every_replica(replicas: tuple[RunningBot, RunningBot]) -> None:
    """Both replicas have remembered the earlier choice."""
    one, _ = replicas
    for number in range(4):
        await one.wait_for_answer(await one.ask(f"@Kvasir {number}"))
    assert {question.asker.depth for bot in replicas for question in bot.answerer.questions} == {"normal"}
    await one.sandbox.command("ada", "#general", "/think deep")
    await one.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    for bot in replicas:
        await bot.wait_for_changes()
    before = [len(bot.answerer.questions) for bot in replicas]
    later: list[list[Question]] = [[], []]
    for number in range(30):  # the workspace chooses a replica by chance
        await one.wait_for_answer(await one.ask(f"@Kvasir {number} again"))
        later = [bot.answerer.questions[count:] for bot, count in zip(replicas, before, strict=True)]
        if all(later):
            break
    assert all(later)
    assert {question.asker.depth for questions in later for question in questions} == {"deep"}
