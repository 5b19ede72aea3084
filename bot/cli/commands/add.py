"""``kvasir add``: hand documents to Kvasir, see which there are, and take them away."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import socket
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bot import logs
from bot.app import library_of
from bot.cli.output import complain, result, result_json, say
from bot.cli.terminal import Terminal
from bot.cli.terminal_lines import show_progress
from bot.config.settings import Settings, load
from bot.document_additions import Adding, place_of
from bot.errors import SettingsError
from bot.page_additions import AddingPages
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sources.pages.page_list import AddedPage, open_page_list
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadRecord, UploadResult

_SAID = {
    UploadResult.ADDED: "added",
    UploadResult.REPLACED: "replaced",
    UploadResult.UNCHANGED: "there already, unchanged",
}


async def main(arguments: argparse.Namespace) -> int:
    """Add, list or remove; exit status 1 if something could not be taken."""
    _check_use(arguments)
    settings = load(os.environ, Path.cwd(), config=arguments.config)
    logs.configure(secrets=settings.secrets, level=logs.WARNING)
    pages = [name for name in (*arguments.files, *arguments.remove) if name.startswith(("http://", "https://"))]
    if pages:
        if len(pages) < len(arguments.files) + len(arguments.remove) or arguments.title or arguments.to:
            raise SettingsError("Add pages by themselves, without --title and --to.")
        return await _pages(settings, pages, arguments)
    spec = place_of(settings.knowledge.sources, arguments.to)
    if arguments.list:
        cards = await asyncio.to_thread(open_upload_store(spec, settings.home).list_records)
        holder = next((one for one in settings.knowledge.sources if one.kind == "pages"), None)
        pages = await asyncio.to_thread(open_page_list(holder, settings.home).pages) if holder else []
        _show_cards(cards, spec.name, pages, json=arguments.json)
        return 0
    async with library_of(settings) as library:
        adding = Adding(spec, settings.home, library)
        if arguments.remove:
            return await _remove(adding, arguments)
        return await _add(adding, arguments)


def _check_use(arguments: argparse.Namespace) -> None:
    wanted = [bool(arguments.files), bool(arguments.remove), arguments.list]
    if sum(wanted) != 1:
        raise SettingsError("Name files to add, or --remove NAME, or --list.")
    if arguments.title is not None and len(arguments.files) != 1:
        raise SettingsError("--title is for one file. Add the others by themselves.")


async def _pages(settings: Settings, urls: list[str], arguments: argparse.Namespace) -> int:
    """Add pages of the web, or take them out again."""
    spec = next((spec for spec in settings.knowledge.sources if spec.kind == "pages"), None)
    if spec is None:
        raise SettingsError(
            "No source takes pages. Name owners ([access]) with the live web on, or add a source of kind pages to "
            "kvasir.toml; docs/sources.md shows it."
        )
    said: dict[str, str] = {}
    wrong: dict[str, str] = {}
    do = _page_removed if arguments.remove else _page_added
    async with library_of(settings) as library:
        adding = AddingPages(spec, settings.home, library)
        for url in urls:
            try:
                told, done = await do(adding, url)
            except KnowledgeError as error:
                told, done = str(error), False
            (said if done else wrong)[url] = told
    if arguments.json:
        result_json({"source": spec.name, "pages": said, "failed": wrong})
    else:
        for url, told in said.items():
            result(f"{url}: {told}")
    for url, why in wrong.items():
        complain(f"{url}: {why}")
    return 1 if wrong else 0


async def _page_added(adding: AddingPages, url: str) -> tuple[str, bool]:
    """Add one; returns what became of it, and whether that is well."""
    added = await adding.keep(url, by=_me())
    if added is None:
        return "there already", True
    try:
        why = await adding.take_in(added.document)
    except SyncRunning:
        return "kept; another sync is running, and that one or the next one reads it", True
    return why or "added; it can be found now", not why


async def _page_removed(adding: AddingPages, url: str) -> tuple[str, bool]:
    """Take one out; returns what became of it, and whether that is well."""
    try:
        there = await adding.take_away(url)
    except SyncRunning:
        return (
            "removed; another sync is running, and it answers no more after that one or the next one. "
            f"If it was the last one: kvasir sync --approve {adding.source}"
        ), True
    if not there:
        return "this page was not added. See kvasir add --list.", False
    return "removed; it answers no more", True


async def _add(adding: Adding, arguments: argparse.Namespace) -> int:
    said: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for path in map(Path, arguments.files):
        try:
            data = await asyncio.to_thread(_read, path, adding.tray.max_bytes)
            kept = await adding.keep(path.name, data, by=_me(), title=arguments.title)
            said[kept.name] = _SAID[kept.put]
        except OSError as error:
            wrong[str(path)] = f"cannot be read: {error.strerror}. Look whether it is there."
        except KnowledgeError as error:
            wrong[str(path)] = str(error)
    waiting = False
    if said:
        try:
            with Terminal() as terminal:
                wrong |= await adding.take_in(said, lambda progress: show_progress(terminal, progress))
        except SyncRunning:
            waiting = True
            say("Another sync is running. What was added is kept, and is found after that one or the next.")
    found = [name for name in said if name not in wrong and not waiting]
    if arguments.json:
        result_json({"source": adding.source, "kept": said, "found": found, "failed": wrong})
    else:
        for name in found:
            result(f"{name}: {said[name]} to {adding.source}; it can be found now")
    for name, why in wrong.items():
        complain(f"{name}: {why}")
    return 1 if wrong else 0


async def _remove(adding: Adding, arguments: argparse.Namespace) -> int:
    names: list[str] = arguments.remove
    waiting = False
    absent: list[str] = []
    with Terminal() as terminal:
        try:
            absent = await adding.take_away(names, lambda progress: show_progress(terminal, progress))
        except SyncRunning:
            waiting = True
            say(
                "Another sync is running. What was removed stops answering after that one or the next. If it was much, "
                f"or all: kvasir sync --approve {adding.source}"
            )
    gone = [name for name in names if name not in absent]
    if arguments.json:
        result_json({"source": adding.source, "removed": gone, "absent": absent})
    elif not waiting:
        for name in gone:
            result(f"{name}: removed from {adding.source}; it answers no more")
    for name in absent:
        complain(f"{name}: there is no document of that name in {adding.source}. See kvasir add --list.")
    return 1 if absent else 0


def _show_cards(cards: list[UploadRecord], source: str, pages: list[AddedPage], *, json: bool) -> None:
    if json:
        documents = [_card_json(card) for card in cards]
        result_json({"source": source, "documents": documents, "pages": [asdict(page) for page in pages]})
        return
    for page in pages:
        result(f"{page.url}  {datetime.fromtimestamp(page.added_at, UTC):%Y-%m-%d} by {page.added_by}")
    for card in cards:
        day = datetime.fromtimestamp(card.added_at, UTC)
        title = f"  “{card.title}”" if card.title else ""
        result(f"{card.name}  {card.size_bytes / 1e6:,.1f} MB  {day:%Y-%m-%d} by {card.added_by}{title}")
    if not cards and not pages:
        result(f"Nothing was added to {source} yet. Add a file: kvasir add FILE")


def _card_json(card: UploadRecord) -> dict[str, object]:
    return {
        "name": card.name,
        "title": card.title,
        "bytes": card.size_bytes,
        "added_at": datetime.fromtimestamp(card.added_at, UTC).isoformat(),
        "added_by": card.added_by,
    }


def _read(path: Path, limit_bytes: int) -> bytes:
    """Read a file, but not much more of it than is kept."""
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def _me() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return socket.gethostname()
