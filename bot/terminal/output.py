"""Print a command's results to stdout and everything else to stderr, without control characters."""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Iterable, Mapping
from json import dumps
from typing import Final

from knowledge.control_characters import CONTROL_CHARACTER, strip_control_characters

_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""What a spreadsheet would take for a formula."""


def print_piece(text: str) -> None:
    """Print a piece of the result, flushed."""
    sys.stdout.write(strip_control_characters(text))
    sys.stdout.flush()


def print_result(text: str) -> None:
    """Print a line of the result, flushed."""
    print_piece(f"{text}\n")


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, flushed."""
    text = dumps(value, ensure_ascii=False)
    print_result(CONTROL_CHARACTER.sub(lambda control: f"\\u{ord(control[0]):04x}", text))


def print_rows(rows: Iterable[Iterable[object]]) -> None:
    """Print lines of comma-separated values, flushed; no cell is a formula for a spreadsheet."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(map(_defuse, row) for row in rows)
    print_piece(lines.getvalue())


def _defuse(cell: object) -> str:
    text = strip_control_characters(str(cell))  # before a sign of a formula, too
    return f"'{text}" if text.startswith(_FORMULA) and isinstance(cell, str) else text


def print_outcome(value: Mapping[str, object], text: str, *, json: bool) -> None:
    """Print the result of a command: as one JSON object, or as text for a person."""
    if json:
        print_json(value)
    else:
        print_result(text)


def print_note(text: str) -> None:
    """Print a line for the person at the terminal to stderr."""
    sys.stderr.write(f"{strip_control_characters(text)}\n")
    sys.stderr.flush()


def print_error(sentence: str, error: BaseException | None = None) -> None:
    """Print an error; the traceback goes to the log, at debug level."""
    print_note(f"kvasir: {sentence}")
    if error is not None:
        logging.getLogger("kvasir").debug("command failed", exc_info=error)
