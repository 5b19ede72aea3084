"""Run the parsing process: ``python -m knowledge.parsing.worker MEMORY_BYTES``, tasks on stdin, answers on stdout.

Documents come from anywhere, and their parsers are large C libraries. If one crashes this process, only that document
fails. The process ends with its parent's pipe, and by alarm if a document takes too long.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from typing import BinaryIO

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.parsing.registry import parse_as, read_as
from knowledge.parsing.wire import HEADER, ParsingTask, ReadingKind, decode_task, encode_reading, encode_result

_GRACE_S = 10
"""After the deadline. The parent enforces the deadline itself; the alarm is for a dead parent."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Report that the process is ready, then answer tasks until the stream ends."""
    sink.write(HEADER.pack(0, 0))
    sink.flush()
    while len(header := source.read(HEADER.size)) == HEADER.size:
        head_bytes, data_bytes = HEADER.unpack(header)
        task = decode_task(source.read(head_bytes))
        signal.alarm(int(task.deadline_s) + _GRACE_S)
        sink.writelines(_answer_task(task, source.read(data_bytes)))
        sink.flush()
        signal.alarm(0)


def _answer_task(task: ParsingTask, data: bytes) -> tuple[bytes, bytes]:
    try:
        if isinstance(task.kind, ReadingKind):
            return encode_reading(read_as(task.kind, data, task))
        return encode_result(parse_as(task.kind, data, task.document, task.media_type))
    except ParseError as error:
        return encode_result(error)
    except MemoryError:
        return encode_result(DocumentTooLarge(f"{task.document} needs too much memory. Split it, or exclude it."))
    except RecursionError:
        return encode_result(ParseError(f"{task.document} is nested too deeply. Simplify it, or exclude it."))


def main() -> None:
    """Serve stdin and stdout. Output of libraries goes to stderr."""
    with contextlib.suppress(OSError, ValueError):  # Not every system limits address space.
        limit = int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent handles Ctrl-C.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
