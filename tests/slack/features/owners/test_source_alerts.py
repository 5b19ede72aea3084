"""Tests of the direct messages to owners about sources that fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from tests.slack.running_bot import (
    FakeLibrary,
    RunningBot,
    get_text,
    make_library_status,
    make_source_status,
    run_bot,
    run_bot_in_sandbox,
)

pytestmark = pytest.mark.slow

ADA, BO, CHEN = "U0ADA00001", "U0BO000002", "U0CHEN0003"
FAILING = make_library_status(make_source_status("docs", error="The <server> is down. Check it."))
WELL = make_library_status(make_source_status("docs"))


@pytest.fixture
async def bot(tmp_path: Path, library: FakeLibrary) -> AsyncIterator[RunningBot]:
    """Run a bot with an owner of all sources, one of the source ``docs`` and one of another."""
    access = Access(frozenset({ADA}), {"docs": frozenset({CHEN}), "other": frozenset({BO})})
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies={"access": access}) as running:
        yield running


async def read_messages(bot: RunningBot, person: str) -> list[str]:
    found: list[dict[str, Any]] = await bot.sandbox.messages("@kvasir", person)
    return [get_text(message) for message in found if message.get("bot_id")]


async def wait_for_message(bot: RunningBot, person: str, contains: str, count: int = 1) -> None:
    async def has_come() -> bool:
        return sum(contains in text for text in await read_messages(bot, person)) == count

    await bot.sandbox.wait_until(has_come, what=contains)


async def wait_for_checks(bot: RunningBot, count: int = 1) -> None:
    """Wait until the sources were checked this many times more."""
    before = bot.library.checks
    await bot.sandbox.wait_until(lambda: bot.library.checks > before + count, what="checks of the sources")


async def test_owners_are_alerted_once_of_a_failure_and_of_its_end(bot: RunningBot, library: FakeLibrary) -> None:
    library.state = FAILING
    await wait_for_message(bot, "ada", "cannot read the source *docs*: The &lt;server&gt; is down")
    await wait_for_message(bot, "chen", "无法读取来源 *docs*")
    await wait_for_checks(bot)
    library.state = WELL
    await wait_for_message(bot, "ada", "can read the source *docs* again")
    await wait_for_message(bot, "chen", "已恢复正常")
    library.state = FAILING
    await wait_for_message(bot, "ada", "cannot read the source", 2)
    assert await read_messages(bot, "bo") == [], "the owner of another source"
    assert len(await read_messages(bot, "chen")) == 3


async def test_two_replicas_tell_of_a_failure_once(bot: RunningBot, library: FakeLibrary, tmp_path: Path) -> None:
    access = Access(frozenset({ADA}))
    async with run_bot(bot.sandbox, tmp_path, library=library, dependencies={"access": access}):
        library.state = FAILING
        await wait_for_message(bot, "ada", "cannot read the source")
        await wait_for_checks(bot, 3)  # of both replicas
        assert len(await read_messages(bot, "ada")) == 1


async def test_failure_is_reported_later_if_slack_refuses(bot: RunningBot, library: FakeLibrary) -> None:
    await bot.sandbox.faults({"method": "chat.postMessage", "error": "internal_error", "times": 2})
    library.state = FAILING
    await wait_for_message(bot, "ada", "cannot read the source")
