"""The real Bolt app in a sandbox workspace, with answers that a test scripts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from bot.answering.events import AnswerEvent, Finished, Passage, Question, Sources, Text
from bot.error_messages import describe_error
from bot.slack.app import SlackApp, SlackDependencies, open_slack_app
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.settings import SlackSettings
from bot.slack.turns.settings import TurnSettings
from bot.storage.ledger import Ledger, open_ledger
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import PendingDeletionsChanged
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import OnProgress, SourceReport, SyncProgress, SyncReport
from tests.services import free_ports
from tests.slack_sandbox import Box, sandbox

Transport = Literal["socket", "http"]
Script = Callable[[Question], AsyncIterator[AnswerEvent]]

PASSAGE = Passage(1, "docs", "sources.md", "Adding a source", "kvasir.toml", "https://kb.example/sources", "Add it.")


def finished(*cited: Passage) -> Finished:
    return Finished("engine", cited, {"total": 0.1})


async def echo(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Answer with the question itself, cited."""
    yield Sources((PASSAGE,))
    yield Text(f"You asked: {question.text} [1]. ", (PASSAGE,))
    yield Text("That is all.")
    yield finished(PASSAGE)


def saying(*texts: str) -> Script:
    """Return a script that says these texts."""

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        for text in texts:
            yield Text(text)
        yield finished()

    return script


@dataclass
class Scripted:
    """An answerer whose answers a test writes; it keeps the questions."""

    script: Script = echo
    questions: list[Question] = field(default_factory=list)
    closed: int = 0
    """Answers that came to an end, whichever."""

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        self.questions.append(question)
        try:
            events = self.script(question)
            async for event in events:
                yield event
        finally:
            self.closed += 1


class Held:
    """A script that says something, then waits until it is told to go on."""

    def __init__(self, first: str = "The first half. ", second: str = "The second half.") -> None:
        self.first, self.second = first, second
        self.go = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, _question: Question) -> AsyncGenerator[AnswerEvent]:
        if self.first:
            yield Text(self.first)
        self.reached.set()
        await self.go.wait()
        yield Text(self.second)
        yield finished()


def source(name: str = "docs", *, hours: float | None = 3.0, **more: Any) -> SourceStatus:
    """Return how a source is that was synced some hours ago."""
    synced_at = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    told: dict[str, Any] = {
        "kind": "folder", "root": "/srv/docs", "documents": 7, "chunks": 1_234, "failed": 0, "failures": (),
        "pending_deletions": 0,
        "synced_at": synced_at, "error": None, "schedule": None, "syncing": None,
        "age_s": None if hours is None else hours * 3_600.0,
    }  # fmt: skip
    return SourceStatus(name=name, **{**told, **more})


@dataclass
class Shelf:
    """A library of one document."""

    hits: tuple[Hit, ...] = ()
    refreshed: list[str | None] = field(default_factory=list)
    failure: Exception | None = None
    progress: tuple[SyncProgress, ...] = ()
    go: asyncio.Event | None = None
    state: LibraryStatus = field(default_factory=lambda: LibraryStatus("lancedb", indexing=False, sources=(source(),)))
    searched: list[str] = field(default_factory=list)
    approved: list[str | None] = field(default_factory=list)
    report: SyncReport = field(
        default_factory=lambda: SyncReport({"docs": SourceReport(listed=7, unchanged=5, added=2)}, 1.5)
    )

    async def search(self, query: str, *, limit: int) -> SearchResult:
        self.searched.append(query)
        if self.failure:
            raise self.failure
        return SearchResult(query, self.hits[:limit], 0.01, answerable=True)

    async def refresh(
        self, source: str | None = None, *, on_progress: OnProgress, approve: Mapping[str, str] | None = None
    ) -> SyncReport:
        (self.approved if approve else self.refreshed).append(source)
        if approve and approve != self.state.approval_marks(source):
            raise PendingDeletionsChanged("What is held has changed.")
        if self.failure:
            raise self.failure
        for progress in self.progress:
            on_progress(progress)
            await asyncio.sleep(0)
        if self.go is not None:
            await self.go.wait()
        return self.report

    async def status(self) -> LibraryStatus:
        return self.state


