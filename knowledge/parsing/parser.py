"""Parse documents in a separate process, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final, Protocol, TypeVar

import psutil

from knowledge.errors import DocumentScanned, DocumentTooLarge, ParseError, ParserUnavailable
from knowledge.interfaces import Document, DocumentContent
from knowledge.parsing.file_types import Format, count_pictures, detect_format, name_kind
from knowledge.parsing.wire import (
    HEADER,
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    NO_MEMORY,
    RECOGNITION,
    DocumentDecoder,
    ParsingTask,
    ReadingDecoder,
    ReadingKind,
    RecognitionKind,
    TaskKind,
    encode_task,
)

_log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES: Final = 50_000_000

_MAX_DEADLINE_S = 120.0
_TEXT_DEADLINE_S: Final = (10.0, 1.0)
_DEADLINES_S: Final = {
    Format.PDF: (20.0, 1.0),
    Format.DOCX: (20.0, 2.0),
    Format.PPTX: (20.0, 2.0),
    Format.XLSX: (20.0, 2.0),
}
"""The time for a document of a format: so many seconds, and so many more for each MB."""
_BUSY_SHARE = 0.8
"""If the process got a smaller share of its time from the machine, the machine is the reason that it took too long."""
_MEMORY_BYTES = 2_000_000_000
"""Address space of the process. A document that needs more is refused."""
_MAX_READING_BYTES = 10_000_000
"""Limit of what is read from web content. Its JSON is decoded in one call, which stops the event loop meanwhile."""
_PIECE_BYTES = 1 << 20
_THREAD_BYTES = 50_000  # A larger frame is decoded in a thread, so that the event loop goes on
_START_S, _LOAD_S = 60.0, 180.0
"""Time limit for the process to start, and to load models, too. The time of a document begins after it."""
_END_S = 2.0
_REMEDY = "Let Kvasir recognise its text (KVASIR_OCR=on, see docs/sources.md), or exclude it."
_Read_co = TypeVar("_Read_co", covariant=True)
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20)}
"""Text recognition spends a quarter of its time on new memory if each array gives its own back."""
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR")


class _Decoder(Protocol[_Read_co]):
    def decode(self, frame: bytes, /) -> None: ...

    def finish(self) -> _Read_co: ...


def check_size(document: str, size_bytes: int, limit_bytes: int = MAX_DOCUMENT_BYTES) -> None:
    """Refuse a document by its size, if possible before it is read.

    Raises:
        DocumentTooLarge: it is over the limit.

    """
    if size_bytes > limit_bytes:
        raise DocumentTooLarge(
            f"{document} has {size_bytes / 1e6:,.0f} MB, more than the limit of {limit_bytes / 1e6:,.0f} MB. "
            "Split it, or exclude it from the source."
        )


def compute_deadline_s(kind: TaskKind, size_bytes: int) -> float:
    """Return how long the process may take for a document of this format and size."""
    least_s, for_each_mb_s = _DEADLINES_S.get(kind, _TEXT_DEADLINE_S) if isinstance(kind, Format) else _TEXT_DEADLINE_S
    return least_s + for_each_mb_s * size_bytes / 1e6


class Parser:
    """Parses bytes in a process that starts with the first document, and is killed if one takes too long.

    That process forks another one for each document (``knowledge.parsing.worker``). A parser may be shared by the tasks
    of one loop, which wait for each other. A cancelled call kills the process too, and the next call starts another.
    ``deadline_s`` is the longest time for one document; small ones have less. A process that ``recognises`` loads the
    models of text recognition before it is ready.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_DOCUMENT_BYTES,
        deadline_s: float = _MAX_DEADLINE_S,
        memory_bytes: int = _MEMORY_BYTES,
        max_text_bytes: int = MAX_TEXT_BYTES,
        recognises: bool = False,
    ) -> None:
        self._arguments = (str(memory_bytes), *([RECOGNITION] if recognises else []))
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._max_text_bytes = max_text_bytes
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._gaps: tuple[str, ...] = ()

    async def parse(self, document: str, content: DocumentContent) -> Document:
        """Parse one document. The suffix of ``document``, its id, helps to detect the format.

        Raises:
            DocumentTooLarge: its size, memory or unpacked size is over the limit.
            DocumentEncrypted: it needs a password.
            DocumentScanned: it has only images of text.
            UnsupportedFormat: Kvasir does not read its format.
            ParserUnavailable: the machine lacks memory or time for it now.
            ParseError: it is broken, or took too long.

        """
        check_size(document, len(content.data), self._max_bytes)
        kind = detect_format(document, content.media_type, content.data)
        if kind is Format.PICTURE:
            raise DocumentScanned(f"{document} is a picture. {_REMEDY}", count_pictures(content.data))
        task = ParsingTask(kind, document, content.media_type, compute_deadline_s(kind, len(content.data)))
        parsed = await self._run_task(task, content.data, DocumentDecoder())
        if kind is Format.PDF and not parsed.sections:
            raise DocumentScanned(f"{document} has only scanned images of text. {_REMEDY}", parsed.unread_pages)
        return parsed

    async def recognise(self, document: str, content: DocumentContent, deadline_s: float, within_s: float) -> Document:
        """Read a picture or a scanned PDF by text recognition; no page is begun after ``within_s``.

        Raises:
            ParseError: as ``parse``.

        """
        check_size(document, len(content.data), self._max_bytes)
        is_picture = detect_format(document, content.media_type, content.data) is Format.PICTURE
        kind = RecognitionKind.PICTURE if is_picture else RecognitionKind.SCAN
        task = ParsingTask(kind, document, content.media_type, deadline_s, within_s=within_s)
        return await self._run_task(task, content.data, DocumentDecoder())

    async def read_content(
        self, kind: ReadingKind, data: bytes, url: str, media_type: str = "", robots_tag: str = ""
    ) -> object:
        """Read web content that is not a document yet, and return it as decoded JSON.

        Raises:
            ParseError: it is refused, took too long or too much memory, or crashed the process.

        """
        task = ParsingTask(kind, url, media_type, compute_deadline_s(kind, len(data)), robots_tag)
        return await self._run_task(task, data, ReadingDecoder())

    async def find_jail_gaps(self) -> tuple[str, ...]:
        """Return what this system lacks to lock the process in, as phrases; see ``enter_jail``.

        Raises:
            ParserUnavailable: no process can be started.

        """
        async with self._turn:
            if self._process is None:
                await self._start_process("The jail of the parser")
        return self._gaps

    @staticmethod
    def find_kind(document: str, content: DocumentContent) -> str:
        """Return the format of a parsed document, as ``type:`` filters it: ``md``, ``html``, ``pdf``."""
        return name_kind(detect_format(document, content.media_type, content.data), document)

    async def close(self) -> None:
        """End the process. It is safe to call twice."""
        async with self._turn:
            await self._end_process()

    def end_idle_process(self) -> None:
        """Let the process end if it has no document now; the next one starts another."""
        if self._process is not None and not self._turn.locked():
            _get_pipes(self._process)[0].close()
            self._process = None

    async def _run_task(self, task: ParsingTask, data: bytes, decoder: _Decoder[_Read_co]) -> _Read_co:
        task = replace(task, deadline_s=min(self._deadline_s, task.deadline_s))
        try:
            async with self._turn:
                await self._ask_process(task, data, decoder)
            return await asyncio.to_thread(decoder.finish)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ParseError(
                f"{task.document} made its parser return nonsense. Export it again, or exclude it."
            ) from error

    async def _ask_process(self, task: ParsingTask, data: bytes, decoder: _Decoder[object]) -> None:
        if self._process is not None and self._process.returncode is not None:
            # It died between two documents, for example out of memory, so neither of them is the cause.
            self._process = None
        process = self._process or await self._start_process(task.document)
        limit_bytes = _MAX_READING_BYTES if isinstance(task.kind, ReadingKind) else self._max_text_bytes
        finished = False
        try:
            async with asyncio.timeout(task.deadline_s):
                writer, reader = _get_pipes(process)
                await _send_task(writer, task, data)
                await _read_frames(reader, task.document, decoder, limit_bytes)
            finished = True
        except TimeoutError as error:
            was_busy = _measure_busy_s(process.pid) >= _BUSY_SHARE * task.deadline_s
            raise (ParseError if was_busy else ParserUnavailable)(
                f"{task.document} took over {task.deadline_s:.0f} s to read. Split it, or exclude it from the source."
            ) from error
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError) as error:
            raise await _explain_crash(task.document, process) from error
        finally:
            if not finished:
                await self._kill_process()

    async def _start_process(self, document: str) -> asyncio.subprocess.Process:
        argv = (sys.executable, "-P", "-m", "knowledge.parsing.worker", *self._arguments)
        pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        # None of these is a secret. The interfaces import numpy, which reserves memory for a thread on every core.
        environment = {"OPENBLAS_NUM_THREADS": "1"} | {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
        if RECOGNITION in self._arguments:
            environment |= _KEEP_MEMORY
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=devnull, env=environment
            )
        except OSError as error:
            raise ParserUnavailable(
                f"{document} cannot be read: no process can be started ({error.strerror or error}). "
                "Free memory on this machine, then sync again."
            ) from error
        self._process = process
        try:
            ready = ReadingDecoder()
            async with asyncio.timeout(_LOAD_S if RECOGNITION in self._arguments else _START_S):
                await _read_frames(_get_pipes(process)[1], document, ready, MAX_FRAME_BYTES)
            self._report_gaps(ready.finish())
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self._kill_process()
            raise ParserUnavailable(
                f"{document} cannot be read: the parsing process does not start. "
                "Free memory on this machine, then sync again."
            ) from error
        except BaseException:
            await self._kill_process()
            raise
        return process

    def _report_gaps(self, found: object) -> None:
        gaps = tuple(map(str, found)) if isinstance(found, list) else ()
        if gaps and not self._gaps:
            _log.warning("Documents are parsed with less protection: %s. See docs/security.md.", "; ".join(gaps))
        self._gaps = gaps

    async def _end_process(self) -> None:
        """End the process by closing its pipe, and kill it if it does not end."""
        process = self._process
        if process is None:
            return
        try:
            _get_pipes(process)[0].close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await process.wait()
        finally:
            await self._kill_process()

    async def _kill_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await asyncio.shield(_wait_for_end(process))


