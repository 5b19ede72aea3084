"""What people do in Slack, and what they see: the same over Socket Mode and signed HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from bot.answering.events import AnswerEvent, Exchange, Notice, Passage, Question, Sources, Text
from bot.storage.questions import QuestionKey, QuestionMessage
from tests.slack.room import PASSAGE, Bot, Held, finished, saying, shown
from tests.slack_sandbox import BOT_USER, TEAM_ID

DM = "@kvasir"


async def test_a_mention_is_answered_in_its_thread_with_sources(bot: Bot) -> None:
    ts = await bot.ask("@Kvasir how do I add a source?")
    message = await bot.answer(ts)
    assert "You asked: how do I add a source?" in shown(message)
    assert "[\\[1\\]](https://kb.example/sources)" in shown(message)
    assert "<https://kb.example/sources|[1] Adding a source › kvasir.toml>" in shown(message)
    assert message["thread_ts"] == ts


async def test_an_answer_is_streamed_however_short(bot: Bot) -> None:
    await bot.answer(await bot.ask())
    called = [call["method"] for call in await bot.box.requests() if call["method"].startswith("chat.")]
    assert called == ["chat.startStream", "chat.stopStream"]


async def test_a_mention_is_answered_once_though_it_arrives_as_two_events(bot: Bot) -> None:
    """In a channel that the app is in, a mention is both ``app_mention`` and ``message``."""
    ts = await bot.ask()
    await bot.answer(ts)
    await bot.settled()
    assert len(await bot.answers(ts)) == 1
    assert len(bot.answerer.questions) == 1


async def test_eleven_event_ids_are_one_question(bot: Bot) -> None:
    await bot.box.faults(duplicate_events=10)
    ts = await bot.ask()
    await bot.answer(ts)
    await bot.settled()
    assert len(bot.answerer.questions) == 1
    assert len(await bot.answers(ts)) == 1


async def test_a_direct_message_needs_no_mention(bot: Bot) -> None:
    ts = await bot.ask("如何添加来源？", DM)
    message = await bot.answer(ts, channel=DM)
    assert "You asked: 如何添加来源？" in shown(message)
    assert "*来源*" in shown(message)


async def test_a_follow_up_needs_no_mention_and_knows_what_was_said(bot: Bot) -> None:
    """The history has the question and our answer, without the footer and the citation's number."""
    ts = await bot.ask("@Kvasir how do I add a source?")
    await bot.answer(ts)
    await bot.ask("and for a website?", thread_ts=ts)
    await bot.answer(ts, "You asked: and for a website?")
    assert bot.answerer.questions[1].history == (
        Exchange("how do I add a source?", "You asked: how do I add a source?. That is all."),
    )


async def test_a_mention_in_the_middle_of_a_thread_knows_what_people_said(bot: Bot) -> None:
    ts = await bot.ask("The build is red since noon.")
    await bot.box.say("bo", "#general", "@Ada it is the linter", thread_ts=ts)
    await bot.ask("@Kvasir what does the linter check?", thread_ts=ts)
    await bot.answer(ts)
    [question] = bot.answerer.questions
    assert question.history[0].question.startswith("The build is red since noon.\n@")
    assert question.history[0].answer == ""
    assert "<@" not in question.history[0].question


async def test_the_name_alone_under_a_thread_asks_what_the_thread_asks(bot: Bot) -> None:
    ts = await bot.ask("How long do we keep logs?")
    await bot.ask("@Kvasir", thread_ts=ts)
    await bot.answer(ts)
    assert bot.answerer.questions[0].text == "How long do we keep logs?"


async def test_the_name_alone_gets_a_helpful_line(bot: Bot) -> None:
    ts = await bot.ask("@Kvasir")
    message = await bot.answer(ts, "/kb help")
    assert not bot.answerer.questions
    assert "Ask me something" in shown(message)


