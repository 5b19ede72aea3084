"""Runs a bot in a process that a test kills, with Slack's address in the environment.

Each answer has twenty parts ("Part 0. ", "Part 1. " …) with ``PAUSE_S`` between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from bot.answering.events import AnswerEvent, Question, Text
from bot.answering.verified_answers.verified_answerer import Answering
from bot.slack.turns.dependencies import SlackDependencies
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.settings import SlackSettings
from bot.slack.workspace.app import open_slack_app
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from engine.interfaces import EngineState, EngineStatus
from knowledge.database.failures import wait_for_database
from tests.forks import Fork, end_fork, start_fork
from tests.slack.running_bot import QUICK_TURNS, FakeLibrary, make_finished
from tests.slack_sandbox import SandboxClient

ROOT = Path(__file__).parents[2]


class SlowAnswerer:
    async def answer(self, _question: Question) -> AsyncGenerator[AnswerEvent]:
        for n in range(20):
            yield Text(f"Part {n}. ")
            await asyncio.sleep(float(os.environ["PAUSE_S"]))
        yield make_finished()


async def serve_bot(state: Path, answerer: Answering, turn_settings: TurnSettings = QUICK_TURNS) -> None:
    """Serve until SIGTERM."""
    settings = SlackSettings(
        bot_token=os.environ["SLACK_BOT_TOKEN"],
        app_token=os.environ["SLACK_APP_TOKEN"],
        api_url=os.environ["SLACK_API_URL"],
    )
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{state / 'ledger.sqlite3'}"
    async with contextlib.AsyncExitStack() as stack:
        ledger = await wait_for_database(lambda: stack.enter_async_context(open_ledger(url)))
        library = FakeLibrary()
        dependencies = SlackDependencies(
            ledger,
            SharedChanges(ledger.database),
            answerer,
            library,
            library.search,
            lambda: EngineStatus(EngineState.READY),
        )
        app = await stack.enter_async_context(open_slack_app(settings, dependencies, turn_settings=turn_settings))
        await app.connect()
        await app.run_until_revoked()


@contextlib.asynccontextmanager
async def run_bot_process(sandbox: SandboxClient, state: Path, **env: str) -> AsyncIterator[Fork]:
    """Run the bot in a process of its own, and kill it with SIGKILL at the end."""
    environ = {**os.environ, **sandbox.env, "PYTHONPATH": str(ROOT), "PAUSE_S": "0.05", **env}
    process = await start_fork(run_slow_bot, state, env=environ)
    try:
        yield process
    finally:
        await end_fork(process)


def run_slow_bot(state: Path) -> None:
    asyncio.run(serve_bot(state, SlowAnswerer()))
