"""Tests of turns: edits, deletions, Stop, and the order in a thread."""

from __future__ import annotations

import asyncio

import pytest

from bot.storage.turns.questions import QuestionKey, QuestionMessage
from tests.slack.running_bot import PausedScript, RunningBot, get_text, make_script
from tests.slack_sandbox import TEAM_ID

pytestmark = pytest.mark.slow


async def test_edit_in_queue_changes_question(bot: RunningBot) -> None:
    """The question waits behind another question of its thread."""
    held = PausedScript()
    bot.answerer.script = held
    ts = await bot.ask()
    await held.paused.wait()
    second = await bot.ask("@Kvasir wrong words", thread_ts=ts)
    await bot.sandbox.wait_delivered()
    await bot.sandbox.edit("ada", "#general", second, "@Kvasir right words")
    await bot.sandbox.wait_delivered()
    held.resume.set()
    await bot.wait_until_idle()
    assert [question.text for question in bot.answerer.questions] == ["how?", "right words"]


async def test_edit_that_adds_mention_asks_the_question(bot: RunningBot) -> None:
    ts = await bot.ask("how do I add a source?")
    await bot.sandbox.wait_delivered()
    await bot.sandbox.edit("ada", "#general", ts, "@Kvasir how do I add a source?")
    await bot.wait_for_answer(ts)


async def test_question_deleted_in_queue_is_not_answered(bot: RunningBot) -> None:
    bot.answerer.script = held = PausedScript()
    ts = await bot.ask()
    await held.paused.wait()
    second = await bot.ask("@Kvasir never mind", thread_ts=ts)
    await bot.sandbox.wait_delivered()
    await bot.sandbox.delete("ada", "#general", second)
    await bot.sandbox.wait_delivered()
    held.resume.set()
    await bot.wait_until_idle()
    assert len(bot.answerer.questions) == 1


async def test_stop_button_stops_answer(bot: RunningBot) -> None:
    ts, held = await bot.pause_answer()
    await bot.sandbox.stop("ada", "#general", ts)
    await bot.sandbox.wait_for_message(lambda m: m["root"] == ts and "Stopped." in get_text(m))
    await bot.wait_until_idle()
    assert bot.answerer.closed == 1
    assert not held.resume.is_set()
    assert [session["status"] for session in (await bot.sandbox.state())["sessions"]] == ["active"]


async def test_answer_that_is_stopped_while_it_opens_is_deleted_with_its_question(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "hang_s": 0.5})
    bot.answerer.script = PausedScript()
    ts = await bot.ask()
    await bot.sandbox.wait_until(lambda: bot.answerer.questions, what="the answer")
    await bot.sandbox.wait_for_faults()
    await bot.app.workspace.turns.handle_stop("C0GENERAL1", ts)
    await bot.wait_until_idle()
    [answer] = await bot.list_answers(ts)
    turn = await bot.find_turn(ts)
    assert turn.replies == (answer["ts"],)


async def test_files_do_not_continue_an_answer_that_was_stopped_in_its_stream(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.stopStream", "error": "stopped_by_user"})
    ts, held = await bot.pause_answer()
    held.resume.set()
    await bot.wait_until_idle()
    message = QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", ts), ts, "U0ADA00001", "", files=1)
    assert await bot.ledger.add_files(message, within_s=60.0) is None


async def test_question_that_comes_during_the_shutdown_starts_no_task(bot: RunningBot) -> None:
    turns = bot.app.workspace.turns
    await turns.close()
    turns.enqueue(QuestionMessage(QuestionKey(TEAM_ID, "C0GENERAL1", "5.0"), "5.0", "U0ADA00001", "how?"))
    assert "places in the line" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_threads_run_in_parallel_with_one_turn_each(bot: RunningBot) -> None:
    first, second = PausedScript("First. "), PausedScript("Second. ")
    bot.answerer.script = first
    one = await bot.ask("@Kvasir one")
    await first.paused.wait()
    bot.answerer.script = second
    behind = await bot.ask("@Kvasir behind", thread_ts=one)
    two = await bot.ask("@Kvasir two")
    await second.paused.wait()
    assert [question.text for question in bot.answerer.questions] == ["one", "two"]
    bot.answerer.script = make_script("Third.")
    second.resume.set()
    await bot.wait_for_answer(two, "Second.")
    first.resume.set()
    await bot.wait_for_answer(one, "Third.")
    assert [question.text for question in bot.answerer.questions] == ["one", "two", "behind"]
    assert behind > one


async def test_question_reads_all_pages_of_thread(bot: RunningBot) -> None:
    """Each page begins with the root, which appears once in the history."""
    ts = await bot.ask("root")
    for number in range(230):
        await bot.ask(f"line {number}", thread_ts=ts)
    await bot.ask("@Kvasir well?", thread_ts=ts)
    await bot.wait_for_answer(ts)
    [exchange] = bot.answerer.questions[0].history
    assert exchange.question.split("\n") == ["root", *(f"line {number}" for number in range(230))]
