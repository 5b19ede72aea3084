"""Runs the real Bolt app in a sandbox workspace, with answers that a test scripts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Engine, event

from bot.answering.events import AnswerEvent, Finished, Passage, Question, Sources, Text
from bot.answering.support.embedding_cache import Embed
from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from bot.answering.verified_answers.verified_answerer import VerifiedAnswerer
from bot.config.configuration import Configuration, QuestionLimits
from bot.slack.posting.message_sink import SlackCapabilities
from bot.slack.turns.dependencies import SlackDependencies, VerifiedTools, WritePhrasings
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.text.tables import read_table_block
from bot.slack.workspace.app import SlackApp, open_slack_app
from bot.storage.shared_changes import ChangeKind, SharedChanges
from bot.storage.tables import MIGRATIONS
from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.questions import LedgerTurn, QuestionKey, TurnState
from bot.storage.verified_answers import VerifiedAnswers
from engine.interfaces import EngineState, EngineStatus
from knowledge.embedding import find_calibration
from knowledge.errors import PendingDeletionsChanged
from knowledge.interfaces import ANY_MEMBER, Hit, SearchResult, Viewers
from knowledge.readable import RecentDocument
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.report import OnProgress, SourceReport, SyncProgress, SyncReport
from tests.database.templates import copy_tables
from tests.services import free_ports
from tests.slack_sandbox import TEAM_ID, SandboxClient, open_sandbox

Transport = Literal["socket", "http"]
Script = Callable[[Question], AsyncIterator[AnswerEvent]]

PASSAGE = Passage(1, "docs", "sources.md", "Adding a source", "kvasir.toml", "https://kb.example/sources", "Add it.")


def make_finished(*cited: Passage) -> Finished:
    """Return the last event of an answer that cites passages."""
    return Finished("engine", cited, {"total": 0.1})


async def echo_question(question: Question) -> AsyncGenerator[AnswerEvent]:
    """Answer with the question itself and a citation."""
    yield Sources((PASSAGE,))
    yield Text(f"You asked: {question.text} [1]. ", (PASSAGE,))
    yield Text("That is all.")
    yield make_finished(PASSAGE)


def make_script(*texts: str) -> Script:
    """Return a script that says these texts."""

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        for text in texts:
            yield Text(text)
        yield make_finished()

    return script


@dataclass
class ScriptedAnswerer:
    """An answerer whose answers a test writes; it stores the questions."""

    script: Script = echo_question
    questions: list[Question] = field(default_factory=list)
    closed: int = 0
    """How many answers have ended, complete or not."""

    async def answer(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        self.questions.append(question)
        try:
            events = self.script(question)
            async for event in events:
                yield event
        finally:
            self.closed += 1


class PausedScript:
    """A script that says something, then pauses until the test resumes it."""

    def __init__(self, first: str = "The first half. ", second: str = "The second half.") -> None:
        self.first, self.second = first, second
        self.resume = asyncio.Event()
        self.paused = asyncio.Event()

    async def __call__(self, _question: Question) -> AsyncGenerator[AnswerEvent]:
        if self.first:
            yield Text(self.first)
        self.paused.set()
        await self.resume.wait()
        yield Text(self.second)
        yield make_finished()


def make_source_status(name: str = "docs", *, hours: float | None = 3.0, **more: Any) -> SourceStatus:
    """Return the status of a source that was synced some hours ago."""
    synced_at = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    fields: dict[str, Any] = {
        "kind": "folder", "root": "/srv/docs", "documents": 7, "chunks": 1_234, "failed": 0, "failures": (),
        "pending_deletions": 0,
        "synced_at": synced_at, "error": None, "schedule": None, "syncing": None, "has_uniform_readers": True,
        "age_s": None if hours is None else hours * 3_600.0,
    }  # fmt: skip
    return SourceStatus(name=name, **{**fields, **more})


def make_library_status(*sources: SourceStatus) -> LibraryStatus:
    """Return the status of a library with some sources."""
    return LibraryStatus("lancedb", indexing=False, sources=sources)


async def find_member(_user: str) -> Viewers:
    """Return a full member as the viewer."""
    return ANY_MEMBER


async def refuse_post(_url: str, _payload: Mapping[str, Any]) -> bool:
    """Refuse an answer to a response URL, as Slack does once the URL has expired."""
    return False


@dataclass
class FakeLibrary:
    """A library with one source; a test sets what it finds and reports."""

    hits: tuple[Hit, ...] = ()
    refreshed: list[str | None] = field(default_factory=list)
    failure: Exception | None = None
    progress: tuple[SyncProgress, ...] = ()
    resume: asyncio.Event | None = None
    state: LibraryStatus = field(default_factory=lambda: make_library_status(make_source_status()))
    readable: Mapping[str, int] | None = None
    """How many documents of each source everybody may read; None for all documents of all sources."""
    current: frozenset[str] | None = None
    """The chunks that everybody may read; None for all."""
    vanished: frozenset[str] = frozenset()
    """The chunks that are not current any more."""
    rights: asyncio.Event | None = None
    """Set once its sources have said who may read; None for at once."""
    more: bool = False
    """Whether a person's own answer would differ from that of a channel."""
    recent: tuple[RecentDocument, ...] = ()
    """The documents that changed last, for everybody."""
    checks: int = 0
    """How many times its status was read."""
    listed: list[tuple[Viewers, str]] = field(default_factory=list)
    """For whom, and within which filters, the documents that changed last were listed."""
    compared: list[tuple[str, Viewers, Viewers]] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    viewers: list[Viewers] = field(default_factory=list)
    """For whom was searched."""
    approved: list[str | None] = field(default_factory=list)
    report: SyncReport = field(
        default_factory=lambda: SyncReport({"docs": SourceReport(listed=7, unchanged=5, added=2)}, 1.5)
    )

    async def search(self, query: str, *, limit: int, viewers: Viewers) -> SearchResult:
        self.searched.append(query)
        self.viewers.append(viewers)
        if self.failure:
            raise self.failure
        return SearchResult(query, self.hits[:limit], 0.01, answerable=True)

    async def refresh(
        self, source: str | None = None, *, on_progress: OnProgress, approve: Mapping[str, str] | None = None
    ) -> SyncReport:
        (self.approved if approve else self.refreshed).append(source)
        if approve and approve != self.state.approval_marks(source):
            raise PendingDeletionsChanged("docs")
        if self.failure:
            raise self.failure
        for progress in self.progress:
            on_progress(progress)
            await asyncio.sleep(0)
        if self.resume is not None:
            await self.resume.wait()
        return self.report

    async def status(self) -> LibraryStatus:
        self.checks += 1
        return self.state

    async def count_readable(self, _viewers: Viewers) -> Mapping[str, int]:
        return {one.name: one.documents for one in self.state.sources} if self.readable is None else self.readable

    async def filter_current(self, chunks: Collection[str], _viewers: Viewers) -> frozenset[str]:
        if self.rights is not None:
            await self.rights.wait()
        readable = frozenset(chunks) if self.current is None else self.current.intersection(chunks)
        return readable - self.vanished

    async def list_current(self, chunks: Collection[str]) -> frozenset[str]:
        return frozenset(chunks) - self.vanished

    async def list_recent(self, viewers: Viewers, within: str, limit: int) -> Sequence[RecentDocument]:
        self.listed.append((viewers, within))
        return self.recent[:limit]

    async def has_more(self, query: str, person: Viewers, others: Viewers) -> bool:
        self.compared.append((query, person, others))
        return self.more