async def test_talk_that_is_not_for_the_bot_is_left_alone(bot: Bot) -> None:
    """Chatter, a thread it is not in, and in its thread what is said to somebody else."""
    ts = await bot.ask()
    await bot.answer(ts)
    other = await bot.ask("Lunch?")
    await bot.ask("Yes!", thread_ts=other)
    await bot.ask("@Bo can you check this?", thread_ts=ts)
    await bot.settled()
    assert len(bot.answerer.questions) == 1


async def test_another_bot_is_never_answered(bot: Bot) -> None:
    """Not a mention, not in our thread, with and without the subtype: two bots would talk for ever."""
    ts = await bot.ask()
    await bot.answer(ts)
    await bot.box.say_as_bot("Deploy", "#general", f"<@{BOT_USER}> what is up?")
    await bot.box.say_as_bot("Deploy", "#general", "and here?", thread_ts=ts, subtype=False)
    await bot.settled()
    assert len(bot.answerer.questions) == 1


async def test_a_long_question_arrives_whole(bot: Bot) -> None:
    text = "长" * 39_980 + " why?"
    bot.answerer.script = saying("Because.")
    ts = await bot.ask(f"@Kvasir {text}")
    await bot.answer(ts, "Because.")
    assert bot.answerer.questions[0].text == text


async def test_an_edit_before_its_turn_asks_the_new_text(bot: Bot) -> None:
    """The question waits behind another one of its thread."""
    held = Held()
    bot.answerer.script = held
    ts = await bot.ask()
    await held.reached.wait()
    second = await bot.ask("@Kvasir wrong words", thread_ts=ts)
    await bot.box.wait_delivered()
    await bot.box.edit("ada", "#general", second, "@Kvasir right words")
    await bot.box.wait_delivered()
    held.go.set()
    await bot.settled()
    assert [question.text for question in bot.answerer.questions] == ["how?", "right words"]


async def test_an_edit_meanwhile_answers_the_new_text_alone(bot: Bot) -> None:
    """The half answer to the old text goes, and its stream at the engine is closed."""
    bot.answerer.script = held = Held("Half of the old answer. ")
    ts = await bot.ask("@Kvasir wrong words")
    await bot.box.wait_for_message(lambda m: "Half of" in shown(m))
    bot.answerer.script = saying("All of the new answer.")
    await bot.box.edit("ada", "#general", ts, "@Kvasir right words")
    await bot.answer(ts, "All of the new answer.")
    await bot.settled()
    assert not held.go.is_set()
    assert bot.answerer.closed == 2
    assert [question.text for question in bot.answerer.questions] == ["wrong words", "right words"]
    assert [shown(m).count("answer") > 0 for m in await bot.answers(ts)] == [True]


async def test_an_edit_after_the_answer_changes_nothing(bot: Bot) -> None:
    ts = await bot.ask()
    await bot.answer(ts)
    await bot.settled()
    await bot.box.edit("ada", "#general", ts, "@Kvasir other words")
    await bot.settled()
    assert len(bot.answerer.questions) == 1


async def test_a_mention_that_comes_with_an_edit_is_a_question(bot: Bot) -> None:
    ts = await bot.ask("how do I add a source?")
    await bot.box.wait_delivered()
    await bot.box.edit("ada", "#general", ts, "@Kvasir how do I add a source?")
    await bot.answer(ts)


async def test_a_question_that_is_deleted_is_not_answered_further(bot: Bot) -> None:
    """The stream at the engine is closed, what was said stays, and a line tells why it ends."""
    bot.answerer.script = held = Held()
    ts = await bot.ask(channel=DM)
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m), channel=DM)
    await bot.box.delete("ada", DM, ts)
    message = await bot.answer(ts, "The question was deleted", channel=DM)
    await bot.settled()
    assert "The first half." in shown(message)
    assert "The second half." not in shown(message)
    assert not held.go.is_set()
    assert bot.answerer.closed == 1


async def test_a_question_that_is_deleted_in_the_queue_is_never_asked(bot: Bot) -> None:
    bot.answerer.script = held = Held()
    ts = await bot.ask()
    await held.reached.wait()
    second = await bot.ask("@Kvasir never mind", thread_ts=ts)
    await bot.box.wait_delivered()
    await bot.box.delete("ada", "#general", second)
    await bot.box.wait_delivered()
    held.go.set()
    await bot.settled()
    assert len(bot.answerer.questions) == 1


