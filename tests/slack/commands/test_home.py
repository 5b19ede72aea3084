"""Tests of the Home tab and of ``/kb help``."""

from __future__ import annotations

import pytest

from tests.slack.running_bot import RunningBot, get_text


@pytest.mark.parametrize("text", ["/kb", "/kb help", "/kb 帮助"])
async def test_kb_help_lists_commands(bot: RunningBot, text: str) -> None:
    await bot.sandbox.command("ada", "#general", text)
    told = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "/kb 刷新" in get_text(told) if "帮助" in text else "/kb refresh" in get_text(told)


async def test_kb_help_names_nearest_command(bot: RunningBot) -> None:
    await bot.sandbox.command("ada", "#general", "/kb serch logs")
    told = await bot.sandbox.wait_for_message(lambda m: m.get("ephemeral"))
    assert "Did you mean `/kb search`?" in get_text(told)


async def test_home_shows_status(bot: RunningBot) -> None:
    await bot.sandbox.home("ada")

    async def published() -> bool:
        return await bot.sandbox.home("ada") is not None

    await bot.sandbox.wait_until(published)
    view = await bot.sandbox.home("ada")
    assert view is not None
    assert "synced 3 h ago" in str(view)
