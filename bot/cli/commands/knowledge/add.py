"""``kvasir add``: add, list and remove documents and pages of the web."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import socket
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bot.answering.outgoing import release_text
from bot.cli.command_settings import load_command_settings
from bot.config.settings import Settings
from bot.document_additions import DocumentAdditions, choose_push_source
from bot.errors import SettingsError
from bot.library_opening import open_configured_library
from bot.messages.message import render_message
from bot.page_additions import PageAdditions
from bot.terminal.lines import show_progress
from bot.terminal.output import print_error, print_json, print_note, print_outcome, print_result
from bot.terminal.terminal import Terminal
from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.opening import open_content
from knowledge.sources.pages.page_list import AddedPage, open_page_list
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadRecord


async def main(arguments: argparse.Namespace) -> int:
    """Add, list or remove; exit status 1 if anything failed."""
    _check_use(arguments)
    settings = load_command_settings(arguments)
    pages = [name for name in (*arguments.files, *arguments.remove) if name.startswith(("http://", "https://"))]
    if pages:
        if len(pages) < len(arguments.files) + len(arguments.remove) or arguments.title or arguments.to:
            raise SettingsError("Add pages separately from files, without --title and --to.")
        return await _change_pages(settings, pages, arguments)
    spec = choose_push_source(settings.knowledge.sources, arguments.to)
    if arguments.list:
        page_source = next((one for one in settings.knowledge.sources if one.kind == "pages"), None)
        async with open_content(settings.knowledge) as content:
            records = await asyncio.to_thread(open_upload_store(spec, settings.home, content).list_records)
            pages_of = None if page_source is None else open_page_list(page_source, settings.home, content)
            added = [] if pages_of is None else await asyncio.to_thread(pages_of.list_pages)
        _show_records(records, spec.name, added, json=arguments.json)
        return 0
    async with open_configured_library(settings) as library:
        additions = DocumentAdditions(spec, settings.home, library, library.content)
        if arguments.remove:
            return await _remove_documents(additions, arguments)
        return await _add_files(additions, arguments)


def _check_use(arguments: argparse.Namespace) -> None:
    actions = [bool(arguments.files), bool(arguments.remove), arguments.list]
    if sum(actions) != 1:
        raise SettingsError("Give files to add, or --remove NAME, or --list.")
    if arguments.title is not None and len(arguments.files) != 1:
        raise SettingsError("--title is for one file. Add the other files separately.")


async def _change_pages(settings: Settings, urls: list[str], arguments: argparse.Namespace) -> int:
    """Add or remove pages of the web."""
    spec = next((spec for spec in settings.knowledge.sources if spec.kind == "pages"), None)
    if spec is None:
        raise SettingsError(
            "No source accepts pages. Name owners ([access]) with the live web on, or add a source of kind pages to "
            "kvasir.toml; docs/sources.md shows it."
        )
    results: dict[str, str] = {}
    errors: dict[str, str] = {}
    change = _remove_page if arguments.remove else _add_page
    async with open_configured_library(settings) as library:
        additions = PageAdditions(spec, settings.home, library, library.content)
        for url in urls:
            try:
                result, ok = await change(additions, url)
            except KnowledgeError as error:
                result, ok = str(error), False
            (results if ok else errors)[url] = result
    if arguments.json:
        print_json({"source": spec.name, "pages": results, "failed": errors})
    else:
        for url, result in results.items():
            print_result(f"{url}: {result}")
    return _print_errors(errors)


def _print_errors(errors: dict[str, str]) -> int:
    """Print what failed and why; return the exit status."""
    for name, why in errors.items():
        print_error(f"{name}: {why}")
    return 1 if errors else 0


async def _add_page(additions: PageAdditions, url: str) -> tuple[str, bool]:
    """Add one page; return the result for the person, and whether it succeeded."""
    page = await additions.add_page(url, by=_describe_user())
    if page is None:
        return "was added before", True
    try:
        why = await additions.sync_page(page.document)
    except SyncRunning:
        return "saved; another sync is running, and that one or the next one reads it", True
    return "added; answers can use it now" if why is None else render_message(why, "en"), why is None


async def _remove_page(additions: PageAdditions, url: str) -> tuple[str, bool]:
    """Remove one page; return the result for the person, and whether it succeeded."""
    try:
        existed = await additions.remove_page(url)
    except SyncRunning:
        return (
            "removed; another sync is running, and answers stop using it after that one or the next one. "
            f"If it was the last page: kvasir sync --approve {additions.source}"
        ), True
    if not existed:
        return "this page was not added. See kvasir add --list.", False
    return "removed; answers do not use it any more", True


async def _add_files(additions: DocumentAdditions, arguments: argparse.Namespace) -> int:
    results: dict[str, str] = {}
    errors: dict[str, str] = {}
    for path in map(Path, arguments.files):
        try:
            data = await asyncio.to_thread(_read_file, path, additions.store.max_bytes)
            upload = await additions.store_document(path.name, data, by=_describe_user(), title=arguments.title)
            results[upload.name] = upload.result.value
        except OSError as error:
            errors[str(path)] = f"cannot be read: {error.strerror}. Check the path."
        except KnowledgeError as error:
            errors[str(path)] = str(error)
    waiting = False
    if results:
        try:
            with Terminal() as terminal:
                failed = await additions.sync_documents(results, lambda progress: show_progress(terminal, progress))
                errors |= {name: render_message(why, "en") for name, why in failed.items()}
        except SyncRunning:
            waiting = True
            print_note("Another sync is running. The files are saved; that sync or the next one reads them.")
    indexed = [name for name in results if name not in errors and not waiting]
    if arguments.json:
        print_json({"source": additions.source, "kept": results, "found": indexed, "failed": errors})
    else:
        for name in indexed:
            print_result(f"{name}: {results[name]} in {additions.source}; answers can use it now")
    return _print_errors(errors)


async def _remove_documents(additions: DocumentAdditions, arguments: argparse.Namespace) -> int:
    names: list[str] = arguments.remove
    waiting = False
    absent: list[str] = []
    with Terminal() as terminal:
        try:
            absent = await additions.remove_documents(names, lambda progress: show_progress(terminal, progress))
        except SyncRunning:
            waiting = True
            print_note(
                "Another sync is running. Answers stop using the documents after that sync or the next one. "
                f"If they were many, or all: kvasir sync --approve {additions.source}"
            )
    removed = [name for name in names if name not in absent]
    if arguments.json:
        print_json({"source": additions.source, "removed": removed, "absent": absent})
    elif not waiting:
        for name in removed:
            print_result(f"{name}: removed from {additions.source}; answers do not use it any more")
    missing = f"there is no document of that name in {additions.source}. See kvasir add --list."
    return _print_errors(dict.fromkeys(absent, missing))


def _show_records(records: list[UploadRecord], source: str, pages: list[AddedPage], *, json: bool) -> None:
    lines = [f"{page.url}  {datetime.fromtimestamp(page.added_at, UTC):%Y-%m-%d} by {page.added_by}" for page in pages]
    for record in records:
        day = datetime.fromtimestamp(record.added_at, UTC)
        title = f"  “{release_text(record.title)}”" if record.title else ""
        name = release_text(record.name)
        lines.append(f"{name}  {record.size_bytes / 1e6:,.1f} MB  {day:%Y-%m-%d} by {record.added_by}{title}")
    documents = [_record_json(record) for record in records]
    print_outcome(
        {"source": source, "documents": documents, "pages": [asdict(page) for page in pages]},
        "\n".join(lines) or f"Nothing was added to {source} yet. Add a file: kvasir add FILE",
        json=json,
    )


def _record_json(record: UploadRecord) -> dict[str, object]:
    return {
        "name": release_text(record.name),
        "title": release_text(record.title) if record.title else record.title,
        "bytes": record.size_bytes,
        "added_at": datetime.fromtimestamp(record.added_at, UTC).isoformat(),
        "added_by": record.added_by,
    }


def _read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the file's bytes, at most one more than the limit."""
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def _describe_user() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return socket.gethostname()
