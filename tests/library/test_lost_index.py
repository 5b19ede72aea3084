"""An index that the store has lost, or whose files are damaged: everybody says so, and it is built again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.app import _run_checks
from bot.health.checks import Health
from knowledge.errors import IndexLost, IndexRebuilding, StoreError
from knowledge.interfaces import ANY_MEMBER
from knowledge.library import Library
from tests.library.library_bench import Bench, texts
from tests.waiting import WAIT_S

THIRTY = "Thirty days of holiday a year."


def remove_folder(home: Path) -> None:
    shutil.rmtree(home / "lancedb")


def empty_newest_version(home: Path) -> None:
    min((home / "lancedb").glob("*.lance/_versions/*.manifest")).write_bytes(b"")


def delete_data(home: Path) -> None:
    for path in (home / "lancedb").glob("*.lance/data/*"):
        path.unlink()


DAMAGES = [remove_folder, empty_newest_version, delete_data]


async def wait_for(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


async def has_trouble(library: Library) -> bool:
    return (await library.status()).index.find_trouble() is not None


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_next_sync_builds_a_lost_index_again(bench: Bench, handbook: Any, damage: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        assert not await has_trouble(library)
        damage(bench.home)
        with pytest.raises(StoreError):
            await library.search("holiday")
        state = await library.status()
        assert isinstance(state.index.find_trouble(), IndexLost)
        assert state.index.share == 0
        report = await library.refresh()
        assert report.ok
        assert sum(source.updated for source in report.sources.values()) == 2
        assert not await has_trouble(library)
        assert THIRTY in await texts(library, "holiday")


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_process_that_starts_later_builds_it_again(bench: Bench, handbook: Any, damage: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
    damage(bench.home)
    async with bench.library(handbook) as library:
        state = await library.status()
        assert state.index.loss is not None
        assert (await library.refresh()).ok
        assert THIRTY in await texts(library, "holiday")
        assert not await has_trouble(library)


@pytest.mark.parametrize("damage", [remove_folder, empty_newest_version])
async def test_the_process_that_syncs_builds_it_again_by_itself(bench: Bench, handbook: Any, damage: Any) -> None:
    async def sleep_briefly(_seconds: float) -> None:
        await asyncio.sleep(0.02)

    bench.sleep = sleep_briefly  # type: ignore[assignment]
    async with bench.library(handbook) as library:
        await library.refresh()
        embedded = len(bench.embedder.texts)
        bench.embedder.gate.clear()
        async with library.index_watch.run_in_background(), library.syncs.run_schedule():
            damage(bench.home)

            async def is_rebuilding() -> bool:
                return isinstance(library.index_watch.health.find_trouble(), IndexRebuilding)

            await wait_for(is_rebuilding)
            bench.embedder.gate.set()

            async def is_complete() -> bool:
                return library.index_watch.health.find_trouble() is None

            await wait_for(is_complete)
            assert THIRTY in await texts(library, "holiday")
        assert len(bench.embedder.texts) == 2 * embedded


async def test_a_probe_calls_no_index_usable_before_it_was_checked(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        remove_folder(bench.home)
        health, database = Health(), library._indexes.manifest.database
        unused: Any = None
        async with _run_checks(health, database, library, engine=unused, app=unused, answers=False):

            async def is_named() -> bool:
                state: Any = health.describe_readiness()[1]
                assert state["checks"]["index"] != "ok"
                return "builds it again" in state["checks"]["index"]

            await wait_for(is_named)
        await health.close()


async def test_answers_say_how_far_the_new_index_is(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        assert (await library.search("holiday")).trouble is None
        remove_folder(bench.home)
        bench.embedder.gate.clear()
        sync = asyncio.create_task(library.refresh())
        await wait_for(library.index_watch.find_rebuild)
        found = await library.search("holiday")
        assert isinstance(found.trouble, IndexRebuilding)
        assert str(found.trouble) == "The index is being rebuilt, 0%. Until then, answers may lack documents."
        bench.embedder.gate.set()
        await sync
    async with bench.library(handbook) as library:
        assert (await library.search("holiday")).trouble is None


async def test_documents_that_their_source_lacks_meanwhile_are_not_forgotten(bench: Bench, handbook: Any) -> None:
    """A lost index and a mount that is empty at the same time: the deletions wait for approval."""
    async with bench.library(handbook) as library:
        await library.refresh()
        remove_folder(bench.home)
        kept = dict(handbook.texts)
        handbook.texts.clear()
        await library.refresh()
        [source] = (await library.status()).sources
        assert (source.documents, source.pending_deletions) == (2, 2)
        handbook.texts.update(kept)
        await library.refresh()
        assert THIRTY in await texts(library, "holiday")
        assert not await has_trouble(library)


async def test_an_index_that_somebody_emptied_is_found_and_filled(bench: Bench, handbook: Any) -> None:
    """Another process has made an empty index in place of the lost one."""
    async with bench.library(handbook) as library:
        await library.refresh()
        store = library._indexes.searched.store
        name = library._indexes.searched.row.name
        await store.drop_index(name)
        await store.open(name, bench.embedder.dimensions)
        assert isinstance((await library.index_watch.check_index()).loss, IndexLost)
        await library.refresh()
        assert THIRTY in await texts(library, "holiday")
        assert (await library.index_watch.check_index()).find_trouble() is None


def flip_letters(home: Path, right: bytes, wrong: bytes) -> None:
    paths = [one for one in (home / "lancedb").glob("*.lance/data/*") if right in one.read_bytes()]
    assert paths
    for path in paths:
        path.write_bytes(path.read_bytes().replace(right, wrong))


async def test_a_passage_with_another_text_is_left_out_and_read_again(
    bench: Bench, handbook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        (hit,) = (await library.search("holiday", limit=1)).hits
    flip_letters(bench.home, b"Thirty days", b"Ninety days")
    async with bench.library(handbook) as library:
        assert not [text for text in await texts(library, "holiday days") if "Ninety" in text]
        assert "1 passages of the store have another text" in caplog.text
        assert "receipts" in str(await texts(library, "receipts within a month"))
        report = await library.refresh()
        assert (report.ok, report.repaired, report.sources["handbook"].updated) == (True, 1, 1)
        assert THIRTY in await texts(library, "holiday")
    flip_letters(bench.home, b"Ask your manager", b"Ask your managed")
    async with bench.library(handbook) as library:
        neighbours = await texts(library, "Thirty days of holiday a year", limit=1)
        passage = await library.read_passage(hit.chunks, ANY_MEMBER)
        assert "managed" not in f"{neighbours} {passage}"
        assert (await library.refresh()).ok
        passage = await library.read_passage(hit.chunks, ANY_MEMBER)
        assert passage is not None
        assert "Ask your manager in time." in passage.text
