"""Tests of files that people send in a direct message: whose files become documents, and what the reply says."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.slack.actions.file_readers import FileReadersAction
from bot.slack.audience.accounts import Company
from bot.slack.audience.directory import SlackDirectory
from bot.slack.interactions import ButtonPress
from bot.slack.posting.ephemeral import EphemeralMessenger
from knowledge.errors import StoreUnavailable, SyncRunning
from knowledge.settings import SourceSpec
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import QuarantinedDocument
from knowledge.sync.report import OnProgress, SourceReport, SyncReport
from tests.slack.running_bot import RunningBot, get_text, make_source_status, refuse_post, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

ADA = "U0ADA00001"


@dataclass
class FakeSync:
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
class IntakeBot:
    sandbox: SandboxClient
    bot: RunningBot
    adding: DocumentAdditions
    sync: FakeSync

    async def send(
        self,
        *names: str,
        text: str = "",
        person: str = "ada",
        channel: str = "@kvasir",
        data: bytes = b"x",
        thread_ts: str | None = None,
    ) -> str:
        files = [{"name": name, "base64": base64.b64encode(data).decode()} for name in names]
        said = {"person": person, "channel": channel, "text": text, "files": files, "thread_ts": thread_ts}
        return str((await self.sandbox.control("POST", "say", said))["ts"])

    async def wait_for_reply(self, contains: str, channel: str = "@kvasir", person: str = "ada") -> str:
        message = await self.sandbox.wait_for_message(
            lambda m: m.get("bot_id") and contains in get_text(m), channel=channel, person=person
        )
        return get_text(message)

    def list_documents(self) -> list[str]:
        return [card.plain_name for card in self.adding.store.list_records()]


@contextlib.asynccontextmanager
async def run_intake_bot(tmp_path: Path, *owners: str) -> AsyncIterator[IntakeBot]:
    sync = FakeSync()
    adding = DocumentAdditions(SourceSpec("added", "push", {"max_mb": 0.01}, tmp_path), tmp_path, sync)
    dependencies: dict[str, Any] = {"adding": adding, "access": Access(frozenset(owners))}
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, dependencies=dependencies) as bot:
        yield IntakeBot(sandbox, bot, adding, sync)


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[IntakeBot]:
    async with run_intake_bot(tmp_path, ADA) as intake:
        yield intake


async def test_owner_adds_and_replaces_file(intake: IntakeBot) -> None:
    await intake.send("leave.md", data=b"# Leave\n\nThirty days.")
    text = await intake.wait_for_reply("Answers can now use")
    assert "I have saved leave.md" in text
    assert intake.sync.refreshed == 1
    (card,) = intake.adding.store.list_records()
    assert (card.plain_name, card.added_by) == ("leave.md", ADA)
    assert intake.adding.store.read_data(card) == b"# Leave\n\nThirty days."
    assert not intake.bot.answerer.questions

    await intake.send("leave.md", data=b"# Leave\n\nForty days.")
    await intake.wait_for_reply("leave.md replaces the document of the same name")
    await intake.send("leave.md", data=b"# Leave\n\nForty days.")
    await intake.wait_for_reply("already a document, with the same content")
    assert intake.list_documents() == ["leave.md"]


async def test_log_of_added_file_omits_its_name(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with run_intake_bot(tmp_path, ADA) as intake:
            await intake.send("layoffs.md")
            await intake.wait_for_reply("Answers can now use")
    (line,) = [one for one in logged if one["event"] == "document added"]
    assert (line["user"], line["source"], line["put"]) == (ADA, "added", "added")
    assert "layoffs" not in str(logged)


async def test_several_files_report_each_result(intake: IntakeBot) -> None:
    intake.sync.failures = (
        QuarantinedDocument(f"{ADA}/locked.pdf", "locked.pdf needs a password. Save a copy without one."),
    )
    await intake.send("a.md", "film.mkv", "locked.pdf", text="请收下这些文件")
    text = await intake.wait_for_reply("现在可以搜到")
    assert "Kvasir does not read film.mkv" in text
    assert "locked.pdf needs a password" in text
    assert "a.md" in text
    assert "没有回答文字部分" in text
    assert intake.list_documents() == ["a.md", "locked.pdf"]
    await intake.send("big.md", data=b"x" * 20_000)
    await intake.wait_for_reply("big.md is larger than the limit of 0 MB")
    assert intake.list_documents() == ["a.md", "locked.pdf"]


@pytest.mark.slow
async def test_file_is_stored_although_sync_fails(intake: IntakeBot) -> None:
    intake.sync.refusals = [SyncRunning(), StoreUnavailable("The store is down. Start it.")]
    await intake.send("a.md")
    text = await intake.wait_for_reply("It is saved. Answers can use it after the sync")
    assert "The store is down. Start it." in text
    assert intake.list_documents() == ["a.md"]


@pytest.mark.parametrize(
    ("owners", "words"), [((ADA,), "Only an owner may add documents. Send the file to ada."), ((), "[access] owners")]
)
async def test_people_without_ownership_are_refused(tmp_path: Path, owners: tuple[str, ...], words: str) -> None:
    async with run_intake_bot(tmp_path, *owners) as intake:
        await intake.send("a.md", person="bo")
        await intake.wait_for_reply(words, person="bo")
        await intake.send("a.md", text="how many days?", person="bo")
        await intake.wait_for_reply("You asked: how many days?", person="bo")
        assert intake.list_documents() == []
        assert intake.sync.refreshed == 0


async def test_file_in_channel_is_not_added(intake: IntakeBot) -> None:
    await intake.send("a.md", text="@Kvasir what is this?", channel="#general")
    text = await intake.wait_for_reply("You asked: what is this?", "#general")
    assert "I cannot read attached files" in text
    assert intake.list_documents() == []


async def test_missing_files_scope_is_reported(intake: IntakeBot) -> None:
    await intake.sandbox.faults(scopes=["chat:write", "im:history", "app_mentions:read", "users:read"])
    await intake.send("a.md")
    await intake.wait_for_reply("it lacks the scope files:read")
    assert intake.list_documents() == []


async def test_restart_during_upload_adds_file_once(tmp_path: Path) -> None:
    sync = FakeSync(refusals=[SyncRunning()] * 1_000)
    adding = DocumentAdditions(SourceSpec("added", "push", {}, tmp_path), tmp_path, sync)
    dependencies: dict[str, Any] = {"adding": adding, "access": Access(frozenset({ADA}))}
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, dependencies=dependencies) as bot:
            intake = IntakeBot(sandbox, bot, adding, sync)
            ts = await intake.send("a.md")
            await intake.wait_for_reply("I have saved a.md")
        sync.refusals = []
        async with run_bot(sandbox, tmp_path, dependencies=dependencies):
            await intake.wait_for_reply("Answers can now use")
            await sandbox.wait_delivered()
        mine = [m for m in await sandbox.messages("@kvasir") if m["root"] == ts and m.get("bot_id")]
        assert ["interrupted" in get_text(m) for m in mine] == [True, False]
        assert "Answers can now use" in get_text(mine[1])
        assert intake.list_documents() == ["a.md"]


async def find_choice(intake: IntakeBot, root: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the message with the choice of readers, and its elements."""
    message = await intake.sandbox.wait_for_message(
        lambda m: m["root"] == root and m.get("bot_id") and "Only you can find this so far" in get_text(m),
        channel="@kvasir",
    )
    [block] = [block for block in message["blocks"] if block["type"] == "actions"]
    return message["ts"], block["elements"]


