"""Rights while something else happens: another question, a clock that is set back, a store that is down."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from knowledge.errors import StoreUnavailable
from knowledge.interfaces import CurrentChunk, Viewers
from knowledge.search.access.rights_check import find_checked, search_checked
from knowledge.search.plan import QueryPlan, plan_query
from knowledge.search.results import DocumentResults
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.rights import RightsChecker
from knowledge.sync.rights_sweep import RightsSweep
from tests.library.library_bench import Bench
from tests.library.rights_source import Now, RightsDict, make_minutes
from tests.waiting import WAIT_S

BOARD = Viewers.of({"*", "board"})
OWNER = frozenset({"owner"})


@pytest.fixture
def wiki() -> RightsDict:
    return make_minutes(4)


async def test_a_search_does_not_show_what_another_question_found_revoked_meanwhile(
    bench: Bench, wiki: RightsDict, now: Now
) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        now.s += 60
        documents = library._documents
        index, hybrid, _ = await documents._follow_active_search()

        async def find_documents(plan: QueryPlan) -> DocumentResults:
            found = await hybrid.find_documents(plan)
            if not wiki.asked:
                wiki.rights = dict.fromkeys(wiki.rights, OWNER)
                assert (await library.search("board minutes", viewers=BOARD)).hits == ()
            return found

        plan = plan_query("board minutes", {"wiki": wiki.key.id}, datetime.now(UTC), viewers=BOARD)
        found = await search_checked(find_documents, plan, documents._checker, index.manifest)
        assert found.make_hits() == ()


async def test_a_passage_is_not_shown_that_another_question_found_revoked_meanwhile(
    bench: Bench, wiki: RightsDict, now: Now
) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        chunks = [hit.id for hit in (await library.search("board minutes", viewers=BOARD)).hits]
        now.s += 60
        documents = library._documents
        index = await documents.follow_active_index()

        async def find_current() -> dict[str, CurrentChunk]:
            listed = await documents._find_current(index, chunks)
            if not wiki.asked:
                wiki.rights = dict.fromkeys(wiki.rights, OWNER)
                assert await library.filter_current(chunks, BOARD) == frozenset()
            return listed

        listed = await find_checked(find_current, documents._checker, index.manifest)
        assert len(listed) == 4
        assert {"board"} not in [one.readers for one in listed.values()]


async def test_a_clock_that_was_set_back_hides_no_revocation(bench: Bench, wiki: RightsDict, now: Now) -> None:
    async with bench.library(wiki) as library:
        now.s += 3600
        await library.refresh()
        now.s += 60
        assert len((await library.search("board minutes", viewers=BOARD)).hits) == 4
        now.s -= 3600
        wiki.rights = dict.fromkeys(wiki.rights, OWNER)
        assert (await library.search("board minutes", viewers=BOARD)).hits == ()
        assert await library.list_documents(BOARD) == ()


async def test_a_sweep_goes_on_after_the_store_was_down() -> None:
    tries, slept = 0, list[float]()
    done = asyncio.Event()

    async def find_manifest() -> IndexManifest:
        nonlocal tries
        tries += 1
        raise StoreUnavailable("The store cannot be reached. Start it.")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 5:
            done.set()
            await asyncio.Event().wait()

    sweep = RightsSweep([RightsDict().key], RightsChecker({}), find_manifest, lambda _: False, sleep=sleep)
    async with sweep.run_in_background(), asyncio.timeout(WAIT_S):
        await done.wait()
    assert (tries, slept) == (2, [15.0, 60.0, 15.0, 60.0, 15.0])