@dataclass
class Bot:
    """A bot that runs in a sandbox."""

    box: Box
    app: SlackApp
    answerer: Scripted
    shelf: Shelf
    ledger: Ledger
    running: asyncio.Task[None]

    async def ask(self, text: str = "@Kvasir how?", channel: str = "#general", **more: Any) -> str:
        return await self.box.say("ada", channel, text, **more)

    async def answers(self, root: str, channel: str = "#general") -> list[dict[str, Any]]:
        """Return the bot's messages in a thread."""
        return [
            m for m in await self.box.messages(channel) if m["root"] == root and m.get("bot_id") and m["ts"] != root
        ]

    async def answer(self, root: str, contains: str = "That is all.", channel: str = "#general") -> dict[str, Any]:
        """Return the bot's message that holds some text and is complete, once it is there."""
        return await self.box.wait_for_message(
            lambda m: m["root"] == root and m.get("bot_id") and contains in shown(m) and m.get("metadata"),
            channel=channel,
        )

    async def settled(self) -> None:
        """Wait until everything that Slack sent was taken and answered."""
        await self.box.wait_delivered()
        await self.box.wait_until(lambda: not self.app._turns._running, what="end of the turns")


def shown(message: Mapping[str, Any]) -> str:
    """Return all that a message shows, as one text."""
    parts = [str(message.get("text") or "")]
    for block in message.get("blocks") or ():
        text = block.get("text")
        parts.append(text if isinstance(text, str) else str((text or {}).get("text", "")))
        parts += [str(element.get("text", "")) for element in block.get("elements") or () if isinstance(element, dict)]
    return "\n".join(parts)


def body(message: Mapping[str, Any]) -> str:
    """Return a message's Markdown."""
    blocks = [block["text"] for block in message.get("blocks") or () if block["type"] == "markdown"]
    return "\n".join(blocks) or str(message.get("text") or "")


def free_port() -> int:
    return free_ports(1)[0]


QUICK = TurnSettings(drain_s=0.2, heartbeat_s=0.1)


@contextlib.asynccontextmanager
async def bot_in(
    box: Box,
    state: Path,
    *,
    script: Script = echo,
    port: int | None = None,
    settings: TurnSettings = QUICK,
    capabilities: SlackCapabilities | None = None,
    database: str | None = None,
    shelf: Shelf | None = None,
    owner: str | None = None,
    deps: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Bot]:
    """Run the bot in a workspace, over Socket Mode, or over HTTP on a port."""
    slack = SlackSettings(
        bot_token=box.bot_token,
        app_token=box.app_token if port is None else None,
        signing_secret=box.signing_secret,
        api_url=box.api_url,
        port=port or 0,
    )
    answerer, shelf = Scripted(script), shelf or Shelf()
    url = database or f"sqlite:///{state / 'ledger.sqlite3'}"
    async with open_ledger(url, patience_s=0.5, owner=owner) as ledger:
        given = SlackDependencies(
            ledger, answerer, shelf, lambda: EngineStatus(EngineState.READY, model="r1"), describe_error, **(deps or {})
        )
        async with open_slack_app(slack, given, turn_settings=settings, capabilities=capabilities, **options) as app:
            await app.connect()
            running = asyncio.create_task(app.run_until_revoked())
            await box.wait_connected()
            try:
                yield Bot(box, app, answerer, shelf, ledger, running)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def house(
    state: Path, transport: Transport, *, box_options: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Bot]:
    """Run a workspace and the bot in it."""
    port = free_port() if transport == "http" else None
    events_url = f"http://127.0.0.1:{port}/slack/events" if port else None
    async with (
        sandbox(state, events_url=events_url, **(box_options or {})) as box,
        bot_in(box, state, port=port, **options) as bot,
    ):
        yield bot
