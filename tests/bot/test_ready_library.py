"""Questions to a library before anything was read, and the notices that they get."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.answering.events import Finished, Notice, Question
from bot.answering.limits import Limits
from bot.app import create_answerer
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.ready_library import ReadyLibrary
from engine.interfaces import EngineState, EngineStatus
from knowledge.errors import NothingRead, NothingReadReason
from knowledge.interfaces import SearchResult, Viewers
from knowledge.materials import MaterialLoader
from knowledge.status import LibraryStatus, SourceStatus, explain_nothing_read
from knowledge.sync.report import SyncProgress
from tests.answering.conftest import ScriptedEngine
from tests.library.library_bench import Bench
from tests.sync.doubles import DictSource, passages

DOCS = SourceStatus("docs", "folder", "/docs", 0, 0, 0, (), 0, None, None, None, None, has_uniform_readers=True)
ADDED = replace(DOCS, name="added", kind="push", synced_at=datetime.now(UTC))
SYNCING = SyncProgress("docs", listed=9, done=3, failed=0, total=9, seconds=1.0, eta_s=None)


def state(*sources: SourceStatus, elsewhere: str | None = None) -> LibraryStatus:
    return LibraryStatus("lancedb", indexing=False, sources=sources, elsewhere=elsewhere)


@pytest.mark.parametrize(
    ("found", "why", "english", "chinese"),
    [
        (state(), "no_source", "[[source]]", "[[source]]"),
        (state(ADDED), "no_source", "kvasir.toml", "kvasir.toml"),
        (state(DOCS, ADDED), "never", "Run `kvasir sync`", "请运行 `kvasir sync`"),
        (state(replace(DOCS, error="Denied.")), "failed", "`kvasir status`", "`kvasir status`"),
        (state(replace(DOCS, syncing=SYNCING)), "reading", "(3 of 9)", "（3/9）"),
        (state(DOCS, elsewhere="process 12"), "reading", "first time. Please", "首次读取文档，请"),
        (state(replace(DOCS, synced_at=datetime.now(UTC))), "empty", "hold no documents", "没有文档"),
    ],
)
def test_each_reason_names_its_next_step(
    found: LibraryStatus, why: NothingReadReason, english: str, chinese: str
) -> None:
    error = explain_nothing_read(found, {"docs"})
    assert error is not None
    assert error.why == why
    assert english in render_message(explain_error(error), "en")
    assert chinese in render_message(explain_error(error), "zh")
    assert "Denied" not in str(error), "only owners see why a source fails"


def test_a_library_with_documents_needs_no_notice() -> None:
    read = state(replace(DOCS, documents=3, syncing=SYNCING))
    assert explain_nothing_read(read, {"docs"}) is None
    error = explain_nothing_read(read, {"docs"}, reading=True)
    assert error is not None
    assert error.why == "reading"


def test_documents_of_hidden_sources_are_not_counted() -> None:
    error = explain_nothing_read(state(replace(DOCS, syncing=SYNCING)), frozenset())
    assert error is not None
    assert (error.why, error.done, error.total) == ("reading", 0, 0)


def test_unread_documents_are_not_counted_where_they_may_have_other_readers() -> None:
    """What is read so far may all be readable, and the unread documents restricted."""
    mixed = replace(DOCS, documents=3, syncing=SYNCING, has_uniform_readers=False)
    error = explain_nothing_read(state(mixed), {"docs"}, reading=True)
    assert error is not None
    assert (error.why, error.done, error.total) == ("reading", 0, 0)


async def test_a_question_before_the_first_sync_is_answered_with_the_next_step(tmp_path: Path) -> None:
    source = DictSource()
    source.put("holiday.md", "Thirty days of holiday a year for everybody who works here.")
    async with Bench(tmp_path, passages).library(source) as library:
        shelf = ReadyLibrary(library, None)
        shelf.first_sync_done.set()
        answerer = create_answerer(library, ScriptedEngine(status=EngineStatus(EngineState.ABSENT)), shelf.search)
        events = [event async for event in answerer.answer(Question("How many days of holiday?"))]
        assert [event.text for event in events if isinstance(event, Notice)] == [str(NothingRead("never"))]
        await library.refresh()
        events = [event async for event in answerer.answer(Question("How many days of holiday?"))]
        assert isinstance(events[-1], Finished)
        assert events[-1].route == "passages"
        assert events[-1].search_query == "How many days of holiday?"


class Reading:
    """A library that is being read for the first time."""

    async def search(self, query: str, **_: object) -> SearchResult:
        return SearchResult(query, (), 0.0, answerable=False)

    async def status(self) -> LibraryStatus:
        return state(replace(DOCS, syncing=SYNCING))

    async def count_readable(self, _viewers: Viewers) -> Mapping[str, int]:
        return {"docs": 3}


@pytest.mark.slow
async def test_a_long_first_sync_says_so_before_the_search_takes_too_long() -> None:
    shelf = ReadyLibrary(Reading(), None)  # type: ignore[arg-type]
    with pytest.raises(NothingRead, match="3 of 9"):
        async with asyncio.timeout(Limits().search_s):
            await shelf.search("q", limit=1)


async def test_a_question_about_a_file_does_not_wait_for_the_first_sync() -> None:
    shelf = ReadyLibrary(Reading(), None)  # type: ignore[arg-type]
    material = await MaterialLoader(len).read_message("1", "Ada", "Lunch is at twelve.", None)
    with pytest.raises(NothingRead):
        async with asyncio.timeout(8.0):
            await shelf.search("q", limit=1, materials=[replace(material, is_given=True)])
