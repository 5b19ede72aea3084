"""Test commands that end before standard input does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

LEAVES = """
import asyncio
import time
from bot.cli.standard_input import read_lines

async def main():
    async for line in read_lines():
        print(line.decode().strip())
        await asyncio.sleep(0.2)  # the reader waits for room in the queue by then
        return

asyncio.run(main())
time.sleep(0.5)  # the reader has its say
"""


@pytest.mark.slow
async def test_a_command_that_ends_early_prints_no_traceback() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEAVES,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    out, err = await process.communicate(b"a question\n" * 500)
    assert (process.returncode, out, err) == (0, b"a question\n", b"")