async def test_stop_stops(bot: Bot) -> None:
    bot.answerer.script = held = Held()
    ts = await bot.ask()
    await bot.box.wait_for_message(lambda m: "The first half." in shown(m))
    await bot.box.stop("ada", "#general", ts)
    await bot.box.wait_for_message(lambda m: m["root"] == ts and "Stopped." in shown(m))
    await bot.settled()
    assert bot.answerer.closed == 1
    assert not held.go.is_set()
    assert [session["status"] for session in (await bot.box.state())["sessions"]] == ["active"]


async def test_a_session_shows_work_and_comes_to_rest(bot: Bot) -> None:
    bot.answerer.script = held = Held("")

    async def status() -> str:
        return next((session["status"] for session in (await bot.box.state())["sessions"]), "")

    async def processing() -> bool:
        return await status() == "processing"

    ts = await bot.ask()
    await bot.box.wait_until(processing)
    held.go.set()
    await bot.answer(ts, "The second half.")
    await bot.settled()
    assert await status() == "active"


async def test_notices_stand_over_and_under_the_answer(bot: Bot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Notice("The engine is still loading; these are extracts from the documents until then.")
        yield Sources((PASSAGE,))
        yield Text("Add it to the file [1].", (PASSAGE,))
        yield Notice("It was cut short.")
        yield finished(PASSAGE)

    bot.answerer.script = script
    ts = await bot.ask()
    message = await bot.answer(ts, "Add it")
    text = shown(message)
    assert text.index("still loading") < text.index("Add it") < text.index("cut short")


async def test_a_verified_answer_shows_its_numbers_its_mark_and_why_and_is_asked_on_without_them(bot: Bot) -> None:
    """The passage that is looked at second is named first: it is [1] in the text, its link and the list of sources."""
    leave = Passage(1, "docs", "leave.md", "Leave", "", "https://kb.example/leave", "25 days.")

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Sources((leave, replace(PASSAGE, n=2)))
        yield Text("Add it to the file. [1]", (PASSAGE,))
        yield Text(" Bob decides. ⚠\n\n| days |\n|---|\n| 25 [2] |", (replace(leave, n=2),))
        yield Notice("⚠ marks what no passage supports.")
        yield finished(PASSAGE, replace(leave, n=2))

    bot.answerer.script = script
    ts = await bot.ask()
    message = await bot.answer(ts, "Add it")
    text = shown(message)
    assert "Add it to the file. [\\[1\\]](https://kb.example/sources) Bob decides. ⚠" in text
    assert "| 25 [\\[2\\]](https://kb.example/leave) |" in text
    assert text.index("<https://kb.example/sources|[1]") < text.index("<https://kb.example/leave|[2]")
    assert "⚠ marks what no passage supports." in text
    await bot.ask("@Kvasir and then?", thread_ts=ts)
    await bot.settled()
    (said,) = bot.answerer.questions[1].history
    assert said.answer == "Add it to the file. Bob decides.\n\n| days |\n|---|\n| 25 |"


async def test_nobody_is_pinged(bot: Bot) -> None:
    bot.answerer.script = saying("Tell <!channel> and <@U0BO>, @here and <!subteam^S1>.")
    ts = await bot.ask()
    text = shown(await bot.answer(ts, "Tell"))
    assert not any(ping in text for ping in ("<!channel>", "<@U0BO>", "@here", "<!subteam"))


async def test_a_very_long_answer_goes_on_in_further_messages(bot: Bot) -> None:
    words = "".join(f"Sentence number {n} of a long answer. " for n in range(900))
    bot.answerer.script = saying(words, "The end.")
    ts = await bot.ask()
    await bot.answer(ts, "The end.")
    texts = [m["text"] for m in await bot.answers(ts)]
    assert len(texts) > 2
    assert all(len(text) <= 12_000 for text in texts)
    joined = " ".join(" ".join(texts).split())
    assert all(f"Sentence number {n} of" in joined for n in range(900))


async def test_events_that_are_not_ours_are_acknowledged(bot: Bot) -> None:
    """A reaction, somebody joining, a button that we do not know: nothing is sent twice."""
    ts = await bot.ask()
    await bot.answer(ts)
    await bot.box.control("POST", "react", {"person": "ada", "channel": "#general", "ts": ts, "name": "eyes"})
    await bot.box.control("POST", "join", {"channel": "#general", "member": "chen"})
    await bot.box.wait_delivered()
    assert not (await bot.box.state())["given_up"]
    assert len(bot.answerer.questions) == 1


async def test_an_answer_that_fails_says_so_and_keeps_what_was_said(bot: Bot) -> None:
    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        yield Text("It begins well.\n```\ncode")
        raise OSError(28, "No space left on device")

    bot.answerer.script = script
    ts = await bot.ask()
    text = shown(await bot.answer(ts, "No space left on device"))
    assert "It begins well." in text
    assert text.index("code\n```\n") < text.index("No space left")


async def test_a_channel_shared_with_another_company_is_not_answered_in(bot: Bot) -> None:
    await bot.box.control("POST", "channel", {"channel": "#general", "shared_externally": True})
    await bot.ask()
    hint = await bot.box.wait_for_message(lambda m: m.get("ephemeral"))
    assert "shared with another company" in shown(hint)
    await bot.settled()
    assert not bot.answerer.questions


async def test_one_thread_at_a_time_and_threads_side_by_side(bot: Bot) -> None:
    first, second = Held("First. "), Held("Second. ")
    bot.answerer.script = first
    one = await bot.ask("@Kvasir one")
    await first.reached.wait()
    bot.answerer.script = second
    behind = await bot.ask("@Kvasir behind", thread_ts=one)
    two = await bot.ask("@Kvasir two")
    await second.reached.wait()
    assert [question.text for question in bot.answerer.questions] == ["one", "two"]
    bot.answerer.script = saying("Third.")
    second.go.set()
    await bot.answer(two, "Second.")
    first.go.set()
    await bot.answer(one, "Third.")
    assert [question.text for question in bot.answerer.questions] == ["one", "two", "behind"]
    assert behind > one


@pytest.mark.parametrize("text", ["/kb", "/kb help", "/kb 帮助"])
async def test_kb_help(bot: Bot, text: str) -> None:
    await bot.box.command("ada", "#general", text)
    told = await bot.box.wait_for_message(lambda m: m.get("ephemeral"))
    assert "/kb 刷新" in shown(told) if "帮助" in text else "/kb refresh" in shown(told)


async def test_kb_names_the_nearest_command(bot: Bot) -> None:
    await bot.box.command("ada", "#general", "/kb serch logs")
    told = await bot.box.wait_for_message(lambda m: m.get("ephemeral"))
    assert "Did you mean `/kb search`?" in shown(told)


async def test_the_home_shows_how_the_sources_are(bot: Bot) -> None:
    await bot.box.home("ada")

    async def published() -> bool:
        return await bot.box.home("ada") is not None

    await bot.box.wait_until(published)
    view = await bot.box.home("ada")
    assert view is not None
    assert "synced 3 h ago" in str(view)


async def test_attachments_are_not_dropped_in_silence(socket_bot: Bot) -> None:
    bot = socket_bot
    ts = await bot.ask("see the file")
    asked = QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", ts), ts, "U0ADA00001", "see the file", files=2)
    await bot.app._turns.submit(asked)
    assert "I cannot read attached files" in shown(await bot.answer(ts))


@pytest.mark.slow
async def test_a_thread_of_several_pages_is_read_to_its_end(socket_bot: Bot) -> None:
    """Slack begins each page with the root; it is read once."""
    bot = socket_bot
    ts = await bot.ask("root")
    for number in range(230):
        await bot.ask(f"line {number}", thread_ts=ts)
    await bot.ask("@Kvasir well?", thread_ts=ts)
    await bot.answer(ts)
    [exchange] = bot.answerer.questions[0].history
    assert exchange.question.split("\n") == ["root", *(f"line {number}" for number in range(230))]
