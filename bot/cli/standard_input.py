"""Questions from standard input, one a line."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

from bot.errors import InvalidLine


async def read_questions() -> AsyncIterator[str]:
    """Yield the lines of standard input; bytes that are not UTF-8 become U+FFFD."""
    async for line in read_lines():
        yield line.decode("utf-8", errors="replace").strip()


def check_question(line: str) -> str:
    """Return the line if it is a question.

    Raises:
        InvalidLine: it is empty or not UTF-8.

    """
    if not line or "\ufffd" in line:
        raise InvalidLine("This line is empty or not UTF-8. Write one question on each line.")
    return line


async def read_lines() -> AsyncIterator[bytes]:
    """Yield the lines of standard input. A blocked read does not keep the process alive."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    def read() -> None:
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop is closed or closing
            for line in sys.stdin.buffer:
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while line := await lines.get():
        yield line
