"""Tests of statuses that the end of a turn cannot clear: Slack does not show for ever that the bot works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.slack.running_bot import PausedScript, RunningBot, run_bot, wait_for_heartbeats
from tests.slack.turns.recovery.test_crash_recovery import leave_dead_turn, make_ledger_url
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow


async def is_active(sandbox: SandboxClient) -> bool:
    """Return whether the only session is over."""
    return [(one["status"], one["text"]) for one in (await sandbox.state())["sessions"]] == [("active", "")]


async def test_rate_limited_status_is_cleared_later(bot: RunningBot) -> None:
    bot.answerer.script = held = PausedScript("")
    root = await bot.ask()
    await held.paused.wait()
    await bot.sandbox.wait_until(lambda: bot.sandbox.requests("assistant.threads.setStatus"), what="the status")
    await bot.sandbox.faults(
        {"method": "agents.sessions.setStatus", "status": 429, "retry_after_s": 1, "times": 2},
        {"method": "chat.st*Stream", "error": "unknown_method", "times": -1},
    )
    held.resume.set()
    await bot.wait_for_turn(root, "The second half.")
    assert not await is_active(bot.sandbox)
    await bot.sandbox.wait_until(lambda: is_active(bot.sandbox), 10, "end of the session")
    calls = [call for call in await bot.sandbox.requests("agents.sessions.setStatus") if call["error"] is None]
    assert calls[-1]["at"] - calls[0]["at"] > 1.0
    await wait_for_heartbeats(bot.sandbox)
    assert len(await bot.sandbox.requests("agents.sessions.setStatus")) == 4, "it is cleared once"


async def test_status_of_a_dead_process_is_cleared(tmp_path: Path) -> None:
    """The next process cannot show a status of its own, so its answer ends none."""
    async with open_sandbox(tmp_path) as sandbox:
        root = await sandbox.say("ada", "#general", "@Kvasir how?")
        thread = {"channel_id": "C0GENERAL1", "thread_ts": root}
        await sandbox.api("agents.sessions.setStatus", **thread, status="processing")
        await sandbox.api("assistant.threads.setStatus", **thread, status="is thinking…")
        await leave_dead_turn(make_ledger_url(tmp_path), root)
        await sandbox.faults({"method": "a*.setStatus", "status": 429, "retry_after_s": 1, "times": 2})
        async with run_bot(sandbox, tmp_path) as bot:
            await bot.wait_for_answer(root)
            await sandbox.wait_until(lambda: is_active(sandbox), 10, "end of the session")


async def test_interrupted_attempt_leaves_no_task(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "chat.startStream", "status": 503, "times": 1})
    await bot.wait_for_turn(await bot.ask())
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "slack status"]
