"""Tests of files that people send in a direct message: whose files become documents, and what the reply says."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from knowledge.errors import StoreUnavailable, SyncRunning
from knowledge.settings import SourceSpec
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import QuarantinedDocument
from knowledge.sync.report import OnProgress, SourceReport, SyncReport
from tests.slack.running_bot import RunningBot, get_text, make_source_status, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

ADA = "U0ADA00001"


@dataclass
class Books:
    """A library that syncs one source of added documents."""

    refusals: list[Exception] = field(default_factory=list)
    failures: tuple[QuarantinedDocument, ...] = ()
    refreshed: int = 0

    async def refresh(
        self, source: str | None = None, on_progress: OnProgress | None = None, *, approve: bool = False
    ) -> SyncReport:
        assert (source, on_progress, approve) == ("added", None, False)
        if self.refusals:
            raise self.refusals.pop(0)
        self.refreshed += 1
        return SyncReport({"added": SourceReport(listed=1, failed=len(self.failures), failures=self.failures)}, 0.1)

    async def status(self) -> LibraryStatus:
        return LibraryStatus("lancedb", indexing=False, sources=(make_source_status("added", kind="push"),))


@dataclass
class Desk:
    sandbox: SandboxClient
    bot: RunningBot
    adding: DocumentAdditions
    books: Books

    async def send(
        self, *names: str, text: str = "", person: str = "ada", channel: str = "@kvasir", data: bytes = b"x"
    ) -> str:
        files = [{"name": name, "base64": base64.b64encode(data).decode()} for name in names]
        said = {"person": person, "channel": channel, "text": text, "files": files}
        return str((await self.sandbox.control("POST", "say", said))["ts"])

    async def told(self, contains: str, channel: str = "@kvasir", person: str = "ada") -> str:
        message = await self.sandbox.wait_for_message(
            lambda m: m.get("bot_id") and contains in get_text(m), channel=channel, person=person
        )
        return get_text(message)

    def names(self) -> list[str]:
        return [card.name for card in self.adding.store.list_records()]


@contextlib.asynccontextmanager
async def desk_in(tmp_path: Path, *owners: str) -> AsyncIterator[Desk]:
    books = Books()
    adding = DocumentAdditions(SourceSpec("added", "push", {"max_mb": 0.01}, tmp_path), tmp_path, books)
    dependencies: dict[str, Any] = {"adding": adding, "access": Access(frozenset(owners))}
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, dependencies=dependencies) as bot:
        yield Desk(sandbox, bot, adding, books)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path, ADA) as desk:
        yield desk


async def test_an_owner_s_file_is_kept_read_and_told_of(desk: Desk) -> None:
    await desk.send("leave.md", data=b"# Leave\n\nThirty days.")
    text = await desk.told("Answers can now use")
    assert "I have saved leave.md" in text
    assert desk.books.refreshed == 1
    (card,) = desk.adding.store.list_records()
    assert (card.name, card.added_by) == ("leave.md", ADA)
    assert desk.adding.store.read_data(card) == b"# Leave\n\nThirty days."
    assert not desk.bot.answerer.questions

    await desk.send("leave.md", data=b"# Leave\n\nForty days.")
    await desk.told("leave.md replaces the document of the same name")
    await desk.send("leave.md", data=b"# Leave\n\nForty days.")
    await desk.told("already a document, with the same content")
    assert desk.names() == ["leave.md"]


async def test_several_files_and_what_is_wrong_with_some(desk: Desk) -> None:
    desk.books.failures = (QuarantinedDocument("locked.pdf", "locked.pdf needs a password. Save a copy without one."),)
    await desk.send("a.md", "film.mkv", "locked.pdf", text="请收下这些文件")
    text = await desk.told("现在可以搜到")
    assert "Kvasir does not read film.mkv" in text
    assert "locked.pdf needs a password" in text
    assert "a.md" in text
    assert "没有回答文字部分" in text
    assert desk.names() == ["a.md", "locked.pdf"]
    await desk.send("big.md", data=b"x" * 20_000)
    await desk.told("big.md is larger than the 0 MB that are read")
    assert desk.names() == ["a.md", "locked.pdf"]


async def test_what_cannot_be_read_yet_is_kept_and_said(desk: Desk) -> None:
    desk.books.refusals = [SyncRunning("A sync is running."), StoreUnavailable("The store is down. Start it.")]
    await desk.send("a.md")
    text = await desk.told("It is saved. Answers can use it after the sync")
    assert "The store is down. Start it." in text
    assert desk.names() == ["a.md"]


@pytest.mark.parametrize(
    ("owners", "words"), [((ADA,), "Only an owner may add documents. Send the file to ada."), ((), "[access] owners")]
)
async def test_others_get_a_sentence(tmp_path: Path, owners: tuple[str, ...], words: str) -> None:
    async with desk_in(tmp_path, *owners) as desk:
        await desk.send("a.md", person="bo")
        await desk.told(words, person="bo")
        await desk.send("a.md", text="how many days?", person="bo")
        await desk.told("You asked: how many days?", person="bo")
        assert desk.names() == []
        assert desk.books.refreshed == 0


async def test_a_file_in_a_channel_is_not_taken(desk: Desk) -> None:
    await desk.send("a.md", text="@Kvasir what is this?", channel="#general")
    text = await desk.told("You asked: what is this?", "#general")
    assert "I cannot read attached files" in text
    assert desk.names() == []


async def test_an_app_without_the_scope_is_told_of_it(desk: Desk) -> None:
    await desk.sandbox.faults(scopes=["chat:write", "im:history", "app_mentions:read", "users:read"])
    await desk.send("a.md")
    await desk.told("it lacks the scope files:read")
    assert desk.names() == []


async def test_a_restart_in_the_middle_adds_once_and_answers_once(tmp_path: Path) -> None:
    books = Books(refusals=[SyncRunning("A sync is running.")] * 1_000)
    adding = DocumentAdditions(SourceSpec("added", "push", {}, tmp_path), tmp_path, books)
    dependencies: dict[str, Any] = {"adding": adding, "access": Access(frozenset({ADA}))}
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, dependencies=dependencies) as bot:
            desk = Desk(sandbox, bot, adding, books)
            ts = await desk.send("a.md")
            await desk.told("I have saved a.md")
        books.refusals = []
        async with run_bot(sandbox, tmp_path, dependencies=dependencies):
            await desk.told("Answers can now use")
            await sandbox.wait_delivered()
        mine = [m for m in await sandbox.messages("@kvasir") if m["root"] == ts and m.get("bot_id")]
        assert ["interrupted" in get_text(m) for m in mine] == [True, False]
        assert "Answers can now use" in get_text(mine[1])
        assert desk.names() == ["a.md"]
