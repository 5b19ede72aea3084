"""Leaders that are killed, stopped, cut off or lose their connections, while two processes share one database.

For ``test_leaders.py`` and the soak.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.database.scripts import run_script
from tests.forks import Fork, end_fork, start_fork
from tests.sync.manifest.test_postgres import line_to
from tests.sync.running.killed_installation import Installation, Outcome
from tests.sync.running.killed_sync import World, opened
from tests.sync.running.leading_process import run_leading_process
from tests.waiting import WAIT_S

FAULTS = ("killed", "stopped", "terminated", "cut")
"""What happens to the leader; all but the first leave the process alive, and it goes on later."""


@dataclass
class LeaderOutcome:
    """What happened after a fault."""

    rounds: int = 0
    refused: int = 0
    """Syncs and leaderships of the first leader that ended because another process led."""
    slow_s: list[float] = field(default_factory=list)
    """The times from a fault until a process led."""
    problems: list[str] = field(default_factory=list)


class LeadingProcess:
    """A running ``leading_process.py`` with the lines that it wrote."""

    def __init__(self, name: str, process: Fork) -> None:
        self.name = name
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()

    async def read_lines(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().strip())
                self._changed.notify_all()

    async def wait_for(self, beginning: str, after: int = 0) -> None:
        """Wait for a line after so many others."""
        try:
            async with asyncio.timeout(WAIT_S), self._changed:
                await self._changed.wait_for(lambda: any(line.startswith(beginning) for line in self.lines[after:]))
        except TimeoutError:
            raise AssertionError(f"no “{beginning}” of {self.name} after line {after}: {self.lines[-9:]}") from None


@contextlib.asynccontextmanager
async def run_leading(name: str, world: World, valid_s: float) -> AsyncIterator[LeadingProcess]:
    process = await start_fork(run_leading_process, world, valid_s, stdin=PIPE, stdout=PIPE)
    leading = LeadingProcess(name, process)
    reading = asyncio.create_task(leading.read_lines())
    try:
        await leading.wait_for("ready")
        yield leading
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), WAIT_S)
    finally:
        await end_fork(process)
        await reading


async def run_fault(fault: str, folder: Path, url: str, seed: int, valid_s: float) -> LeaderOutcome:
    """Do something to the leader of two processes at a random moment; return what happened after it."""
    rng, outcome = random.Random(seed), LeaderOutcome(rounds=1)
    installation = Installation(folder, database_url=url)
    await installation.begin()
    async with contextlib.AsyncExitStack() as stack:
        passes = asyncio.Event()
        first_url = url
        if fault == "cut":
            first_url, passes = await stack.enter_async_context(line_to(url))
        if not url.startswith("sqlite"):
            first_url += f"{'&' if '?' in url else '?'}application_name=first"
        first_world = replace(installation.world, database_url=first_url)
        first = await stack.enter_async_context(run_leading("first", first_world, valid_s))
        await first.wait_for("leads")
        second = await stack.enter_async_context(run_leading("second", installation.world, valid_s))
        installation._fill()
        await first.wait_for("begins", len(first.lines))
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        seen, began = (len(first.lines), len(second.lines)), time.monotonic()
        await _break(fault, first, url, passes)
        installation._fill()  # what only the next leader sees
        waiting = (first, second) if fault == "terminated" else (second,)
        if fault != "terminated":
            await second.wait_for("leads")
            outcome.slow_s.append(time.monotonic() - began)
        await _wait_for_any(*waiting)
        passes.set()
        if fault == "stopped":
            first.process.send_signal(signal.SIGCONT)
        if fault in {"stopped", "cut"}:
            await first.wait_for("ends", seen[0])
            outcome.refused = sum(line.startswith(("ends", "failed")) for line in first.lines[seen[0] :])
        installation._fill()
        await _wait_for_any(*waiting)
    found = Outcome(killed=True)
    async with opened(replace(installation.world, database_url=url)) as library:
        await installation._compare(found, library)
    drift = [f"{found.drift} chunks differ"] if found.drift else []
    outcome.problems = [f"{fault}, seed {seed}: {one}" for one in (*found.left, *drift)]
    return outcome


async def _break(fault: str, first: LeadingProcess, url: str, passes: asyncio.Event) -> None:
    match fault:
        case "killed":
            first.process.kill()
        case "stopped":
            first.process.send_signal(signal.SIGSTOP)
        case "cut":
            passes.clear()
        case "terminated":
            # PgBouncer may have lent the connection of the script to the leader before.
            ended = "application_name = 'first' AND pid <> pg_backend_pid()"
            await run_script(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ended}")


async def _wait_until_synced(leader: LeadingProcess) -> None:
    """Wait for a sync that began after this call."""
    await leader.wait_for("leads")
    await leader.wait_for("begins", after := len(leader.lines))
    await leader.wait_for("synced True", after + 1)


async def _wait_for_any(*processes: LeadingProcess) -> None:
    tasks = [asyncio.create_task(_wait_until_synced(one)) for one in processes]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
