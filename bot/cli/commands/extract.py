"""``kvasir extract``: take the values of a profile out of files, each of which names where it stands."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bot.cli.command_settings import load_command_settings
from bot.cli.document_batch import open_document_tools, read_files
from bot.messages import extraction as texts
from bot.messages.message import render_message
from bot.profiles.extraction.extraction import (
    COLUMNS,
    Extraction,
    build_extraction_json,
    describe_place,
    list_notices,
    list_rows,
)
from bot.profiles.extraction.profile import KIND, ExtractionProfile
from bot.profiles.registry import Profiles
from bot.terminal.output import print_json, print_note, print_result, print_rows

_COLUMN = 34


async def main(arguments: argparse.Namespace) -> int:
    """Extract from each file in order; exit status 1 if one could not be read."""
    settings = load_command_settings(arguments)
    profile: ExtractionProfile = await asyncio.to_thread(
        Profiles(settings.configuration.profiles).load_profile, arguments.profile, KIND
    )
    async with open_document_tools(settings) as tools:

        async def extract(path: Path) -> None:
            document = await tools.read_path(path)
            await tools.start_engine()
            _show_extraction(arguments, path, await tools.profiles.extract(profile, document))

        if arguments.csv:
            print_rows([COLUMNS])
        return await read_files(arguments, extract)


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
            lines.append(f"{title:{_COLUMN}}{text}{normalised}  [{describe_place(value.passage, 'en')}]")
            title = ""
    return lines
