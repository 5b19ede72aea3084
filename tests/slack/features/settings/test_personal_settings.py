"""What people choose for themselves in the modal, and what follows from it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from bot.slack.features.settings.personal_settings import OPEN_SETTINGS, build_settings_view
from bot.storage.answers import Answers
from bot.storage.preferences import NO_PREFERENCES, PersonalPreferences, Preferences
from bot.storage.retention import Retention
from tests.slack.running_bot import PausedScript, RunningBot, run_bot, wait_for_ephemeral
from tests.slack.workspace.home_views import press_in_home, read_home
from tests.slack_sandbox import TEAM_ID, Json, open_sandbox

pytestmark = pytest.mark.slow

ADA, CHEN = "U0ADA00001", "U0CHEN0003"


async def choose(bot: RunningBot, person: str, user: str, **chosen: str) -> None:
    """Open the modal from Home, change some fields, and submit it."""
    await press_in_home(bot, person, OPEN_SETTINGS)
    modal = await bot.sandbox.wait_for_modal(user)
    values = {block["block_id"]: {block["block_id"]: submit_field(block, chosen)} for block in modal["blocks"]}
    await bot.sandbox.submit(person, modal["id"], values)


def submit_field(block: Json, chosen: dict[str, str]) -> Json:
    """Return a field as the page sends it: what is chosen, or else what the modal was opened with."""
    element = block["element"]
    options = {option["value"]: option for option in element["options"]}
    if element["type"] == "checkboxes":
        words = chosen.get(block["block_id"])
        initial = element.get("initial_options", []) if words is None else [options[word] for word in words.split()]
        return {"type": "checkboxes", "selected_options": initial}
    initial_value = element["initial_option"]["value"]
    return {"type": "static_select", "selected_option": options[chosen.get(block["block_id"], initial_value)]}


async def wait_for_preferences(bot: RunningBot, user: str, expected: Preferences) -> None:
    preferences = PersonalPreferences(bot.ledger.database)

    async def is_stored() -> bool:
        return await preferences.find_preferences(TEAM_ID, user) == expected

    await bot.sandbox.wait_until(is_stored, what=str(expected))


async def test_settings_are_stored_and_shown_at_once(bot: RunningBot) -> None:
    """Home is published again right after the change, and the next modal begins with what was chosen."""
    await choose(bot, "ada", ADA, language="zh", thinking="deep", length="short", privacy="no_answers")
    await wait_for_preferences(bot, ADA, Preferences("deep", "zh", "short", keeps_answers=False))
    view = await read_home(bot, "ada", "语言：*中文*")
    assert "思考：*深入* · 回答长度：*简短* · 不保留回答" in str(view)
    await choose(bot, "ada", ADA, language="default", thinking="default")
    await wait_for_preferences(bot, ADA, Preferences(None, None, "short", keeps_answers=False))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_modal_keeps_slacks_limits(language: Any) -> None:
    """Slack refuses longer options, hints and titles."""
    limit = "The current engine can switch thinking off but not limit it, so deep and normal hardly differ."
    view = build_settings_view("id", NO_PREFERENCES, 123_456, limit, language)
    assert len(view["title"]["text"]) <= 24
    for block in view["blocks"]:
        assert all(len(option["text"]["text"]) <= 75 for option in block["element"]["options"])
        assert len(block.get("hint", {}).get("text", "")) <= 150


async def test_chosen_language_counts_for_commands_and_home(bot: RunningBot) -> None:
    """It comes before the language of her Slack, and before that of a command; the other people keep theirs."""
    await choose(bot, "chen", CHEN, language="en")
    await read_home(bot, "chen", "What you can do")
    await bot.sandbox.command("chen", "#general", "/kb 状态")
    reply = await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and "*Engine*" in str(m), channel="#general", person="chen"
    )
    assert "引擎" not in str(reply)
    await bot.sandbox.command("ada", "#general", "/kb 状态")
    await wait_for_ephemeral(bot, "*引擎*")


async def test_chosen_length_reaches_the_question(bot: RunningBot) -> None:
    await choose(bot, "ada", ADA, length="long")
    await wait_for_preferences(bot, ADA, Preferences(length="long"))
    await bot.wait_for_answer(await bot.ask())
    ts = await bot.sandbox.say("bo", "#general", "@Kvasir how?")
    await bot.wait_for_answer(ts)
    assert [question.asker.length for question in bot.answerer.questions] == ["long", "normal"]


async def test_person_erases_what_is_kept_and_keeps_nothing_more(bot: RunningBot) -> None:
    """Her question and its answer go, those of others stay, and her next answer is not stored."""
    answers = Answers(bot.ledger.database)
    first = await bot.ask("@Kvasir what about my notice period?")
    await bot.wait_for_answer(first)
    await bot.wait_for_answer(await bot.sandbox.say("bo", "#general", "@Kvasir how?"))
    view = await read_home(bot, "ada", "what about my notice period?")
    assert f"/archives/C0GENERAL1/p{first.replace('.', '')}" in str(view)
    await choose(bot, "ada", ADA, privacy="no_answers erase")
    await read_home(bot, "ada", "Your questions are not kept")
    await bot.wait_for_turn(await bot.ask("@Kvasir and now?"))
    await asyncio.sleep(0.1)
    assert await answers.list_recent(TEAM_ID, ADA, 10) == []
    assert len(await answers.list_recent(TEAM_ID, "U0BO000002", 10)) == 1
    turn = await bot.find_turn(first)
    assert not turn.message.text


async def test_erasing_stops_an_open_question_and_leaves_nothing_in_the_files(tmp_path: Path) -> None:
    """Its text stayed for good, and the texts of all answers in the database's log."""
    async with open_sandbox(tmp_path / "slack") as sandbox, run_bot(sandbox, tmp_path) as bot:
        for number in range(3):
            await bot.wait_for_answer(await bot.ask(f"@Kvasir planted7f3a {number}?"))
        bot.answerer.script = script = PausedScript()
        question = await bot.ask("@Kvasir planted7f3a at last?")
        await script.paused.wait()
        await choose(bot, "ada", ADA, privacy="erase")

        async def is_gone() -> bool:
            files = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.sqlite3*"))
            return b"planted7f3a" not in files and not await bot.list_answers(question)

        await bot.sandbox.wait_until(is_gone, what="erasure")


@pytest.mark.parametrize(
    ("kept_s", "says"),
    [(30 * 86_400.0, "kept for 30 days"), (3_600.0, "kept for 1 day"), (math.inf, "kept until you delete them")],
)
async def test_home_says_how_long_answers_are_kept(tmp_path: Path, kept_s: float, says: str) -> None:
    kept = {"retention": Retention(turns_s=kept_s)}
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, dependencies=kept) as bot:
        await read_home(bot, "ada", f"Answers are {says}")
