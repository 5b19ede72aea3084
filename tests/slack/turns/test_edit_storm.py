"""Random edits and deletions, with duplicated and delayed events: each question ends as its author left it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.answering.events import AnswerEvent, Question, Text
from tests.slack.running_bot import RunningBot, get_text, make_finished, run_bot, wait_for_heartbeats
from tests.slack_sandbox import open_sandbox

pytestmark = pytest.mark.slow

QUESTIONS = 12
CHANGES = 40


async def repeat_slowly(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Text(f"You asked: {question.text}. ")
    await asyncio.sleep(0.05)
    yield Text("That is all.")
    yield make_finished()


@pytest.mark.parametrize("seed", [1, 2])
async def test_questions_end_as_their_author_left_them(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    texts: dict[str, str | None] = {}
    database = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    async with (
        open_sandbox(tmp_path, pace="off") as sandbox,
        run_bot(sandbox, tmp_path, script=repeat_slowly, database=database, patience_s=5.0) as one,
        run_bot(sandbox, tmp_path, script=repeat_slowly, database=database, patience_s=5.0) as other,
    ):
        for number in range(QUESTIONS):
            await sandbox.faults(event_delays_s=[chance.choice([0, 0, 0.3])], duplicate_events=chance.choice([0, 2]))
            texts[await one.ask(f"@Kvasir q{number}")] = f"q{number}"
        for number in range(CHANGES):
            ts = chance.choice([ts for ts, text in texts.items() if text])
            await sandbox.faults(event_delays_s=[chance.choice([0, 0, 0.4])], duplicate_events=chance.choice([0, 0, 3]))
            if chance.random() < 0.1 and sum(map(bool, texts.values())) > 3:
                await sandbox.delete("ada", "#general", ts)
                texts[ts] = None
            else:
                texts[ts] = f"edit {number}"
                await sandbox.edit("ada", "#general", ts, f"@Kvasir edit {number}")
            await asyncio.sleep(chance.choice([0, 0, 0.02, 0.1]))
        await sandbox.wait_until(lambda: is_settled(one, texts), 20, "every question settled")
        for bot in (one, other):
            await bot.wait_until_idle()
        await wait_for_heartbeats(sandbox, 4)
        assert await is_settled(one, texts), "nothing changes afterwards"
        rows = await one.ledger.database.fetch_rows(sa.text("SELECT ts, text FROM bot_turns"))
        assert all(not text for ts, text in rows if ts in texts and texts[ts] is None)


async def is_settled(bot: RunningBot, texts: dict[str, str | None]) -> bool:
    """Return whether each question has one complete answer to its last text, and a deleted one has none."""
    messages = [message for message in await bot.sandbox.messages() if message.get("bot_id")]
    for ts, text in texts.items():
        answers = [get_text(one) for one in messages if one["root"] == ts]
        if text is None and answers:
            return False
        if text is not None and (len(answers) != 1 or f"You asked: {text}. That is all." not in answers[0]):
            return False
    return True