async def test_sender_chooses_who_may_find_a_file(intake: IntakeBot) -> None:
    ts, (only_me, channel, everybody) = await find_choice(intake, await intake.send("plan.md"))

    def readers() -> tuple[str, ...] | None:
        return intake.adding.store.list_records()[0].readers

    async def press(element: dict[str, Any], words: str, **more: Any) -> None:
        await intake.sandbox.press("ada", "@kvasir", ts, element["action_id"], **more)
        await intake.sandbox.wait_for_message(
            lambda m: m.get("ephemeral") and words in get_text(m), channel="@kvasir", person="ada"
        )

    assert readers() == (ADA,)
    await press(channel, "you and the members of that channel can find plan.md", selected_conversation="C0GENERAL1")
    assert readers() == ("C0GENERAL1", ADA)
    await press(everybody, "everybody who may read the source added can find plan.md")
    assert readers() is None
    await press(channel, "could not confirm that you are in that channel", selected_conversation="C0ELSEWHERE")
    assert readers() is None
    intake.sync.refusals = [StoreUnavailable("The store is down. Start it.")]
    await press(only_me, "The store is down. Start it.")
    assert readers() == (ADA,)
    await press(only_me, "now only you can find plan.md".capitalize())


async def test_only_the_sender_of_the_current_file_chooses(tmp_path: Path) -> None:
    async with run_intake_bot(tmp_path, ADA, "U0BO000002") as intake:
        origin = await intake.send("plan.md")
        _ts, (_only_me, _channel, everybody) = await find_choice(intake, origin)
        [card] = intake.adding.store.list_records()
        press = {"user": {"id": "U0BO000002"}, "channel": {"id": card.origin.partition(":")[0]}}
        api = intake.bot.app._api
        action = FileReadersAction(
            intake.adding,
            Access(frozenset({ADA, "U0BO000002"})),
            SlackDirectory(api, Company("T0SANDBOX1")),
            EphemeralMessenger(api, refuse_post),
        )
        await action.run(ButtonPress.from_payload(press, everybody))
        assert intake.adding.store.list_records()[0].readers == (ADA,)

        await intake.send("plan.md", person="bo", data=b"another plan")
        await intake.wait_for_reply("I have saved plan.md", person="bo")
        assert "(2)" not in str(await intake.sandbox.messages("@kvasir", "bo")), "no name tells of Ada's file"
        assert [(card.plain_name, card.readers) for card in intake.adding.store.list_records()] == [
            ("plan.md", (ADA,)),
            ("plan.md", ("U0BO000002",)),
        ]


