"""Fixtures for Kvasir as a person starts it: the command, in a folder of its own, with real services."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from bot.sandbox.http.credentials import load_credentials
from tests.forks import Fork, call_command, run_command, start_command
from tests.slack_sandbox import TRIGGER_LIFETIME_S, SandboxClient

ROOT = Path(__file__).parents[2]
_STOP_S = 90.0
"""More than a run's own deadlines add up to: answers under way 20 s, the engine 20 s, then what is open."""
_ADDRESS = re.compile(r"answers at (http://\S+)")
Process = Fork | asyncio.subprocess.Process


@dataclass
class Running:
    """A running ``kvasir run``."""

    process: Process
    box: SandboxClient
    lines: list[str]

    def family(self) -> list[psutil.Process]:
        """Return the process and all its current descendants."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    async def line(self, contains: str, deadline_s: float = 240.0) -> str:
        """Wait for a line of output."""
        async with asyncio.timeout(deadline_s):
            while True:
                for line in self.lines:
                    if contains in line:
                        return line
                await asyncio.sleep(0.05)


@dataclass
class Place:
    """A folder with a kvasir.toml, as in the documentation."""

    folder: Path
    starts_python: bool = False
    """``run`` starts Python instead of a fork, for what Python does only when it starts."""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environ(self, **more: str) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "KVASIR_"))}
        if "KVASIR_CACHE" in os.environ:
            ours["KVASIR_CACHE"] = os.environ["KVASIR_CACHE"]
        return {**ours, "KVASIR_HOME": str(self.home), "KVASIR_SANDBOX_PORT": "0", "KVASIR_DRAIN_S": "20", **more}

    @contextlib.asynccontextmanager
    async def run(self, *arguments: str, **environ: str) -> AsyncIterator[Running]:
        """Start ``kvasir run``, and stop it after this block as Ctrl-C does."""
        argv, env = ("run", *arguments), self.environ(**{"PYTHONPATH": str(ROOT)} | environ)
        process: Process
        if self.starts_python:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", *argv, cwd=self.folder, env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
            )
        else:
            process = await start_command(argv, cwd=self.folder, env=env, stderr=PIPE)
        lines: list[str] = []
        reader = asyncio.create_task(_read(process, lines))
        session = aiohttp.ClientSession()
        try:
            url = await _address(process, lines)
            box = SandboxClient(url, load_credentials(self.home / "sandbox"), session)
            await box.set_trigger_lifetime(TRIGGER_LIFETIME_S)
            yield Running(process, box, lines)
        finally:
            await session.close()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _STOP_S)
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            reader.cancel()

    async def command(self, *arguments: str, stdin: bytes = b"", **environ: str) -> tuple[int, str, str]:
        """Run a command in this process; return its exit status, standard output and standard error, without logs."""
        return await call_command(self.folder, self.environ(**environ), arguments, stdin)

    async def fork_command(self, *arguments: str, stdin: bytes = b"", **environ: str) -> tuple[int, str, str]:
        """Run a command in a process of its own; return its exit status, standard output and standard error."""
        return await run_command(
            self.folder, self.environ(PYTHONPATH=str(ROOT), **environ), arguments, stdin, timeout_s=110
        )

    async def json(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """Run a command with --json; return the JSON object."""
        status, out, err = await self.command(*arguments, "--json", **environ)
        assert status == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer


async def _read(process: Process, lines: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        lines.append(line.decode(errors="replace").rstrip())


async def _address(process: Process, lines: list[str]) -> str:
    async with asyncio.timeout(240.0):
        while True:
            for line in lines:
                if found := _ADDRESS.search(line):
                    return found.group(1)
            assert process.returncode is None, "\n".join(lines)
            await asyncio.sleep(0.05)


def configure_few_pages(folder: Path) -> str:
    """Copy a part of this repository's documentation, which is read in seconds, and return the table of its source."""
    (folder / "docs").mkdir()
    for name in ("knowledge.md", "live-web.md"):
        shutil.copy(ROOT / "docs" / name, folder / "docs")
    return '[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a folder whose one source is this repository's documentation."""
    (tmp_path / "kvasir.toml").write_text(
        f'[[source]]\nname = "docs"\nkind = "folder"\npath = "{ROOT / "docs"}"\n', encoding="utf-8"
    )
    return Place(tmp_path)
