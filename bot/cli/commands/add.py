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
from bot.app import open_configured_library
from bot.cli.output import print_error, print_json, print_note, print_result
from bot.cli.terminal import Terminal
from bot.cli.terminal_lines import show_progress
from bot.config.settings import Settings, load_settings
from bot.document_additions import DocumentAdditions, choose_push_source
from bot.errors import SettingsError
from bot.page_additions import PageAdditions
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sources.pages.page_list import AddedPage, open_page_list
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadRecord, UploadResult

_PUT_WORDS = {
    UploadResult.ADDED: "added",
    UploadResult.REPLACED: "replaced",
    UploadResult.UNCHANGED: "there already, unchanged",
}


async def main(arguments: argparse.Namespace) -> int:
    """Add, list or remove; exit status 1 if something could not be taken."""
    _check_use(arguments)
    settings = load_settings(os.environ, Path.cwd(), config=arguments.config)
    logs.configure_logging(secrets=settings.secrets, level=logs.WARNING)
    pages = [name for name in (*arguments.files, *arguments.remove) if name.startswith(("http://", "https://"))]
    if pages:
        if len(pages) < len(arguments.files) + len(arguments.remove) or arguments.title or arguments.to:
            raise SettingsError("Add pages by themselves, without --title and --to.")
        return await _change_pages(settings, pages, arguments)
    spec = choose_push_source(settings.knowledge.sources, arguments.to)
    if arguments.list:
        cards = await asyncio.to_thread(open_upload_store(spec, settings.home).list_records)
        holder = next((one for one in settings.knowledge.sources if one.kind == "pages"), None)
        pages = await asyncio.to_thread(open_page_list(holder, settings.home).pages) if holder else []
        _show_cards(cards, spec.name, pages, json=arguments.json)
        return 0
    async with open_configured_library(settings) as library:
        adding = DocumentAdditions(spec, settings.home, library)
        if arguments.remove:
            return await _remove_documents(adding, arguments)
        return await _add_files(adding, arguments)


def _check_use(arguments: argparse.Namespace) -> None:
    wanted = [bool(arguments.files), bool(arguments.remove), arguments.list]
    if sum(wanted) != 1:
        raise SettingsError("Name files to add, or --remove NAME, or --list.")
    if arguments.title is not None and len(arguments.files) != 1:
        raise SettingsError("--title is for one file. Add the others by themselves.")


async def _change_pages(settings: Settings, urls: list[str], arguments: argparse.Namespace) -> int:
    """Add pages of the web, or take them out again."""
    spec = next((spec for spec in settings.knowledge.sources if spec.kind == "pages"), None)
    if spec is None:
        raise SettingsError(
            "No source takes pages. Name owners ([access]) with the live web on, or add a source of kind pages to "
            "kvasir.toml; docs/sources.md shows it."
        )
    said: dict[str, str] = {}
    wrong: dict[str, str] = {}
    do = _remove_page if arguments.remove else _add_page
    async with open_configured_library(settings) as library:
        adding = PageAdditions(spec, settings.home, library)
        for url in urls:
            try:
                told, done = await do(adding, url)
            except KnowledgeError as error:
                told, done = str(error), False
            (said if done else wrong)[url] = told
    if arguments.json:
        print_json({"source": spec.name, "pages": said, "failed": wrong})
    else:
        for url, told in said.items():
            print_result(f"{url}: {told}")
    for url, why in wrong.items():
        print_error(f"{url}: {why}")
    return 1 if wrong else 0


async def _add_page(adding: PageAdditions, url: str) -> tuple[str, bool]:
    """Add one; returns what became of it, and whether that is well."""
    added = await adding.add_page(url, by=_describe_user())
    if added is None:
        return "there already", True
    try:
        why = await adding.sync_page(added.document)
    except SyncRunning:
        return "kept; another sync is running, and that one or the next one reads it", True
    return why or "added; it can be found now", not why


