"""Print a command's results to stdout and everything else to stderr, without control characters."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from json import dumps

from knowledge.control_characters import CONTROL_CHARACTER, strip_control_characters


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
