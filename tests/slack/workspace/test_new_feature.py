"""A feature in one file of a test: its button, subcommand, part of Home and message after an answer, in the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.messages.message import Message
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.home import HomeViewer
from bot.slack.features.kit.subcommand import Subcommand
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, SlashCommand
from bot.slack.workspace import features
from tests.slack.running_bot import get_text, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack.workspace.home_views import read_home


class GreetAction:
    """The button "Greet" under an answer."""

    action_id = "test:greet"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    def build_blocks(self, _answer: CompleteAnswer) -> list[dict[str, Any]]:
        return [build_button(self.action_id, "Greet", "hello")]

    async def run(self, press: ButtonPress) -> None:
        await self._shared.messenger.reply_to_press(press, Message(f"The button says {press.value}.", "你好。"))


class GreetPart:
    """A part of Home."""

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        return [build_section(f"Home greets {viewer.user}.")]


async def greet(typed: SlashCommand, rest: str) -> str:
    return f"The command greets {rest or typed.user}."


def build_feature(tools: FeatureTools) -> Feature:
    return Feature(
        answer_buttons=[GreetAction(tools.shared)],
        subcommands=[Subcommand(("greet", "问候"), greet)],
        home_parts=[GreetPart()],
    )


async def test_a_feature_takes_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "FEATURES", (*features.FEATURES, build_feature))
    async with run_bot_in_sandbox(tmp_path) as bot:
        answer = await bot.wait_for_answer(await bot.ask("@Kvasir who runs it?"))
        await bot.sandbox.press("bo", "#general", answer["ts"], GreetAction.action_id)
        await bot.sandbox.wait_for_message(lambda m: "The button says hello." in get_text(m), person="bo")
        await bot.sandbox.command("ada", "#general", "/kb greet Bo")
        await wait_for_ephemeral(bot, "The command greets Bo.")
        await read_home(bot, "ada", "Home greets U0ADA00001.")
