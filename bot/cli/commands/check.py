"""``kvasir check``: check the statements of a profile against contracts, and two versions of one against each other."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bot.cli.command_settings import load_command_settings
from bot.cli.document_batch import open_document_tools, read_files
from bot.errors import SettingsError
from bot.messages import checklist as texts
from bot.messages.message import render_message
from bot.profiles.checklist.comparison import (
    CHANGE_COLUMNS,
    Comparison,
    build_comparison_json,
    compare_versions,
    list_change_rows,
)
from bot.profiles.checklist.profile import KIND, Checklist
from bot.profiles.checklist.review import COLUMNS, Review, StatementAnswer, build_review_json, list_notices, list_rows
from bot.profiles.document_reader import ReadDocument
from bot.profiles.extraction.extraction import describe_place
from bot.profiles.registry import Profiles
from bot.terminal.output import print_json, print_note, print_result, print_rows

_TITLE: Final = 46
_Reviewed = tuple[Review, ReadDocument]


async def main(arguments: argparse.Namespace) -> int:
    """Check each file in order, or compare one with another; exit status 1 if one could not be read."""
    if arguments.against is not None and len(arguments.files) != 1:
        raise SettingsError("--against compares two files. Write: kvasir check PROFILE OLD --against NEW")
    settings = load_command_settings(arguments)
    checklist: Checklist = await asyncio.to_thread(
        Profiles(settings.configuration.profiles).load_profile, arguments.profile, KIND
    )
    async with open_document_tools(settings) as tools:

        async def review(path: Path) -> _Reviewed:
            document = await tools.read_path(path)
            await tools.start_engine()
            return await tools.profiles.review(checklist, document), document

        return await (_check_files if arguments.against is None else _compare_files)(arguments, review)


async def _check_files(arguments: argparse.Namespace, review: Callable[[Path], Awaitable[_Reviewed]]) -> int:
    async def check(path: Path) -> None:
        found, _ = await review(path)
        lines = [str(path), "", *(line for one in found.answers for line in _list_lines(one))]
        value = build_review_json(found) | {"file": str(path)}
        _show(arguments, value, ((str(path), *row) for row in list_rows(found)), lines, [found])

    if arguments.csv:
        print_rows([COLUMNS])
    return await read_files(arguments, check)


async def _compare_files(arguments: argparse.Namespace, review: Callable[[Path], Awaitable[_Reviewed]]) -> int:
    versions: list[_Reviewed] = []

    async def keep(path: Path) -> None:
        versions.append(await review(path))

    if arguments.csv:
        print_rows([CHANGE_COLUMNS])
    arguments.files.append(arguments.against)
    status = await read_files(arguments, keep)
    if status == 0:
        (old, before), (new, after) = versions
        compared = compare_versions(old, new, before, after)
        names = dict(zip(("file", "against"), map(str, arguments.files), strict=True))
        value = build_comparison_json(compared) | names
        _show(arguments, value, list_change_rows(compared), _list_changes(compared), [old, new])
    return status


def _show(
    arguments: argparse.Namespace,
    value: Mapping[str, object],
    rows: Iterable[Sequence[object]],
    lines: Iterable[str],
    reviews: Sequence[Review],
) -> None:
    """Print what was found in the form that was asked for, and what is to be said about it."""
    if arguments.json:
        print_json(value)
        return
    if arguments.csv:
        print_rows(rows)
    else:
        print_result("\n".join(lines))
    for review in reviews:
        for notice in list_notices(review, "en"):
            print_note(f"{review.title}: {render_message(notice, 'en')}")


def _list_lines(answer: StatementAnswer) -> Iterator[str]:
    """Yield an answer for a person, and below it the clauses with where they stand."""
    yield f"{answer.statement.title['en']:{_TITLE}}{render_message(texts.LABELS[answer.label], 'en')}"
    for one in answer.clauses:
        yield f"    {' '.join(one.text.split())}  [{describe_place(one.passage, 'en')}]"


def _list_changes(comparison: Comparison) -> Iterator[str]:
    """Yield the changed answers, before and after, and the clauses that were added and removed."""
    if not comparison.changes:
        yield render_message(texts.NO_CHANGE, "en")
    for before, after in comparison.changes:
        for sign, one in (("-", before), ("+", after)):
            yield from (f"{sign} {line}" for line in _list_lines(one))
    for title, clauses in ((texts.ADDED, comparison.added), (texts.REMOVED, comparison.removed)):
        yield from ("", render_message(title, "en"), *(f"    {one}" for one in clauses))
