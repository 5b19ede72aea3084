"""Tests that uninstalling the app erases every row of its workspace, and none of another."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from bot.storage.columns import StorableText
from bot.storage.tables import tables
from bot.storage.turns.ledger import open_ledger
from bot.storage.workspace_rows import WorkspaceRows


def fill_row(table: sa.Table, team: str) -> dict[str, object]:
    """Return a row of a table; a key of one column differs between teams."""
    values: dict[str, object] = {}
    for column in table.columns:
        if column.autoincrement is True:
            continue
        kind = str if isinstance(column.type, StorableText) else column.type.python_type
        values[column.name] = team if kind is str else kind(1)
    return values


async def test_every_table_with_a_team_is_erased_and_other_teams_stay(tmp_path: Path) -> None:
    with_team = [table for table in tables.sorted_tables if "team" in table.c]
    assert {table.name for table in tables.sorted_tables} - {table.name for table in with_team} == {
        "bot_audit_people",  # ``[audit] on_erase`` decides
        "bot_changes",
        "bot_engine_places",
        "bot_home_workspace",
        "bot_oauth_states",
    }
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:

        def fill(connection: sa.Connection) -> None:
            for table in with_team:
                for team in ("T1", "T2"):
                    connection.execute(sa.insert(table).values(fill_row(table, team)))

        await ledger.database.write(fill)
        await WorkspaceRows(ledger.database, "T1").erase_workspace()
        for table in with_team:
            rows = await ledger.database.fetch_rows(sa.select(table.c.team))
            assert [row.team for row in rows] == ["T2"], table.name
