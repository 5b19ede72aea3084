"""``kvasir note``: write the note of a conversation from its transcript; nothing of it is stored."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from bot.answering.support.calibration import Calibrations
from bot.answering.support.judge import Judges
from bot.app import create_answerer, create_engine, mask_prompts
from bot.cli.command_settings import load_command_settings
from bot.cli.engine_waiting import wait_for_engine
from bot.languages.registry import choose_language
from bot.library_opening import open_configured_library
from bot.profiles.notes.note import NoteSection, format_section, read_note_rules, search_conversation, write_sections
from bot.profiles.notes.transcript import TranscriptError, make_material, read_transcript
from bot.profiles.registry import Profiles
from bot.terminal.output import print_json, print_result

_MAX_BYTES = 1_000_000


async def main(arguments: argparse.Namespace) -> int:
    """Write the note, section by section."""
    settings = load_command_settings(arguments)
    profile = Profiles(settings.configuration.profiles).find_profile(arguments.profile, "note")
    rules, text = read_note_rules(profile), await asyncio.to_thread(_read_file, Path(arguments.file))
    said, language = read_transcript(text), choose_language(text)
    material = make_material(said, Path(arguments.file).name)
    sections: list[NoteSection] = []
    async with AsyncExitStack() as stack:
        engine = create_engine(settings)
        stack.push_async_callback(engine.stop)
        await engine.ensure_running()
        library = await stack.enter_async_context(open_configured_library(settings))
        await wait_for_engine(engine)
        asked = mask_prompts(engine, settings)
        index = await library.index_material(material)
        answerer = create_answerer(
            library,
            asked,
            search_conversation(index),
            judges=Judges(asked, Calibrations(settings.home).find_calibration),
            limits=replace(settings.limits, unsupported="drop"),
        )
        if not arguments.json:
            print_result(f"# {rules.title.get(language) or rules.title['en']}")
        async for section in write_sections(rules, answerer, said, language):
            sections.append(section)
            if not arguments.json:
                print_result(f"\n{format_section(section, language)}")
    if arguments.json:
        print_json({"sections": [_describe_section(one) for one in sections]})
    return 0


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise TranscriptError(f"{path} is larger than {_MAX_BYTES // 1_000_000} MB. Split it by visits.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TranscriptError(f"{path} cannot be read ({error.__class__.__name__}). Check the file.") from None


def _describe_section(section: NoteSection) -> dict[str, object]:
    sentences = [{"text": one.text, "lines": list(one.lines)} for one in section.sentences]
    return {"title": section.title, "sentences": sentences, "left_out": section.left_out, "notices": section.notices}