@dataclass
class RunningBot:
    """A bot that runs in a sandbox."""

    sandbox: SandboxClient
    app: SlackApp
    answerer: ScriptedAnswerer
    library: FakeLibrary
    ledger: Ledger
    changes: SharedChanges
    running: asyncio.Task[None]

    async def ask(self, text: str = "@Kvasir how?", channel: str = "#general", **more: Any) -> str:
        """Send a message as Ada and return its ``ts``."""
        return await self.sandbox.say("ada", channel, text, **more)

    async def list_answers(self, root: str, channel: str = "#general") -> list[dict[str, Any]]:
        """Return the bot's messages in a thread."""
        return [
            m for m in await self.sandbox.messages(channel) if m["root"] == root and m.get("bot_id") and m["ts"] != root
        ]

    async def wait_for_answer(
        self, root: str, contains: str = "That is all.", channel: str = "#general"
    ) -> dict[str, Any]:
        """Wait for a complete answer that contains some text, and return its message."""
        return await self.sandbox.wait_for_message(
            lambda m: m["root"] == root and m.get("bot_id") and contains in get_text(m) and m.get("metadata"),
            channel=channel,
        )

    async def wait_for_turn(self, *answer: str, **more: str) -> dict[str, Any]:
        """Wait for a complete answer and for the end of every turn, and return the answer's message."""
        message = await self.wait_for_answer(*answer, **more)
        await self.wait_until_idle()
        return message

    async def pause_answer(
        self, text: str = "@Kvasir how?", channel: str = "#general", first: str = "The first half. ", **more: Any
    ) -> tuple[str, PausedScript]:
        """Ask as Ada; return the ``ts`` and the script of the answer, which pauses after its first words in Slack."""
        self.answerer.script = paused = PausedScript(first)
        ts = await self.ask(text, channel, **more)
        await self.sandbox.wait_for_message(
            lambda m: m["root"] == (more.get("thread_ts") or ts) and first.strip() in get_text(m) and m.get("bot_id"),
            channel=channel,
        )
        return ts, paused

    async def find_turn(self, ts: str) -> LedgerTurn:
        """Return the turn of a question in #general."""
        turn = await self.ledger.find_turn(QuestionKey(TEAM_ID, "C0GENERAL1", ts))
        assert turn is not None
        return turn

    async def has_state(self, ts: str, state: TurnState, replies: tuple[str, ...] | None = None) -> bool:
        """Return whether a question in #general has a state, and these messages."""
        turn = await self.ledger.find_turn(QuestionKey(TEAM_ID, "C0GENERAL1", ts))
        return turn is not None and turn.state is state and (replies is None or turn.replies == replies)

    async def has_no_open_turns(self) -> bool:
        """Return whether the ledger has no open turn of this bot."""
        return not await self.ledger.renew_leases()

    async def list_open_streams(self) -> list[str]:
        """Return the messages in #general that are still streamed."""
        return [m["ts"] for m in await self.sandbox.messages() if m.get("streaming") or m.get("stream") == "streaming"]

    async def wait_until_idle(self) -> None:
        """Wait until the bot has handled every event and ended every turn."""
        await self.sandbox.wait_delivered()
        await self.sandbox.wait_until(lambda: not self.app.workspace.turns.running, what="end of the turns")

    async def wait_for_changes(self) -> None:
        """Wait until this process has read every change that is stored now, as one with a running turn reads them."""
        read: list[str] = []
        self.changes.subscribe(ChangeKind.AUDIT, read.append)
        with self.changes.watch_closely():
            await self.changes.publish_change(ChangeKind.AUDIT, mark := str(uuid4()))
            await self.sandbox.wait_until(lambda: mark in read, what="changes")


