"""``kvasir note``: write the note of a conversation from its transcript; nothing of it is stored."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bot.cli.command_settings import load_command_settings
from bot.cli.document_batch import open_document_tools, read_files
from bot.messages.message import render_message
from bot.profiles.notes.note import KIND, NoteRules, NoteSection, build_note_json, format_section, list_notices
from bot.profiles.notes.transcript import read_transcript
from bot.profiles.registry import Profiles
from bot.terminal.output import print_json, print_note, print_result


async def main(arguments: argparse.Namespace) -> int:
    """Write the note of each file, section by section; exit status 1 if one could not be read."""
    settings = load_command_settings(arguments)
    rules: NoteRules = await asyncio.to_thread(
        Profiles(settings.configuration.profiles).load_profile, arguments.profile, KIND
    )
    async with open_document_tools(settings) as tools:

        async def write(path: Path) -> None:
            document = await tools.read_path(path)
            read_transcript(document.text)  # a file that is none has no title, and needs no engine
            await tools.start_engine()

            def show(section: NoteSection) -> None:
                print_result(f"\n{format_section(section, document.language)}")

            if arguments.json:
                print_json(build_note_json(await tools.profiles.write_note(rules, document)) | {"file": str(path)})
                return
            print_result(f"# {rules.profile.find_title(document.language)}")
            note = await tools.profiles.write_note(rules, document, show=show)
            for notice in list_notices(note):
                print_note(f"{path.name}: {render_message(notice, 'en')}")

        return await read_files(arguments, write)
