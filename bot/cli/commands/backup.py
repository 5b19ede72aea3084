"""``kvasir backup``: write everything that a restore needs into a folder, while Kvasir runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bot.audit.chain import format_time
from bot.backup_folder import BackupCard, BackupError, BackupFolder
from bot.cli.command_settings import load_command_settings
from bot.config.settings import Settings, list_plain_variables
from bot.library_opening import open_configured_library
from bot.private_files import write_named_file
from bot.storage.migrations import ALL_MIGRATIONS
from bot.terminal.output import print_note, print_outcome
from knowledge.database.database import Database, DatabaseOptions
from knowledge.database.dump import dump_tables, read_rows
from knowledge.library import Library
from knowledge.sources.uploads.source import open_upload_store

LONG: Final = DatabaseOptions(lock_wait_s=60.0, answer_s=6 * 3600.0, one_snapshot=True)
"""The options for reading or writing all tables in one transaction, as they are at one moment."""
_CLOCKS_DIFFER_S: Final = 600.0
"""Hosts write the times of erasures. A restore repeats those that may have come after the backup by another clock."""
IN_HOME: Final = ("sources", "audit", "security", "judge.json")
"""What of ``KVASIR_HOME`` is in a backup. Models, the engine's files, logs, the store and secrets are not."""


async def main(arguments: argparse.Namespace) -> int:
    """Make the backup, and say what it has and what it lacks."""
    settings = load_command_settings(arguments)
    folder = BackupFolder(arguments.folder)
    folder.create()
    card = await make_backup(settings, folder, vectors=arguments.vectors)
    passages = f", {sum(card.vectors.values())} passages with their vectors" if arguments.vectors else ""
    text = f"{arguments.folder} has {sum(card.rows.values())} rows of {len(card.rows)} tables{passages}."
    value = {"folder": str(arguments.folder), "rows": card.rows, "vectors": card.vectors, "files": len(card.files)}
    print_outcome(value, text, json=arguments.json)
    print_note(
        f"It lacks secrets. Store elsewhere: the values of .env, and {settings.audit.key_file}, which proves the audit."
    )
    return 0


async def make_backup(settings: Settings, folder: BackupFolder, *, vectors: bool) -> BackupCard:
    """Fill an empty folder. Answers and syncs go on meanwhile; only deletions in the store wait for the end.

    Raises:
        BackupError: there is nothing to back up, or a file cannot be written.
        KnowledgeError: the database or the store fails.

    """
    async with contextlib.AsyncExitStack() as stack:
        library = await stack.enter_async_context(open_configured_library(settings)) if vectors else None
        if library is not None:
            await stack.enter_async_context(library.rows.keep_rows())
        try:
            card = await _read_database(settings, folder)
            await asyncio.to_thread(_copy_files, settings, folder)
            if library is not None:
                card = replace(card, vectors=await _write_vectors(library, folder))
        except OSError as error:
            raise BackupError(f"A file cannot be copied: {error}. Make the backup again elsewhere.") from error
    return await asyncio.to_thread(folder.seal, card)


async def _read_database(settings: Settings, folder: BackupFolder) -> BackupCard:
    begun_at = format_time(time.time() - _CLOCKS_DIFFER_S)
    database = Database(settings.migration_url, LONG)
    try:
        rows, revisions = await database.read(partial(dump_tables, folder=folder.tables, migrations=ALL_MIGRATIONS))
    finally:
        await database.close()
    if not revisions:
        raise BackupError("The database has no tables of Kvasir. Check KVASIR_HOME and KVASIR_DATABASE_URL.")
    return BackupCard(begun_at, version("kvasir"), revisions, rows)


def list_upload_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of added files that are not in the state folder, by the name of their source."""
    push = (spec for spec in settings.knowledge.sources if spec.kind == "push")
    folders = {spec.name: open_upload_store(spec, settings.home).folder for spec in push}
    return {name: path for name, path in folders.items() if not path.is_relative_to(settings.home / "sources")}


def _copy_files(settings: Settings, folder: BackupFolder) -> None:
    for name in IN_HOME:
        folder.add_tree(settings.home / name, name)
    for source, path in list_upload_folders(settings).items():
        folder.add_tree(path, f"uploads/{source}")
    text = settings.config.read_text(encoding="utf-8") if settings.config.is_file() else ""
    for secret in settings.secrets:
        text = text.replace(secret, "")
    write_named_file(folder.configuration / "kvasir.toml", text)
    variables = list_plain_variables(os.environ, settings).items()
    write_named_file(folder.configuration / "variables.env", "".join(f"{name}={value}\n" for name, value in variables))
    if (people := settings.knowledge.identity_file) is not None and people.is_file():
        write_named_file(folder.configuration / people.name, people.read_bytes())


async def _write_vectors(library: Library, folder: BackupFolder) -> dict[str, int]:
    """Write the passages that the tables in the folder list; return how many of each index."""
    names = dict(read_rows(folder.tables, "knowledge_indexes", "id", "name"))
    counts: defaultdict[str, int] = defaultdict(int)
    for index, name in names.items():
        with folder.open_vectors(name) as file:
            ids = (id_ for id_, of in read_rows(folder.tables, "knowledge_chunks", "id", "index_id") if of == index)
            async for row in library.rows.read_rows(name, ids):
                file.write(f"{json.dumps(row)}\n".encode())
                counts[name] += 1
    return dict(counts)
