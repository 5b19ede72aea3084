"""While documents change, a search finds the old or the new version, whole: never neither, never a mix."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.embedding import IDENTITY, find_calibration
from knowledge.interfaces import CurrentChunk, Hit, Scope
from knowledge.search.hybrid import HybridSearch
from knowledge.sync.manifest.records import decode_readers

ORDERS = st.permutations(["alpha one", "alpha two", "alpha three", "alpha four"])
VERSIONS = st.lists(st.tuples(ORDERS, st.integers(1, 4)).map(lambda drawn: tuple(drawn[0][: drawn[1]])), min_size=2)


class Meanwhile:
    """Runs an action before or after a numbered call of a search."""

    def __init__(self, happens: Collection[int], change: Callable[[], Awaitable[None]]) -> None:
        self._happens = set(happens)
        self._change = change
        self._calls = 0

    def wrap(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def surrounded(*args: Any, **kwargs: Any) -> Any:
            await self._step()
            result = await call(*args, **kwargs)
            await self._step()
            return result

        return surrounded

    async def _step(self) -> None:
        self._calls += 1
        if self._calls in self._happens:
            await self._change()


def shown(hits: Collection[Hit]) -> set[str]:
    """Return the parts that a reader of these hits sees."""
    return {part for hit in hits for part in (hit.context or hit.text).split("\n\n")}


def search_of(rig: Any, meanwhile: Meanwhile) -> HybridSearch:
    async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
        rows = await rig.index.find_current(ids, [rig.source.key.id])
        seen = datetime.fromtimestamp(0, UTC)
        return {
            row.id: CurrentChunk("handbook", decode_readers(row.readers), seen, row.row, row.place, row.kind)
            for row in rows
        }

    class Store:
        find_candidates = staticmethod(meanwhile.wrap(rig.store.find_candidates))
        read_rows = staticmethod(meanwhile.wrap(rig.store.read_rows))
        count = staticmethod(rig.store.count)

    return HybridSearch(
        rig.embedder,
        Store(),
        meanwhile.wrap(current),
        find_calibration(IDENTITY).search,
        neighbours=meanwhile.wrap(rig.index.find_neighbours),
    )


async def searched_through(open_rig: Any, versions: list[tuple[str, ...]], happens: Collection[int]) -> None:
    """Search once while a document gets new versions at these steps of the search."""
    with tempfile.TemporaryDirectory(prefix="kvasir-gap-") as folder:
        async with open_rig(f"sqlite:///{Path(folder) / 'kvasir.db'}") as rig:
            left = list(versions)
            rig.source.put("other.md", "beta")

            async def change() -> None:
                if left:
                    rig.source.put("changing.md", "\n\n".join(left.pop(0)))
                    rig.clock_s += 1
                    await rig.sync()

            await change()
            hits = (
                await search_of(rig, Meanwhile(happens, change)).search(
                    "alpha", scope=Scope(frozenset({rig.source.key.id})), limit=8, join=True
                )
            ).hits
            found = shown([hit for hit in hits if hit.document == "changing.md"])
            seen = versions[: len(versions) - len(left)]
            assert found in [set(version) for version in seen], f"{found} is none of {seen}"


@pytest.mark.parametrize("step", range(1, 9))
async def test_a_version_that_shares_a_passage_is_not_mixed_with_the_one_before(rig_on: Any, step: int) -> None:
    versions = [("alpha one", "alpha two"), ("alpha one", "alpha three")]
    await searched_through(rig_on, versions, {step})


@pytest.mark.parametrize("step", range(1, 9))
async def test_a_version_longer_than_a_joined_passage_is_found_completely(rig_on: Any, step: int) -> None:
    """The search knows one passage of the new version before the switch: it is of both."""
    versions = [("alpha one",), ("alpha one", "alpha two", "alpha three", "alpha four")]
    await searched_through(rig_on, versions, {step})


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 3 // 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(versions=VERSIONS, happens=st.sets(st.integers(1, 14), max_size=4))
def test_many_searches_show_one_whole_version(rig_on: Any, versions: list[tuple[str, ...]], happens: set[int]) -> None:
    asyncio.run(searched_through(rig_on, versions, happens))
