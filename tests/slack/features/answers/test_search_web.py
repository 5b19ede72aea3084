"""Tests of the button "Search the web", which answers a question again in its thread, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bot.answering.events import AnswerEvent, Finished, Question, Text
from bot.answering.policy import Policies, Policy, WebUse, Why
from knowledge.interfaces import LiveWebRequest, WebSearchReport
from tests.slack.running_bot import PausedScript, RunningBot, get_text, run_bot, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack_sandbox import open_sandbox
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow

ON = Policies(Policy("on", searches=True))


async def answer_with_web(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Answer without the web unless the question requests it."""
    look = WebSearchReport("searxng", ("https://a.example/",), (), None, 0.1) if question.wants_web else None
    yield Text(f"{'On the web' if look else 'In the documents'}: {question.text}. That is all.")
    live = LiveWebRequest("always" if look else "if_weak")
    yield Finished("engine", (), {}, WebUse(live, Why.ASKED if look else Why.WEAK, question.asker.policy, look=look))


def find_button(message: dict[str, Any]) -> dict[str, Any] | None:
    found = [one for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return next((one for one in found if one["action_id"].startswith("kvasir:look")), None)


async def press_button(bot: RunningBot, message: dict[str, Any], channel: str = "#general") -> None:
    found = find_button(message)
    assert found is not None
    await bot.sandbox.press("bo", channel, message["ts"], found["action_id"])


async def test_button_answers_question_with_web(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir who runs it?")
        first = await bot.wait_for_answer(root, "In the documents: who runs it?")
        found = find_button(first)
        assert found is not None
        assert found["text"]["text"] == "Search the web"
        await press_button(bot, first)
        second = await bot.wait_for_answer(root, "On the web: who runs it?")
        assert find_button(second) is None, "this answer used the web"
        question = bot.answerer.questions[1]
        assert question.asker.people == frozenset(), "the question mentions nobody"
        assert (question.text, question.wants_web, question.history, question.asker.person) == (
            "who runs it?",
            True,
            (),
            "U0BO000002",
        )
        await press_button(bot, first)
        await wait_for_ephemeral(bot, "already", person="bo")
        await bot.wait_until_idle()
        assert len(bot.answerer.questions) == 2


async def test_source_overview_has_no_web_button(tmp_path: Path) -> None:
    async def about(question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("I answer from these documents.")
        yield Finished("sources", (), {}, WebUse(LiveWebRequest("if_weak"), Why.WEAK, question.asker.policy))

    async with run_bot_in_sandbox(tmp_path, script=about, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir which documents do you answer from?")
        assert find_button(await bot.wait_for_answer(root, "I answer from these documents.")) is None


async def test_button_asks_follow_up_again_with_its_history(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir first?")
        await bot.wait_for_answer(root, "In the documents: first?")
        await bot.ask("第二个问题呢？", thread_ts=root)
        second = await bot.wait_for_answer(root, "第二个问题呢")
        found = find_button(second)
        assert found is not None
        assert found["text"]["text"] == "搜索网络"
        await press_button(bot, second)
        await bot.wait_for_answer(root, "On the web: 第二个问题呢")
        assert [(one.messages, one.question) for one in bot.answerer.questions[2].history] == [("first?", "")], (
            "Bo pressed, and Ada asked"
        )


async def test_button_asks_question_of_another_person_without_its_links(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir what does https://evil.example/x say of ports?")
        first = await bot.wait_for_answer(root, "In the documents: what does")
        await press_button(bot, first)
        await bot.wait_for_answer(root, "On the web: what does")
        assert bot.answerer.questions[1].text == "what does say of ports?"


async def test_button_works_after_restart_with_empty_ledger(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
            root = await bot.ask("@Kvasir who runs it?")
            first = await bot.wait_for_turn(root, "In the documents")
        other = tmp_path / "another"
        other.mkdir()
        async with run_bot(sandbox, other, script=answer_with_web, dependencies={"web": ON}) as bot:
            await press_button(bot, first)
            await bot.wait_for_answer(root, "On the web: who runs it?")


async def test_disabled_web_has_no_button(tmp_path: Path) -> None:
    off = Policies(Policy("on", searches=True), {"C0GENERAL1": "off"})
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": off}) as bot:
        root = await bot.ask("@Kvasir who?")
        assert find_button(await bot.wait_for_answer(root, "In the documents")) is None
        assert bot.answerer.questions[0].asker.policy.mode == "off"


async def test_deleted_question_is_not_sent_to_search_engine(tmp_path: Path) -> None:
    """The ledger still has the text, but a search engine must not get it."""
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir who knows the code 4711?")
        first = await bot.wait_for_answer(root, "In the documents")
        await bot.ask("and who wrote it?", thread_ts=root)
        second = await bot.wait_for_turn(root, "In the documents: and who wrote it?")
        await bot.sandbox.faults({"method": "chat.delete", "error": "cant_delete_message", "times": -1})
        await bot.sandbox.delete("ada", "#general", root)
        await bot.sandbox.wait_delivered()
        await press_button(bot, first)
        await wait_for_ephemeral(bot, "was deleted", person="bo")
        await press_button(bot, second)
        await bot.wait_for_answer(root, "On the web: and who wrote it?")
        questions = bot.answerer.questions
        assert len(questions) == 3
        assert "4711" not in str([questions[2].text, questions[2].history])
        assert "was deleted" not in str(questions[2].history), "no person wrote that"


async def test_button_in_shared_channel_is_refused(tmp_path: Path) -> None:
    """The channel became shared after the answer, which a press of the button does not say."""
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        first = await bot.wait_for_answer(await bot.ask("@Kvasir who runs it?"), "In the documents")
        await bot.sandbox.control("POST", "channel", {"channel": "#general", "shared_with": ["T0PARTNER1"]})
        await press_button(bot, first)
        await wait_for_ephemeral(bot, "another company", person="bo")
        await bot.wait_until_idle()
        assert len(bot.answerer.questions) == 1


async def test_deleted_question_stops_web_answer(tmp_path: Path) -> None:
    held = PausedScript("On the web so far: ")

    async def script(question: Question) -> AsyncGenerator[AnswerEvent]:
        async for event in held(question) if question.wants_web else answer_with_web(question):
            yield event

    async with run_bot_in_sandbox(tmp_path, script=script, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir who runs it?")
        await press_button(bot, await bot.wait_for_answer(root, "In the documents"))
        async with asyncio.timeout(WAIT_S):
            await held.paused.wait()
        await bot.sandbox.wait_for_message(lambda m: "On the web so far" in get_text(m))
        await bot.sandbox.delete("ada", "#general", root)
        await bot.sandbox.wait_until(lambda: has_no_answer(bot, root))
        await bot.wait_until_idle()
        assert bot.answerer.closed == 2
        assert not held.resume.is_set()


async def has_no_answer(bot: RunningBot, root: str) -> bool:
    return not await bot.list_answers(root)


async def test_question_names_mentioned_people(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir what does <@U0BO000002> know?")
        await bot.wait_for_answer(root)
        (question,) = bot.answerer.questions
        (name,) = question.asker.people
        assert question.text == f"what does @{name} know?"


async def test_button_under_revised_answer_searches_again(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, script=answer_with_web, dependencies={"web": ON}) as bot:
        root = await bot.ask("@Kvasir who runs it?")
        first = await bot.wait_for_answer(root, "In the documents: who runs it?")
        await press_button(bot, first)
        second = await bot.wait_for_turn(root, "On the web: who runs it?")
        await bot.sandbox.edit("ada", "#general", root, "@Kvasir who owns it?")
        await bot.wait_for_turn(root, "In the documents: who owns it?")
        await press_button(bot, first)
        assert (await bot.wait_for_answer(root, "On the web: who owns it?"))["ts"] == second["ts"]
        await press_button(bot, first)
        await wait_for_ephemeral(bot, "already", person="bo")
