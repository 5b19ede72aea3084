"""``/think``: remembered for the person, told honestly, and followed by every later question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.answering.thinking import Defaults
from bot.slack.commands.parsing import DEFAULT_DEPTH, UnknownDepth, parse_think
from bot.storage.ledger import open_ledger
from bot.storage.preferences import ThinkingPreferences
from engine.interfaces import ThinkingControl
from tests.slack.room import Bot, house, shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("deep", "deep"), (" Normal ", "normal"), ("off", "off"), ("深入", "deep"), ("关闭", "off"),
        ("default", DEFAULT_DEPTH), ("", None), ("harder", UnknownDepth("harder")),
    ],
)  # fmt: skip
def test_what_is_typed(typed: str, meant: object) -> None:
    assert parse_think(typed) == meant


async def told(bot: Bot, contains: str, channel: str = "#general") -> str:
    found = await bot.box.wait_for_message(lambda m: m.get("ephemeral") and contains in shown(m), channel=channel)
    return shown(found)


async def test_it_holds_for_the_person_and_over_a_restart(tmp_path: Path) -> None:
    """Ada wishes, Bo does not; a second bot on the same ledger still knows, whatever the channel's own default."""
    deps: dict[str, Any] = {
        "thinking": Defaults("off", {"C0GENERAL1": "normal"}),
        "control": lambda: ThinkingControl.BUDGET,
    }
    async with house(tmp_path, "socket", deps=deps) as bot:
        await bot.box.command("ada", "#general", "/think deep")
        assert "does not think" not in await told(bot, "For you: I think long")
    async with house(tmp_path, "socket", deps=deps) as bot:
        for who, channel in (("ada", "#general"), ("bo", "#general"), ("bo", "#handbook")):
            await bot.box.say(who, channel, "@Kvasir how many days?")
        await bot.box.wait_until(lambda: len(bot.answerer.questions) == 3, what="three questions")
        asked = [(question.id.partition("-")[0], question.depth) for question in bot.answerer.questions]
        assert sorted(asked) == [("C0GENERAL1", "deep"), ("C0GENERAL1", "normal"), ("C0HANDBOOK", "off")]


async def test_what_cannot_be_followed_is_said(tmp_path: Path) -> None:
    controls = [ThinkingControl.NONE]
    async with house(tmp_path, "socket", deps={"control": lambda: controls[0]}) as bot:
        await bot.box.command("ada", "#general", "/think deep")
        assert "does not think, so this changes nothing" in await told(bot, "For you: I think long")
        controls[0] = ThinkingControl.SWITCH
        await bot.box.command("ada", "#general", "/think 深")
        assert "只能关闭思考" in await told(bot, "深入思考后再回答")
        await bot.box.command("ada", "#general", "/think harder")
        await told(bot, "“harder” is not a depth")
        await bot.box.command("ada", "#general", "/think default")
        await told(bot, "The default here: ")


async def test_wishes(tmp_path: Path) -> None:
    """The person's own, else the channel's, else everybody's; a wish taken back is gone; a broken ledger is no bar."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        wishes = await ThinkingPreferences(ledger, Defaults("off", {"C1": "normal"})).open()
        await wishes.set_depth("T1", "U1", "deep")
        await wishes.set_depth("T1", "U1", "off")
        await wishes.set_depth("T1", "U1", "deep")
        assert await wishes.choose_depth("T1", "U1", "C1") == "deep"
        assert [await wishes.choose_depth(*where) for where in (("T2", "U1", "C1"), ("T1", "U2", "C2"))] == [
            "normal",
            "off",
        ]
        await wishes.set_depth("T1", "U1", None)
        assert await wishes.find_depth("T1", "U1") is None
        await ledger.transact(lambda connection: connection.exec_driver_sql("drop table bot_wishes"))
        assert await wishes.choose_depth("T1", "U1", "C1") == "normal"
