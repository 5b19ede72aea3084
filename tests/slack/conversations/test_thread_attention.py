"""Tests of which messages Kvasir answers: threads, group messages, muting, and a mention whose files come later."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from bot.config.models import ChannelTable
from tests.slack.running_bot import PausedScript, RunningBot, get_text, run_bot, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack.thread_script import CHANNELS, CHINESE, ENGLISH, RESTART, Step
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow

GROUP_DM = "C0MPDM0001"


async def run_steps(bot: RunningBot, steps: list[Step], roots: dict[str, str]) -> None:
    """Say the messages one after the other, and compare each with the questions that the bot answers."""
    for step in steps:
        before = len(bot.answerer.questions)
        ts = await bot.sandbox.say(step.person, CHANNELS[step.conversation], step.text, roots.get(step.conversation))
        roots.setdefault(step.conversation, ts)
        await bot.wait_until_idle()
        answered = [question.text for question in bot.answerer.questions[before:]]
        assert answered == ([step.text.removeprefix("@Kvasir ")] if step.is_meant else []), step


@pytest.mark.parametrize("steps", [ENGLISH, CHINESE], ids=["en", "zh"])
async def test_exactly_messages_for_kvasir_are_answered_across_a_restart(tmp_path: Path, steps: list[Step]) -> None:
    roots: dict[str, str] = {}
    assert len(steps) == 30
    async with open_sandbox(tmp_path) as sandbox:
        await sandbox.group("S0ONCALL01", handle="oncall", name="On call", users=["bo"])
        for part in (steps[:RESTART], steps[RESTART:]):
            async with run_bot(sandbox, tmp_path) as bot:
                await run_steps(bot, part, roots)


async def start_thread(bot: RunningBot, channel: str = "#general") -> str:
    """Ask a question, and return the root of its thread once it is answered."""
    ts = await bot.ask("@Kvasir how?", channel)
    await bot.wait_for_answer(ts, channel=channel)
    return ts


async def is_answered(bot: RunningBot, text: str, root: str, channel: str = "#general") -> bool:
    """Ask in a thread, and return whether the bot answers."""
    before = len(bot.answerer.questions)
    await bot.ask(text, channel, thread_ts=root)
    await bot.wait_until_idle()
    return len(bot.answerer.questions) > before


async def react(sandbox: SandboxClient, ts: str, **more: Any) -> None:
    body = {"person": "bo", "channel": "#general", "ts": ts, "name": "mute", **more}
    await sandbox.control("POST", "react", body)


async def test_reaction_mutes_a_thread_on_every_replica_and_removing_it_ends_that(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path) as bot, run_bot(bot.sandbox, tmp_path, owner="another") as other:
        root = await bot.ask("@Kvasir how?")
        answer = await bot.wait_for_answer(root)
        await react(bot.sandbox, answer["ts"])
        await bot.wait_until_idle()
        await other.wait_until_idle()
        for _ in range(4):  # the workspace sends each event to one of the two
            await bot.ask("and then?", thread_ts=root)
        await bot.wait_until_idle()
        await other.wait_until_idle()
        assert len(bot.answerer.questions) + len(other.answerer.questions) == 1
        await react(bot.sandbox, answer["ts"], remove=True)
        await bot.sandbox.wait_delivered()
        await bot.ask("and now?", thread_ts=root)
        await bot.wait_for_answer(root, "and now?")


async def test_reaction_to_another_message_mutes_nothing(bot: RunningBot) -> None:
    root = await start_thread(bot)
    await react(bot.sandbox, root)
    assert await is_answered(bot, "and then?", root)


async def test_button_under_a_follow_up_mutes_its_thread(bot: RunningBot) -> None:
    root = await start_thread(bot)
    assert "kvasir:mute" not in str(await bot.list_answers(root))
    await bot.ask("and then?", thread_ts=root)
    answer = await bot.wait_for_answer(root, "and then?")
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:mute")
    reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and "leave this thread" in get_text(m))
    assert reply["thread_ts"] == root
    assert not await is_answered(bot, "and now?", root)
    assert await is_answered(bot, "@Kvasir and now?", root)


async def test_repeated_delivery_of_an_old_command_changes_nothing(bot: RunningBot) -> None:
    """The events of one message have several ids, and Slack may send one again minutes later."""
    root = await start_thread(bot)
    await bot.sandbox.faults(duplicate_events=5)
    await bot.ask("@Kvasir mute", thread_ts=root)
    await bot.wait_until_idle()
    [confirmation] = [m for m in await bot.sandbox.messages() if m.get("ephemeral")]
    assert "I leave this thread alone" in get_text(confirmation)


async def test_mute_outside_a_thread_says_where_it_counts(bot: RunningBot) -> None:
    await bot.ask("@Kvasir mute")
    await wait_for_ephemeral(bot, "in a thread only")
    assert not bot.answerer.questions


async def test_channel_may_ask_for_a_mention_in_every_message(tmp_path: Path) -> None:
    channels = {"C0GENERAL1": ChannelTable(id="C0GENERAL1", mention_only=True)}
    async with run_bot_in_sandbox(tmp_path, dependencies={"channels": channels}) as bot:
        root = await start_thread(bot)
        assert not await is_answered(bot, "and then?", root)
        assert await is_answered(bot, "@Kvasir and then?", root)
        elsewhere = await start_thread(bot, "#handbook")
        assert await is_answered(bot, "and then?", elsewhere, "#handbook")


async def test_thread_without_messages_for_days_needs_a_mention_again(tmp_path: Path) -> None:
    async with run_bot_in_sandbox(tmp_path, dependencies={"follow_up_days": 0.0}) as bot:
        root = await start_thread(bot)
        assert not await is_answered(bot, "and then?", root)
        assert await is_answered(bot, "@Kvasir and then?", root)


# ── A mention without its files ──────────────────────────────────────────────────────────────────────────────────────


async def ask_with_file(bot: RunningBot, late_s: float) -> str:
    """Ask with a file whose mention comes first, without it; return the ``ts``."""
    await bot.sandbox.faults(late_message_s=late_s)
    file = {"name": "notes.txt", "base64": base64.b64encode(b"Ten days.").decode()}
    body = {"person": "ada", "channel": "#general", "text": "@Kvasir how many days?", "files": [file]}
    return str((await bot.sandbox.control("POST", "say", body))["ts"])


@pytest.mark.parametrize("late_s", [0.0, 0.3])
async def test_files_that_follow_a_mention_belong_to_its_question(bot: RunningBot, late_s: float) -> None:
    script = PausedScript(first="")
    bot.answerer.script = script
    ts = await ask_with_file(bot, late_s)
    await bot.sandbox.wait_delivered()
    script.resume.set()
    await bot.wait_for_turn(ts, "The second half.")
    [answer] = await bot.list_answers(ts)
    assert "attached files" in get_text(answer)


async def test_files_that_follow_a_complete_answer_revise_it(bot: RunningBot) -> None:
    ts = await ask_with_file(bot, 0.5)
    await bot.sandbox.wait_until(lambda: bot.answerer.questions, what="first answer")
    await bot.wait_until_idle()
    answer = await bot.wait_for_turn(ts, "attached files")
    assert [one["ts"] for one in await bot.list_answers(ts)] == [answer["ts"]]
    assert len(bot.answerer.questions) == 2
