"""Test the storage, the pages of documents, and many messages at once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from bot.sandbox.state.demo import PEOPLE
from bot.sandbox.state.model import Record, SlackMessage, name_kind
from bot.sandbox.state.storage import Storage
from tests.slack_sandbox import open_sandbox


def message(ts: str, text: str = "x") -> SlackMessage:
    """Return a message to keep."""
    return SlackMessage("C1", ts, "U1", text, blocks=[], files=[])


def kept(*records: Record) -> dict[tuple[str, str], Record | None]:
    """Return records as they are handed over."""
    return {(name_kind(record), record.key): record for record in records}


async def test_only_the_last_version_is_stored(tmp_path: Path) -> None:
    """Several versions before a commit become one row; None deletes it."""
    storage = Storage(tmp_path / "w.sqlite3")
    assert await storage.open_records() == []
    storage.queue_records(kept(message("1.000001", "old"), message("1.000002")))
    storage.queue_records(kept(message("1.000001", "new")))
    storage.queue_records({("message", "C1/1.000002"): None})
    await asyncio.gather(storage.wait_until_stored(), storage.wait_until_stored())
    await storage.close()
    again = Storage(tmp_path / "w.sqlite3")
    assert await again.open_records() == [message("1.000001", "new")]
    await again.close()
    await again.close()


async def test_records_are_written_after_a_failed_write(tmp_path: Path) -> None:
    """A locked file is an error for waiting callers, and nothing is lost."""
    path = tmp_path / "w.sqlite3"
    storage = Storage(path, locked_s=0.05)
    await storage.open_records()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        storage.queue_records(kept(PEOPLE[0], message("1.000001", "old")))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await storage.wait_until_stored()
        storage.queue_records(kept(message("1.000001", "new")))
        other.execute("ROLLBACK")
    await storage.wait_until_stored()
    await storage.close()
    again = Storage(path)
    assert await again.open_records() == [message("1.000001", "new"), PEOPLE[0]]
    await again.close()


async def test_a_cancelled_waiter_leaves_the_others(tmp_path: Path) -> None:
    """A commit that several callers wait for continues when one is cancelled."""
    storage = Storage(tmp_path / "w.sqlite3")
    await storage.open_records()
    storage.queue_records(kept(message("1.000001")))
    leaver, waiter = asyncio.create_task(storage.wait_until_stored()), asyncio.create_task(storage.wait_until_stored())
    await asyncio.sleep(0)
    leaver.cancel()
    await waiter
    assert leaver.cancelled() or leaver.done()
    with sqlite3.connect(tmp_path / "w.sqlite3") as other:
        assert other.execute("SELECT count(*) FROM record").fetchone() == (1,)
    await storage.close()


async def test_a_damaged_state_is_an_error(tmp_path: Path) -> None:
    """A file that is not a database is an error at once."""
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox/workspace.sqlite3").write_bytes(b"no database" * 200)
    with pytest.raises(sqlite3.DatabaseError):
        async with open_sandbox(tmp_path):
            pass


async def test_documents_open_and_nothing_else_does(tmp_path: Path) -> None:
    """Markdown becomes a page with anchors; nothing outside the folder is served; markup stays text."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/怎么.md").write_text("# 标题 One\n\n<script>alert(1)</script>\n", encoding="utf-8")
    (folder / ".hidden.md").write_text("secret", encoding="utf-8")
    (tmp_path / "outside.md").write_text("secret", encoding="utf-8")
    (folder / "link.md").symlink_to(tmp_path / "outside.md")
    async with open_sandbox(tmp_path, files={"docs": folder}) as box:
        async with box.session.get(f"{box.base_url}/files/docs/sub/怎么.md") as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "<h1 id=" in page
        assert "<script>" not in page
        style = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        async with box.session.get(box.base_url + style) as answer:
            assert (answer.status, answer.content_type) == (200, "text/css")
        for path in (
            "docs/.hidden.md",
            "docs/..%2Foutside.md",
            "docs/link.md",
            "docs/none.md",
            "other/x.md",
            "docs/%00",
        ):
            async with box.session.get(f"{box.base_url}/files/{path}") as answer:
                assert answer.status == 404, path
