"""Concurrent syncs in one process: joining, waiting, reporting and cancelling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from knowledge.errors import SourceError, StoreUnavailable, SyncRunning
from knowledge.interfaces import make_class_key
from knowledge.sync.coordinator import SyncCoordinator
from knowledge.sync.running.run import open_run
from knowledge.sync.running.tools import SyncLimits, SyncTools
from knowledge.sync.running.workbench import LocalWorkbench
from tests.waiting import WAIT_S


class Opening:
    """A run that takes long to open, and as long to give up, as a transaction that comes to its end does."""

    def __init__(self) -> None:
        self.begun, self.left, self.end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
            await self.end.wait()


class Stage:
    """A conductor over a rig; ``opened`` and ``closed`` count its runs."""

    def __init__(self, rig: Any, passages: Any) -> None:
        self.rig = rig
        self.opened = self.closed = 0
        self.refusal: Exception | None = None
        self.before_it_opens: Opening | None = None
        self.limits = SyncLimits()
        self._passages = passages
        self.conductor = SyncCoordinator(self.open)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Any]:
        self.opened += 1
        if self.refusal is not None:
            raise self.refusal
        if self.before_it_opens is not None:
            await self.before_it_opens.wait()
        rig = self.rig
        tools = SyncTools(LocalWorkbench(rig.embedder, self._passages), rig.store, rig.index, limits=self.limits)
        keys = [f"{name}\x1fdict\x1f/{name}" for name in ("handbook", "wiki", "blog", "slow")]
        try:
            async with open_run(tools, keys) as run:
                yield run
        finally:
            self.closed += 1

    async def sync(self, *sources: Any, **options: Any) -> Any:
        return await self.conductor.refresh(sources, options.pop("on_progress", None), **options)


async def nothing() -> None:
    """Work that only a coordinator without an open run does."""


@pytest.fixture
def stage(rig: Any, dict_passages: Any) -> Stage:
    return Stage(rig, dict_passages)


def gated(base: type) -> type:
    """Return a kind of source that lists nothing until its gate is opened."""

    class Gated(base):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__(name, f"/{name}")
            self.gate = asyncio.Event()
            self.begun = asyncio.Event()
            self.listings = 0

        async def list(self) -> AsyncIterator[Any]:
            self.listings += 1
            self.begun.set()
            await self.gate.wait()
            async for batch in super().list():
                yield batch

    return Gated


@pytest.fixture
def slow(new_source: Any) -> Any:
    source = gated(new_source)("slow")
    source.put("s.md", "slow text")
    return source


@pytest.fixture
def wiki(new_source: Any) -> Any:
    source = new_source("wiki", "/wiki")
    source.put("w.md", "wiki text")
    return source


async def test_a_source_joins_the_open_run_without_waiting(stage: Stage, slow: Any, wiki: Any) -> None:
    first = asyncio.create_task(stage.sync(slow))
    await slow.begun.wait()
    report = await stage.sync(wiki)
    assert (report.sources["wiki"].added, stage.opened, stage.closed) == (1, 1, 0)
    assert not first.done()
    slow.gate.set()
    assert (await first).sources["slow"].added == 1
    assert (stage.opened, stage.closed) == (1, 1)
    await stage.conductor.run_exclusively(nothing)


async def test_a_running_sync_is_reported_and_joined(stage: Stage, slow: Any, wiki: Any) -> None:
    first = asyncio.create_task(stage.sync(slow))
    await slow.begun.wait()
    with pytest.raises(SyncRunning, match="A sync of slow is running already"):
        await stage.sync(slow)
    with pytest.raises(SyncRunning):
        await stage.sync(slow, wiki, approve={"slow": {"a.md"}})
    every = asyncio.create_task(stage.sync(slow, wiki))
    await asyncio.sleep(0.01)
    slow.gate.set()
    assert set((await every).sources) == {"slow", "wiki"}
    assert (await first).ok
    assert slow.listings == 1


async def test_queued_callers_share_a_later_sync(stage: Stage, slow: Any) -> None:
    first = asyncio.create_task(stage.sync(slow))
    await slow.begun.wait()
    queued = [asyncio.create_task(stage.sync(slow, queue=True)) for _ in range(3)]
    await asyncio.sleep(0.01)
    slow.put("t.md", "more")
    with pytest.raises(SyncRunning):
        await stage.sync(slow)
    slow.gate.set()
    await first
    reports = [await task for task in queued]
    assert slow.listings == 2
    assert {report.sources["slow"].listed for report in reports} == {2}
    assert stage.conductor.progress == {}


async def test_a_cancelled_caller_stops_only_its_own_jobs(stage: Stage, slow: Any, wiki: Any) -> None:
    first = asyncio.create_task(stage.sync(slow))
    await slow.begun.wait()
    second = asyncio.create_task(stage.sync(slow, wiki))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert "slow" in stage.conductor.progress
    second.cancel()
    await asyncio.wait([second])
    assert stage.conductor.progress == {}
    assert stage.opened == stage.closed, "the run is closed, and its locks are free"
    await stage.conductor.run_exclusively(nothing)
    slow.gate.set()
    assert (await stage.sync(slow, wiki)).ok
    assert await stage.rig.agree()


async def test_a_caller_during_a_cancelled_run_gets_a_new_run(stage: Stage, slow: Any, wiki: Any) -> None:
    stage.before_it_opens = opening = Opening()
    first = asyncio.create_task(stage.sync(slow))
    await opening.begun.wait()
    first.cancel()
    await opening.left.wait()
    stage.before_it_opens = None
    second = asyncio.create_task(stage.sync(wiki))
    await asyncio.sleep(0.01)
    opening.end.set()
    assert (await second).sources["wiki"].added == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    await stage.conductor.run_exclusively(nothing)


async def test_a_caller_during_a_cancelled_sync_of_a_source_gets_a_new_sync(stage: Stage, slow: Any, wiki: Any) -> None:
    cancelled = asyncio.create_task(stage.sync(slow, wiki))
    async with asyncio.timeout(WAIT_S):
        await slow.begun.wait()
        while "wiki" in stage.conductor.progress:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)
        cancelled.cancel()
        job = stage.conductor._jobs["slow"].task
        while not job.cancelling():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        assert not job.done()
        slow.gate.set()
        report = await stage.sync(slow, wiki)
    assert (report.sources["slow"].added, slow.listings) == (1, 2)


async def test_a_run_that_cannot_open_is_reported_to_all_callers(stage: Stage, wiki: Any) -> None:
    stage.refusal = StoreUnavailable("The store is away. Start it.")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await stage.sync(wiki)
    stage.refusal = None
    assert (await stage.sync(wiki)).ok


async def test_no_sync_begins_during_exclusive_work(stage: Stage, slow: Any, wiki: Any) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        entered.set()
        await leave.wait()
        return "done"

    alone = asyncio.create_task(stage.conductor.run_exclusively(work))
    await entered.wait()
    waiting = asyncio.create_task(stage.sync(wiki))
    await asyncio.sleep(0.01)
    assert stage.opened == 0
    leave.set()
    assert await alone == "done"
    assert (await waiting).ok
    running = asyncio.create_task(stage.sync(slow))
    await slow.begun.wait()
    with pytest.raises(SyncRunning):
        await stage.conductor.run_exclusively(work)
    await stage.conductor.close()
    await asyncio.wait([running])
    await stage.conductor.run_exclusively(nothing)


@pytest.mark.slow
async def test_sources_that_hang_delay_no_other(stage: Stage, new_source: Any, wiki: Any) -> None:
    class Hanging(new_source):  # type: ignore[misc]
        async def read(self, _listed: object) -> None:
            await asyncio.Event().wait()

    stage.limits = SyncLimits(document_s=1.0, silent=4)
    hanging = [Hanging(name, f"/{name}") for name in ("handbook", "blog", "slow")]
    for source in hanging:
        for n in range(20):
            source.put(f"{n}.md", "never")
    every = asyncio.create_task(stage.sync(*hanging, wiki))
    async with asyncio.timeout(WAIT_S):
        while "w.md" not in await stage.rig.answers(wiki):  # noqa: ASYNC110 - what answers lies in a database
            await asyncio.sleep(0.01)
    assert not every.done(), "the others are still being waited for"
    report = await every
    assert report.sources["wiki"].ok
    assert {"hangs" in (report.sources[source.key.name].error or "") for source in hanging} == {True}


async def test_a_store_that_fails_for_one_source_leaves_the_rest_of_the_run(
    stage: Stage, wiki: Any, new_source: Any, store_down: Any
) -> None:
    blog = new_source("blog", "/blog")
    for n in range(5):
        blog.put(f"{n}.md", f"blog {n}")
    stage.rig.store.plan("write", store_down)
    report = await stage.sync(blog)
    assert report.sources["blog"].error == str(store_down)
    assert (await stage.sync(blog, wiki)).ok
    assert await stage.rig.agree()


@pytest.mark.slow
async def test_sources_share_the_embedder_in_equal_parts(stage: Stage, new_source: Any, wiki: Any) -> None:
    large = new_source("blog", "/blog")
    for n in range(300):
        large.put(f"{n}.md", "\n\n".join(f"{n} part {part}" for part in range(10)))
    is_taken = asyncio.Event()

    def seen(progress: Any) -> None:
        if progress.source == "blog" and progress.done > 20:
            is_taken.set()

    read, synced = large.read, asyncio.Event()

    async def read_on(listed: Any) -> Any:
        if len(large.reads) >= 250:
            await synced.wait()
        return await read(listed)

    large.read = read_on  # The last fifty wait for the wiki: were it to wait for them, nothing would end.
    stage.limits = SyncLimits(progress_s=0.0)
    long = asyncio.create_task(stage.sync(large, on_progress=seen))
    await is_taken.wait()
    async with asyncio.timeout(WAIT_S):
        await stage.sync(wiki)
    progress = stage.conductor.progress["blog"]
    assert progress is not None
    assert progress.done < 300, "it did not wait for the large one"
    synced.set()
    assert (await long).sources["blog"].added == 300


async def test_a_source_that_fails_to_list_is_a_report(stage: Stage, wiki: Any) -> None:
    wiki.plan("list", SourceError("The wiki is away. Start it."))
    report = await stage.sync(wiki)
    assert report.sources["wiki"].error == "The wiki is away. Start it."


Sources = Callable[..., Any]


async def test_copies_are_embedded_once_across_documents_sources_renames_and_links(
    stage: Stage, new_source: Sources, wiki: Any
) -> None:
    embedded = stage.rig.embedder.embedded
    blog = new_source("blog", "/blog")
    for n in range(6):
        blog.put(f"{n}.md", "# Same\none\n\ntwo")
    wiki.put("copy.md", "# Same\none\n\nthree")
    await stage.sync(blog)
    assert sorted(embedded) == ["Same\none", "Same\ntwo"]
    await stage.sync(wiki)
    assert sorted(embedded)[:3] == ["Same\none", "Same\nthree", "Same\ntwo"]
    count = len(embedded)
    blog.texts = {f"renamed-{name}": text for name, text in blog.texts.items()}
    blog.versions = {f"renamed-{name}": version for name, version in blog.versions.items()}
    report = await stage.sync(blog)
    assert (report.sources["blog"].added, report.sources["blog"].deleted) == (6, 6)
    blog.url, blog.readers = "https://elsewhere.test/{}", frozenset({"U1"})
    assert (await stage.sync(blog)).sources["blog"].chunks_written == 12
    assert len(embedded) == count
    rows = [row for row in stage.rig.store.rows_by_id.values() if row.chunk.source == blog.key.id]
    assert {row.chunk.audience for row in rows} == {make_class_key(frozenset({"U1"}))}
    vectors = {row.chunk.searchable_text: row.vector.tolist() for row in rows}
    assert all(row.vector.tolist() == vectors[row.chunk.searchable_text] for row in rows)
    assert await stage.rig.agree()
