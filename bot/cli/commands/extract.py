"""``kvasir extract``: take the values of a profile out of files, each of which names where it stands."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from bot.app import create_engine, mask_prompts
from bot.audit.audited_extractor import AuditedExtractor
from bot.audit.file_log import open_audit_log
from bot.cli.command_settings import load_command_settings
from bot.cli.engine_waiting import wait_for_engine
from bot.library_opening import open_configured_library
from bot.messages import extraction as texts
from bot.messages.errors import describe_error
from bot.messages.message import render_message
from bot.profiles.document_reader import read_document
from bot.profiles.extraction.extraction import (
    COLUMNS,
    Extraction,
    build_extraction_json,
    describe_place,
    list_notices,
    list_rows,
)
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.extraction.profile import ExtractionProfile, load_extraction_profile
from bot.profiles.registry import Profiles
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_error, print_json, print_note, print_result, print_rows
from knowledge.errors import KnowledgeError

_MAX_BYTES = 20_000_000
_COLUMN = 34


async def main(arguments: argparse.Namespace) -> int:
    """Extract from each file in order; exit status 1 if one could not be read."""
    settings = load_command_settings(arguments)
    profiles = Profiles(settings.configuration.profiles)
    profile = await asyncio.to_thread(load_extraction_profile, profiles, arguments.profile)
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.ensure_running()
        library = await stack.enter_async_context(open_configured_library(settings))
        ledger = await stack.enter_async_context(open_ledger(settings.database_url))
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        audit = await stack.enter_async_context(open_audit_log(settings.audit, people))
        await wait_for_engine(engine)
        extractor = AuditedExtractor(Extractor(mask_prompts(engine, settings)), audit, library, profiles)
        return await _extract_files(arguments, profile, extractor)


async def _extract_files(arguments: argparse.Namespace, profile: ExtractionProfile, extractor: AuditedExtractor) -> int:
    """Extract from the files one by one, and print each result at once."""
    left, failures = list(arguments.files), 0
    if arguments.csv:
        print_rows([COLUMNS])
    try:
        for path in arguments.files:
            try:
                document = await read_document(extractor.library, path.name, await asyncio.to_thread(_read_bytes, path))
                _show_extraction(arguments, path, await extractor.extract(profile, document))
            except (KnowledgeError, OSError) as error:
                failures += 1
                _show_failure(arguments, path, error)
            left.remove(path)
    finally:
        if left:
            names = " ".join(map(str, left))
            done, count = len(arguments.files) - len(left), len(arguments.files)
            print_note(f"{done} of {count} files are done. Not done: {names}")
    return 1 if failures else 0


def _read_bytes(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise OSError(f"it is larger than {_MAX_BYTES // 1_000_000} MB. Split it.")
    return path.read_bytes()


def _show_failure(arguments: argparse.Namespace, path: Path, error: KnowledgeError | OSError) -> None:
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else describe_error(error)
    if arguments.json:
        print_json({"file": str(path), "error": reason})
    print_error(f"{path}: {reason}")


def _show_extraction(arguments: argparse.Namespace, path: Path, extraction: Extraction) -> None:
    if arguments.json:
        print_json(build_extraction_json(extraction) | {"file": str(path)})
    elif arguments.csv:
        rows = [{**row, "file": str(path)} for row in list_rows(extraction)]
        print_rows([row[name] for name in COLUMNS] for row in rows)
    else:
        print_result("\n".join(_list_lines(path, extraction)))
    if not arguments.json:
        for notice in list_notices(extraction):
            print_note(f"{path.name}: {render_message(notice, 'en')}")


def _list_lines(path: Path, extraction: Extraction) -> list[str]:
    """Return a table for a person: the fields, their values and where these stand."""
    lines = [f"{path}", ""]
    for one in extraction.profile.fields:
        title, found = one.title["en"], extraction.list_values(one.name)
        if not found:
            lines.append(f"{title:{_COLUMN}}{render_message(texts.NOTHING, 'en')}")
        for value in found:
            normalised = f" = {value.normalised}" if value.normalised else ""
            text = " ".join(value.text.split())
            lines.append(f"{title:{_COLUMN}}{text}{normalised}  [{describe_place(value, 'en')}]")
            title = ""
    return lines
