"""Tests of the notices that owners got, with two processes."""

from __future__ import annotations

import asyncio

from bot.storage.sent_notices import SentNotices
from bot.storage.turns.ledger import Ledger


async def test_only_one_process_tells_of_something(ledgers: tuple[Ledger, Ledger]) -> None:
    both = [SentNotices(ledger.database) for ledger in ledgers]
    for _ in range(3):
        assert sorted(await asyncio.gather(*(one.add_notice("T1", "source", "docs") for one in both))) == [False, True]
        assert await both[0].add_notice("T2", "source", "docs"), "another workspace"
        assert await both[0].remove_notice("T2", "source", "docs")
        assert sorted(await asyncio.gather(*(one.remove_notice("T1", "source", "docs") for one in both))) == [
            False,
            True,
        ]


async def test_old_notices_of_one_kind_are_purged(ledgers: tuple[Ledger, Ledger]) -> None:
    notices = SentNotices(ledgers[0].database)
    for kind in ("digest", "source"):
        await notices.add_notice("T1", kind, "old")
    await ledgers[0].database.write(
        lambda connection: connection.exec_driver_sql("UPDATE bot_owner_notices SET told_at = 1.0")
    )
    await notices.add_notice("T1", "digest", "new")
    await notices.purge_notices("T1", "digest")
    assert await notices.add_notice("T1", "digest", "old")
    assert not await notices.add_notice("T1", "digest", "new")
    assert not await notices.add_notice("T1", "source", "old"), "it still fails"
