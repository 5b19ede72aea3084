"""The parsing process: ``python -m knowledge.parsing.worker MEMORY_BYTES``, tasks on stdin, answers on stdout.

Documents come from anywhere, and their parsers are large C libraries: what one of them does to this process costs
that document alone. The process ends with its parent's pipe, and by alarm when a document takes too long.
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
"""After the deadline, which the parent enforces; the alarm is for when the parent is gone."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Say that all is ready, then answer tasks until the source ends."""
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
        return encode_result(
            DocumentTooLarge(f"{task.document} needs too much memory to be read. Split it, or leave it out.")
        )
    except RecursionError:
        return encode_result(ParseError(f"{task.document} nests too deeply to be read. Simplify it, or leave it out."))


def main() -> None:
    """Serve stdin and stdout; whatever a library prints goes to stderr."""
    with contextlib.suppress(OSError, ValueError):  # Not every system limits address space.
        limit = int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
