"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping

from bot.cli.printable import CONTROL, printable


def piece(text: str) -> None:
    """Print a piece of the result, flushed."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def result(text: str) -> None:
    """Print a line of the result, flushed."""
    piece(f"{text}\n")


def result_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, flushed."""
    text = json.dumps(value, ensure_ascii=False)
    result(CONTROL.sub(lambda control: f"\\u{ord(control[0]):04x}", text))


def say(text: str) -> None:
    """Tell the person at the terminal something beside the result."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def complain(sentence: str, error: BaseException | None = None) -> None:
    """Tell what went wrong; the traceback goes to the log at debug level alone."""
    say(f"kvasir: {sentence}")
    if error is not None:
        logging.getLogger("kvasir").debug("command failed", exc_info=error)
