"""Runs the real app for many workspaces, which a test installs as a browser does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.fernet import Fernet

from bot.sandbox.server import SandboxOptions, serve_sandbox
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.settings import OAuthSettings, SlackSettings
from bot.slack.workspace.installations.app import InstalledApp, open_installed_app
from bot.storage.turns.ledger import Ledger, open_ledger
from tests.services import free_ports
from tests.slack.running_bot import (
    QUICK_TURNS,
    FakeLibrary,
    ScriptedAnswerer,
    echo_question,
    get_text,
    make_dependencies,
)
from tests.slack_sandbox import SandboxClient

KEY = Fernet.generate_key().decode()
FIRST, SECOND = "T0SANDBOX1", "T1SANDBOX1"


@dataclass
class Place:
    """Slack with some workspaces, in the order of their installation."""

    boxes: list[SandboxClient]
    session: aiohttp.ClientSession
    client_id: str
    client_secret: str

    @property
    def first(self) -> SandboxClient:
        return self.boxes[0]

    @property
    def second(self) -> SandboxClient:
        return self.boxes[1]


@contextlib.asynccontextmanager
async def open_place(state: Path, **options: Any) -> AsyncIterator[Place]:
    """Serve two workspaces that have not installed the app."""
    chosen = SandboxOptions(state / "sandbox", 0, **({"oauth_workspaces": 2} | options))
    async with serve_sandbox(chosen) as running, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        boxes = []
        for one in (running, *running.further):
            box = SandboxClient(one.base_url, one.credentials, session)
            box.api_url, box.hub = f"{running.base_url}/api/", one.hub
            boxes.append(box)
        yield Place(boxes, session, running.credentials.client_id, running.credentials.client_secret)


@dataclass
class InstalledBot:
    """The app in one process."""

    place: Place
    app: InstalledApp
    answerer: ScriptedAnswerer
    ledger: Ledger
    url: str
    running: asyncio.Task[None]

    async def begin(self) -> tuple[str, str]:
        """Open the address of an installation; return where it leads, and its cookie."""
        async with self.place.session.get(f"{self.url}/slack/install", allow_redirects=False) as answer:
            assert answer.status == 302
            return answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]

    async def allow(self, consent: str, team: str) -> str:
        """Allow the app in a workspace; return where Slack sends the browser."""
        url = consent.replace("/oauth/v2/authorize?", "/oauth/v2/authorize/allow?") + f"&team={team}"
        async with self.place.session.get(url, allow_redirects=False) as answer:
            return answer.headers["Location"]

    async def come_back(self, url: str, cookie: str) -> tuple[int, str]:
        """Return the status and the page for a browser that Slack sends back."""
        async with self.place.session.get(url, headers={"Cookie": cookie}, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def install(self, team: str) -> tuple[int, str]:
        """Install the app; return the status and the last page."""
        consent, cookie = await self.begin()
        return await self.come_back(await self.allow(consent, team), cookie)

    async def wait_until_open(self, *teams: str) -> None:
        """Wait until exactly these workspaces are open."""
        workspaces = self.app.workspaces
        await self.place.first.wait_until(lambda: sorted(workspaces.workspaces) == sorted(teams), what="workspaces")


@contextlib.asynccontextmanager
async def run_installed_bot(
    place: Place,
    state: Path,
    *,
    port: int | None = None,
    over_http: bool = False,
    workspaces: Sequence[str] = (FIRST, SECOND),
    keys: Sequence[str] = (KEY,),
    database: str | None = None,
    settings: TurnSettings = QUICK_TURNS,
    library: FakeLibrary | None = None,
    **dependencies: Any,
) -> AsyncIterator[InstalledBot]:
    """Run the app, connected, in the workspaces that have installed it."""
    port = port or free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    oauth = OAuthSettings(place.client_id, place.client_secret, tuple(keys), url, tuple(workspaces))
    slack = SlackSettings(
        "",
        app_token=None if over_http else place.first.app_token,
        signing_secret=place.first.signing_secret if over_http else None,
        api_url=place.first.api_url,
        port=port,
        oauth=oauth,
    )
    answerer = ScriptedAnswerer(echo_question)
    async with open_ledger(database or f"sqlite:///{state / 'ledger.sqlite3'}", patience_s=0.5) as ledger:
        made = make_dependencies(ledger, answerer, library or FakeLibrary(), dependencies)
        async with open_installed_app(slack, oauth, made, turn_settings=settings) as app:
            await app.connect()
            running = asyncio.create_task(app.run_until_revoked())
            try:
                yield InstalledBot(place, app, answerer, ledger, url, running)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


async def wait_for_answer(box: SandboxClient, root: str, contains: str = "That is all.") -> dict[str, Any]:
    """Wait for a complete answer in a thread of #general, and return its message."""
    return await box.wait_for_message(
        lambda m: m["root"] == root and m.get("bot_id") and contains in get_text(m) and m.get("metadata")
    )


async def list_answers(box: SandboxClient, root: str) -> list[dict[str, Any]]:
    """Return the app's messages in a thread of #general."""
    return [m for m in await box.messages() if m["root"] == root and m.get("bot_id") and m["ts"] != root]
