"""Tests of answers whose calls Slack refuses: the person reads them nevertheless, and at most two are generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Sources, Text
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.rate_limits import RateLimits
from tests.slack.running_bot import (
    PASSAGE,
    RunningBot,
    get_markdown,
    get_text,
    make_finished,
    run_bot,
    run_bot_in_sandbox,
    wait_for_heartbeats,
)
from tests.slack_sandbox import open_sandbox

pytestmark = pytest.mark.slow

CODES = ["invalid_blocks", "msg_too_long", "invalid_arguments"]
SETTINGS = TurnSettings(drain_s=0.2, heartbeat_s=0.05)


async def read_answer(bot: RunningBot, root: str, text: str = "That is all.") -> str:
    """Wait for text in a thread and for the end of its turn, and return all that the bot says there."""
    await bot.sandbox.wait_for_message(lambda m: m["root"] == root and m.get("bot_id") and text in get_text(m))
    await bot.wait_until_idle()
    await wait_for_heartbeats(bot.sandbox)  # it is not tried again
    await bot.wait_until_idle()
    return "".join(get_markdown(message) for message in await bot.list_answers(root))


async def wait_until_refused(bot: RunningBot, before: int = 0) -> None:
    """Wait until an answer was generated and Slack refused more messages than before."""

    async def is_refused() -> bool:
        return bool(bot.answerer.questions) and len(await bot.sandbox.requests("chat.postMessage")) > before

    await bot.sandbox.wait_until(is_refused)


@pytest.mark.parametrize("code", CODES)
async def test_refused_end_of_stream_is_repeated_without_blocks(bot: RunningBot, code: str) -> None:
    await bot.sandbox.faults({"method": "chat.stopStream", "error": code})
    root = await bot.ask()
    text = await read_answer(bot, root)
    assert text.count("You asked: how?") == text.count("That is all.") == 1
    [message] = await bot.list_answers(root)
    assert PASSAGE.title not in get_text(message)
    assert len(bot.answerer.questions) == 1
    assert not await bot.list_open_streams()


@pytest.mark.parametrize(("code", "times"), [("invalid_blocks", 2), ("msg_too_long", -1), ("invalid_arguments", -1)])
async def test_rest_of_refused_stream_is_posted_as_plain_text(bot: RunningBot, code: str, times: int) -> None:
    await bot.sandbox.faults({"method": "chat.stopStream", "error": code, "times": times})
    root, held = await bot.pause_answer()
    held.resume.set()
    assert await read_answer(bot, root, "The second half.") == "The first half. The second half."
    assert not (await bot.list_answers(root))[-1].get("blocks")
    assert len(bot.answerer.questions) == 1
    assert times < 0 or not await bot.list_open_streams()


@pytest.mark.parametrize("times", [1, 2])
async def test_refused_update_is_repeated(bot: RunningBot, times: int) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method"})
    root, held = await bot.pause_answer()
    await bot.sandbox.faults({"method": "chat.update", "error": "msg_too_long", "times": times})
    held.resume.set()
    assert await read_answer(bot, root, "The second half.") == "The first half. The second half."
    assert len(bot.answerer.questions) == 1


async def test_text_is_not_doubled_if_slack_has_it_and_refuses_updates(bot: RunningBot) -> None:
    """The response to the stream's end is lost, so what Slack has is unknown, and no update can replace it."""
    root, held = await bot.pause_answer()
    await bot.sandbox.faults(
        {"method": "chat.stopStream", "lose_reply": True},
        {"method": "chat.update", "error": "invalid_blocks", "times": 2},
    )
    held.resume.set()
    assert await read_answer(bot, root, "The second half.") == "The first half. The second half."
    assert len(bot.answerer.questions) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_refused_post_is_repeated(tmp_path: Path, times: int) -> None:
    """The whole answer is one message."""
    limits = RateLimits()
    while limits.updates.has_room(0.5):  # so no text is posted before the answer is complete
        limits.updates.reserve_call()
    async with run_bot_in_sandbox(tmp_path, capabilities=SlackCapabilities(limits=limits)) as bot:
        await bot.sandbox.faults({"method": "chat.startStream", "status": 429, "retry_after_s": 30})
        await bot.wait_for_answer(await bot.ask("@Kvasir first?"))
        await bot.sandbox.faults({"method": "chat.postMessage", "error": "invalid_blocks", "times": times})
        text = await read_answer(bot, await bot.ask())
        assert text.count("That is all.") == 1
        assert len(bot.answerer.questions) == 2


