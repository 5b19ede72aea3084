"""``kvasir restore``: bring a backup into an empty database and an empty state folder."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from bot.audit.erasures import find_marked, list_erasures
from bot.audit.keys import ensure_keys
from bot.backup_folder import UNFINISHED, BackupCard, BackupError, BackupFolder
from bot.cli.command_settings import load_command_settings
from bot.cli.commands.backup import IN_HOME, LONG, list_upload_folders
from bot.cli.commands.erase import erase_everywhere
from bot.cli.erasers import Erasure
from bot.config.settings import Settings, load_settings
from bot.library_opening import open_configured_library
from bot.private_files import protect_tree, write_named_file
from bot.storage.migrations import ALL_MIGRATIONS, migrate_tables
from bot.storage.personal_data import list_subjects
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_error, print_outcome
from knowledge.database.content import SharedContent
from knowledge.database.database import Database
from knowledge.database.dump import drop_empty_tables, load_tables
from knowledge.database.migrations import apply_revisions
from knowledge.opening import open_content
from knowledge.sources.pages.page_list import open_page_list
from knowledge.sources.uploads.source import open_upload_store

_NEWER_STAYS: Final = ("audit", "security", "judge.json")
"""What of ``KVASIR_HOME`` is kept if it is there already."""
_MADE_BY_MIGRATIONS: Final = frozenset({"knowledge_schema", *(one.table for one in ALL_MIGRATIONS)})


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    rows: int
    vectors: int
    differences: int
    """Passages by which the store differed from the manifest. The next sync reads what is missing."""
    erased: Sequence[str]
    """People and workspaces that were erased after the backup, and now again."""
    problems: Sequence[str]


async def main(arguments: argparse.Namespace) -> int:
    """Restore; exit status 1 if something remains to be done by a person."""
    has_key = load_settings(os.environ, Path.cwd(), config=arguments.config).audit.key_file.exists()
    settings = load_command_settings(arguments)  # it records the command, and so makes a missing key
    folder = BackupFolder(arguments.folder)
    card = await asyncio.to_thread(folder.verify)
    audits = [settings.audit.folder, *([arguments.audit] if arguments.audit is not None else [])]
    marks = await asyncio.to_thread(lambda: set(list_erasures(audits, card.begun_at)))
    restored = await restore_backup(settings, folder, card, marks)
    if not has_key and not marks:
        why = f"{settings.audit.key_file} is missing, so erasures after this backup are unknown."
        restored = replace(restored, problems=[*restored.problems, f"{why} Repeat them by kvasir erase."])
    value = {
        "rows": restored.rows,
        "vectors": restored.vectors,
        "differences": restored.differences,
        "erased": len(restored.erased),
        "problems": restored.problems,
    }
    print_outcome(value, _describe_restored(restored), json=arguments.json)
    for sentence in restored.problems:
        print_error(sentence)
    return int(bool(restored.problems))


async def restore_backup(settings: Settings, folder: BackupFolder, card: BackupCard, marks: set[str]) -> Restored:
    """Bring a verified backup into place, and erase again what was erased since. If interrupted, run it again.

    Raises:
        BackupError: the database or the state folder is not empty, or a newer Kvasir made the backup.
        KnowledgeError: the database or the store fails.

    """
    await _restore_files_and_tables(settings, folder, card)
    vectors = 0
    async with open_configured_library(settings) as library:
        for index in card.vectors:
            vectors += await library.rows.write_rows(index, folder.read_vectors(index))
        drift = await library.syncs.repair_index()
    erased, problems = await _repeat_erasures(settings, marks)
    await asyncio.to_thread(protect_tree, settings.home)
    (settings.home / UNFINISHED).unlink()
    return Restored(sum(card.rows.values()), vectors, drift.differences, erased, problems)


def _plan_copies(settings: Settings, folder: BackupFolder) -> dict[Path, Path]:
    """Return which file of the backup goes where; those that are in place already are left out.

    Raises:
        BackupError: another file is in its place.

    """
    trees = {name: settings.home / name for name in IN_HOME}
    trees |= {f"uploads/{source}": path for source, path in list_upload_folders(settings).items()}
    copies = {}
    for name, place in trees.items():
        for path, source in folder.list_tree(name).items():
            target = place / path
            if not target.exists():
                copies[target] = source
            elif name not in _NEWER_STAYS and target.read_bytes() != source.read_bytes():
                raise BackupError(f"{target} is there already, and is not the one of the backup. Move {place} away.")
    return copies


async def _restore_files_and_tables(settings: Settings, folder: BackupFolder, card: BackupCard) -> None:
    """Copy the files, make the tables as they were, read the rows, and migrate them.

    The rows come last, in one transaction: if they are there already, and are of this backup, so are the files.

    Raises:
        BackupError: a table has other rows, another file is in place, or a newer Kvasir made the backup.
        DatabaseError: the database fails.

    """
    url, unfinished = settings.migration_url, settings.home / UNFINISHED
    if any(card.revisions.get(one.name, "") > one.newest for one in ALL_MIGRATIONS):
        raise BackupError(f"A newer Kvasir ({card.version}) made this backup. Restore it with that version.")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(url, LONG)
    try:
        if not (used := await database.write(partial(drop_empty_tables, except_=_MADE_BY_MIGRATIONS))):
            copies = _plan_copies(settings, folder)
            write_named_file(unfinished, card.begun_at)
            for target, source in copies.items():
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                await asyncio.to_thread(write_named_file, target, source.read_bytes())
            for migrations in ALL_MIGRATIONS:
                if revision := card.revisions.get(migrations.name):
                    await apply_revisions(url, migrations, until=revision)
            await database.write(partial(load_tables, folder=folder.tables))
        elif not unfinished.exists() or unfinished.read_text(encoding="utf-8") != card.begun_at:
            raise BackupError(
                f"The database has data already ({used}). Stop Kvasir, and name an empty database in "
                "KVASIR_DATABASE_URL or another KVASIR_HOME."
            )
    finally:
        await database.close()
    await migrate_tables(url)


async def _repeat_erasures(settings: Settings, marks: set[str]) -> tuple[list[str], list[str]]:
    """Erase again whom the marks name; return these ids, and what remains."""
    if not marks:
        return [], []
    keys, problems = ensure_keys(settings.audit.key_file), []
    if unreadable := sum(mark.partition(":")[0] not in keys.by_id for mark in marks):
        problems.append(
            f"{unreadable} later erasures are of an earlier Kvasir, or need a key that {settings.audit.key_file} "
            "lacks. Repeat them by kvasir erase."
        )
    async with open_ledger(settings.database_url) as ledger:
        async with open_content(settings.knowledge) as content:
            owners = await asyncio.to_thread(_list_owners_of_files, settings, content)
        subjects = await list_subjects(ledger.database) | owners
        found = find_marked(keys, marks, subjects)
        for subject in found.values():
            receipt = await erase_everywhere(Erasure(settings, ledger.database, subject))
            problems += [f"{subject} is not erased everywhere: {one.remains}" for one in receipt if not one.is_complete]
    return sorted(found.values()), problems


def _list_owners_of_files(settings: Settings, content: SharedContent | None) -> set[str]:
    specs = settings.knowledge.sources
    files = [open_upload_store(spec, settings.home, content).list_records() for spec in specs if spec.kind == "push"]
    pages = [open_page_list(spec, settings.home, content).list_pages() for spec in specs if spec.kind == "pages"]
    return {one.added_by for some in files for one in some} | {one.added_by for some in pages for one in some}


def _describe_restored(restored: Restored) -> str:
    lines = [f"{restored.rows} rows and {restored.vectors} passages with their vectors are restored."]
    if restored.differences:
        lines.append(f"{restored.differences} passages are missing in the store. The next sync reads their documents.")
    if restored.erased:
        lines.append(f"Erased again, because the audit says so: {', '.join(restored.erased)}.")
    return "\n".join([*lines, "Start Kvasir now."])
