"""Tests that nothing of a question stays stored after its answer if the person chose that."""

from __future__ import annotations

import base64
from dataclasses import replace

import sqlalchemy as sa

from bot.storage.preferences import PersonalPreferences
from bot.storage.tables import tables
from tests.slack.running_bot import RunningBot, get_text, wait_for_ephemeral
from tests.slack_sandbox import TEAM_ID

ADA = "U0ADA00001"


async def find_stored(bot: RunningBot, word: str) -> list[str]:
    """Return the tables that have a word."""
    await bot.wait_until_idle()
    database = bot.ledger.database
    return [table.name for table in tables.sorted_tables if word in str(await database.fetch_rows(sa.select(table)))]


async def test_text_of_a_question_is_erased_once_its_answer_is_complete(bot: RunningBot) -> None:
    """Edits and late files still get their answers, because their events have the text."""
    ts = await bot.ask("@Kvasir what is 4711?")
    await bot.wait_for_answer(ts)
    assert await find_stored(bot, "4711") == ["bot_answers", "bot_turns"]
    preferences = PersonalPreferences(bot.ledger.database)
    await preferences.change_preferences(TEAM_ID, ADA, lambda before: replace(before, keeps_answers=False))

    await bot.sandbox.edit("ada", "#general", ts, "@Kvasir what is 4712?")
    answer = await bot.wait_for_answer(ts, "You asked: what is 4712?")
    assert await find_stored(bot, "4712") == []
    await bot.sandbox.press("ada", "#general", answer["ts"], "kvasir:answer-again")
    await wait_for_ephemeral(bot, "the asker wants none stored")

    await bot.sandbox.faults(late_message_s=0.5)
    file = {"name": "notes.txt", "base64": base64.b64encode(b"Ten days.").decode()}
    body = {"person": "ada", "channel": "#general", "text": "@Kvasir what is 4713?", "files": [file]}
    late = str((await bot.sandbox.control("POST", "say", body))["ts"])
    await bot.sandbox.wait_until(lambda: len(bot.answerer.questions) == 3, what="answer without the file")
    answer = await bot.wait_for_answer(late, "attached files")
    assert "You asked: what is 4713?" in get_text(answer)
    assert await find_stored(bot, "4713") == []
