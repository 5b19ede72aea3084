"""Split the engine's log into lines, remove secrets, and summarize why a process ended."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.notes import NoteCode

_MAX_LINE_CHARS = 2000
_MAX_LINES = 200
_SUMMARY_LINES = 3
_SUMMARY_CHARS = 500
_BREAK = re.compile(r"[\r\n]")
TIMESTAMP = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]*\] ?")
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Failure|NotFound)\b")
_NOISE = re.compile(
    r"UserWarning|DeprecationWarning|FutureWarning|warnings\.warn|Ignore import error|^\s*$|^INFO: |it/s\]|"
    r"^\s*File \"|^\s*[\^~]+\s*$|^Traceback |server_args=|resource_tracker|leaked semaphore|^Killed\s*$|^\s+\S.*\($"
)

MILESTONES: Sequence[tuple[str, float, NoteCode]] = (
    ("server_args=", 0.30, NoteCode.READING_CONFIGURATION),
    ("Init parallel begin", 0.55, NoteCode.STARTING_WORKERS),
    ("Load weight begin", 0.65, NoteCode.LOADING_WEIGHTS),
    ("Load weight end", 0.80, NoteCode.MAKING_ROOM),
    ("Capture", 0.85, NoteCode.CAPTURING_GRAPHS),
    ("max_total_num_tokens=", 0.90, NoteCode.STARTING_SERVER),
    ("Application startup complete", 0.95, NoteCode.WARMING_UP),
)
"""What SGLang 0.5.23 logs while it starts, the progress at that line (by time on a CPU), and the next step."""

READY_LINE = "The server is fired up and ready to roll!"


class LogTail:
    """The last lines of a process's output, decoded from bytes; never awaits."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Replace every occurrence of ``secrets``; the engine logs its key among its arguments."""
        self._secrets = tuple(secret for secret in secrets if secret)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the kept lines, the oldest first."""
        return tuple(self._lines)

    def decode(self, chunk: bytes) -> list[str]:
        """Return the lines that ``chunk`` completes, without secrets and of limited length."""
        return self._split_lines(self._decoder.decode(chunk), last=False)

    def flush(self) -> list[str]:
        """Return the last incomplete line."""
        return self._split_lines(self._decoder.decode(b"", final=True), last=True)

    def _split_lines(self, text: str, *, last: bool) -> list[str]:
        *whole, self._pending = _BREAK.split(self._pending + text)
        if last or len(self._pending) > 50 * _MAX_LINE_CHARS:
            whole, self._pending = [*whole, self._pending], ""
        lines = [self._clean_line(line) for line in whole if line.strip()]
        self._lines.extend(lines)
        return lines

    def _clean_line(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line[:_MAX_LINE_CHARS]


class LogFile:
    """A log file of limited size: older lines move to a second file, and then are deleted."""

    def __init__(self, path: Path, max_bytes: int = 5 << 20) -> None:
        """Write to ``path``, and move older lines to the same name with ``.1``."""
        self._path = path
        self._longest_bytes = max_bytes

    def write_line(self, line: str) -> None:
        """Append a line; if the disk is full, the line is lost."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size > self._longest_bytes:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def read_last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a ``LogFile``, the oldest first; none without a file."""
    lines: deque[str] = deque(maxlen=count)
    for part in (path.with_name(f"{path.name}.1"), path):
        with contextlib.suppress(OSError), part.open(encoding="utf-8", errors="replace") as file:
            lines.extend(line.rstrip("\n") for line in file)
    return list(lines)


def summarize_failure(lines: Sequence[str]) -> str:
    """Return the few lines that say why a process ended; "it logged nothing" without any."""
    plain = [TIMESTAMP.sub("", line).rstrip() for line in lines]
    telling = [line.strip() for line in plain if not _NOISE.search(line)]
    errors = [line for line in telling if _EXCEPTION.match(line)]
    chosen = (errors or telling)[-1:] if errors else telling[-_SUMMARY_LINES:]
    return " | ".join(line[: _SUMMARY_CHARS // len(chosen)] for line in chosen) or "it logged nothing"


def find_milestone(line: str) -> tuple[float, NoteCode] | None:
    """Return the progress at a log line, and the next step; None for any other line."""
    return next(((share, doing) for mark, share, doing in MILESTONES if mark in line), None)
