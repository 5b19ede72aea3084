"""Tests of files that people send without a question: who may store them, for whom, and what the reply says."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from structlog.testing import capture_logs

from bot.config.configuration import Access
from bot.document_additions import DocumentAdditions
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.features.documents.file_readers import FileReadersAction
from bot.slack.materials.file_intake import FileIntake
from bot.slack.people.accounts import Company
from bot.slack.people.directory import SlackDirectory
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.events import BotUser
from bot.slack.wire.interactions import ButtonPress
from knowledge.errors import StoreUnavailable
from knowledge.settings import SourceSpec
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.records import QuarantinedDocument
from knowledge.sync.report import OnProgress, SourceReport, SyncReport
from tests.slack.running_bot import RunningBot, get_text, make_source_status, refuse_post, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow

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
    channel: str = ""
    """The conversation of the last message."""

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
        posted = await self.sandbox.control("POST", "say", said)
        self.channel = posted["channel"]
        return str(posted["ts"])

    async def wait_for_reply(self, contains: str, channel: str = "@kvasir", person: str = "ada") -> str:
        message = await self.sandbox.wait_for_message(
            lambda m: m.get("bot_id") and contains in get_text(m), channel=channel, person=person
        )
        return get_text(message)

    async def find_choice(self, root: str, person: str = "ada") -> tuple[str, list[dict[str, Any]]]:
        """Return the message with the choice of readers, and its elements."""
        message = await self.sandbox.wait_for_message(
            lambda m: m["root"] == root and any(block["type"] == "actions" for block in m.get("blocks") or ()),
            channel="@kvasir",
            person=person,
        )
        [block] = [block for block in message["blocks"] if block["type"] == "actions"]
        return message["ts"], block["elements"]

    async def press(
        self, ts: str, element: dict[str, Any], words: str, *, person: str = "ada", **more: Any
    ) -> dict[str, Any]:
        """Press a button, and return the reply with these words that only the person sees."""
        await self.sandbox.press(person, "@kvasir", ts, element["action_id"], **more)
        return await self.sandbox.wait_for_message(
            lambda m: m.get("ephemeral") and words in get_text(m), channel="@kvasir", person=person
        )

    async def press_as(self, user: str, root: str, element: dict[str, Any], *owners: str) -> None:
        """Handle a press in a direct message that may be another person's, with other owners."""
        api, access = self.bot.app.workspace.api, Access(frozenset(owners))
        threads = ThreadLoader(api, BotUser("T0SANDBOX1", "U0KVASIR01", "B0KVASIR01"))
        action = FileReadersAction(
            self.adding,
            FileIntake(AsyncWebClient(), self.adding, access, threads),
            access,
            SlackDirectory(api, Company("T0SANDBOX1")),
            EphemeralMessenger(api, refuse_post),
        )
        place = {"channel": {"id": self.channel}, "message": {"ts": root, "thread_ts": root}}
        await action.run(ButtonPress.from_payload({"user": {"id": user}, **place}, element))

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


async def test_owner_stores_and_replaces_file(intake: IntakeBot) -> None:
    root = await intake.send("leave.md", data=b"# Leave\n\nThirty days.")
    ts, (only_me, *_) = await intake.find_choice(root)
    await intake.bot.wait_until_idle()
    assert intake.list_documents() == [], "nothing is stored before a choice"
    await intake.press(ts, only_me, "Now only you can find leave.md.")
    assert intake.sync.refreshed == 1
    (card,) = intake.adding.store.list_records()
    assert (card.plain_name, card.added_by, card.readers) == ("leave.md", ADA, (ADA,))
    assert intake.adding.store.read_data(card) == b"# Leave\n\nThirty days."
    assert not intake.bot.answerer.questions

    again = await intake.send("leave.md", data=b"# Leave\n\nForty days.")
    newer_ts, (only_me, *_) = await intake.find_choice(again)
    await intake.press(newer_ts, only_me, "leave.md replaces the document of the same name.")
    await intake.press(ts, only_me, "use the buttons under the newer message")
    (card,) = intake.adding.store.list_records()
    assert intake.adding.store.read_data(card) == b"# Leave\n\nForty days."


async def test_log_of_added_file_omits_its_name(tmp_path: Path) -> None:
    with capture_logs() as logged:
        async with run_intake_bot(tmp_path, ADA) as intake:
            ts, (only_me, *_) = await intake.find_choice(await intake.send("layoffs.md"))
            await intake.press(ts, only_me, "only you")
    (line,) = [one for one in logged if one["event"] == "document added"]
    assert (line["user"], line["source"], line["put"]) == (ADA, "added", "added")
    assert "layoffs" not in str(logged)


async def test_several_files_report_each_result(intake: IntakeBot) -> None:
    ts, (only_me, *_) = await intake.find_choice(await intake.send("a.md", "film.mkv", "screen.png"))
    reply = await intake.press(ts, only_me, "only you can find a.md")
    assert "Kvasir does not read film.mkv" in get_text(reply)
    intake.sync.failures = (
        QuarantinedDocument(f"{ADA}/locked.pdf", "locked.pdf needs a password. Save a copy without one."),
    )
    ts, (only_me, *_) = await intake.find_choice(await intake.send("locked.pdf"))
    await intake.press(ts, only_me, "locked.pdf needs a password")
    assert intake.list_documents() == ["a.md", "locked.pdf"]
    ts, (only_me, *_) = await intake.find_choice(await intake.send("big.md", data=b"x" * 20_000))
    await intake.press(ts, only_me, "big.md is larger than the limit of 0 MB")
    assert intake.list_documents() == ["a.md", "locked.pdf"]


