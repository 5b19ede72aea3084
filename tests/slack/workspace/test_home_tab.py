"""Tests of the Home tab and of ``/kb help``."""

from __future__ import annotations

import re

import pytest

from tests.slack.running_bot import RunningBot, get_text, make_library_status, make_source_status
from tests.slack.workspace.home_views import read_home

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("text", ["/kb", "/kb help", "/kb 帮助"])
async def test_kb_help_lists_commands(bot: RunningBot, text: str) -> None:
    await bot.sandbox.command("ada", "#general", text)
    reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "/kb 刷新" in get_text(reply) if "帮助" in text else "/kb refresh" in get_text(reply)


async def test_kb_help_names_nearest_command(bot: RunningBot) -> None:
    await bot.sandbox.command("ada", "#general", "/kb serch logs")
    reply = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "Did you mean `/kb search`?" in get_text(reply)


@pytest.mark.parametrize(
    ("person", "words", "other"), [("ada", "/kb refresh", "/kb 刷新"), ("chen", "/kb 刷新", "/kb refresh")]
)
async def test_home_is_in_the_language_of_a_persons_slack(bot: RunningBot, person: str, words: str, other: str) -> None:
    view = str(await read_home(bot, person))
    assert words in view
    assert other not in view
    assert ("3 小时前同步" in view) is (person == "chen")


async def test_home_is_in_both_languages_if_slack_does_not_return_one(bot: RunningBot) -> None:
    await bot.sandbox.faults({"method": "users.info", "error": "missing_scope", "times": -1})
    view = str(await read_home(bot, "chen"))
    assert "/kb refresh" in view
    assert "/kb 刷新" in view


@pytest.mark.parametrize("sources", [60, 3_000])
async def test_home_shows_all_sources_or_says_what_is_left_out(owned_bot: RunningBot, sources: int) -> None:
    names = [f"handbook-{n:04}" for n in range(sources)]
    owned_bot.library.state = make_library_status(*(make_source_status(name) for name in names))
    view = str(await read_home(owned_bot, "ada"))
    count = sum(name in view for name in names)
    left_out = re.search(r"no room for (\d+) more lines. `/kb status` shows more", view)
    assert (left_out is not None) is (sources > 60)
    assert count + int(left_out[1] if left_out else 0) == sources
    assert view.count("block_id") <= 100


async def test_home_that_is_opened_again_at_once_is_published_a_little_later(bot: RunningBot) -> None:
    """Several openings within a second are one publication, and it shows the newest state."""
    sandbox = bot.sandbox
    await sandbox.home("ada")

    async def list_published() -> list[str]:
        return [str(call) for call in await sandbox.requests("views.publish")]

    async def is_published() -> bool:
        return bool(await list_published())

    await sandbox.wait_until(is_published)
    bot.library.state = make_library_status(make_source_status("newest"))
    for _ in range(5):
        await sandbox.home("ada")
        await sandbox.wait_delivered()

    async def is_new() -> bool:
        return "newest" in (await list_published())[-1]

    await sandbox.wait_until(is_new)
    assert len(await list_published()) == 2
