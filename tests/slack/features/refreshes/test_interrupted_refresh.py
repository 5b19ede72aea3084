"""Tests of refreshes that a restart interrupts: their messages do not say "Refreshing …" for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.config.configuration import Access
from bot.storage.refresh_records import RefreshRecord, RefreshRecords
from bot.storage.turns.ledger import open_ledger
from tests.slack.running_bot import FakeLibrary, run_bot
from tests.slack_sandbox import SandboxClient, open_sandbox

pytestmark = pytest.mark.slow

OWNED: dict[str, Any] = {"access": Access(frozenset({"U0ADA00001"}))}


async def wait_for_progress(sandbox: SandboxClient, words: str) -> dict[str, Any]:
    return await sandbox.wait_for_message(lambda m: words in m["text"], channel="@kvasir")


@pytest.mark.parametrize(
    ("typed", "before", "after"),
    [
        ("/kb refresh docs", "Refreshing docs …", "A restart interrupted this refresh."),
        ("/kb 刷新", "正在更新所有来源…", "重启中断了这次更新。"),
    ],
)
async def test_restart_ends_the_message_of_a_refresh(tmp_path: Path, typed: str, before: str, after: str) -> None:
    library = FakeLibrary(resume=asyncio.Event())
    async with open_sandbox(tmp_path) as sandbox:
        async with run_bot(sandbox, tmp_path, library=library, dependencies=OWNED):
            await sandbox.command("ada", "@kvasir", typed)
            progress = await wait_for_progress(sandbox, before)
            await sandbox.wait_until(lambda: library.refreshed)
        async with run_bot(sandbox, tmp_path, dependencies=OWNED):
            ended = await wait_for_progress(sandbox, after)
    assert ended["ts"] == progress["ts"]
    assert typed in ended["text"]


async def test_finished_refresh_leaves_no_record(tmp_path: Path) -> None:
    async with open_sandbox(tmp_path) as sandbox, run_bot(sandbox, tmp_path, dependencies=OWNED) as bot:
        await sandbox.command("ada", "@kvasir", "/kb refresh")
        await wait_for_progress(sandbox, "Refreshed in 1.5 s.")
        much_later = RefreshRecords(bot.ledger.database, "T0SANDBOX1", now=lambda: 1e12)

        async def is_forgotten() -> bool:
            return await much_later.list_abandoned() == []

        await sandbox.wait_until(is_forgotten)


async def test_refresh_of_another_machine_is_abandoned_after_its_lease(tmp_path: Path) -> None:
    now = 1_000.0
    async with open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        records = RefreshRecords(ledger.database, "T1", now=lambda: now)
        record = RefreshRecord("D1", "1.0", "docs", approves=True, language="en")
        await records.save_record(record)
        now += 50
        await records.renew_leases()
        now += 50
        assert await records.list_abandoned() == []
        now += 50
        assert await records.list_abandoned() == [record]
        await records.remove_record(record)
        assert await records.list_abandoned() == []
