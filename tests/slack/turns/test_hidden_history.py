"""Test that a follow-up does not repeat an earlier answer whose passages were revoked or deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from bot.answering.events import AnswerEvent, Finished, Passage, Question, Sources, Text
from tests.slack.running_bot import FakeLibrary, run_bot_in_sandbox

SECRET = Passage(1, "docs", "a.md", "A", "", None, "The secret.", chunks=("c1", "c2"))


async def tell_secret(question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((SECRET,))
    yield Text(f"{len(question.history)} is the secret.")  # cites nothing, but was written from the passage
    yield Finished("engine", (), {"total": 0.1})


async def test_follow_up_reads_an_earlier_answer_only_while_its_passages_are_readable(tmp_path: Path) -> None:
    library = FakeLibrary()
    async with run_bot_in_sandbox(tmp_path, library=library, script=tell_secret) as bot:
        ts = await bot.ask("@Kvasir what is it?")
        await bot.wait_for_answer(ts, "0 is the secret")
        await bot.ask("@Kvasir and why?", thread_ts=ts)
        await bot.wait_for_answer(ts, "1 is the secret")
        library.vanished = frozenset({"c2"})
        await bot.ask("@Kvasir since when?", thread_ts=ts)
        await bot.wait_for_answer(ts, "2 is the secret")
    histories = [[(one.question, one.answer) for one in question.history] for question in bot.answerer.questions]
    assert histories[1] == [("what is it?", "0 is the secret.")]
    assert histories[2] == [("what is it?", ""), ("and why?", "")]
