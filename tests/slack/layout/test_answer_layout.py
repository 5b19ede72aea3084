"""Tests of the final form of an answer in the sandbox, which refuses what Slack refuses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Text
from tests.slack.running_bot import PASSAGE, RunningBot, get_markdown, make_finished, run_bot_in_sandbox


async def answer_with_table(_question: Question) -> AsyncGenerator[AnswerEvent]:
    yield Sources((PASSAGE,))
    yield Text("These are the limits:\n\n| Kind | Limit |\n|---|---|\n")
    yield Text("| Hotel | 120 [1] |\n", (PASSAGE,))
    yield Text("| Meal | 40 |\n\nThat is all.")
    yield make_finished(PASSAGE)


async def get_answer(bot: RunningBot, root: str) -> dict[str, Any]:
    """Return the only message of an answer once its turn has ended."""
    await bot.wait_for_answer(root)
    await bot.wait_until_idle()
    [answer] = await bot.list_answers(root)
    return answer


def list_types(answer: dict[str, Any]) -> list[str]:
    return [block["type"] for block in answer["blocks"]]


@pytest.mark.parametrize("scopes", ["with streams", "without streams"])
async def test_a_table_is_a_block_with_its_citations_once_the_answer_is_complete(tmp_path: Path, scopes: str) -> None:
    async with run_bot_in_sandbox(tmp_path, "socket", script=answer_with_table) as bot:
        if scopes == "without streams":
            await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method"})
        root = await bot.ask("@Kvasir what are the limits?")
        answer = await get_answer(bot, root)
        assert list_types(answer)[:3] == ["markdown", "table", "markdown"]
        assert "context" in list_types(answer), "the sources are under the answer"
        assert [len(row) for row in answer["blocks"][1]["rows"]] == [2, 2, 2]
        assert PASSAGE.url in str(answer["blocks"][1])
        assert "Kind · Limit\nHotel · 120 [1]\nMeal · 40" in answer["text"], "the notification has no Markdown"
        assert str(answer).count("Hotel") == 2, "once in the table, and once in the notification"
        await bot.ask("and a train?", thread_ts=root)
        await bot.wait_for_answer(root, "That is all")
        await bot.wait_until_idle()
        [exchange] = bot.answerer.questions[-1].history
        assert "| Hotel | 120 |" in exchange.answer


async def test_refused_table_stays_markdown(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, "socket", script=answer_with_table) as bot:
        await bot.sandbox.faults({"method": "chat.update", "error": "invalid_blocks"})
        answer = await get_answer(bot, await bot.ask("@Kvasir what are the limits?"))
        assert "table" not in list_types(answer)
        assert get_markdown(answer).count("| Meal | 40 |") == 1
        assert bot.answerer.closed == 1
