"""Run the parsing process: ``python -m knowledge.parsing.worker MEMORY_BYTES``, tasks on stdin, answers on stdout.

With the argument ``recognition`` it also loads the models of text recognition, before it is ready.

Documents come from anywhere, and their parsers are large C libraries. So each document is parsed in a process of its
own, which this one forks: it is locked in (``knowledge.parsing.jail``), and is killed after its answer. If it crashes,
only that document fails. This process only loads libraries and moves frames. No byte of a document gets into its
memory, where the process of the next document could read it. It ends with its parent's pipe, and the other one with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, NamedTuple, NoReturn

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.parsing.file_types import Format
from knowledge.parsing.formats.main_text import load_extractor
from knowledge.parsing.jail import enter_jail
from knowledge.parsing.outline import MAX_SECTIONS, TooManySections
from knowledge.parsing.wire import (
    HEADER,
    MAX_FRAME_BYTES,
    NO_ANSWER,
    NO_MEMORY,
    RECOGNITION,
    TASK_HEADER,
    TASK_KINDS,
    ParsingTask,
    ReadingKind,
    RecognitionKind,
    TaskKind,
    decode_task,
    encode_result,
)

_FULL_SHARE: Final = 0.4
"""A process that crashed with this share of its memory in use had too little: libraries abort then."""
_GRACE_S = 10
"""Seconds from the deadline to the alarm. The parent enforces the deadline itself; the alarm is for a dead parent."""
_PR_SET_PDEATHSIG: Final = 1

# Libraries are imported when they are first needed.
_FORMATS = {
    Format.MARKDOWN: ("markdown", "parse_markdown"),
    Format.HTML: ("web_page", "parse_html"),
    Format.TEXT: ("markdown", "parse_text"),
    Format.TABLE: ("tables", "parse_table"),
    Format.PDF: ("pdf", "parse_pdf"),
    Format.DOCX: ("word", "parse_docx"),
    Format.PPTX: ("slides", "parse_pptx"),
    Format.XLSX: ("sheets", "parse_xlsx"),
}
_TEXTUAL = {Format.MARKDOWN, Format.HTML, Format.TEXT, Format.TABLE}
_READINGS = {
    ReadingKind.PAGE: ("article", "read_crawled_page"),
    ReadingKind.ARTICLE: ("article", "read_article"),
    ReadingKind.FEED: ("feeds", "read_feed"),
    ReadingKind.SITEMAP: ("sitemap", "read_sitemap"),
    ReadingKind.NAMES: ("crawled_page", "read_link_texts"),
}
_RECOGNITIONS = {RecognitionKind.PICTURE: "recognise_picture", RecognitionKind.SCAN: "recognise_scan"}
_Parse = Callable[..., Any]  # a function that is loaded by name


class _WaitingTask(NamedTuple):
    """A task whose bytes are still in the pipe."""

    parse: _Parse
    head_bytes: int
    data_bytes: int


def serve(source: int, sink: int) -> None:
    """Report that the process is ready, and what its jail lacks; then answer tasks until the stream ends."""
    _answer_in_child(source, sink, None)
    while len(header := _read_bytes(source, TASK_HEADER.size)) == TASK_HEADER.size:
        kind, needs_main_text, head_bytes, data_bytes = TASK_HEADER.unpack(header)
        if needs_main_text:
            load_extractor()
        _answer_in_child(source, sink, _WaitingTask(_load_parser(TASK_KINDS[kind]), head_bytes, data_bytes))


def _load_parser(kind: TaskKind) -> _Parse:
    """Import what a task needs, so that it is imported once for all documents."""
    package = "knowledge.parsing.formats"
    if isinstance(kind, ReadingKind):
        package, (module, function) = "knowledge.web.reading", _READINGS[kind]
    elif isinstance(kind, RecognitionKind):
        module, function = "recognition", _RECOGNITIONS[kind]
    else:
        module, function = _FORMATS[kind]
    parse: _Parse = getattr(import_module(f"{package}.{module}"), function)
    return parse


def _answer_in_child(source: int, sink: int, task: _WaitingTask | None) -> None:
    """Fork the process that answers, and move its frames; end as it did if it ends without a complete answer."""
    gc.freeze()
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(reader)
        _run_child(source, sink, writer, task, parent)
    os.close(writer)
    is_complete = _move_frames(reader, sink)
    os.close(reader)
    if is_complete:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    if not is_complete:
        ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        is_full = 0 < _FULL_SHARE * resource.getrlimit(resource.RLIMIT_AS)[0] < usage.ru_maxrss * 1024
        if is_full and ended_by not in {signal.SIGKILL, signal.SIGPROF}:
            sys.exit(NO_MEMORY)
        if ended_by:
            os.kill(os.getpid(), ended_by)
        sys.exit(NO_ANSWER)


def _run_child(source: int, sink: int, writer: int, waiting: _WaitingTask | None, parent: int) -> NoReturn:
    """Answer in the forked process, which has no pipe but that for its frames."""
    try:
        _end_with_parent(parent)
        head, data = (_read_bytes(source, size) for size in waiting[1:]) if waiting else (b"", b"")
        os.close(source)
        os.close(sink)
        with os.fdopen(writer, "wb") as frames:
            gaps = enter_jail()
            if waiting:
                frames.writelines(_answer_task(decode_task(head), data, waiting.parse))
            else:
                frames.writelines(encode_result(gaps))
    finally:
        os._exit(0)


def _end_with_parent(parent: int) -> None:
    """Let Linux kill this process when its parent ends; nothing that a document does prevents that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It ended before Linux knew.
        os._exit(0)


