"""Answer the lines of standard input, each by one line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError

from bot.errors import BotError, InvalidLine
from bot.messages.errors import describe_error
from bot.terminal.output import print_error, print_json
from engine.errors import EngineError
from knowledge.errors import KnowledgeError

Json = dict[str, object]


async def answer_each_line(
    answer: Callable[[bytes], Awaitable[Json]], describe_failure: Callable[[bytes], Json]
) -> int:
    """Print the answer of each line in order and flushed, or its error; return exit status 1 if any failed.

    ``describe_failure`` returns the JSON of a failed line, to which the error is added.
    """
    failures = 0
    async for line in read_lines():
        try:
            print_json(await answer(line))
        except (BotError, EngineError, KnowledgeError) as error:
            print_json({**describe_failure(line), "error": describe_error(error)})
            failures += 1
    if failures:
        print_error(f"{failures} line(s) failed; the JSON has the reasons.")
    return 1 if failures else 0


def decode_line(line: bytes) -> str:
    """Return a line as text; bytes that are not UTF-8 become U+FFFD."""
    return line.decode("utf-8", errors="replace").strip()


def parse_question(line: bytes) -> str:
    """Return the question on a line.

    Raises:
        InvalidLine: it is empty or not UTF-8.

    """
    question = decode_line(line)
    if not question or "\ufffd" in question:
        raise InvalidLine("This line is empty or not UTF-8. Write one question on each line.")
    return question


async def read_lines() -> AsyncIterator[bytes]:
    """Yield the lines of standard input. A blocked read does not keep the process alive."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    def read_input() -> None:
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop is closed or closing
            for line in sys.stdin.buffer:
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()

    threading.Thread(target=read_input, name="standard input", daemon=True).start()
    while line := await lines.get():
        yield line
