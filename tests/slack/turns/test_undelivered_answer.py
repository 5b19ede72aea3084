"""Tests of conversations in which Slack does not let the bot post: the asker learns why, once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.config.configuration import Access
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.scopes import SCOPES
from bot.storage.turns.questions import TurnState
from tests.slack.running_bot import (
    PausedScript,
    RunningBot,
    get_text,
    run_bot,
    run_bot_in_sandbox,
    wait_for_ephemeral,
    wait_for_heartbeats,
)
from tests.slack.turns.recovery.test_crash_recovery import leave_dead_turn
from tests.slack_sandbox import open_sandbox

pytestmark = pytest.mark.slow


async def wait_for_direct_message(bot: RunningBot, contains: str) -> dict[str, Any]:
    """Wait for a message to Ada in her direct conversation."""
    return await bot.sandbox.wait_for_message(lambda m: contains in get_text(m), channel="D0DIRECT01")


async def list_chat_calls(bot: RunningBot) -> list[str]:
    return [method for call in await bot.sandbox.requests() if (method := call["method"]).startswith("chat.")]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("restricted_action", "only some people may post there"),
        ("restricted_action_thread_only_channel", "only some people may post there"),
        ("restricted_action_thread_locked", "nobody may reply in that thread"),
        ("ekm_access_denied", "Slack refuses my message (ekm_access_denied)"),
    ],
)
async def test_asker_learns_in_direct_message_that_channel_refuses_posts(
    bot: RunningBot, code: str, reason: str
) -> None:
    """Slack refuses ephemeral messages there, too."""
    await bot.sandbox.channel("#general", refusal=code)
    await bot.ask()
    message = await wait_for_direct_message(bot, reason)
    assert "<#C0GENERAL1>" in get_text(message)
    await bot.wait_until_idle()
    await wait_for_heartbeats(bot.sandbox)
    assert len(bot.answerer.questions) == 1
    assert len([m for m in await bot.sandbox.messages("D0DIRECT01") if m.get("bot_id")]) == 1


async def test_missing_scope_ends_turns_and_withdrawals_with_one_sentence(bot: RunningBot) -> None:
    answered = await bot.ask()
    await bot.wait_for_turn(answered)
    await bot.sandbox.faults(scopes=sorted(set(SCOPES) - {"chat:write"}))
    with capture_logs() as logs:
        question_ts = await bot.ask("@Kvasir why?")
        await bot.sandbox.wait_until(lambda: bot.has_state(question_ts, TurnState.FAILED))
        await bot.sandbox.delete("ada", "#general", answered)
        await bot.sandbox.wait_until(lambda: bot.has_state(answered, TurnState.SUPERSEDED, replies=()))
        await bot.wait_until_idle()
        before = await list_chat_calls(bot)
        await wait_for_heartbeats(bot.sandbox)
        assert before
        assert await list_chat_calls(bot) == before
    [sentence] = [line for line in logs if line["log_level"] == "error"]
    assert re.search(r"lacks chat:write.*reinstall the app", sentence["error"])
    assert len(bot.answerer.questions) <= 3


async def test_missing_scope_to_read_a_thread_ends_the_recovery_of_its_turn(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox:
        ts = await sandbox.say("ada", "#general", "@Kvasir how?")
        await leave_dead_turn(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", ts)
        await sandbox.faults(scopes=sorted(set(SCOPES) - {"channels:history"}))
        async with run_bot(sandbox, tmp_path) as bot:
            await wait_for_ephemeral(bot, "lacks a permission")
            await sandbox.wait_until(lambda: bot.has_state(ts, TurnState.FAILED))


async def test_asker_learns_it_in_the_channel_if_that_is_possible(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "error": "restricted_action", "times": -1})
    await bot.ask("@Kvasir 怎么添加来源？")
    message = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "那里只允许部分成员发言" in get_text(message)


async def test_asker_learns_that_bot_was_removed_while_it_answered(bot: RunningBot) -> None:
    _, paused = await bot.pause_answer()
    await bot.sandbox.leave("kvasir", "#general")
    paused.resume.set()
    await wait_for_direct_message(bot, "I am not a member there. Invite me with")
    await bot.wait_until_idle()
    assert len(bot.answerer.questions) == 1


async def test_asker_learns_that_channel_was_archived(bot: RunningBot) -> None:
    bot.answerer.script = paused = PausedScript("")
    await bot.ask()
    await paused.paused.wait()
    await bot.sandbox.control("POST", "archive", {"channel": "#general", "person": "ada"})
    paused.resume.set()
    await wait_for_direct_message(bot, "it is archived")


async def test_refusal_goes_to_the_thread_of_the_question(bot: RunningBot) -> None:
    await bot.sandbox.channel("#general", shared_with=["T0PARTNER1"])
    ts = await bot.ask("hello")
    await bot.ask("hi", thread_ts=ts)
    await bot.ask(thread_ts=ts)
    message = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "shared with another company" in get_text(message)
    assert message["root"] == ts
    await bot.ask()
    await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral") and m["root"] == m["ts"])


async def test_refused_refusal_goes_to_direct_messages(tmp_path: Path) -> None:
    dependencies = {"access": Access(frozenset({"U0ADA00001"}))}
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        await bot.sandbox.channel("#general", shared_with=["T0PARTNER1"], refusal="restricted_action")
        await bot.ask()
        await wait_for_direct_message(bot, "shared with another company")


async def test_given_up_question_ends_where_posts_are_refused(tmp_path: Path) -> None:
    """Its apology is refused, too; the turn does not stay open."""
    settings = TurnSettings(attempts=0, drain_s=0.2, heartbeat_s=0.1)
    async with run_bot_in_sandbox(tmp_path, settings=settings) as bot:
        await bot.sandbox.channel("#general", refusal="restricted_action")
        ts = await bot.ask()
        await wait_for_direct_message(bot, "only some people may post there")
        await bot.wait_until_idle()
        turn = await bot.find_turn(ts)
        assert turn.state is TurnState.FAILED
