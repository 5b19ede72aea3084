"""A migration of many rows is killed again and again while people ask. ``make soak`` migrates a million rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.migrations import MigratedWorld
from tests.soak.turns.stage import make_database, open_database_server


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_no_question_fails_while_rows_are_migrated(database: str, tmp_path: Path) -> None:
    with open_database_server(database) as server:
        url = await make_database(server, tmp_path, "migrated")
        outcome = await MigratedWorld(url, tmp_path, rows=60_000, kills=3, seed=1).run()
    assert outcome.failures == []
    assert (outcome.rows, outcome.answered) == (60_000, outcome.questions)
    assert outcome.kills > 0
