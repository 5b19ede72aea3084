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
from importlib import import_module
from typing import Any, BinaryIO

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.parsing.file_types import Format
from knowledge.parsing.wire import HEADER, ParsingTask, ReadingKind, decode_task, encode_result

_GRACE_S = 10
"""Seconds from the deadline to the alarm. The parent enforces the deadline itself; the alarm is for a dead parent."""

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
            return encode_result(_read_as(task.kind, data, task))
        return encode_result(_parse_as(task.kind, data, task))
    except ParseError as error:
        return encode_result(error)
    except MemoryError:
        return encode_result(DocumentTooLarge(f"{task.document} needs too much memory. Split it, or exclude it."))
    except RecursionError:
        return encode_result(ParseError(f"{task.document} is nested too deeply. Simplify it, or exclude it."))


def _read_as(kind: ReadingKind, data: bytes, task: ParsingTask) -> Any:  # noqa: ANN401 - each kind has its own
    """Read web content that is not a document yet."""
    module, function = _READINGS[kind]
    read = getattr(import_module(f"knowledge.web.reading.{module}"), function)
    meta = {
        ReadingKind.PAGE: (task.document, task.media_type or "", task.robots_tag),
        ReadingKind.ARTICLE: (task.document, task.media_type or ""),
        ReadingKind.FEED: (task.media_type or "", task.document),
        ReadingKind.SITEMAP: (),
        ReadingKind.NAMES: (task.document, task.media_type or ""),
    }[kind]
    return read(data, *meta)


def _parse_as(kind: Format, data: bytes, task: ParsingTask) -> Any:  # noqa: ANN401 - a function loaded by name
    """Parse a document in its format."""
    module, function = _FORMATS[kind]
    parse = getattr(import_module(f"knowledge.parsing.formats.{module}"), function)
    return parse(data, task.document, task.media_type) if kind in _TEXTUAL else parse(data, task.document)


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
