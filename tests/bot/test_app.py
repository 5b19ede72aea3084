"""Test the decisions of the composition root."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.app import delete_old_pages
from bot.config.settings import load_settings
from bot.ready_library import ReadyLibrary
from bot.workspace_page import build_page_status, keep_page_updated
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import DatabaseError, StoreUnavailable
from knowledge.interfaces import Viewers
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import QuarantinedDocument
from knowledge.sync.report import SyncProgress
from knowledge.web.reading.freshness import CachedResponse
from knowledge.web.reading.page_cache import CachedPage, PageCache
from tests.waiting import WAIT_S


class Endless:
    """A library whose search never ends."""

    async def search(self, *_: object, **__: object) -> Any:
        await asyncio.Event().wait()


@pytest.mark.parametrize("turns", range(6))
async def test_a_search_can_be_cancelled_at_any_moment(turns: int) -> None:
    """A cancellation at the moment when the first sync ends counts too."""
    shelf = ReadyLibrary(Endless(), None)  # type: ignore[arg-type]
    search = asyncio.create_task(shelf.search("q", limit=1))
    await asyncio.sleep(0)
    shelf.first_sync_done.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    search.cancel()
    done, _ = await asyncio.wait({search}, timeout=WAIT_S)
    search.cancel()
    assert done
    assert search.cancelled()


# ── What the page shows ──────────────────────────────────────────────────────────────────────────────────────────────

DOCS = SourceStatus("docs", "folder", "/docs", 3, 9, 0, (), 0, None, None, None, None, has_uniform_readers=True)
STARTING = EngineStatus(EngineState.STARTING)
SYNCING = SyncProgress("docs", listed=9, done=3, failed=0, total=9, seconds=1.0, eta_s=None)


@dataclass
class Wire:
    """A page, an engine and a library with settable states."""

    sources: tuple[SourceStatus, ...] = (DOCS,)
    engine: EngineStatus = STARTING
    status_fails: Exception | None = None
    suggesting_fails: Exception | None = None
    publishing_fails: bool = False
    suggesting: asyncio.Event = field(default_factory=asyncio.Event)
    suggested: int = 0
    restricted: int = 0
    swapped: int = 0
    """How often one document was restricted and another one opened."""
    looks: int = 0
    shown: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.suggesting.set()

    def library(self) -> Any:
        wire = self

        class Books:
            async def status(self) -> LibraryStatus:
                wire.looks += 1
                if wire.status_fails is not None:
                    raise wire.status_fails
                return LibraryStatus("local", indexing=False, sources=wire.sources)

            async def count_readable(self, _viewers: Viewers) -> Mapping[str, int]:
                return {one.name: one.documents - wire.restricted for one in wire.sources}

            async def suggest_questions(self, n: int) -> dict[str, str]:
                wire.suggested += 1
                chunk = f"{wire.restricted} {wire.swapped}"
                await wire.suggesting.wait()
                if wire.suggesting_fails is not None:
                    raise wire.suggesting_fails
                return {f"Question {wire.suggested}?": chunk} if n else {}

            async def filter_current(self, chunks: Collection[str], _viewers: Viewers) -> frozenset[str]:
                return frozenset(chunks) & {f"{wire.restricted} {wire.swapped}"}

        return Books()

    def running(self) -> Any:
        wire = self

        class Runs:
            def status(self) -> EngineStatus:
                return wire.engine

        return Runs()

    async def publish_status(self, status: Mapping[str, object]) -> bool:
        if not self.publishing_fails:
            self.shown.append(status)
        return not self.publishing_fails

    @contextlib.asynccontextmanager
    async def page(self) -> Any:
        task = asyncio.create_task(keep_page_updated(self.publish_status, self.running(), self.library(), every_s=0.0))
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not happened():  # noqa: ASYNC110 - whatever a test waits for
                await asyncio.sleep(0)


async def test_the_page_shows_the_engine_while_the_store_is_down() -> None:
    wire = Wire(suggesting_fails=StoreUnavailable("The store is down. Start it."))
    async with wire.page():
        await wire.until(lambda: bool(wire.shown))
        assert wire.shown[0]["knowledge"]["documents"] == 3
        wire.engine = EngineStatus(EngineState.READY)
        await wire.until(lambda: wire.shown[-1]["engine"]["state"] == "ready")
        wire.suggesting_fails = None
        await wire.until(lambda: bool(wire.shown[-1]["suggestions"]))


async def test_the_page_shows_the_engine_while_suggestions_are_searched() -> None:
    wire = Wire()
    wire.suggesting.clear()
    async with wire.page():
        await wire.until(lambda: wire.suggested == 1)
        wire.engine = EngineStatus(EngineState.READY)
        await wire.until(lambda: bool(wire.shown) and wire.shown[-1]["engine"]["state"] == "ready")
        wire.suggesting.set()
        await wire.until(lambda: wire.shown[-1]["suggestions"] == ["Question 1?"])
        assert wire.suggested == 1


async def test_the_page_suggests_nothing_of_a_document_that_was_restricted() -> None:
    wire = Wire()
    async with wire.page():
        await wire.until(lambda: bool(wire.shown) and wire.shown[-1]["suggestions"] == ["Question 1?"])
        wire.suggesting.clear()
        wire.restricted = 1
        await wire.until(lambda: wire.shown[-1]["suggestions"] == [] and wire.suggested == 2)
        looks, wire.restricted = wire.looks, 2  # while the second search runs
        await wire.until(lambda: wire.looks > looks + 2)
        wire.suggesting.set()
        await wire.until(lambda: wire.shown[-1]["suggestions"] == ["Question 3?"])
    suggestions = [status["suggestions"] for status in wire.shown]
    assert ["Question 2?"] not in suggestions, "it was found before the second change"


async def test_a_suggestion_disappears_with_its_document_although_the_counts_stay() -> None:
    wire = Wire()
    async with wire.page():
        await wire.until(lambda: bool(wire.shown) and wire.shown[-1]["suggestions"] == ["Question 1?"])
        wire.suggesting.clear()
        wire.swapped = 1
        await wire.until(lambda: wire.shown[-1]["suggestions"] == [])
        wire.suggesting.set()
        await wire.until(lambda: wire.shown[-1]["suggestions"] == ["Question 2?"])


async def test_no_suggestion_is_shown_while_the_manifest_cannot_be_asked() -> None:
    wire = Wire()
    async with wire.page():
        await wire.until(lambda: bool(wire.shown) and bool(wire.shown[-1]["suggestions"]))
        wire.status_fails = DatabaseError("The database is locked. Wait.")
        await wire.until(lambda: wire.shown[-1]["suggestions"] == [])


async def test_the_page_shows_the_engine_while_the_manifest_is_locked(capfd: pytest.CaptureFixture[str]) -> None:
    wire = Wire(status_fails=DatabaseError("The database is locked. Wait."))
    async with wire.page():
        await wire.until(lambda: wire.looks > 5)
        assert wire.shown[0]["engine"]["state"] == "starting"
        assert wire.shown[0]["knowledge"]["documents"] == 0
    output = "".join(capfd.readouterr())
    assert output.count("not shown on the page") == 1, "said once, not at every look"


async def test_a_failed_update_of_the_page_is_sent_again() -> None:
    wire = Wire(publishing_fails=True)
    async with wire.page():
        await wire.until(lambda: wire.looks > 3)
        wire.publishing_fails = False
        await wire.until(lambda: bool(wire.shown))


async def test_questions_are_suggested_early_and_after_each_sync() -> None:
    wire = Wire(sources=(replace(DOCS, syncing=SYNCING),))
    async with wire.page():
        await wire.until(lambda: wire.suggested == 1)
        wire.sources = (replace(DOCS, documents=200, syncing=SYNCING),)
        await wire.until(lambda: wire.shown[-1]["knowledge"]["documents"] == 200)
        assert wire.suggested == 1
        wire.sources = (replace(DOCS, documents=200),)
        await wire.until(lambda: wire.shown[-1]["suggestions"] == ["Question 2?"])


def test_the_page_shows_pending_failed_stale_and_running() -> None:
    ill = replace(
        DOCS,
        name="wiki",
        pending_deletions=30,
        failed=1,
        failures=(QuarantinedDocument("a.pdf", "broken"),),
        age_s=2e5,
        max_age_s=1e5,
    )
    busy = replace(DOCS, syncing=SYNCING)
    page_status = build_page_status(STARTING, (ill, busy), {"wiki": 3, "docs": 3}, [])["knowledge"]
    assert isinstance(page_status, dict)
    assert (page_status["held"], page_status["failed"], page_status["running"]) == (30, 1, True)
    assert page_status["progress"] == pytest.approx(3 / 9)
    assert page_status["troubles"] == [
        "wiki is stale: 2 d old, 27 h at most.",
        "wiki: 30 pending deletions, still in answers. kvasir sync --approve wiki",
        "wiki: a.pdf: broken",
    ]
    assert build_page_status(STARTING, (DOCS,), {"docs": 3}, [])["knowledge"]["troubles"] == []  # type: ignore[index]


def test_the_page_counts_no_unread_documents_that_may_be_restricted() -> None:
    mixed = replace(DOCS, failed=7, pending_deletions=5, syncing=SYNCING, has_uniform_readers=False)
    page_status = build_page_status(STARTING, (mixed,), {"docs": 3}, [])["knowledge"]
    assert isinstance(page_status, dict)
    assert (page_status["documents"], page_status["failed"], page_status["held"]) == (3, 0, 0)
    assert page_status["progress"] is None


def test_the_page_neither_names_nor_counts_restricted_documents() -> None:
    ill = QuarantinedDocument("deal.pdf", "broken")
    board = replace(DOCS, name="board", error="lyon.internal refuses.", pending_deletions=30, failed=7, documents=88)
    mixed = replace(DOCS, name="mixed", documents=77, chunks=99, pending_deletions=55, failed=66, failures=(ill,))
    page_status = build_page_status(STARTING, (board, mixed, DOCS), {"mixed": 4, "docs": 3}, [])["knowledge"]
    assert isinstance(page_status, dict)
    assert (page_status["documents"], page_status["chunks"], page_status["held"], page_status["failed"]) == (7, 9, 0, 0)
    assert page_status["troubles"] == ["A source has a problem. `kvasir status` shows it."]


async def test_cached_pages_are_deleted_after_their_retention(tmp_path: Path) -> None:
    text = '[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n[retention]\nweb_cache = "2h"\n'
    (tmp_path / "kvasir.toml").write_text(text)
    settings = load_settings({"KVASIR_CACHE": "cache", "KVASIR_HOME": "home"}, tmp_path)
    cache = PageCache(settings.knowledge.web_cache, 1_000_000)
    for age_s in (3_600.0, 7_300.0):
        url = f"https://docs.example/{age_s:.0f}"
        response = CachedResponse(url, 301, {}, {}, time.time() - age_s, redirect_url="https://docs.example/")
        await cache.store_pages([CachedPage(response, None)])
    await delete_old_pages(settings)
    assert await cache.get_page("https://docs.example/3600") is not None
    assert await cache.get_page("https://docs.example/7300") is None
    await cache.close()