async def wait_for_heartbeats(sandbox: SandboxClient, count: int = 3) -> None:
    """Wait until the database has been asked so many times for turns to try again, which each heartbeat does."""
    looks: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "bot_turns.replies !=" in statement:  # the last statement of a heartbeat
            looks.append(statement)

    event.listen(Engine, "after_cursor_execute", note)
    try:
        await sandbox.wait_until(lambda: len(looks) > count, what="heartbeats")
    finally:
        event.remove(Engine, "after_cursor_execute", note)


async def wait_for_ephemeral(bot: RunningBot, contains: str, channel: str = "#general", person: str = "ada") -> str:
    """Wait for an ephemeral message to a person that contains some text, and return its text."""
    found = await bot.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and contains in get_text(m), channel=channel, person=person
    )
    return get_text(found)


def get_text(message: Mapping[str, Any]) -> str:
    """Return the text of a message and of its blocks."""
    parts = [str(message.get("text") or "")]
    for block in message.get("blocks") or ():
        text = block.get("text")
        parts.append(text if isinstance(text, str) else str((text or {}).get("text", "")))
        parts += [str(element.get("text", "")) for element in block.get("elements") or () if isinstance(element, dict)]
    return "\n".join(parts)


def get_markdown(message: Mapping[str, Any]) -> str:
    """Return a message's Markdown, with its table."""
    blocks = [
        f"{read_table_block(block)}\n" if block["type"] == "table" else str(block["text"])
        for block in message.get("blocks") or ()
        if block["type"] in {"markdown", "table"}
    ]
    return "\n".join(blocks) or str(message.get("text") or "")