def _read_bytes(source: int, count: int) -> bytes:
    """Read exactly so many bytes, fewer at the end of the stream."""
    pieces: list[bytes] = []
    while count and (piece := os.read(source, count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _move_frames(reader: int, sink: int) -> bool:
    """Move the frames of an answer, and return whether they are complete."""
    is_last = 0
    while not is_last:
        header = _read_bytes(reader, HEADER.size)
        if len(header) < HEADER.size:
            return False
        is_last, size_bytes = HEADER.unpack(header)
        if size_bytes > MAX_FRAME_BYTES:
            return False
        os.write(sink, header)
        while size_bytes:
            moved = _move_piece(reader, sink, size_bytes)
            if not moved:
                return False
            size_bytes -= moved
    return True


def _move_piece(reader: int, sink: int, count: int) -> int:
    """Move bytes from pipe to pipe, on Linux within the kernel."""
    if hasattr(os, "splice"):
        return os.splice(reader, sink, count)
    piece = os.read(reader, count)
    with os.fdopen(os.dup(sink), "wb") as target:
        target.write(piece)
    return len(piece)


def _answer_task(task: ParsingTask, data: bytes, parse: _Parse) -> Iterator[bytes]:
    signal.alarm(int(task.deadline_s) + _GRACE_S)
    try:
        return encode_result(parse(data, *_list_arguments(task)))
    except ParseError as error:
        return encode_result(error)
    except TooManySections:
        return encode_result(
            DocumentTooLarge(f"{task.document} has more than {MAX_SECTIONS:,} headings with text. Split it.")
        )
    except MemoryError:
        return encode_result(DocumentTooLarge(f"{task.document} needs too much memory. Split it, or exclude it."))
    except RecursionError:
        return encode_result(ParseError(f"{task.document} is nested too deeply. Simplify it, or exclude it."))


def _list_arguments(task: ParsingTask) -> tuple[object, ...]:
    """Return what the function of a format, of a reading or of a recognition takes after the bytes."""
    match task.kind:
        case ReadingKind.PAGE:
            return task.document, task.media_type or "", task.robots_tag
        case ReadingKind.ARTICLE | ReadingKind.NAMES:
            return task.document, task.media_type or ""
        case ReadingKind.FEED:
            return task.media_type or "", task.document
        case ReadingKind.SITEMAP:
            return ()
        case RecognitionKind():
            return task.document, task.within_s
        case _:
            return (task.document, task.media_type) if task.kind in _TEXTUAL else (task.document,)


def main() -> None:
    """Serve stdin and stdout. Output of libraries goes to stderr."""
    with contextlib.suppress(OSError, ValueError):  # Not every system limits address space.
        limit = int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _end_with_parent(os.getppid())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)  # The parent handles Ctrl-C, and the stop of a service.
    answers = os.dup(1)
    os.dup2(2, 1)
    if sys.argv[2:] == [RECOGNITION]:
        import_module("knowledge.parsing.formats.recognition").load_models()
    with contextlib.suppress(BrokenPipeError):
        serve(0, answers)


if __name__ == "__main__":
    main()
