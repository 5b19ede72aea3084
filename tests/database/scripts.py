"""Runs SQL on a database as another program would: no table of Kvasir's is made or changed by opening it."""

from __future__ import annotations

from sqlalchemy import Connection

from knowledge.database.database import Database

EMPTY_POSTGRESQL = "DROP SCHEMA public CASCADE;\nCREATE SCHEMA public"


async def run_script(url: str, script: str) -> None:
    """Run each statement of a script in one transaction."""

    def run(connection: Connection) -> None:
        for statement in script.strip().split(";\n"):
            connection.exec_driver_sql(statement)

    database = Database(url)
    await database.write(run)
    await database.close()
