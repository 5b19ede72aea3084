"""A replica of the bot in a process of its own, whose engine counts its answers.

Each generation of an answer appends the question's number to the file ``generations`` in the state folder. An answer
takes ``answer_s``, and its replica waits for its end; 0 for answers of random lengths, which a replica cuts short.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

from bot import logs
from bot.answering.events import AnswerEvent, Question, Sources, Text
from tests.forks import Fork, start_fork
from tests.slack.bot_process import serve_bot
from tests.slack.running_bot import PASSAGE, QUICK_TURNS, make_finished
from tests.slack_sandbox import SandboxClient
from tests.soak.turns.plan import choose_pause_s, list_parts

ROOT = Path(__file__).parents[3]
COUNTS = "generations"
_NUMBER = re.compile(r"q(\d+)")
_DRAIN_S = 180.0


class CountingAnswerer:
    """Answers with the sentences of the plan."""

    def __init__(self, counts: Path, answer_s: float) -> None:
        self._counts = counts
        self._answer_s = answer_s

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        found = _NUMBER.search(question.text)
        assert found is not None, question.text
        number = int(found[1])
        with self._counts.open("a") as file:
            file.write(f"{number}\n")
        yield Sources((PASSAGE,))
        parts = list_parts(number)
        for part in parts:
            await asyncio.sleep(self._answer_s / len(parts) if self._answer_s else choose_pause_s(number))
            yield Text(part)
        yield make_finished(PASSAGE)


class Replica:
    """Starts and ends the process."""

    def __init__(self, sandbox: SandboxClient, state: Path, database: str, number: int, answer_s: float) -> None:
        self._env = {**os.environ, **sandbox.env, "PYTHONPATH": str(ROOT), "DATABASE_URL": database}
        self._arguments = (state, answer_s)
        self._log = state / f"replica-{number}.log"
        self._process: Fork | None = None

    async def start(self) -> None:
        """Start the process; it connects later."""
        with self._log.open("ab") as log:
            self._process = await start_fork(run_replica, *self._arguments, env=self._env, stdout=log, stderr=log)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal and wait for the end; return the exit status of a process that ended by itself before."""
        process = self._process
        if process is None:
            return None
        if process.returncode is not None:
            return process.returncode
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        await process.wait()
        return None


def run_replica(state: Path, answer_s: float) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_serve(state, answer_s))


async def _serve(state: Path, answer_s: float) -> None:
    logs.configure_logging()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    turns = replace(QUICK_TURNS, drain_s=_DRAIN_S if answer_s else 1.0, refused_s=3.0)
    await serve_bot(state, CountingAnswerer(state / COUNTS, answer_s), turns)
