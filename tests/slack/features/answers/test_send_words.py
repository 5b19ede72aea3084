"""Tests of the button that lets a search engine see the masked words of a private question."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.answering.policy import Policies, Policy, PrivateWords, WebUse, Why
from knowledge.interfaces import LiveWebRequest
from tests.slack.running_bot import run_bot_in_sandbox, wait_for_ephemeral

pytestmark = pytest.mark.slow

WORDS = "who is …?"


async def withhold(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Withhold the words of each question that the asker has not approved."""
    yield Text(f"{'Searched ' + question.approved_words if question.approved_words else 'Not searched'}. That is all.")
    web = WebUse(
        LiveWebRequest("always"), Why.ASKED, question.asker.policy, withheld="" if question.approved_words else WORDS
    )
    yield Finished("engine", (), {}, web)


def make_policies(words: PrivateWords) -> Policies:
    return Policies(Policy("on", searches=True, private_words=words))


def find_buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return {one["action_id"].partition(":")[2].rstrip(":0123456789"): one for one in found}


async def test_only_the_asker_sends_exactly_the_shown_words(tmp_path: Path) -> None:
    dependencies = {"web": make_policies("ask")}
    async with run_bot_in_sandbox(tmp_path, script=withhold, dependencies=dependencies) as bot:
        root = await bot.ask("@Kvasir web: who is Ann Lee?")
        first = await bot.wait_for_answer(root, "Not searched")
        buttons = find_buttons(first)
        assert "look" not in buttons
        button = buttons["send-words"]
        assert button["text"]["text"] == "Search the web with these words"
        await bot.sandbox.press("bo", "#general", first["ts"], button["action_id"])
        await wait_for_ephemeral(bot, "Only the person who asked", person="bo")
        await bot.wait_until_idle()
        assert len(bot.answerer.questions) == 1
        await bot.sandbox.press("ada", "#general", first["ts"], button["action_id"])
        second = await bot.wait_for_answer(root, f"Searched {WORDS}")
        assert "send-words" not in find_buttons(second)
        assert bot.answerer.questions[1].wants_web


async def test_a_blocked_question_has_no_button(tmp_path: Path) -> None:
    dependencies = {"web": make_policies("block")}
    async with run_bot_in_sandbox(tmp_path, script=withhold, dependencies=dependencies) as bot:
        first = await bot.wait_for_answer(await bot.ask("@Kvasir web: who is Ann Lee?"), "Not searched")
        assert not find_buttons(first).keys() & {"look", "send-words"}
