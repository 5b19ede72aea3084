"""Tests of what the audit has after real events of Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.audit.entries import AuditLog
from bot.audit.file_log import open_audit_log
from bot.audit.reading import EntryReader, ReadEntry
from bot.audit.settings import AuditSettings
from bot.audit.verification import verify_audit
from bot.config.configuration import Access
from bot.messages.answers import AUDIT_FAILED
from bot.slack.features.sharing.share_answer import ShareAnswerAction
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from tests.audit.disk import fill_disk
from tests.audit.test_file_log import fill_audit
from tests.audit.writing import list_chains, make_settings
from tests.slack.features.sharing.test_sharing import (
    RightsLibrary,
    answer_from_documents,
    ask_privately,
    press,
    wait_for_private,
)
from tests.slack.running_bot import RunningBot, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack_sandbox import TEAM_ID

pytestmark = pytest.mark.slow

ADA, GENERAL = f"{TEAM_ID}/U0ADA00001", "C0GENERAL1"


@dataclass
class AuditedBot:
    """A bot with an audit."""

    bot: RunningBot
    log: AuditLog
    settings: AuditSettings
    people: AuditPeople

    async def read_entries(self) -> list[ReadEntry]:
        """Return everything that was written so far."""
        await self.log.close()  # type: ignore[attr-defined]
        return list(EntryReader(self.settings, await self.people.list_people()).read_entries())


@asynccontextmanager
async def run_audited(
    folder: Path, *, strict: bool = False, dependencies: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[AuditedBot]:
    settings = make_settings(folder, strict=strict)
    async with open_ledger(f"sqlite:///{folder / 'people.sqlite3'}") as ledger:
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        async with (
            open_audit_log(settings, people) as log,
            run_bot_in_sandbox(folder, dependencies={"audit_log": log, **(dependencies or {})}, **options) as bot,
        ):
            yield AuditedBot(bot, log, settings, people)


async def test_a_turn_leaves_its_question_and_its_end(tmp_path: Path) -> None:
    async with run_audited(tmp_path) as audited:
        ts = await audited.bot.ask("@Kvasir how do I add a source?")
        await audited.bot.wait_for_answer(ts)
        await audited.bot.wait_until_idle()
        question, answer = await audited.read_entries()
    assert [question.event, answer.event] == ["question", "answer"]
    assert {question.person, answer.person} == {ADA}
    assert question.sealed is not None
    assert question.sealed["text"] == "how do I add a source?"
    assert question.sealed["conversation"] == f"{TEAM_ID}-{GENERAL}-{ts}"
    assert [(one["source"], one["document"]) for one in question.facts["passages"]] == [("docs", "sources.md")]
    assert (question.facts["viewer_count"], GENERAL in question.facts["audience"]) == (1, True)
    assert not answer.facts.keys() & {"web_query", "pages"}
    assert (answer.facts["ended"], answer.facts["turn"]) == ("engine", question.facts["turn"])
    assert verify_audit(audited.settings).problems == []


async def test_settings_refusals_and_presses_are_recorded(tmp_path: Path) -> None:
    owner = {"access": Access(frozenset({"U0ADA00001"}))}
    async with run_audited(tmp_path, dependencies=owner) as audited:
        await audited.bot.sandbox.command("ada", "#general", "/kb search jo@example.com")
        await wait_for_ephemeral(audited.bot, "jo@example.com")
        await audited.bot.sandbox.command("ada", "#general", "/kb share on")
        await wait_for_ephemeral(audited.bot, "shared")
        await audited.bot.wait_until_idle()
        entries = await audited.read_entries()
    events = [one.event for one in entries]
    assert events == ["action", "read", "action"]
    action, read, _ = entries
    assert (action.person, action.facts) == (ADA, {"team": TEAM_ID, "action": "/kb"})
    assert action.sealed is not None
    assert action.sealed["channel"] == GENERAL
    assert not any("jo@example.com" in str(one.sealed) for one in entries)
    assert read.facts["passages"] == []


async def test_a_shared_answer_is_recorded_with_its_new_readers(tmp_path: Path) -> None:
    async with run_audited(tmp_path, script=answer_from_documents, library=RightsLibrary()) as audited:
        private = await ask_privately(audited.bot)
        await press(audited.bot, private, ShareAnswerAction.action_id)
        await wait_for_private(audited.bot, "Your question and the answer are in <#C0GENERAL1> now.")
        await audited.bot.wait_until_idle()
        entries = await audited.read_entries()
    (asked,) = (one for one in entries if one.event == "question")
    (share,) = (one for one in entries if one.event == "share")
    (read,) = (one for one in entries if one.event == "read")
    assert asked.facts["viewers"] == [ADA]
    assert (share.person, share.facts["channel"]) == (ADA, GENERAL)
    assert share.sealed is not None
    assert ("ts" in share.sealed, "ts" in share.facts) == (True, False)
    assert [one["chunks"] for one in read.facts["passages"]] == [["c1", "c2", "c3"]]
    assert read.facts["viewers"] != [ADA]


async def test_a_full_disk_stops_answers_and_not_the_bot(tmp_path: Path) -> None:
    async with run_audited(tmp_path, strict=True) as audited:
        await fill_audit(audited.log, 8_000_000)
        with fill_disk(list_chains(audited.settings)[0]):
            ts = await audited.bot.ask("@Kvasir how?")
            await audited.bot.wait_for_answer(ts, AUDIT_FAILED.en)
            await audited.bot.wait_until_idle()
        ts = await audited.bot.ask("@Kvasir how now?")
        await audited.bot.wait_for_answer(ts, "You asked: how now?")
        assert audited.log.lost >= 1
        await audited.bot.wait_until_idle()
    assert verify_audit(audited.settings).problems == []
