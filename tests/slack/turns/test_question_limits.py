"""Tests of the limits on questions in a minute."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config.configuration import QuestionLimits
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from bot.storage.turns.questions import TurnState
from tests.slack.running_bot import RunningBot, get_text, run_bot, wait_for_ephemeral, wait_for_heartbeats
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[SandboxClient]:
    async with open_sandbox(tmp_path) as opened:
        yield opened


async def wait_for_next_minute() -> None:
    """Wait if the minute is nearly over, because counts begin again with each minute."""
    if (left_s := 60 - time.time() % 60) < 6:
        await asyncio.sleep(left_s)


async def ask_three_times(bot: RunningBot, texts: tuple[str, str, str], channel: str = "#general") -> list[str]:
    await wait_for_next_minute()
    question_ids = []
    for text in texts:
        question_ids.append(await bot.ask(text, channel=channel))
        await bot.wait_until_idle()
    return question_ids


@pytest.mark.parametrize(
    ("third", "refusal"),
    [
        ("@Kvasir three?", r"asked 2 questions within a minute.*ask this one again in (\d+ s|1 min)\."),
        ("@Kvasir 第三个问题？", r"一分钟内已提出 2 个问题.*请在 (\d+ 秒|1 分钟)后再问"),
    ],
)
async def test_person_over_the_limit_sees_when_to_ask_again(
    sandbox: SandboxClient, tmp_path: Path, third: str, refusal: str
) -> None:
    """Only the person sees it; other people get answers."""
    async with run_bot(sandbox, tmp_path, dependencies={"question_limits": QuestionLimits(2, 0)}) as bot:
        question_ids = await ask_three_times(bot, ("@Kvasir one?", "@Kvasir two?", third))
        assert re.search(refusal, await wait_for_ephemeral(bot, "2"))
        assert [len(await bot.list_answers(ts)) for ts in question_ids] == [1, 1, 0]
        turn = await bot.find_turn(question_ids[2])
        assert turn.state is TurnState.FAILED
        await bot.wait_for_answer(await sandbox.say("bo", "#general", "@Kvasir and I?"))
        ephemerals = [m for m in await sandbox.messages("#general") if m.get("ephemeral")]
        assert [get_text(m).count("2") > 0 for m in ephemerals] == [True]


async def test_channel_over_the_limit_points_to_direct_messages(sandbox: SandboxClient, tmp_path: Path) -> None:
    async with run_bot(sandbox, tmp_path, dependencies={"question_limits": QuestionLimits(0, 2)}) as bot:
        await ask_three_times(bot, ("@Kvasir one?", "@Kvasir two?", "@Kvasir three?"))
        assert "in this channel" in await wait_for_ephemeral(bot, "direct message")
        assert len(bot.answerer.questions) == 2
        await bot.wait_for_answer(await bot.ask("three?", channel="@kvasir"), channel="@kvasir")


async def test_two_replicas_count_together(sandbox: SandboxClient, tmp_path: Path) -> None:
    """A question counts once although its two events arrive at both."""
    options = {
        "database": f"sqlite:///{tmp_path / 'shared.db'}",
        "dependencies": {"question_limits": QuestionLimits(3)},
    }
    async with run_bot(sandbox, tmp_path, **options) as one, run_bot(sandbox, tmp_path, **options) as other:
        await wait_for_next_minute()
        for number in range(5):
            await one.ask(f"@Kvasir {number}?")
            await one.wait_until_idle()
            await other.wait_until_idle()
        assert len(one.answerer.questions) + len(other.answerer.questions) == 3


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    is_sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path / 'l.sqlite3'}" if is_sqlite else request.getfixturevalue("empty_postgres")
    return url


async def test_counts_begin_again_with_each_minute_and_old_ones_are_deleted(database: str) -> None:
    now = 600.0
    async with open_ledger(database) as ledger:
        counts = QuestionCounts(ledger.database, lambda: now)
        await counts.count_question("T1", {"U1": 1, "C1": 2})
        now = 645.5
        with pytest.raises(LimitReached) as reached:
            await counts.count_question("T1", {"U1": 1, "C1": 2})
        assert (reached.value.subject, reached.value.wait_s) == ("U1", 14.5)
        await counts.count_question("T1", {"U2": 1, "C1": 2})  # the refused question is not counted for the channel
        with pytest.raises(LimitReached) as reached:
            await counts.count_question("T1", {"U3": 1, "C1": 2})
        assert reached.value.subject == "C1"
        now = 660.0
        await counts.count_question("T1", {"U1": 1, "C1": 2})
        now = 3_600.0
        await counts.count_question("T1", {"U9": 1})
        rows = await ledger.database.read(
            lambda connection: connection.exec_driver_sql("SELECT subject FROM bot_question_counts").all()
        )
        assert [row[0] for row in rows] == ["U9"]


async def test_revision_counts_as_a_question(sandbox: SandboxClient, tmp_path: Path) -> None:
    """The earlier answer stays."""
    async with run_bot(sandbox, tmp_path, dependencies={"question_limits": QuestionLimits(1, 0)}) as bot:
        await wait_for_next_minute()
        ts = await bot.ask("@Kvasir one?")
        await bot.wait_for_turn(ts)
        await sandbox.edit("ada", "#general", ts, "@Kvasir two?")
        await wait_for_ephemeral(bot, "within a minute")
        await wait_for_heartbeats(sandbox)
        await bot.wait_until_idle()
        (answer,) = await bot.list_answers(ts)
        assert "You asked: one?" in get_text(answer)


@pytest.mark.parametrize("late_s", [0.0, 0.5])
async def test_refused_question_stays_refused_when_its_files_arrive(
    sandbox: SandboxClient, tmp_path: Path, late_s: float
) -> None:
    async with run_bot(sandbox, tmp_path, dependencies={"question_limits": QuestionLimits(1, 0)}) as bot:
        await wait_for_next_minute()
        await bot.wait_for_answer(await bot.ask("@Kvasir one?"))
        await sandbox.faults(late_message_s=late_s)
        file = {"name": "plan.txt", "base64": "aGVsbG8="}
        body = {"person": "ada", "channel": "#general", "text": "@Kvasir and this?", "files": [file]}
        await sandbox.control("POST", "say", body)
        await wait_for_ephemeral(bot, "within a minute")
        await sandbox.wait_delivered()
        await bot.wait_until_idle()
        await wait_for_heartbeats(sandbox, 1)
        refusals = [m for m in await sandbox.messages("#general") if m.get("ephemeral")]
        assert len(refusals) == 1
        assert len(bot.answerer.questions) == 1
