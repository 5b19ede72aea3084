"""Tests of a channel that gets another id: threads, questions and approvals go with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.storage.channels.channel_settings import ApprovedChannels
from bot.storage.tables import tables
from bot.storage.turns.answer_shares import AnswerShares
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from bot.storage.turns.threads import ThreadRecords
from bot.storage.workspace_rows import WorkspaceRows
from tests.slack.people.world import PRIVATE, SHARED, ask_for_viewers, run_company
from tests.slack.running_bot import PausedScript, RunningBot, run_bot_in_sandbox, wait_for_ephemeral

pytestmark = pytest.mark.slow

NEW = "C0MOVED001"


async def change_id(bot: RunningBot, channel: str, new: str = NEW) -> None:
    await bot.sandbox.control("POST", "change_id", {"channel": channel, "id": new})
    await bot.sandbox.wait_delivered()


async def test_follow_up_in_a_moved_channel_needs_no_mention(bot: RunningBot) -> None:
    root = await bot.ask("@Kvasir how do I add a source?")
    await bot.wait_for_answer(root)
    await change_id(bot, "#general")
    await bot.ask("and a website?", thread_ts=root)
    await bot.wait_for_answer(root, "You asked: and a website?")
    assert bot.answerer.questions[1].history[0].question == "how do I add a source?"


async def test_question_that_is_answered_meanwhile_gets_its_answer(tmp_path: Path) -> None:
    script = PausedScript()
    async with run_bot_in_sandbox(tmp_path, script=script) as bot:
        ts = await bot.ask()
        await script.paused.wait()
        await change_id(bot, "#general")
        script.resume.set()
        await bot.wait_for_answer(ts, "The second half.")


async def test_audience_of_a_moved_channel_is_read_under_its_new_id(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        before = await ask_for_viewers(bot, "ada", PRIVATE)
        await change_id(bot, PRIVATE)
        after = await ask_for_viewers(bot, "ada", NEW)
    assert {frozenset(one - {PRIVATE}) for one in before.people} == {frozenset(one - {NEW}) for one in after.people}
    assert all(PRIVATE not in one for one in after.people)


async def test_approval_of_a_shared_channel_moves(tmp_path: Path) -> None:
    async with run_company(tmp_path) as bot:
        await bot.sandbox.command("ada", SHARED, "/kb share on")
        await wait_for_ephemeral(bot, "I now answer", SHARED)
        await change_id(bot, SHARED)
        await bot.wait_for_answer(await bot.sandbox.say("noor", NEW, "@Kvasir how?"), channel=NEW)


async def test_every_table_with_a_channel_is_moved_and_rows_of_the_new_id_stay(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        approved, moves = ApprovedChannels(ledger.database), WorkspaceRows(ledger.database, "T1")
        for team in ("T1", "T2"):
            await ledger.claim_question(QuestionMessage(QuestionKey(team, "C1", "1.0"), "1.0", "U1", "how?"))
            await approved.set_approved(team, "C1", "U1", approved=True)
        await ledger.claim_question(QuestionMessage(QuestionKey("T1", "C2", "1.0"), "1.0", "U2", "what?"))
        shares, private = AnswerShares(ledger.database), QuestionKey("T1", "D1", "1.0")
        await shares.offer_share(private, "C1", "general")
        for _ in range(2):  # Slack may send the event again
            await moves.move_channel("C1", "C2")
        for table in tables.sorted_tables:
            if {"team", "channel"} <= set(table.c.keys()):
                rows = await ledger.database.fetch_rows(sa.select(table.c.team, table.c.channel))
                assert ("T1", "C1") not in {tuple(row) for row in rows}, table.name
        turn = await ledger.find_turn(QuestionKey("T1", "C2", "1.0"))
        other = await ledger.find_turn(QuestionKey("T2", "C1", "1.0"))
        assert turn is not None
        assert turn.message.text == "what?"
        assert other is not None
        assert await approved.is_approved("T1", "C2")
        share = await shares.find_share(private)
        assert share is not None
        assert share.target == "C2"
        assert await ThreadRecords(ledger.database).find_thread(("T1", "C2", "1.0"), "U2")
