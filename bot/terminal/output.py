"""Print a command's results to stdout and everything else to stderr, without control characters."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that control a terminal, or change the direction of a line."""
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def strip_control_characters(text: str) -> str:
    """Return a text without control characters: pages and documents may contain some."""
    return _CONTROL.sub("", _SEQUENCE.sub("", text))


def print_piece(text: str) -> None:
    """Print a piece of the result, flushed."""
    sys.stdout.write(strip_control_characters(text))
    sys.stdout.flush()


def print_result(text: str) -> None:
    """Print a line of the result, flushed."""
    print_piece(f"{text}\n")


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, flushed."""
    text = json.dumps(value, ensure_ascii=False)
    print_result(_CONTROL.sub(lambda control: f"\\u{ord(control[0]):04x}", text))


def print_note(text: str) -> None:
    """Print a line for the person at the terminal to stderr."""
    sys.stderr.write(f"{strip_control_characters(text)}\n")
    sys.stderr.flush()


def print_error(sentence: str, error: BaseException | None = None) -> None:
    """Print an error; the traceback goes to the log, at debug level."""
    print_note(f"kvasir: {sentence}")
    if error is not None:
        logging.getLogger("kvasir").debug("command failed", exc_info=error)
