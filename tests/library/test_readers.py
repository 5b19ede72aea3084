"""Rights that change: what a search proposes, finds and counts, over a real store and a real manifest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bot.ready_library import ReadyLibrary
from knowledge.errors import SourceError, StoreUnavailable
from knowledge.interfaces import EVERYONE, StoredChunk, make_class_key
from knowledge.stores.lancedb.store import LanceDBStore
from tests.library.library_bench import Bench, texts
from tests.viewers import make_members

BOARD = frozenset({"U1", "U2"})


class Torn(LanceDBStore):
    """A store that writes rows and then loses its connection while ``torn``."""

    torn = False

    async def write(self, rows: Sequence[StoredChunk]) -> None:
        await super().write(rows)
        if self.torn:
            raise StoreUnavailable("The machine went down. Start it.")


def make_others(new_source: Any) -> Any:
    """Return a source that no person of a test may read, so that every search has a filter."""
    others = new_source("others", "/others")
    others.put("x.md", "holiday of others")
    others.readers = frozenset({"U9"})
    return others


async def write_old_class(library: Any, readers: frozenset[str]) -> int:
    """Give every row of the store the class of these readers, as on a replica that missed a change."""
    store = library._indexes.written.store
    ids = [id_ async for some in store.list_ids() for id_ in some]
    rows = await store.read_rows(ids)
    await store.write([replace(row, chunk=replace(row.chunk, audience=make_class_key(readers))) for row in rows])
    return len(rows)


async def test_a_revoked_right_that_the_store_missed_is_counted_and_logged_without_titles(
    bench: Bench, new_source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    board, docs = new_source("board", "/board"), new_source("docs", "/docs")
    board.put("lyon.md", "# Lyon closes\nThe holiday house is sold.\n\nThe holiday bonus is cut.")
    docs.put("holiday.md", "Thirty days of holiday a year.")
    refused: list[int] = []
    async with bench.library(board, docs) as library:
        shelf = ReadyLibrary(library, None, refused.append)
        shelf.first_sync_done.set()
        await library.refresh()
        board.readers = BOARD
        await library.refresh()
        assert len((await shelf.search("holiday", limit=5)).hits) == 1
        assert (refused, caplog.records) == ([0], [])
        await write_old_class(library, EVERYONE)
        with caplog.at_level(logging.WARNING):
            found = await shelf.search("holiday", limit=5)
        assert [hit.source for hit in found.hits] == ["docs"]
        assert refused == [0, 2]
        [line] = [record.getMessage() for record in caplog.records]
        status = await library.status()
        assert status.refused_passages is not None
        assert status.refused_passages.passages == 2
        assert "2 passages of the source board" in line
        assert "Lyon" not in line
        assert "lyon" not in line
        await library.syncs.repair_index()
        assert (await library.status()).refused_passages is None, "the store was repaired"


async def test_a_new_audience_is_found_right_after_its_sync(bench: Bench, new_source: Any) -> None:
    board, others = new_source("board", "/board"), make_others(new_source)
    async with bench.library(board, others) as library:
        for n in range(4):
            board.put(f"{n}.md", f"holiday number {n}")
            board.readers = frozenset({f"U{n}"})
            await library.refresh()
            found = await texts(library, "holiday number", readers={f"U{n}"})
            assert sorted(found) == [f"holiday number {k}" for k in range(n + 1)]
            assert await texts(library, "holiday number", readers={f"U{n + 1}"}) == []


async def test_who_may_still_read_a_document_finds_it_while_it_cannot_be_read(bench: Bench, new_source: Any) -> None:
    """Its rows keep the old class, which no document has any more in the manifest."""
    board, others = new_source("board", "/board"), make_others(new_source)
    board.put("a.md", "holiday of the board")
    board.readers = BOARD
    async with bench.library(board, others) as library:
        await library.refresh()
        board.readers = frozenset({"U2", "U3"})
        board.plan("read", SourceError("No right to read. Give it."))
        await library.refresh()
        assert await texts(library, "holiday", readers={"U2"}) == ["holiday of the board"]
        assert await texts(library, "holiday", readers={"U1"}) == []
        assert await texts(library, "holiday", readers={"U3"}) == []
        await library.syncs.repair_index()
        assert await texts(library, "holiday", readers={"U2"}) == ["holiday of the board"]


@pytest.mark.slow
async def test_a_sync_that_changes_readers_hides_nothing_and_raises_no_alarm(
    bench: Bench, new_source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    board, others = new_source("board", "/board"), make_others(new_source)
    for n in range(30):
        board.put(f"{n}.md", f"holiday number {n}")
    board.readers = frozenset({"U1"})
    async with bench.library(board, others) as library:
        await library.refresh()
        for readers in (frozenset({"U1", "U2"}), frozenset({"U1", "U3"}), frozenset({"U1", "C1", "C2"})):
            board.readers = readers
            syncing = asyncio.ensure_future(library.refresh())
            while not syncing.done():
                mine = await library.search("holiday number", limit=30, viewers=make_members("U1"))
                theirs = await library.search("holiday number", limit=30, viewers=make_members("U8"))
                assert (len(mine.hits), mine.refused_count) == (30, 0)
                assert (theirs.hits, theirs.refused_count) == ((), 0)
            assert (await syncing).ok
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_interrupted_change_of_readers_is_found_by_the_readers_of_both(bench: Bench, new_source: Any) -> None:
    board, others = new_source("board", "/board"), make_others(new_source)
    board.put("a.md", "holiday of the board")
    board.readers = BOARD
    bench.store = Torn
    async with bench.library(board, others) as library:
        await library.refresh()
        board.readers = frozenset({"U2", "U3"})
        Torn.torn = True
        await library.refresh()
        Torn.torn = False
        assert await texts(library, "holiday", readers={"U2"}) == ["holiday of the board"]
        assert await texts(library, "holiday", readers={"U3"}) == []
        await library.refresh()
        assert await texts(library, "holiday", readers={"U3"}) == ["holiday of the board"]
        assert await texts(library, "holiday", readers={"U1"}) == []
