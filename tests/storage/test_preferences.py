"""Tests of what people choose for themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bot.answering.thinking import Depth
from bot.storage.answers import Answers, StoredAnswer
from bot.storage.preferences import NO_PREFERENCES, PersonalPreferences, Preferences
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey


async def test_depth_falls_back_to_a_default(tmp_path: Path) -> None:
    """The person's preference comes first, then the default, also if the ledger fails."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        wishes = PersonalPreferences(ledger.database)

        async def choose(depth: Depth | None) -> None:
            await wishes.change_preferences("T1", "U1", lambda before: replace(before, depth=depth))

        for depth in ("deep", "off", "deep"):
            await choose(depth)  # type: ignore[arg-type]
        assert (await wishes.find_or_default("T1", "U1")).depth == "deep"
        for who in (("T2", "U1"), ("T1", "U2")):
            assert await wishes.find_or_default(*who) == NO_PREFERENCES
        await choose(None)
        assert await wishes.find_preferences("T1", "U1") == NO_PREFERENCES
        await ledger.database.write(lambda connection: connection.exec_driver_sql("drop table bot_wishes"))
        assert await wishes.find_or_default("T1", "U1") == NO_PREFERENCES


async def test_one_preference_changes_no_other(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        wishes = PersonalPreferences(ledger.database)
        await wishes.change_preferences("T1", "U1", lambda _: Preferences("deep", "zh", "long", keeps_answers=False))
        await wishes.change_preferences("T1", "U1", lambda before: replace(before, depth=None))
        assert await wishes.find_preferences("T1", "U1") == Preferences(None, "zh", "long", keeps_answers=False)
        assert await wishes.find_preferences("T1", "U2") == NO_PREFERENCES


async def test_values_of_a_later_version_count_as_none(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        wishes = PersonalPreferences(ledger.database)
        await wishes.change_preferences("T1", "U1", lambda _: Preferences("deep", "zh"))
        later = "update bot_wishes set think = 'endless', language = 'eo', length = 'epic'"
        await ledger.database.write(lambda connection: connection.exec_driver_sql(later))
        assert await wishes.find_preferences("T1", "U1") == NO_PREFERENCES


async def test_no_answer_is_stored_for_a_person_who_chose_that(tmp_path: Path) -> None:
    """The newer answer to a question is not stored, and the older one does not stay."""
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        answers, wishes = Answers(ledger.database), PersonalPreferences(ledger.database)
        key = QuestionKey("T1", "C1", "1.0")
        stored = StoredAnswer(key, "1.0", "U1", "en", "How?", "So.", (), "engine", "r1")
        await answers.save_answer(stored)
        await wishes.change_preferences("T1", "U1", lambda before: replace(before, keeps_answers=False))
        await answers.save_answer(replace(stored, answer="So, now."))
        await answers.save_answer(replace(stored, key=QuestionKey("T1", "C1", "2.0"), user="U2"))
        assert await answers.list_recent("T1", "U1", 10) == []
        assert len(await answers.list_recent("T1", "U2", 10)) == 1
