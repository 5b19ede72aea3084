"""A new index next to the old one: without gaps, resumed, overtaken or lost, and across processes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from knowledge.errors import DatabaseError, SourceError, StoreMisconfigured
from knowledge.stores.lancedb.store import LanceDBStore
from tests.library.library_bench import Bench, Words, texts

pytestmark = pytest.mark.slow


class Unopenable(LanceDBStore):
    """A store that opens only a missing index, as with an index that an older version cannot read."""

    async def open(self, index: str, dimensions: int) -> None:
        if index in await self.list_indexes():
            raise StoreMisconfigured("The index is of another kind. Run `kvasir sync`.")
        await super().open(index, dimensions)


def change(bench: Bench, what: str) -> None:
    """Give the next library another identity."""
    if what == "chunker":
        bench.chunker = f"{bench.chunker}+"
    elif what == "schema":
        bench.schema = f"{bench.schema}+"
    else:
        bench.embedder = Words(f"{bench.embedder.identity}+", 32 if what == "dimensions" else 64)


async def left(bench: Bench) -> list[str]:
    """Return the indexes in the store."""
    store = LanceDBStore(bench.home / "lancedb")
    try:
        return list(await store.list_indexes())
    finally:
        await store.close()


@pytest.mark.parametrize("changed", ["chunker", "schema", "embedder", "dimensions"])
async def test_the_old_index_answers_until_the_new_one_is_whole(bench: Bench, handbook: Any, changed: str) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        before = await texts(library, "holiday")
    change(bench, changed)
    async with bench.library(handbook) as library, bench.library(handbook) as other_process:
        assert (await library.status()).indexing
        found = await texts(library, "holiday")
        assert "Thirty days of holiday a year." in found
        assert changed in {"embedder", "dimensions"} or found == before, "with both legs where vectors can be compared"
        bench.embedder.gate.clear()
        refresh = asyncio.create_task(library.refresh())
        await asyncio.sleep(0.05)
        assert await texts(library, "holiday") == found
        bench.embedder.gate.set()
        assert (await refresh).sources["handbook"].chunks_written == 3
        assert not (await library.status()).indexing
        assert set(await texts(library, "holiday")) == set(before)
        assert set(await texts(other_process, "holiday")) == set(before), "another process follows the switch"
        assert len(await left(bench)) == 1


async def test_every_search_answers_while_everything_is_indexed_again(bench: Bench, handbook: Any) -> None:
    for n in range(30):
        handbook.put(f"{n}.md", f"holiday number {n}")
    async with bench.library(handbook) as library:
        await library.refresh()
    for changed in ("embedder", "chunker", "dimensions", "schema"):
        change(bench, changed)
        async with bench.library(handbook) as library, bench.library(handbook) as other:
            refresh = asyncio.create_task(library.refresh())
            searches = 0
            while not refresh.done():
                for one in (library, other):
                    assert len((await one.search("holiday number 7", limit=5)).hits) == 5
                searches += 1
            assert (await refresh).ok
            assert searches > 1
            assert not (await library.status()).indexing


async def test_a_growing_index_is_reported_and_continues_after_a_stop(bench: Bench, handbook: Any) -> None:
    for n in range(9):
        handbook.put(f"{n}.md", f"holiday number {n}")
    async with bench.library(handbook) as library:
        await library.refresh()
        assert await library._indexes.measure_growth([handbook.key]) is None
    change(bench, "embedder")
    async with bench.library(handbook) as library:
        handbook.plan("list on", SourceError("Page 7 failed. Try again."), after=5)
        await library.refresh()
        growth = await library._indexes.measure_growth([handbook.key])
        assert growth is not None
        assert (growth.documents, growth.of, growth.dense, growth.share) == (6, 11, False, pytest.approx(6 / 11))
        assert growth.eta_s is not None
        later = await library._indexes.measure_growth([handbook.key], now=lambda: 1e12)
        assert later is not None
        assert later.eta_s is None, "nothing comes in any more"
        embedded = []
        passages = bench.embedder.embed_passages

        async def counted(some: Any) -> Any:
            embedded.extend(some)
            return await passages(some)

        bench.embedder.embed_passages = counted  # type: ignore[method-assign]
        await library.refresh()
        assert len(embedded) == 6, "indexed passages are not embedded again"
        assert await library._indexes.measure_growth([handbook.key]) is None


async def test_a_third_identity_replaces_a_growing_second_one(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
    change(bench, "embedder")
    async with bench.library(handbook) as second:
        handbook.plan("list on", SourceError("Page 2 failed. Try again."), after=1)
        await second.refresh()
        change(bench, "chunker")
        async with bench.library(handbook) as third:
            assert len(await left(bench)) == 3
            assert "Thirty days of holiday a year." in await texts(third, "holiday")
            assert (await third.refresh()).ok
            assert len(await left(bench)) == 1
            assert "Thirty days of holiday a year." in await texts(second, "holiday"), "it follows"
            with pytest.raises(DatabaseError, match="Start this one again"):
                await second.refresh()


async def test_a_process_whose_index_was_dropped_still_answers(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as old:
        await old.refresh()
        await texts(old, "holiday")
        change(bench, "dimensions")
        async with bench.library(handbook) as new:
            assert (await new.refresh()).ok
        handbook.put("new.md", "A new holiday for all.")
        assert "Thirty days of holiday a year." in await texts(old, "holiday")
        with pytest.raises(DatabaseError, match="Another Kvasir"):
            await old.refresh()
        assert len(await left(bench)) == 1, "and it makes none of its own"


async def test_going_back_to_the_version_before_is_one_more_growth(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
    change(bench, "embedder")
    async with bench.library(handbook) as library:
        await library.refresh()
    bench.embedder = Words()
    async with bench.library(handbook) as library:
        assert "Thirty days of holiday a year." in await texts(library, "holiday")
        await library.refresh()
        assert not (await library.status()).indexing
        assert len(await left(bench)) == 1


async def test_an_older_kvasir_that_only_finishes_its_sync_drops_nothing_newer(bench: Bench, handbook: Any) -> None:
    async with contextlib.AsyncExitStack() as stack:
        old = await stack.enter_async_context(bench.library(handbook))
        await old.refresh()
        change(bench, "chunker")
        new = await stack.enter_async_context(bench.library(handbook))
        handbook.plan("list on", SourceError("Page 2 failed. Try again."), after=1)
        await new.refresh()
        await old.refresh()
        assert len(await left(bench)) == 2
        assert (await new.refresh()).ok
        assert "Thirty days of holiday a year." in await texts(old, "holiday")


async def test_an_idle_index_is_used_only_after_every_source_was_listed(
    bench: Bench, handbook: Any, new_source: Any
) -> None:
    wiki, blog = new_source("wiki", "/wiki"), new_source("blog", "/blog")
    wiki.put("w.md", "The wiki of holiday")
    blog.put("b.md", "The blog of holiday")
    async with bench.library(handbook, wiki, blog) as library:
        await library.refresh()
    change(bench, "chunker")
    async with bench.library(handbook, wiki, blog) as library:
        blog.plan("list", SourceError("The blog is away. Start it."))
        await library.refresh()
        assert (await library.status()).indexing
    bench.chunker = "1"
    wiki.readers = frozenset({"U1"})
    async with bench.library(handbook, wiki, blog) as before:
        await before.refresh()
        assert "The wiki of holiday" not in await texts(before, "wiki holiday")
    change(bench, "chunker")
    async with bench.library(handbook, wiki, blog) as again:
        await again.refresh("blog")
        assert "The wiki of holiday" not in await texts(again, "wiki holiday"), "forbidden while it lay idle"
        await again.refresh()
        assert not (await again.status()).indexing
        assert "The wiki of holiday" not in await texts(again, "wiki holiday")
        assert len(await left(bench)) == 1


async def test_an_index_that_cannot_be_opened_is_tried_once(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
    change(bench, "schema")
    bench.store = Unopenable
    async with bench.library(handbook) as library:
        for _ in range(3):
            await library.search("holiday")
        assert len(library._indexes._stores) == 1
        assert (await library.refresh()).ok
        assert "Thirty days of holiday a year." in await texts(library, "holiday")


async def _growing(bench: Bench, handbook: Any, stack: contextlib.AsyncExitStack, new_source: Any) -> Any:
    """Start a new index that cannot be complete, because one of two sources is unavailable."""
    away = new_source("wiki", "/wiki")
    away.put("w.md", "# Wiki\nThe wiki of holiday")
    for n in range(5):
        handbook.put(f"{n}.md", f"holiday number {n}")
    async with bench.library(handbook, away) as library:
        await library.refresh()
    change(bench, "embedder")
    for _ in range(9):
        away.plan("list", SourceError("The wiki is away. Start it."))
    return await stack.enter_async_context(bench.library(handbook, away))


async def test_deleted_and_forbidden_documents_leave_the_old_index_too(
    bench: Bench, handbook: Any, new_source: Any
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        library = await _growing(bench, handbook, stack, new_source)
        del handbook.texts["3.md"]
        handbook.texts["renamed.md"] = handbook.texts.pop("4.md")
        handbook.versions["renamed.md"] = 99
        report = await library.refresh()
        assert report.sources["wiki"].error is not None
        assert (await library.status()).indexing
        found = await texts(library, "holiday number", limit=20)
        assert "holiday number 3" not in found, "gone"
        assert "holiday number 4" in found, "renamed: its old name answers until the switch"
        assert "The wiki of holiday" in found
        handbook.readers = frozenset({"U1"})
        handbook.plan("read", SourceError("No right to read. Give it."))
        await library.refresh()
        assert await texts(library, "holiday number", limit=20) == ["The wiki of holiday"]
        assert "holiday number 4" in await texts(library, "holiday number", limit=20, readers={"U1"})


async def test_pending_deletions_of_a_growing_index_can_be_approved(
    bench: Bench, handbook: Any, new_source: Any
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        library = await _growing(bench, handbook, stack, new_source)
        await library.refresh()
        handbook.texts.clear()
        await library.refresh()
        status = (await library.status()).sources[0]
        assert (status.pending_deletions, [one.document for one in status.first_pending_deletions][:2]) == (
            7,
            ["0.md", "1.md"],
        )
        assert len(await texts(library, "holiday", limit=20)) > 5
        await library.refresh("handbook", approve=(await library.status()).approval_marks())
        assert await texts(library, "holiday", limit=20) == ["The wiki of holiday"]
        assert (await library.status()).sources[1].error == "The wiki is away. Start it."


async def test_a_namespace_takes_over_the_indexes_that_the_store_has_in_it(bench: Bench, handbook: Any) -> None:
    """An older Kvasir wrote the namespace into the store's names alone."""
    async with bench.library(handbook) as library:
        await library._indexes.manifest.get_source_memory(handbook.key).save(b"what was listed")
        await library.refresh()
    embedded = len(bench.embedder.texts)
    bench.namespace = "acme"
    async with bench.library(handbook) as library:
        assert await texts(library, "holiday")
        assert (await library.refresh()).sources["handbook"].unchanged == 2
        assert len(bench.embedder.texts) == embedded
        assert await library._indexes.manifest.get_source_memory(handbook.key).load() == b"what was listed"
        bench.namespace = "globex"
        bench.store = lambda _: LanceDBStore(bench.home / "globex")  # type: ignore[assignment]
        async with bench.library(handbook) as other:
            assert await texts(other, "holiday") == [], "its store has nothing, so it takes over nothing"
            await other.refresh()
            assert await texts(other, "holiday")
        assert await texts(library, "holiday")
