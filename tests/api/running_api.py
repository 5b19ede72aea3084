"""Runs Kvasir with its API as ``kvasir run`` does. Only the servers of Slack and of the model are fakes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bot.app import serve
from bot.config.settings import load_settings
from bot.storage.api_keys import ApiKey, ApiKeys
from bot.storage.turns.ledger import open_ledger
from bot.terminal.terminal import Terminal
from tests.engine.fakes import FakeSglang, fake_sglang
from tests.services import free_ports
from tests.slack_sandbox import SandboxClient, open_sandbox
from tests.soak.parrot import Parrot
from tests.waiting import WAIT_S

Json = dict[str, Any]
ADA, BO, GUS = "U0ADA00001", "U0BO000002", "U0GUS00005"
TEAM = "T0SANDBOX1"
SOURCES = ("handbook", "board", "reorg")
LEAVE = "Every employee has 28 days of annual leave. Unused leave expires at the end of March."
MINUTES = "The board closes the harbour office in November. The staff moves to Uppsala."
PLANS = "The platform team merges with the support team in May. Its new name is Bifrost."
CONFIGURATION = f"""
[sync]
nightly = ""
[slack]
questions_per_minute = 0
[[source]]
name = "handbook"
kind = "folder"
path = "handbook"
readers = ["*", "guests"]
[[source]]
name = "board"
kind = "folder"
path = "board"
readers = ["{ADA}"]
[[source]]
name = "reorg"
kind = "folder"
path = "reorg"
readers = ["C0REORG001"]
"""


@dataclass
class RunningApi:
    """A running Kvasir, and what its clients need."""

    url: str
    sandbox: SandboxClient
    engine: FakeSglang
    model: Parrot
    keys: ApiKeys
    session: aiohttp.ClientSession
    output: io.StringIO = field(repr=False)
    home: Path

    async def create_key(self, user: str = "", **fields: Any) -> str:
        """Return a new key of a person, or of an application without one."""
        kind = ("person", TEAM, user) if user else ("application", "", "")
        _, secret = await self.keys.create_key(ApiKey("a test", *kind, **fields))  # type: ignore[arg-type]
        return secret

    async def post(
        self, path: str, body: object, key: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """Return the status and the JSON of a response."""
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        async with self.session.post(f"{self.url}{path}", json=body, headers=sent) as answer:
            return answer.status, json.loads(await answer.text())

    async def ask(self, question: str, key: str, headers: Mapping[str, str] | None = None, **more: Any) -> Json:
        """Return the answer to a question."""
        status, answer = await self.post("/v1/answers", {"question": question, **more}, key, headers)
        assert status == 200, answer
        return answer


@contextlib.asynccontextmanager
async def run_api(folder: Path, configuration: str = CONFIGURATION, **variables: str) -> AsyncIterator[RunningApi]:
    """Run Kvasir with three documents until the block ends."""
    for source, text in zip(SOURCES, (LEAVE, MINUTES, PLANS), strict=True):
        (folder / source).mkdir()
        (folder / source / f"{source}.md").write_text(f"# The {source}\n\n## Decisions\n\n{text}\n")
    (folder / "kvasir.toml").write_text(configuration)
    (folder / "home").mkdir()
    port = free_ports(1)[0]
    async with fake_sglang() as engine, open_sandbox(folder, pace="off") as sandbox, aiohttp.ClientSession() as session:
        environ = {
            **sandbox.env, "KVASIR_HOME": str(folder / "home"), "KVASIR_ENGINE_URL": engine.url,
            "KVASIR_API_PORT": str(port),
            **{name: os.environ[name] for name in ("KVASIR_CACHE",) if name in os.environ},
            **variables,
        }  # fmt: skip
        model, output = Parrot(engine), io.StringIO()
        settings = load_settings(environ, folder)
        serving = asyncio.create_task(serve(settings, Terminal(output)))
        try:
            await _wait_until_ready(serving, output)
            async with open_ledger(settings.database_url) as ledger:
                yield RunningApi(
                    f"http://127.0.0.1:{port}",
                    sandbox,
                    engine,
                    model,
                    ApiKeys(ledger.database),
                    session,
                    output,
                    folder / "home",
                )
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def _wait_until_ready(serving: asyncio.Task[None], output: io.StringIO) -> None:
    expected = ("answers at", "ready", *(f"{one}: 1 added" for one in SOURCES))
    async with asyncio.timeout(WAIT_S):
        while not all(text in output.getvalue() for text in expected):
            if serving.done():
                serving.result()
            await asyncio.sleep(0.05)
