"""Tests of how an answer appears in Slack."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from bot.answering.events import AnswerEvent, Notice, Passage, Question, Sources, Text
from tests.slack.running_bot import PASSAGE, RunningBot, get_markdown, get_text, make_finished, make_script


async def test_short_answer_is_streamed(bot: RunningBot) -> None:
    await bot.wait_for_answer(await bot.ask())
    called = [call["method"] for call in await bot.sandbox.requests() if call["method"].startswith("chat.")]
    assert called == ["chat.startStream", "chat.stopStream"]


async def test_notices_appear_above_and_below_answer(bot: RunningBot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Notice("The engine is still loading; these are extracts from the documents until then.")
        yield Sources((PASSAGE,))
        yield Text("Add it to the file [1].", (PASSAGE,))
        yield Notice("It was cut short.")
        yield make_finished(PASSAGE)

    bot.answerer.script = script
    ts = await bot.ask()
    message = await bot.wait_for_answer(ts, "Add it")
    text = get_text(message)
    assert text.index("still loading") < text.index("Add it") < text.index("cut short")


async def test_answer_shows_citations_and_marks_but_history_omits_them(bot: RunningBot) -> None:
    """The second passage is cited first, so it is [1] in the text, the link and the list of sources."""
    leave = Passage(1, "docs", "leave.md", "Leave", "", "https://kb.example/leave", "25 days.")

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((leave, replace(PASSAGE, n=2)))
        yield Text("Add it to the file. [1]", (PASSAGE,))
        yield Text(" Bob decides. ⚠\n\n| days |\n|---|\n| 25 [2] |", (replace(leave, n=2),))
        yield Notice("⚠ marks what no passage supports.")
        yield make_finished(PASSAGE, replace(leave, n=2))

    bot.answerer.script = script
    ts = await bot.ask()
    message = await bot.wait_for_answer(ts, "Add it")
    text = get_text(message)
    assert "Add it to the file. [\\[1\\]](https://kb.example/sources) Bob decides. ⚠" in text
    await bot.wait_until_idle()
    [answer] = await bot.list_answers(ts)
    assert "| 25 [2] |" in get_markdown(answer)
    [table] = [block for block in answer["blocks"] if block["type"] == "table"]
    assert "https://kb.example/leave" in str(table)
    assert text.index("<https://kb.example/sources|[1]") < text.index("<https://kb.example/leave|[2]")
    assert "⚠ marks what no passage supports." in text
    await bot.ask("@Kvasir and then?", thread_ts=ts)
    await bot.wait_until_idle()
    (said,) = bot.answerer.questions[1].history
    assert said.answer == "Add it to the file. Bob decides.\n\n| days |\n|---|\n| 25 |"


async def test_answer_pings_nobody(bot: RunningBot) -> None:
    bot.answerer.script = make_script("Tell <!channel> and <@U0BO>, @here and <!subteam^S1>.")
    ts = await bot.ask()
    text = get_text(await bot.wait_for_answer(ts, "Tell"))
    assert not any(ping in text for ping in ("<!channel>", "<@U0BO>", "@here", "<!subteam"))


async def test_failed_answer_keeps_its_text_and_says_why(bot: RunningBot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("It begins well.\n```\ncode")
        raise OSError(28, "No space left on device")

    bot.answerer.script = script
    ts = await bot.ask()
    text = get_text(await bot.wait_for_answer(ts, "No space left on device"))
    assert "It begins well." in text
    assert text.index("code\n```\n") < text.index("No space left")