QUICK_TURNS = TurnSettings(drain_s=0.2, heartbeat_s=0.1)


@dataclass(frozen=True)
class VerifiedSetup:
    """How a test finds verified answers; without it, only the same words get one."""

    embed: Embed | None = None
    embedder: str = ""
    write_phrasings: WritePhrasings | None = None


def make_dependencies(
    ledger: Ledger, answerer: ScriptedAnswerer, library: FakeLibrary, replacements: Mapping[str, Any]
) -> SlackDependencies:
    """Return dependencies without limits on questions; ``given`` has their fields and those of the configuration."""
    configured = {one.name for one in fields(Configuration)} & replacements.keys()
    changes = SharedChanges(ledger.database)
    setup: VerifiedSetup = replacements.get("verified_setup", VerifiedSetup())
    stored = VerifiedAnswers(ledger.database, changes)
    finder = VerifiedAnswerFinder(
        stored, library, embed=setup.embed, thresholds=find_calibration(setup.embedder).offers
    )
    return SlackDependencies(
        ledger,
        changes,
        VerifiedAnswerer(answerer, finder),
        library,
        replacements.get("search", library.search),
        lambda: EngineStatus(EngineState.READY, model="r1"),
        configuration=Configuration(
            **{"sources": (), "nightly": None, "question_limits": QuestionLimits(0, 0)}
            | {name: replacements[name] for name in configured}
        ),
        verified=VerifiedTools(stored, finder, setup.write_phrasings),
        **{
            name: value for name, value in replacements.items() if name not in {*configured, "search", "verified_setup"}
        },
    )


@contextlib.asynccontextmanager
async def run_bot(
    sandbox: SandboxClient,
    state: Path,
    *,
    script: Script = echo_question,
    port: int | None = None,
    settings: TurnSettings = QUICK_TURNS,
    capabilities: SlackCapabilities | None = None,
    database: str | None = None,
    library: FakeLibrary | None = None,
    owner: str | None = None,
    patience_s: float = 0.5,
    dependencies: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[RunningBot]:
    """Run the bot in a workspace, over Socket Mode, or over HTTP on a port."""
    slack = SlackSettings(
        bot_token=sandbox.bot_token,
        app_token=sandbox.app_token if port is None else None,
        signing_secret=sandbox.signing_secret,
        api_url=sandbox.api_url,
        port=port or 0,
    )
    answerer, library = ScriptedAnswerer(script), library or FakeLibrary()
    url = database or f"sqlite:///{state / 'ledger.sqlite3'}"
    await copy_tables(url, MIGRATIONS)
    channels = (dependencies or {}).get("channels", {})
    confidential = Configuration((), None, channels=channels).confidential_channels
    async with open_ledger(url, patience_s=patience_s, owner=owner, confidential=confidential) as ledger:
        made = make_dependencies(ledger, answerer, library, dependencies or {})
        async with open_slack_app(slack, made, turn_settings=settings, capabilities=capabilities, **options) as app:
            await app.connect()
            running = asyncio.create_task(app.run_until_revoked())
            await sandbox.wait_connected()
            try:
                yield RunningBot(sandbox, app, answerer, library, ledger, made.changes, running)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def run_bot_in_sandbox(
    state: Path, transport: Transport = "socket", *, sandbox_options: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[RunningBot]:
    """Run a workspace and the bot in it."""
    port = free_ports(1)[0] if transport == "http" else None
    events_url = f"http://127.0.0.1:{port}/slack/events" if port else None
    async with (
        open_sandbox(state, events_url=events_url, **(sandbox_options or {})) as sandbox,
        run_bot(sandbox, state, port=port, **options) as bot,
    ):
        yield bot
