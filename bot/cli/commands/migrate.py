"""``kvasir migrate``: show which revisions of Kvasir's tables are due, or apply them."""

from __future__ import annotations

import argparse

from bot.cli.command_settings import load_command_settings
from bot.storage.migrations import ALL_MIGRATIONS
from bot.terminal.output import print_error, print_json, print_result
from knowledge.database.migrations import Migrations, Revision, apply_revisions, list_due_revisions
from knowledge.errors import DatabaseError

_CURRENT, _DUE, _FAILED = 0, 1, 3


async def main(arguments: argparse.Namespace) -> int:
    """Return 0 if the tables are current, 1 if a revision is due, 3 if the database fails or is too new."""
    settings = load_command_settings(arguments)
    if arguments.apply:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    work, done = (apply_revisions, "applied") if arguments.apply else (list_due_revisions, "due")
    revisions: dict[str, list[Revision]] = {}
    try:
        for migrations in ALL_MIGRATIONS:
            revisions[migrations.name] = await work(settings.migration_url, migrations)
            if not arguments.json:
                print_result(_describe_revisions(migrations, revisions[migrations.name], done))
    except DatabaseError as error:
        print_error(str(error), error)
        return _FAILED
    is_due = not arguments.apply and any(revisions.values())
    if arguments.json:
        print_json(
            {
                "ok": not is_due,
                done: {
                    name: [{"id": one.id, "summary": one.summary} for one in steps] for name, steps in revisions.items()
                },
            }
        )
    elif is_due:
        print_result("Run `kvasir migrate --apply`, or start Kvasir, which applies them too.")
    return _DUE if is_due else _CURRENT


def _describe_revisions(migrations: Migrations, revisions: list[Revision], done: str) -> str:
    if not revisions:
        return f"{migrations.name}: current, revision {migrations.newest}"
    return "\n".join(f"{migrations.name}: {done}: {one.id} {one.summary}" for one in revisions)
