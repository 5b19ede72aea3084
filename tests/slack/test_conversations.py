"""Tests of questions and answers in Slack."""

from __future__ import annotations

import pytest

from bot.answering.events import Exchange, Quote
from tests.slack.running_bot import RunningBot, get_text, make_script
from tests.slack_sandbox import BOT_USER

pytestmark = pytest.mark.slow

DM = "@kvasir"


async def test_mention_is_answered_in_its_thread_with_sources(bot: RunningBot) -> None:
    ts = await bot.ask("@Kvasir how do I add a source?")
    message = await bot.wait_for_answer(ts)
    assert "You asked: how do I add a source?" in get_text(message)
    assert "[\\[1\\]](https://kb.example/sources)" in get_text(message)
    assert "<https://kb.example/sources|[1] Adding a source › kvasir.toml>" in get_text(message)
    assert message["thread_ts"] == ts


async def test_repeated_events_are_one_question(bot: RunningBot) -> None:
    await bot.sandbox.faults(duplicate_events=10)
    ts = await bot.ask()
    await bot.wait_for_turn(ts)
    assert len(bot.answerer.questions) == 1
    assert len(await bot.list_answers(ts)) == 1


async def test_direct_message_needs_no_mention(bot: RunningBot) -> None:
    ts = await bot.ask("如何添加来源？", DM)
    message = await bot.wait_for_answer(ts, channel=DM)
    assert "You asked: 如何添加来源？" in get_text(message)
    assert "*来源*" in get_text(message)


async def test_follow_up_needs_no_mention_and_has_history(bot: RunningBot) -> None:
    """The history has the question and the answer, without footer and citation numbers."""
    ts = await bot.ask("@Kvasir how do I add a source?")
    await bot.wait_for_answer(ts)
    await bot.ask("and for a website?", thread_ts=ts)
    await bot.wait_for_answer(ts, "You asked: and for a website?")
    assert bot.answerer.questions[1].history == (
        Exchange("how do I add a source?", "You asked: how do I add a source?. That is all."),
    )


async def test_mention_in_thread_has_earlier_messages_as_history(bot: RunningBot) -> None:
    ts = await bot.ask("The build is red since noon.")
    await bot.sandbox.say("bo", "#general", "@Ada it is the linter", thread_ts=ts)
    await bot.ask("@Kvasir what does the linter check?", thread_ts=ts)
    await bot.wait_for_answer(ts)
    [question] = bot.answerer.questions
    said = Exchange("The build is red since noon.", "", (Quote("@ada it is the linter", "bo"),))
    assert question.history == (said,)


async def test_mention_without_text_asks_question_of_thread(bot: RunningBot) -> None:
    ts = await bot.ask("How long do we keep logs?")
    await bot.ask("@Kvasir", thread_ts=ts)
    await bot.wait_for_answer(ts)
    assert bot.answerer.questions[0].text == "How long do we keep logs?"


async def test_mention_without_text_asks_about_what_others_wrote(bot: RunningBot) -> None:
    """Their words are quoted; they are no instruction."""
    ts = await bot.sandbox.say("bo", "#general", "How long do we keep logs?")
    await bot.ask("@Kvasir", thread_ts=ts)
    await bot.wait_for_answer(ts)
    [question] = bot.answerer.questions
    assert question.text == "What is the answer to that?"
    assert question.history == (Exchange("", "", (Quote("How long do we keep logs?", "bo"),)),)
    chinese = await bot.sandbox.say("bo", "#general", "日志保存多久？")
    await bot.ask("@Kvasir", thread_ts=chinese)
    await bot.wait_for_answer(chinese)
    assert bot.answerer.questions[1].text == "上面的问题的答案是什么？"


async def test_mention_without_text_explains_how_to_ask(bot: RunningBot) -> None:
    ts = await bot.ask("@Kvasir")
    message = await bot.wait_for_answer(ts, "/kb help")
    assert not bot.answerer.questions
    assert "Ask me something" in get_text(message)


async def test_messages_of_other_bots_are_ignored(bot: RunningBot) -> None:
    """A mention and a message in the bot's thread get no answer, because two bots would never stop."""
    ts = await bot.ask()
    await bot.wait_for_answer(ts)
    await bot.sandbox.say_as_bot("Deploy", "#general", f"<@{BOT_USER}> what is up?")
    await bot.sandbox.say_as_bot("Deploy", "#general", "and here?", thread_ts=ts, subtype=False)
    await bot.wait_until_idle()
    assert len(bot.answerer.questions) == 1


async def test_long_question_arrives_complete(bot: RunningBot) -> None:
    text = "长" * 39_980 + " why?"
    bot.answerer.script = make_script("Because.")
    ts = await bot.ask(f"@Kvasir {text}")
    await bot.wait_for_answer(ts, "Because.")
    assert bot.answerer.questions[0].text == text


async def test_unhandled_events_are_acknowledged(bot: RunningBot) -> None:
    """Slack does not repeat a reaction or a new member."""
    ts = await bot.ask()
    await bot.wait_for_answer(ts)
    await bot.sandbox.control("POST", "react", {"person": "ada", "channel": "#general", "ts": ts, "name": "eyes"})
    await bot.sandbox.control("POST", "join", {"channel": "#general", "member": "chen"})
    await bot.sandbox.wait_delivered()
    assert not (await bot.sandbox.state())["given_up"]
    assert len(bot.answerer.questions) == 1
