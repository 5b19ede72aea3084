"""Syncs after changes on the disk."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from knowledge.errors import SourceError
from knowledge.interfaces import WatchableSource
from knowledge.sources.folder.source import FolderSource
from knowledge.sync.watch import SourceWatcher
from tests.sources.building import build


class Bell:
    """A watched source that reports what the test sends. An error ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[SourceError | bool] = asyncio.Queue()

    async def changes(self) -> AsyncIterator[None]:
        while (event := await self.queue.get()) is not False:
            if isinstance(event, SourceError):
                raise event
            yield


async def test_a_change_during_a_sync_syncs_once_more() -> None:
    bell, synced, gate = Bell(), asyncio.Queue[str](), asyncio.Event()

    async def refresh(name: str) -> None:
        synced.put_nowait(name)
        await gate.wait()

    watch = SourceWatcher({"docs": bell}, refresh)
    async with watch.run_in_background():
        bell.queue.put_nowait(True)
        assert await synced.get() == "docs"
        assert watch.watched == {"docs"}
        bell.queue.put_nowait(True)
        await asyncio.sleep(0)
        assert synced.empty(), "one at a time"
        gate.set()
        assert await synced.get() == "docs"
    assert watch.watched == set()


async def test_an_unwatchable_source_is_reported_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    bell, slept, synced = Bell(), asyncio.Queue[float](), asyncio.Queue[str]()

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)

    watch = SourceWatcher({"docs": bell}, synced.put, sleep=sleep)
    with caplog.at_level(logging.WARNING):
        async with watch.run_in_background():
            for _ in range(3):
                bell.queue.put_nowait(SourceError("The limit is reached. Raise it."))
                assert await slept.get() == 300.0
                assert await synced.get() == "docs", "changes while nothing watched are synced"
            assert watch.troubles == {"docs": "The limit is reached. Raise it."}
            bell.queue.put_nowait(True)
            assert await synced.get() == "docs"
            assert watch.troubles == {}
            bell.queue.put_nowait(False)
    assert len(caplog.records) == 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("a")
    return tmp_path / "docs"


def folder(root: Path, **options: object) -> FolderSource:
    source = build("folder", root.parent, path=str(root), **options)
    assert isinstance(source, FolderSource)
    assert isinstance(source, WatchableSource)
    return source


async def touch_until(root: Path, is_done: Callable[[], bool]) -> None:
    """Touch a file until a change is reported, because the watch may start late."""
    for n in range(600):
        (root / "marker.md").write_text(str(n))
        await asyncio.sleep(0.1)
        if is_done():
            return
    raise AssertionError("no change was reported")


async def next_change(source: FolderSource, act: Callable[[], object], *, within_s: float = 30.0) -> bool:
    """Run an action while the folder is watched, and return whether it was reported."""
    reports: asyncio.Queue[None] = asyncio.Queue()

    async def listen() -> None:
        async with aclosing(source.changes()) as changes:
            async for _ in changes:
                reports.put_nowait(None)

    listening = asyncio.create_task(listen())
    try:
        await touch_until(Path(source.key.root), lambda: not reports.empty())
        while not reports.empty():  # until the rest of the burst is reported too
            reports.get_nowait()
            await asyncio.sleep(1.5)
        act()
        try:
            async with asyncio.timeout(within_s):
                await reports.get()
        except TimeoutError:
            return False
        return True
    finally:
        listening.cancel()
        await asyncio.wait([listening])


@pytest.mark.slow
@pytest.mark.parametrize("what", ["written", "made deep below", "removed", "folder removed", "patterns"])
async def test_changes_of_the_listing_are_reported(root: Path, what: str) -> None:
    acts = {
        "written": lambda: (root / "a.md").write_text("b"),
        "made deep below": lambda: (root / "deep" / "new.md").write_text("new"),
        "removed": (root / "a.md").unlink,
        "folder removed": lambda: shutil.rmtree(root / "deep"),
        "patterns": lambda: (root / ".kvasirignore").write_text("*.md"),
    }
    assert await next_change(folder(root), acts[what])


@pytest.mark.slow
async def test_other_files_are_not_reported(root: Path) -> None:
    def act() -> None:
        (root / ".a.md.swp").write_text("editor")
        (root / "picture.png").write_bytes(b"png")
        (root / "node_modules").mkdir()
        (root / "node_modules" / "x.md").write_text("x")

    assert not await next_change(folder(root), act, within_s=3.0)


async def to_the_end(changes: AsyncIterator[None]) -> None:
    async for _ in changes:
        pass


@pytest.mark.slow
async def test_a_recreated_folder_ends_its_watch(root: Path) -> None:
    async with aclosing(folder(root).changes()) as changes:
        first = asyncio.ensure_future(anext(changes))
        await touch_until(root, first.done)
        root.rename(root.with_name("moved"))
        root.mkdir()
        with pytest.raises(SourceError, match="cannot be watched: it was moved"):
            await to_the_end(changes)  # The rest of the burst, and the move itself, may be reported first.


async def test_a_missing_folder_cannot_be_watched(root: Path) -> None:
    with pytest.raises(SourceError, match="cannot be watched: it is not there"):
        await anext(folder(root / "none").changes())
    assert [change async for change in folder(root, watch=False).changes()] == []


async def listed(source: FolderSource) -> set[str]:
    return {one.document async for batch in source.list() for one in batch}


async def test_ignored_files_are_not_listed_through_links(root: Path) -> None:
    (root / "drafts").mkdir()
    (root / "drafts" / "d.md").write_text("draft")
    (root / "deep" / "old.md").write_text("old")
    (root / "deep" / "keep.md").write_text("keep")
    (root / "link").symlink_to(root / "drafts")
    (root / ".kvasirignore").write_text("# what is old\n/link\ndeep/*\n!deep/keep.md\n")
    assert await listed(folder(root, ignore=["drafts/**"])) == {"a.md", "deep/keep.md"}
    assert await listed(folder(root)) == {"a.md", "deep/keep.md", "drafts/d.md"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_patterns_that_cannot_be_read_list_nothing(root: Path) -> None:
    (root / ".kvasirignore").write_text("*.md")
    (root / ".kvasirignore").chmod(0)
    with pytest.raises(SourceError, match=r"\.kvasirignore cannot be read"):
        await listed(folder(root))


async def test_an_ignore_file_that_is_a_folder_is_reported(root: Path) -> None:
    (root / ".kvasirignore").mkdir()
    with pytest.raises(SourceError, match=r"\.kvasirignore cannot be read"):
        await listed(folder(root))
