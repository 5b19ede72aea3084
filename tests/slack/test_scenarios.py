"""What people do in Slack, and what they see: the same over Socket Mode and signed HTTP."""

from __future__ import annotations

from tests.slack.room import Bot, shown


async def test_a_mention_is_answered_in_its_thread_with_sources(bot: Bot) -> None:
    ts = await bot.ask("@Kvasir how do I add a source?")
    message = await bot.answer(ts)
    assert "You asked: how do I add a source?" in shown(message)
    assert "<https://kb.example/sources|[1] Adding a source › kvasir.toml>" in shown(message)
    assert message["thread_ts"] == ts
