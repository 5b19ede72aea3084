"""Tests of ``/think``: stored for a person, and followed by every later question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.answering.thinking import Defaults
from bot.slack.features.settings.think_command import DEFAULT_DEPTH, UnknownDepth, parse_think
from engine.interfaces import ThinkingControl
from tests.slack.running_bot import run_bot_in_sandbox, wait_for_ephemeral


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("deep", "deep"), (" Normal ", "normal"), ("off", "off"), ("深入", "deep"), ("关闭", "off"),
        ("default", DEFAULT_DEPTH), ("", None), ("harder", UnknownDepth("harder")),
    ],
)  # fmt: skip
def test_think_text_is_parsed(typed: str, meant: object) -> None:
    assert parse_think(typed) == meant


async def test_preference_applies_to_person_after_restart(tmp_path: Path) -> None:
    """Ada has a preference and Bo has none; a second bot on the same ledger applies both."""
    dependencies: dict[str, Any] = {
        "thinking": Defaults("off", {"C0GENERAL1": "normal"}),
        "control": lambda: ThinkingControl.BUDGET,
    }
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        await bot.sandbox.command("ada", "#general", "/think deep")
        assert "does not think" not in await wait_for_ephemeral(bot, "For you, everywhere: I think for a long time")
    async with run_bot_in_sandbox(tmp_path, dependencies=dependencies) as bot:
        for who, channel in (("ada", "#general"), ("bo", "#general"), ("bo", "#handbook")):
            await bot.sandbox.say(who, channel, "@Kvasir how many days?")
        await bot.sandbox.wait_until(lambda: len(bot.answerer.questions) == 3, what="three questions")
        depths = [(question.id.partition("-")[0], question.asker.depth) for question in bot.answerer.questions]
        assert sorted(depths) == [("C0GENERAL1", "deep"), ("C0GENERAL1", "normal"), ("C0HANDBOOK", "off")]


async def test_think_reports_limits_of_engine(tmp_path: Path) -> None:
    controls = [ThinkingControl.NONE]
    async with run_bot_in_sandbox(tmp_path, dependencies={"control": lambda: controls[0]}) as bot:
        await bot.sandbox.command("ada", "#general", "/think deep")
        assert "does not think, so this has no effect" in await wait_for_ephemeral(
            bot, "For you, everywhere: I think for a long time"
        )
        controls[0] = ThinkingControl.SWITCH
        await bot.sandbox.command("ada", "#general", "/think 深")
        assert "只能关闭思考" in await wait_for_ephemeral(bot, "深入思考后再回答")
        await bot.sandbox.command("ada", "#general", "/think harder")
        await wait_for_ephemeral(bot, "“harder” is not a depth")
        await bot.sandbox.command("ada", "#general", "/think default")
        await wait_for_ephemeral(bot, "The default here: ")
