"""Parse documents in a separate process, one at a time."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Callable
from typing import Final, TypeVar

from knowledge.errors import DocumentTooLarge, ParseError
from knowledge.interfaces import Document, DocumentContent
from knowledge.parsing.file_types import detect_format, name_kind
from knowledge.parsing.wire import HEADER, ParsingTask, ReadingKind, decode_reading, decode_result, encode_task

MAX_DOCUMENT_BYTES: Final = 50_000_000

_DEADLINE_S = 120.0
_RECYCLE_AFTER = 500
"""Documents after which the process is replaced, because its libraries may leak memory."""
_LARGE_BYTES = 8_000_000
"""A larger document replaces the process immediately, which frees its memory."""
_MEMORY_BYTES = 2_000_000_000
"""Address space of the process. A document that needs more is refused."""
_MAX_TEXT_BYTES = 100_000_000
"""Limit of a document's text. A table repeats its columns' names in each row."""
_PIECE_BYTES = 1 << 20
_START_S = 60.0
"""Time limit for the process to start. The time of a document begins after it."""
_END_S = 2.0
_Read = TypeVar("_Read")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR")


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


class Parser:
    """Parses bytes in a process that starts with the first document, and is killed if one takes too long.

    It may be shared by the tasks of one loop, which wait for each other. A cancelled call kills the process too, and
    the next call starts another.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_DOCUMENT_BYTES,
        deadline_s: float = _DEADLINE_S,
        recycle_after: int = _RECYCLE_AFTER,
        memory_bytes: int = _MEMORY_BYTES,
        max_text_bytes: int = _MAX_TEXT_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s
        self._recycle_after = recycle_after
        self._memory_bytes = memory_bytes
        self._max_text_bytes = max_text_bytes
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._served = 0

    async def parse(self, document: str, content: DocumentContent) -> Document:
        """Parse one document. The suffix of ``document``, its id, helps to detect the format.

        Raises:
            DocumentTooLarge: its size, memory or unpacked size is over the limit.
            DocumentEncrypted: it needs a password.
            UnsupportedFormat: Kvasir does not read its format.
            ParseError: it is broken, has no text, or took too long.

        """
        check_size(document, len(content.data), self._max_bytes)
        kind = detect_format(document, content.media_type, content.data)
        task = ParsingTask(kind, document, content.media_type, self._deadline_s)
        return await self._run_task(task, content.data, decode_result)

    async def read_content(
        self, kind: ReadingKind, data: bytes, url: str, media_type: str = "", robots_tag: str = ""
    ) -> object:
        """Read web content that is not a document yet, and return it as decoded JSON.

        Raises:
            ParseError: it is refused, took too long or too much memory, or crashed the process.

        """
        task = ParsingTask(kind, url, media_type, self._deadline_s, robots_tag)
        return await self._run_task(task, data, decode_reading)

    @staticmethod
    def find_kind(document: str, content: DocumentContent) -> str:
        """Return the format of a parsed document, as ``type:`` filters it: ``md``, ``html``, ``pdf``."""
        return name_kind(detect_format(document, content.media_type, content.data), document)

    async def close(self) -> None:
        """End the process. It is safe to call twice."""
        async with self._turn:
            await self._end_process()

    async def _run_task(self, task: ParsingTask, data: bytes, decode: Callable[[str], _Read]) -> _Read:
        async with self._turn:
            answer = await self._ask_process(task, data)
        try:
            return decode(answer)
        except (ValueError, TypeError, KeyError) as error:
            raise ParseError(
                f"{task.document} made its parser return nonsense. Export it again, or exclude it."
            ) from error

    async def _ask_process(self, task: ParsingTask, data: bytes) -> str:
        if self._process is not None and self._process.returncode is not None:
            # It died between two documents, for example out of memory, so neither of them is the cause.
            self._process = None
        process = self._process or await self._start_process(task.document)
        finished = False
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await _exchange_frames(process, task, data, self._max_text_bytes)
            finished = True
        except TimeoutError as error:
            raise ParseError(
                f"{task.document} took over {self._deadline_s:.0f} s to read. Split it, or exclude it from the source."
            ) from error
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError) as error:
            raise ParseError(await _describe_crash(task.document, process)) from error
        finally:
            if not finished:
                await self._kill_process()
        self._served += 1
        if self._served >= self._recycle_after or len(data) > _LARGE_BYTES:
            await self._end_process()
        return answer

    async def _start_process(self, document: str) -> asyncio.subprocess.Process:
        argv = (sys.executable, "-P", "-m", "knowledge.parsing.worker", str(self._memory_bytes))
        pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        # None of these is a secret. The interfaces import numpy, which reserves memory for a thread on every core.
        environment = {"OPENBLAS_NUM_THREADS": "1"} | {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe, stdout=pipe, stderr=devnull, env=environment
            )
        except OSError as error:
            raise ParseError(
                f"{document} cannot be read: no process can be started ({error.strerror or error}). "
                "Free memory on this machine, then sync again."
            ) from error
        self._process, self._served = process, 0
        try:
            async with asyncio.timeout(_START_S):
                await _get_pipes(process)[1].readexactly(HEADER.size)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self._kill_process()
            raise ParseError(
                f"{document} cannot be read: the parsing process does not start. "
                "Free memory on this machine, then sync again."
            ) from error
        except BaseException:
            await self._kill_process()
            raise
        return process

    async def _end_process(self) -> None:
        """End the process by closing its pipe, and kill it if it does not end."""
        process = self._process
        if process is None:
            return
        try:
            _get_pipes(process)[0].close()
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            pass
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


async def _exchange_frames(
    process: asyncio.subprocess.Process, task: ParsingTask, data: bytes, max_text_bytes: int
) -> str:
    """Send a task and return the answer, in pieces, so that a large document is not copied again."""
    writer, reader = _get_pipes(process)
    writer.write(encode_task(task, len(data)))
    for start in range(0, len(data), _PIECE_BYTES):
        writer.write(data[start : start + _PIECE_BYTES])
        await writer.drain()
    _, size_bytes = HEADER.unpack(await reader.readexactly(HEADER.size))
    if size_bytes > max_text_bytes:
        raise DocumentTooLarge(f"{task.document} has more text than the limit when unpacked. Split it, or exclude it.")
    return await _read_text(reader, size_bytes)


async def _read_text(reader: asyncio.StreamReader, size_bytes: int) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces: list[str] = []
    while size_bytes:
        piece = await reader.readexactly(min(size_bytes, _PIECE_BYTES))
        size_bytes -= len(piece)
        pieces.append(decoder.decode(piece, final=not size_bytes))
    return "".join(pieces)


def _get_pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started with pipes")
    return process.stdin, process.stdout


async def _describe_crash(document: str, process: asyncio.subprocess.Process) -> str:
    try:
        async with asyncio.timeout(_END_S):
            status = await process.wait()
    except TimeoutError:
        status = 0
    why = f" ({signal.Signals(-status).name})" if -status in signal.valid_signals() else ""
    return (
        f"{document} crashed its parser{why}. Open it, save it again or export it as PDF or text, "
        "or exclude it from the source."
    )