async def _wait_for_end(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed process. Its output must be read, because asyncio waits until its pipes are closed."""
    _, reader = _get_pipes(process)
    while await reader.read(_PIECE_BYTES):
        pass
    await process.wait()


async def _send_task(writer: asyncio.StreamWriter, task: ParsingTask, data: bytes) -> None:
    """Send a task in pieces, so that a large document is not copied again."""
    writer.write(encode_task(task, len(data)))
    for start in range(0, len(data), _PIECE_BYTES):
        writer.write(data[start : start + _PIECE_BYTES])
        await writer.drain()


async def _read_frames(
    reader: asyncio.StreamReader, document: str, decoder: _Decoder[object], max_text_bytes: int
) -> None:
    """Read and decode an answer. No frame stops the event loop for long."""
    is_last = 0
    while not is_last:
        is_last, size_bytes = HEADER.unpack(await reader.readexactly(HEADER.size))
        max_text_bytes -= size_bytes
        if max_text_bytes < 0:
            raise DocumentTooLarge(f"{document} has more text than the limit when unpacked. Split it, or exclude it.")
        if size_bytes > MAX_FRAME_BYTES:
            raise ValueError("the frame is too large")
        frame = await reader.readexactly(size_bytes)
        if size_bytes > _THREAD_BYTES:
            await asyncio.to_thread(decoder.decode, frame)
        else:
            decoder.decode(frame)


def _measure_busy_s(pid: int) -> float:
    """Return the time of a processor that the document's process has used, which the parsing process has forked."""
    busy_s = 0.0
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            times = child.cpu_times()
            busy_s += times.user + times.system
    return busy_s


def _get_pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started with pipes")
    return process.stdin, process.stdout


async def _explain_crash(document: str, process: asyncio.subprocess.Process) -> ParseError:
    try:
        async with asyncio.timeout(_END_S):
            status = await process.wait()
    except TimeoutError:
        status = 0
    if status == -signal.SIGPROF:
        return ParseError(f"{document} has a page that took too long to recognise. Make it smaller, or exclude it.")
    if status == NO_MEMORY:
        return DocumentTooLarge(f"{document} is too large when unpacked: it needs too much memory. Split it.")
    why = f" ({signal.Signals(-status).name})" if -status in signal.valid_signals() else ""
    # If the machine is out of memory, the kernel kills the process, or no process can be forked.
    return (ParserUnavailable if status in {-signal.SIGKILL, 1} else ParseError)(
        f"{document} crashed its parser{why}. Open it, save it again or export it as PDF or text, "
        "or exclude it from the source."
    )


async def describe_jail() -> tuple[str, ...]:
    """Start a parsing process, and return what this system lacks to lock it in; nothing if everything holds.

    Raises:
        ParserUnavailable: no process can be started.

    """
    parser = Parser()
    try:
        return await parser.find_jail_gaps()
    finally:
        await parser.close()


class ParserPool:
    """Parsers for people who wait. A second process starts only while the first one is busy."""

    def __init__(self, size: int, deadline_s: float) -> None:
        self._parsers = tuple(Parser(deadline_s=deadline_s) for _ in range(size))
        self._idle = list(self._parsers)
        self._turn = asyncio.Semaphore(size)

    @contextlib.asynccontextmanager
    async def acquire_parser(self) -> AsyncIterator[Parser]:
        """Lend a parser: of the idle ones, that which was used last."""
        async with self._turn:
            parser = self._idle.pop()
            try:
                yield parser
            finally:
                self._idle.append(parser)

    async def close(self) -> None:
        """End the processes. It is safe to call twice."""
        for parser in self._parsers:
            await parser.close()