async def test_refused_text_becomes_a_sentence(bot: RunningBot) -> None:
    await bot.sandbox.faults(
        {"method": "chat.st*Stream", "error": "unknown_method", "times": -1},
        {"method": "chat.postMessage", "error": "msg_too_long", "times": 2},
    )
    text = await read_answer(bot, await bot.ask(), "Slack refused to show it (msg_too_long)")
    assert "That is all." not in text
    assert len(bot.answerer.questions) == 1


@pytest.mark.parametrize("fault", [{"error": "invalid_arguments"}, {"status": 503}])
async def test_generated_answer_appears_once_slack_accepts_it(tmp_path: Path, fault: dict[str, str]) -> None:
    async with run_bot_in_sandbox(tmp_path, settings=SETTINGS) as bot:
        await bot.sandbox.faults({"method": "chat.*", "times": -1, **fault})
        root = await bot.ask()

        async def are_attempted() -> bool:
            return sum(call["method"].startswith("chat.") for call in await bot.sandbox.requests()) >= 4

        await bot.sandbox.wait_until(are_attempted, what="several attempts")
        await bot.sandbox.faults(clear=True)
        text = await read_answer(bot, root)
        assert text.count("You asked: how?") == text.count("That is all.") == 1
        assert len(bot.answerer.questions) <= 2


async def test_kept_answer_is_not_shown_to_new_viewers(tmp_path: Path) -> None:
    """What they may not read is answered again, without it."""
    async with run_bot_in_sandbox(tmp_path, settings=SETTINGS) as bot:
        passage = replace(PASSAGE, chunks=("c1",))

        async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
            if bot.library.current is None:
                yield Sources((passage,))
                yield Text("The secret. [1]", (passage,))
            else:
                await bot.sandbox.faults(clear=True)
            yield Text("That is all.")
            yield make_finished(*(() if bot.library.current is not None else (passage,)))

        bot.answerer.script = script
        await bot.sandbox.faults({"method": "chat.*", "times": -1, "error": "invalid_arguments"})
        root = await bot.ask()
        await wait_until_refused(bot)
        bot.library.current = frozenset()
        text = await read_answer(bot, root)
        assert "secret" not in text
        assert len(bot.answerer.questions) == 2


async def test_answers_are_counted_over_restarts(tmp_path: Path) -> None:
    count = 0
    async with open_sandbox(tmp_path) as sandbox:
        await sandbox.faults({"method": "chat.*", "error": "invalid_arguments", "times": -1})
        root = await sandbox.say("ada", "#general", "@Kvasir how?")
        for attempt in range(3):
            async with run_bot(sandbox, tmp_path, settings=SETTINGS) as bot:
                if attempt < 2:
                    refused = len(await sandbox.requests("chat.postMessage"))
                    await wait_until_refused(bot, refused)
                await wait_for_heartbeats(sandbox, 5)
                count += len(bot.answerer.questions)
        await sandbox.faults(clear=True)
        async with run_bot(sandbox, tmp_path, settings=SETTINGS) as bot:
            await read_answer(bot, root, "could not answer this question")
            assert count + len(bot.answerer.questions) == 2


async def test_asker_learns_that_slack_refuses_everything(tmp_path: Path) -> None:
    settings = replace(SETTINGS, refused_s=0.3)
    async with run_bot_in_sandbox(tmp_path, settings=settings) as bot:
        await bot.sandbox.faults({"method": "chat.[!p]*", "error": "invalid_arguments", "times": -1})
        await bot.sandbox.faults({"method": "chat.postMessage", "error": "invalid_arguments", "times": -1})
        root = await bot.ask()
        notice = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
        assert "Slack refuses my message (invalid_arguments)" in get_text(notice)
        await bot.wait_until_idle()
        assert not await bot.ledger.renew_leases(), "the turn has ended"
        assert not await bot.list_answers(root)
        assert len(bot.answerer.questions) == 1


async def test_edited_question_is_answered_after_its_answer_was_refused(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, settings=SETTINGS) as bot:
        await bot.sandbox.faults({"method": "chat.*", "error": "invalid_arguments", "times": -1})
        root = await bot.ask()
        await bot.sandbox.wait_until(lambda: bot.answerer.closed == 1, what="the first answer")
        await bot.sandbox.edit("ada", "#general", root, "@Kvasir why?")
        await bot.sandbox.wait_delivered()
        await bot.sandbox.faults(clear=True)
        await bot.wait_for_answer(root, "You asked: why?")