async def test_file_is_stored_although_sync_fails(intake: IntakeBot) -> None:
    intake.sync.refusals = [StoreUnavailable("The store is down. Start it.")]
    ts, (only_me, *_) = await intake.find_choice(await intake.send("a.md"))
    await intake.press(ts, only_me, "The store is down. Start it.")
    assert intake.list_documents() == ["a.md"]
    await intake.press(ts, only_me, "Now only you can find a.md.")


async def test_people_without_ownership_are_asked_for_a_question(tmp_path: Path) -> None:
    async with run_intake_bot(tmp_path) as intake:
        root = await intake.send("a.md", person="bo")
        await intake.wait_for_reply("What would you like to know about it?", person="bo")
        await intake.sandbox.wait_delivered()
        mine = [m for m in await intake.sandbox.messages("@kvasir", "bo") if m["root"] == root]
        assert not [block for m in mine for block in m.get("blocks") or () if block["type"] == "actions"]
        assert intake.list_documents() == []


async def test_only_owners_store(intake: IntakeBot) -> None:
    root = await intake.send("a.md")
    _ts, (only_me, *_) = await intake.find_choice(root)
    await intake.press_as(ADA, root, only_me, "U0BO000002")  # Ada is no owner any more
    assert intake.list_documents() == []


async def test_missing_files_scope_is_reported(intake: IntakeBot) -> None:
    ts, (only_me, *_) = await intake.find_choice(await intake.send("a.md"))
    await intake.sandbox.faults(scopes=["chat:write", "im:history", "app_mentions:read", "users:read"])
    await intake.press(ts, only_me, "it lacks the scope files:read")
    assert intake.list_documents() == []


async def test_sender_chooses_who_may_find_a_file(intake: IntakeBot) -> None:
    ts, (only_me, channel, everybody) = await intake.find_choice(await intake.send("plan.md"))

    def readers() -> tuple[str, ...] | None:
        return intake.adding.store.list_records()[0].readers

    await intake.press(
        ts, channel, "could not confirm that you are in that channel", selected_conversation="C0ELSEWHERE"
    )
    assert intake.list_documents() == []
    words = "you and the members of that channel can find plan.md"
    await intake.press(ts, channel, words, selected_conversation="C0GENERAL1")
    assert readers() == ("C0GENERAL1", ADA)
    await intake.press(ts, everybody, "everybody who may read the source added can find plan.md")
    assert readers() is None
    intake.sync.refusals = [StoreUnavailable("The store is down. Start it.")]
    await intake.press(ts, only_me, "The store is down. Start it.")
    assert readers() == (ADA,)
    await intake.press(ts, only_me, "Now only you can find plan.md")


async def test_only_the_sender_of_the_current_file_chooses(tmp_path: Path) -> None:
    async with run_intake_bot(tmp_path, ADA, "U0BO000002") as intake:
        root = await intake.send("plan.md")
        ts, (only_me, _channel, everybody) = await intake.find_choice(root)
        await intake.press_as("U0BO000002", root, everybody, ADA, "U0BO000002")
        assert intake.list_documents() == [], "nobody stores another person's file"
        await intake.press(ts, only_me, "only you")
        await intake.press_as("U0BO000002", root, everybody, ADA, "U0BO000002")
        assert intake.adding.store.list_records()[0].readers == (ADA,)

        of_bo = await intake.send("plan.md", person="bo", data=b"another plan")
        ts, (only_me, *_) = await intake.find_choice(of_bo, "bo")
        reply = await intake.press(ts, only_me, "only you can find plan.md", person="bo")
        assert "(2)" not in get_text(reply), "no name tells of Ada's file"
        assert "replaces" not in get_text(reply)
        assert [(card.plain_name, card.readers) for card in intake.adding.store.list_records()] == [
            ("plan.md", (ADA,)),
            ("plan.md", ("U0BO000002",)),
        ]


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
    refusal = await intake.sandbox.wait_for_message(
        lambda m: m.get("ephemeral") and "I cannot see images" in get_text(m)
    )
    assert refusal["thread_ts"] == root
    seen_by_bo = await intake.sandbox.messages("#general", "bo")
    assert len([m for m in seen_by_bo if m.get("bot_id")]) == 1


@pytest.mark.parametrize("person", ["ada", "bo"])
async def test_image_alone_in_a_direct_message_is_refused_in_a_reply(intake: IntakeBot, person: str) -> None:
    ts = await intake.send("screen.png", person=person)
    refusal = await intake.sandbox.wait_for_message(
        lambda m: m.get("bot_id") and "I cannot see" in get_text(m), channel="@kvasir", person=person
    )
    assert refusal["thread_ts"] == ts
    assert intake.list_documents() == []


async def test_file_alone_in_a_channel_asks_its_sender_only(intake: IntakeBot) -> None:
    await intake.send("a.md", text="@Kvasir", channel="#general")
    await intake.wait_for_reply("What would you like to know about it?", "#general")
    assert not [m for m in await intake.sandbox.messages("#general", "bo") if m.get("bot_id")]
