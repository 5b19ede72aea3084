"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping


def result(text: str) -> None:
    """Print a line of the result, flushed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def result_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on a line of its own, flushed."""
    result(json.dumps(value, ensure_ascii=False))


def say(text: str) -> None:
    """Tell the person at the terminal something beside the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain(sentence: str, error: BaseException | None = None) -> None:
    """Tell what went wrong; the traceback goes to the log at debug level alone."""
    say(f"kvasir: {sentence}")
    if error is not None:
        logging.getLogger("kvasir").debug("command failed", exc_info=error)