async def _remove_page(adding: PageAdditions, url: str) -> tuple[str, bool]:
    """Take one out; returns what became of it, and whether that is well."""
    try:
        there = await adding.remove_page(url)
    except SyncRunning:
        return (
            "removed; another sync is running, and it answers no more after that one or the next one. "
            f"If it was the last one: kvasir sync --approve {adding.source}"
        ), True
    if not there:
        return "this page was not added. See kvasir add --list.", False
    return "removed; it answers no more", True


async def _add_files(adding: DocumentAdditions, arguments: argparse.Namespace) -> int:
    said: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for path in map(Path, arguments.files):
        try:
            data = await asyncio.to_thread(_read_file, path, adding.store.max_bytes)
            kept = await adding.store_document(path.name, data, by=_describe_user(), title=arguments.title)
            said[kept.name] = _PUT_WORDS[kept.result]
        except OSError as error:
            wrong[str(path)] = f"cannot be read: {error.strerror}. Look whether it is there."
        except KnowledgeError as error:
            wrong[str(path)] = str(error)
    waiting = False
    if said:
        try:
            with Terminal() as terminal:
                wrong |= await adding.sync_documents(said, lambda progress: show_progress(terminal, progress))
        except SyncRunning:
            waiting = True
            print_note("Another sync is running. What was added is kept, and is found after that one or the next.")
    found = [name for name in said if name not in wrong and not waiting]
    if arguments.json:
        print_json({"source": adding.source, "kept": said, "found": found, "failed": wrong})
    else:
        for name in found:
            print_result(f"{name}: {said[name]} to {adding.source}; it can be found now")
    for name, why in wrong.items():
        print_error(f"{name}: {why}")
    return 1 if wrong else 0


async def _remove_documents(adding: DocumentAdditions, arguments: argparse.Namespace) -> int:
    names: list[str] = arguments.remove
    waiting = False
    absent: list[str] = []
    with Terminal() as terminal:
        try:
            absent = await adding.remove_documents(names, lambda progress: show_progress(terminal, progress))
        except SyncRunning:
            waiting = True
            print_note(
                "Another sync is running. What was removed stops answering after that one or the next. If it was much, "
                f"or all: kvasir sync --approve {adding.source}"
            )
    gone = [name for name in names if name not in absent]
    if arguments.json:
        print_json({"source": adding.source, "removed": gone, "absent": absent})
    elif not waiting:
        for name in gone:
            print_result(f"{name}: removed from {adding.source}; it answers no more")
    for name in absent:
        print_error(f"{name}: there is no document of that name in {adding.source}. See kvasir add --list.")
    return 1 if absent else 0


def _show_cards(cards: list[UploadRecord], source: str, pages: list[AddedPage], *, json: bool) -> None:
    if json:
        documents = [_card_json(card) for card in cards]
        print_json({"source": source, "documents": documents, "pages": [asdict(page) for page in pages]})
        return
    for page in pages:
        print_result(f"{page.url}  {datetime.fromtimestamp(page.added_at, UTC):%Y-%m-%d} by {page.added_by}")
    for card in cards:
        day = datetime.fromtimestamp(card.added_at, UTC)
        title = f"  “{card.title}”" if card.title else ""
        print_result(f"{card.name}  {card.size_bytes / 1e6:,.1f} MB  {day:%Y-%m-%d} by {card.added_by}{title}")
    if not cards and not pages:
        print_result(f"Nothing was added to {source} yet. Add a file: kvasir add FILE")


def _card_json(card: UploadRecord) -> dict[str, object]:
    return {
        "name": card.name,
        "title": card.title,
        "bytes": card.size_bytes,
        "added_at": datetime.fromtimestamp(card.added_at, UTC).isoformat(),
        "added_by": card.added_by,
    }


def _read_file(path: Path, limit_bytes: int) -> bytes:
    """Read a file, but not much more of it than is kept."""
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def _describe_user() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return socket.gethostname()
