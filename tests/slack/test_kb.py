"""``/kb``, as it is typed and as it is answered: to the one person, with progress in their direct messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.slack import kb
from engine.interfaces import State, Status
from knowledge.errors import StoreUnavailable, SyncRunning, UnknownSource
from knowledge.interfaces import Hit, SearchResult
from knowledge.sync.records import Failure
from knowledge.sync.report import Progress, SourceReport, SyncReport
from tests.slack.room import Bot, Shelf, Source, house, shown

NOW = datetime.now(UTC)


def hit(n: int, url: str | None = "https://kb.example/a") -> Hit:
    return Hit(f"{n}", "docs", f"{n}.md", f"Title <{n}>", "Part", url, "A passage. " * 60, 0.9, 0.9, NOW)


def progress(done: int, total: int) -> Progress:
    return Progress("docs", listed=total or done, done=done, failed=0, total=total, seconds=1.0, eta_s=12.0)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def desk(tmp_path: Path, shelf: Shelf) -> AsyncIterator[Bot]:
    async with house(tmp_path, "socket", shelf=shelf) as bot:
        yield bot


async def told(bot: Bot, contains: str, channel: str = "#general") -> str:
    found = await bot.box.wait_for_message(lambda m: m.get("ephemeral") and contains in shown(m), channel=channel)
    return shown(found)


async def test_search_shows_the_best_passages_to_the_one_person(desk: Bot, shelf: Shelf) -> None:
    shelf.hits = (hit(1), hit(2, None))
    await desk.box.command("ada", "#general", "/kb search how do logs rotate")
    text = await told(desk, "how do logs rotate")
    assert "1. <https://kb.example/a|Title &lt;1&gt; › Part> · docs" in text
    assert "2. *Title &lt;2&gt; › Part*" in text
    assert not [m for m in await desk.box.messages("#general", "bo") if "Title" in shown(m)]


async def test_search_that_finds_nothing_says_so(desk: Bot) -> None:
    await desk.box.command("ada", "#general", "/kb 搜索 日志")
    await told(desk, "没有找到与“日志”相关的段落。")


async def test_status_and_sources(desk: Bot) -> None:
    await desk.box.command("ada", "#general", "/kb status")
    text = await told(desk, "*Engine*: ready · r1")
    assert "• *docs*: 7 documents · synced 3 h ago" in text
    await desk.box.command("ada", "#general", "/kb sources")
    await told(desk, "*docs* · folder · /srv/docs")


@pytest.mark.slow
async def test_refresh_reports_in_one_direct_message(desk: Bot, shelf: Shelf) -> None:
    """Typed in a channel: a line there for the person alone, the progress in their direct messages."""
    shelf.progress, shelf.go = (progress(3, 10), progress(7, 10)), asyncio.Event()
    await desk.box.command("ada", "#general", "/kb refresh docs")
    await told(desk, "Refreshing docs … The progress is in our direct messages.")
    board = await desk.box.wait_for_message(
        lambda m: "*docs*: 7 / 10 · about 12 s left" in m["text"], channel="@kvasir"
    )
    shelf.go.set()
    done = await desk.box.wait_for_message(lambda m: "Refreshed in 1.5 s." in m["text"], channel="@kvasir")
    assert done["ts"] == board["ts"]
    assert "5 unchanged, 2 added" in done["text"]
    await told(desk, "Refreshed in 1.5 s.")
    assert shelf.refreshed == ["docs"]


async def test_refresh_in_the_direct_message_is_that_message(desk: Bot, shelf: Shelf) -> None:
    await desk.box.command("ada", "@kvasir", "/kb 刷新")
    await desk.box.wait_for_message(lambda m: "更新完成" in m["text"], channel="@kvasir")
    assert shelf.refreshed == [None]
    assert not [m for m in await desk.box.messages("@kvasir") if m.get("ephemeral")]


@pytest.mark.parametrize(
    ("failure", "typed", "words"),
    [
        (SyncRunning("A sync is running already. Wait."), "refresh", "A sync is running already. Wait."),
        (SyncRunning("A sync is running already. Wait."), "刷新", "更新已在进行中，请等它结束。"),
        (UnknownSource("There is no source “dosc”. Did you mean “docs”?"), "refresh dosc", "Did you mean “docs”?"),
        (UnknownSource("There is no source “文件”."), "刷新 文件", "没有名为“文件”的来源。用 /kb 来源 查看所有来源。"),
        (StoreUnavailable("The store is down. Start it."), "refresh", "The store is down. Start it."),
        (StoreUnavailable("The store is down. Start it."), "search logs", "The store is down. Start it."),
        (ZeroDivisionError("secret"), "search logs", "Something went wrong inside Kvasir"),
    ],
)
async def test_what_goes_wrong_is_told(desk: Bot, shelf: Shelf, failure: Exception, typed: str, words: str) -> None:
    shelf.failure = failure
    await desk.box.command("ada", "#general", f"/kb {typed}")
    text = await told(desk, words)
    assert "secret" not in text
    for line in text.splitlines():
        assert line.count("Did you mean") + line.count("running already") <= 1, "said once"


async def test_a_response_url_that_is_used_up_is_no_end(desk: Bot) -> None:
    """The answer goes by ``chat.postEphemeral`` instead."""
    payload = {"text": "help", "user_id": "U0ADA00001", "channel_id": "C0GENERAL1"}
    await _kb_of(desk).run(kb.Typed.of({**payload, "response_url": f"{desk.box.base_url}/commands/none"}))
    await told(desk, "/kb refresh")


def _kb_of(desk: Bot) -> kb.Kb:
    async def refused(_url: str, _payload: Any) -> bool:
        return False

    return kb.Kb(desk.shelf, lambda: Status(State.READY), desk.app._calls, refused, apology=str)


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_texts_of_a_status() -> None:
    now = datetime.now(UTC)
    sources = {
        "new": Source(synced_at=None),
        "ill": Source(failed=2, held=3, error="It is away.", synced_at=now - timedelta(days=2, hours=3)),
        "now": Source(synced_at=now + timedelta(seconds=5)),
    }
    engine = Status(State.DOWNLOADING, progress=0.42, detail="weights <1 of 2>")
    english = kb.status_text(engine, sources, chinese=False)
    assert "*Engine*: downloading 42% · weights &lt;1 of 2&gt;" in english
    assert "never synced" in english
    assert "synced 2 d ago · 2 could not be read · 3 gone and kept until you agree · :warning: It is away." in english
    assert "synced just now" in english
    chinese = kb.status_text(engine, sources, chinese=True)
    assert all(words in chinese for words in ("尚未同步", "2 天前同步", "刚刚同步", "3 篇待确认删除"))


def test_texts_of_a_report() -> None:
    failures = tuple(Failure(f"{n}.pdf", "needs a password") for n in range(5))
    report = SyncReport({"docs": SourceReport(listed=9, failed=5, failures=failures, error="It broke off.")}, 2.0)
    text = kb.report_text(report, chinese=False)
    assert "5 failed" in text
    assert text.count("needs a password") == 3
    assert ":warning: It broke off." in text
    assert "5 失败" in kb.report_text(report, chinese=True)


def test_nothing_configured_is_told() -> None:
    assert "kvasir.toml" in kb.sources_text({}, chinese=False)
    assert kb.progress_line(progress(3, 0), chinese=False) == "*docs*: 3 listed"


def test_a_search_text_fits_slack() -> None:
    text = kb.search_text(
        SearchResult("q" * 5_000, tuple(hit(n) for n in range(5)), 0.1, answerable=True), chinese=False
    )
    assert all(len(piece) <= 3_000 for piece in kb._sections(text))
    assert "".join(kb._sections(text)) == text
