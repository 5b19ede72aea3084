"""Tests of the words after ``/kb``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.configuration import Access
from bot.slack.features.kb.kb_command import KbCommand
from bot.slack.features.kit.feature import Feature
from bot.slack.features.kit.subcommand import Subcommand, WrongUsage, strip_quotes
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import SlashCommand
from tests.slack.running_bot import get_text


async def run_kb(text: str) -> str:
    """Return the answer to a command of a bot with two subcommands of different features."""
    answers: list[str] = []

    async def keep(_url: str, payload: Any) -> bool:
        answers.append(get_text(payload))
        return True

    async def refresh(_typed: SlashCommand, rest: str) -> str:
        return f"refresh {strip_quotes(rest)}"

    async def search(_typed: SlashCommand, rest: str) -> str:
        if not rest:
            raise WrongUsage("search …")
        return f"search {rest}"

    features = [
        Feature(subcommands=[Subcommand(("refresh", "刷新"), refresh)]),
        Feature(
            subcommands=[
                Subcommand(("search", "搜索"), search),
                Subcommand(("share",), search, lambda _user, _rest: False),
            ]
        ),
    ]
    api: Any = None  # the answers go to the response URL
    command = KbCommand(features, EphemeralMessenger(api, keep), Access())
    payload = {"text": text, "user_id": "U1", "channel_id": "C1", "response_url": "http://127.0.0.1:9/answer"}
    await command.run(SlashCommand.from_payload(payload))
    return answers[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "/kb refresh"),
        ("help", "/kb refresh"),
        ("帮助", "/kb "),
        ("refresh", "refresh "),
        ("  Refresh  'team wiki' ", "refresh team wiki"),
        ("刷新 文档", "refresh 文档"),
        ("search how do logs rotate", "search how do logs rotate"),
        ("search", "/kb search …"),
        ("refrsh docs", "/kb refresh"),
        ("share on", "owners"),
        ("xyzzy", "xyzzy"),
    ],
)
async def test_first_word_chooses_the_subcommand(text: str, words: str) -> None:
    assert words in await run_kb(text)


@given(st.text(max_size=60))
async def test_any_text_gets_an_answer(text: str) -> None:
    assert await run_kb(text)