async def test_refused_files_have_no_choice(intake: IntakeBot) -> None:
    await intake.send("film.mkv")
    text = await intake.wait_for_reply("Kvasir does not read film.mkv")
    assert "Only you" not in text
    assert "Everybody" not in text


async def test_image_alone_in_a_channel_is_refused_to_its_sender_only(intake: IntakeBot) -> None:
    ts = await intake.send("screen.png", text="@Kvasir", channel="#general")
    text = await intake.wait_for_reply("I cannot see images", "#general")
    assert "copy their text" in text
    messages = await intake.sandbox.messages("#general", "bo")
    await intake.bot.wait_until_idle()
    assert [m["ts"] for m in messages] == [ts]
    assert not intake.bot.answerer.questions


async def test_image_alone_in_a_thread_is_refused_in_the_thread(intake: IntakeBot) -> None:
    root = await intake.bot.ask()
    await intake.bot.wait_for_answer(root)
    await intake.send("screen.png", "two.jpg", text="", channel="#general", thread_ts=root)
    shown = await intake.sandbox.wait_for_message(lambda m: m.get("ephemeral") and "I cannot see images" in get_text(m))
    assert shown["thread_ts"] == root
    seen_by_bo = await intake.sandbox.messages("#general", "bo")
    assert len([m for m in seen_by_bo if m.get("bot_id")]) == 1


@pytest.mark.parametrize("person", ["ada", "bo"])
async def test_image_alone_in_a_direct_message_is_refused_in_a_reply(intake: IntakeBot, person: str) -> None:
    ts = await intake.send("screen.png", person=person)
    shown = await intake.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and "I cannot see" in get_text(m), channel="@kvasir", person=person
    )
    assert shown["thread_ts"] == ts
    assert intake.list_documents() == []


async def test_file_alone_in_a_channel_is_refused_to_its_sender_only(intake: IntakeBot) -> None:
    await intake.send("a.md", text="@Kvasir", channel="#general")
    await intake.wait_for_reply("I cannot read attached files here", "#general")
    assert not [m for m in await intake.sandbox.messages("#general", "bo") if m.get("bot_id")]
