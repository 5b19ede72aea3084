"""Files that a command reads one by one, and what it reads them with."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.app import create_engine, create_profiles, mask_prompts
from bot.audit.audited_profiles import AuditedProfiles
from bot.audit.file_log import open_audit_log
from bot.cli.engine_waiting import wait_for_engine
from bot.config.settings import Settings
from bot.library_opening import open_configured_library
from bot.messages.errors import describe_error
from bot.profiles.document_reader import ReadDocument, read_document
from bot.profiles.notes.transcript import TranscriptError
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_error, print_json, print_note
from engine.service import Engine
from knowledge.errors import KnowledgeError
from knowledge.library import Library

_MAX_BYTES: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class DocumentTools:
    """What reads documents and applies profiles to them."""

    profiles: AuditedProfiles
    _library: Library
    _engine: Engine

    async def read_path(self, path: Path) -> ReadDocument:
        """Return a file in passages.

        Raises:
            ParseError: the file cannot be read; the text says why.
            OSError: it is missing or too large.

        """
        return await read_document(self._library, path.name, await asyncio.to_thread(_read_bytes, path))

    async def start_engine(self) -> None:
        """Wait until the engine is ready or has failed; call it for a file that can be read."""
        await self._engine.ensure_running()
        await wait_for_engine(self._engine)


@asynccontextmanager
async def open_document_tools(settings: Settings) -> AsyncIterator[DocumentTools]:
    """Open the tools; no engine runs before ``start_engine``."""
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        library = await stack.enter_async_context(open_configured_library(settings))
        ledger = await stack.enter_async_context(open_ledger(settings.database_url))
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        audit = await stack.enter_async_context(open_audit_log(settings.audit, people))
        asked = mask_prompts(engine, settings)
        judges = Judges(asked, Calibrations(settings.home).find_calibration)
        yield DocumentTools(create_profiles(settings, library, asked, judges, audit), library, engine)


async def read_files(arguments: argparse.Namespace, read: Callable[[Path], Awaitable[None]]) -> int:
    """Read the files one by one; a broken one does not end the batch, and makes the exit status 1."""
    left, failures = list(arguments.files), 0
    try:
        for path in arguments.files:
            try:
                await read(path)
            except (KnowledgeError, TranscriptError, OSError) as error:
                failures += 1
                reason = (error.strerror or str(error)) if isinstance(error, OSError) else describe_error(error)
                if arguments.json:
                    print_json({"file": str(path), "error": reason})
                print_error(f"{path}: {reason}")
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
