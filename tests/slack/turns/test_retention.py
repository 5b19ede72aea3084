"""Test that a running bot deletes old rows after the configured time."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from bot.storage.retention import Retention
from bot.storage.tables import turns
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey, QuestionMessage, TurnState
from tests.slack.running_bot import run_bot_in_sandbox
from tests.slack_sandbox import TEAM_ID

KEY = QuestionKey(TEAM_ID, "C0GENERAL1", "100.1")


async def test_a_running_bot_deletes_old_questions_and_empties_the_log(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    async with open_ledger(f"sqlite:///{file}") as ledger:
        await ledger.claim_question(QuestionMessage(KEY, KEY.ts, "U1", "planted7f3a?"), begun=True)
        await ledger.finish_turn(KEY, 0, TurnState.DONE)
        age = sa.update(turns).values(updated_at=turns.c.updated_at - 7_300.0)
        await ledger.database.write(lambda connection: connection.execute(age))
    kept = {"retention": Retention(turns_s=7_200.0)}
    async with run_bot_in_sandbox(tmp_path, settings=None, dependencies=kept) as bot:

        def is_gone() -> bool:
            files = (file, file.with_name(f"{file.name}-wal"))
            return not any(b"planted7f3a" in one.read_bytes() for one in files if one.exists())

        await bot.sandbox.wait_until(is_gone, what="deletion of the old question")
        assert await bot.ledger.find_turn(KEY) is None
