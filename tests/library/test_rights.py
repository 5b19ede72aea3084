"""A right that is taken away at its source counts within a minute, whatever was shown before."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from knowledge.errors import SourceUnavailable
from knowledge.interfaces import Viewers
from tests.library.library_bench import Bench
from tests.library.rights_source import Now, RightsDict, make_minutes
from tests.waiting import WAIT_S

pytestmark = pytest.mark.slow

BOARD, MEMBER = Viewers.of({"*", "board"}), Viewers.of({"*"})


@pytest.fixture
def wiki() -> RightsDict:
    return make_minutes(12)


async def find_documents(library: Any, viewers: Viewers = BOARD, limit: int = 4) -> set[str]:
    result = await library.search("board minutes", viewers=viewers, limit=limit)
    return {hit.document for hit in result.hits}


async def test_a_fresh_right_is_used_without_asking(bench: Bench, wiki: RightsDict, now: Now) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        now.s += 54
        assert len(await find_documents(library)) == 4
        assert wiki.asked == []
        now.s += 6
        assert len(await find_documents(library)) == 4
        [request] = wiki.asked
        assert len(request) == 4
        for _ in range(3):
            assert len(await find_documents(library)) == 4
        assert len(wiki.asked) == 1, "a busy passage has its rights asked once a minute"
        assert await find_documents(library, MEMBER) == set()


async def test_a_revoked_right_counts_within_a_minute(bench: Bench, wiki: RightsDict, now: Now) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        before = await find_documents(library)
        hits = (await library.search("board minutes", viewers=BOARD, limit=4)).hits
        chunks = [chunk for hit in hits for chunk in hit.chunks]
        for document in before:
            wiki.rights[document] = frozenset({"owner"})
        now.s += 60
        after = await find_documents(library)
        assert len(after) == 4, "the next best take their places"
        assert not after & before
        assert await library.filter_current(chunks, BOARD) == frozenset()
        assert all([await library.read_passage([chunk], BOARD) is None for chunk in chunks])
        owner = Viewers.of({"*", "board", "owner"})
        assert await find_documents(library, owner, limit=12) == set(wiki.texts), "who holds both"
        assert await find_documents(library, Viewers.of({"*", "owner"}), limit=12) == set()
        calls = len(wiki.asked)
        await library.refresh()
        assert await find_documents(library, limit=12) == set(wiki.texts) - before
        assert await find_documents(library, Viewers.of({"*", "owner"}), limit=12) == before
        assert len(wiki.asked) == calls, "a listing says who may read everything"


async def test_passages_and_titles_are_checked_without_a_search(bench: Bench, wiki: RightsDict, now: Now) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        hits = (await library.search("board minutes", viewers=BOARD, limit=3)).hits
        gone, kept, restricted = (hit.document for hit in hits)
        del wiki.rights[gone]
        wiki.rights[restricted] = frozenset({"owner"})
        now.s += 60
        assert await library.read_passage(hits[0].chunks, BOARD) is None
        passage = await library.read_passage(hits[1].chunks, BOARD)
        assert passage is not None
        assert passage.document == kept
        chunks = {hit.document: hit.chunks[0] for hit in hits}
        assert await library.filter_current(chunks.values(), BOARD) == {chunks[kept]}
        [listed] = await library.list_documents(BOARD)
        assert listed.documents == 10
        titles = {f"Minutes {name.removesuffix('.md')}" for name in (gone, restricted)}
        assert len(listed.titles) == 5
        assert not titles & set(listed.titles)


async def test_newest_documents_are_those_that_the_viewers_may_read(bench: Bench, now: Now) -> None:
    """A document of which a right was taken away since the sync is not named."""
    old, new = make_minutes(2), RightsDict("news", "/news")
    for n in range(3):
        new.put(f"{n}.md", f"# News {n}\nWhat is new {n}.", *(["*"] if n else ["board"]))
    old.modified_at, new.modified_at = datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    async with bench.library(old, new) as library:
        await library.refresh()
        newest = await library.list_recent(BOARD, "", 4)
        assert [one.title for one in newest] == ["News 0", "News 1", "News 2", "Minutes 0"]
        assert [one.title for one in await library.list_recent(BOARD, "in:wiki", 4)] == ["Minutes 0", "Minutes 1"]
        assert {one.title for one in await library.list_recent(MEMBER, "", 4)} == {"News 1", "News 2"}
        new.rights["1.md"] = frozenset({"board"})
        now.s += 60
        assert [one.title for one in await library.list_recent(MEMBER, "", 4)] == ["News 2"]


async def test_a_right_that_returns_counts_within_a_minute_and_a_wider_one_at_the_sync(
    bench: Bench, wiki: RightsDict, now: Now
) -> None:
    """The passages may be of another version than the one that is open to more people now."""
    async with bench.library(wiki) as library:
        await library.refresh()
        everything, member = set(wiki.texts), frozenset({"*"})
        rights, wiki.rights = wiki.rights, {}
        now.s += 60
        assert await find_documents(library, limit=12) == set()
        wiki.rights = dict.fromkeys(rights, member)
        now.s += 60
        async with library.syncs.run_schedule():
            await asyncio.sleep(0)
        assert await find_documents(library, limit=12) == set(), "nobody asks about what nobody may read"
        await library.refresh()
        assert await find_documents(library, MEMBER, limit=12) == everything
        wiki.rights = rights
        now.s += 60
        assert await find_documents(library, MEMBER, limit=12) == set()
        assert await find_documents(library, limit=12) == everything
        wiki.rights = dict.fromkeys(rights, member)
        now.s += 60
        assert await find_documents(library, limit=12) == everything
        assert await find_documents(library, MEMBER, limit=12) == everything, "as wide as the listing was"


async def test_a_listing_from_memory_does_not_count_as_an_answer(bench: Bench, wiki: RightsDict) -> None:
    """A change feed may be late. What a check has found out is not undone for longer than until the next question."""
    wiki.lists_rights = False
    async with bench.library(wiki) as library:
        await library.refresh()
        rights, wiki.rights = wiki.rights, dict.fromkeys(wiki.rights, frozenset({"owner"}))
        assert await find_documents(library) == set()
        named, wiki.rights = wiki.rights, rights
        await library.refresh()
        wiki.rights = named
        assert await find_documents(library) == set()


async def test_public_documents_may_have_been_restricted_since(bench: Bench, now: Now) -> None:
    wiki = RightsDict()
    wiki.put("open.md", "The board minutes are open.", "*")
    wiki.put("world.md", "The board minutes are for the world.", "*", "world")
    async with bench.library(wiki) as library:
        await library.refresh()
        wiki.rights = {"open.md": frozenset({"board"}), "world.md": frozenset({"board"})}
        now.s += 60
        assert await find_documents(library, MEMBER) == {"world.md"}
        assert wiki.asked == [{"open.md"}]


@pytest.mark.parametrize("failure", ["error", pytest.param("silence", marks=pytest.mark.slow)])
async def test_no_answer_means_no(bench: Bench, wiki: RightsDict, new_source: Any, now: Now, failure: str) -> None:
    other = new_source("handbook", "/handbook")
    other.put("public.md", "The board minutes that everybody may read.")
    async with bench.library(wiki, other) as library:
        await library.refresh()
        hits = (await library.search("board minutes", viewers=BOARD, sources=["wiki"], limit=2)).hits
        now.s += 60
        if failure == "error":
            for _ in range(20):
                wiki.plan("rights", SourceUnavailable("The wiki is down."))
        else:
            wiki.open.clear()
        async with asyncio.timeout(WAIT_S):
            assert await find_documents(library) == {"public.md"}
            assert await library.read_passage(hits[0].chunks, BOARD) is None
            assert await library.filter_current(hits[0].chunks, BOARD) == frozenset()
            assert [one.name for one in await library.list_documents(BOARD)] == ["handbook"]
        wiki.plans.clear()
        wiki.open.set()
        await asyncio.sleep(0.1)
        assert len(await find_documents(library)) == 4, "it answers again as soon as the source does"


async def test_documents_with_a_fresh_right_stay_if_their_source_is_silent(
    bench: Bench, wiki: RightsDict, now: Now
) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        now.s += 60
        fresh = await find_documents(library, limit=2)
        for _ in range(20):
            wiki.plan("rights", SourceUnavailable("The wiki is down."))
        assert await find_documents(library, limit=8) == fresh


async def test_many_questions_ask_once_and_cancellation_stops_no_other(
    bench: Bench, wiki: RightsDict, now: Now
) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        now.s += 60
        wiki.open.clear()
        questions = [asyncio.create_task(find_documents(library)) for _ in range(5)]
        await asyncio.sleep(0.3)
        assert len(wiki.asked) == 1
        questions[0].cancel()
        await asyncio.wait(questions[:1])
        wiki.open.set()
        assert [len(one) for one in await asyncio.gather(*questions[1:])] == [4] * 4
        assert len(wiki.asked) == 1
        now.s += 60
        wiki.open.clear()
        late = asyncio.create_task(find_documents(library))
        await asyncio.sleep(0.1)
        await library.close()
        assert await late == set(), "closing ends what is being asked"


async def test_a_source_that_confirms_nothing_is_not_named(bench: Bench, wiki: RightsDict, now: Now) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        assert await library.count_readable(BOARD) == {"wiki": 12}
        assert await library.count_readable(MEMBER) == {}
        now.s += 60
        assert await library.count_readable(BOARD) == {"wiki": 12}
        wiki.rights = {}
        now.s += 60
        assert await library.count_readable(BOARD) == {}
        wiki.plan("rights", SourceUnavailable("The wiki is down."))
        assert await library.list_documents(BOARD) == ()


async def test_a_sweep_keeps_rights_fresh_between_syncs(bench: Bench, wiki: RightsDict, now: Now) -> None:
    wiki.put("public.md", "The board minutes that everybody may read.", "*", "C1")
    waits: list[float] = []
    ready, step = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        ready.set()
        await step.wait()
        step.clear()

    async def sweep_once() -> None:
        await ready.wait()
        ready.clear()
        step.set()
        await ready.wait()

    bench.sleep = sleep
    async with bench.library(wiki) as library:
        await library.refresh()
        async with library.syncs.run_schedule():
            await sweep_once()
            assert wiki.asked == [], "what is fresh is not asked"
            now.s += 60
            await sweep_once()
            await sweep_once()
            assert [len(one) for one in wiki.asked] == [10, 2]
            assert frozenset().union(*wiki.asked) == set(wiki.texts) - {"public.md"}
            assert len(await find_documents(library)) == 4
            wiki.rights = dict.fromkeys(wiki.rights, frozenset({"owner"}))
            now.s += 60
            wiki.plan("rights", SourceUnavailable("The wiki is down."))
            del waits[:]
            await sweep_once()
            assert waits == [60.0], "a source that does not answer is left alone for a while"
            for _ in range(3):
                await sweep_once()
            count = len(wiki.asked)
            assert await find_documents(library) <= {"public.md"}
            assert len(wiki.asked) <= count + 1, "only the public document is asked for the question"
        count = len(wiki.asked)
        step.set()
        await asyncio.sleep(0.05)
        assert len(wiki.asked) == count, "it ends with the schedule"


async def test_what_a_check_learned_outlives_the_process_and_settles_with_the_sync(
    bench: Bench, wiki: RightsDict, now: Now, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.library(wiki) as library:
        await library.refresh()
        wiki.rights["0.md"], wiki.rights["1.md"] = frozenset({"owner"}), frozenset()
        now.s += 60
        documents = await find_documents(library, limit=12)
    assert documents == set(wiki.texts) - {"0.md", "1.md"}
    calls = len(wiki.asked)
    async with bench.library(wiki) as library:  # another process, which has not synced
        assert await find_documents(library, limit=12) == documents
        assert len(wiki.asked) == calls, "the answer is in the manifest"
        await library.refresh()
        assert await find_documents(library, limit=12) == documents
        assert await find_documents(library, Viewers.of({"*", "owner"})) == {"0.md"}
        assert (await library.syncs.repair_index()).differences == 0
    assert not [one for one in caplog.messages if "proposed" in one], "its rows are no fault of the store"


async def test_an_answer_that_cannot_be_stored_shows_nothing(bench: Bench, wiki: RightsDict, now: Now) -> None:
    """The readers and the time of the answer are one transaction: a broken one changes neither."""
    async with bench.library(wiki) as library:
        await library.refresh()
        now.s += 60
        with contextlib.closing(sqlite3.connect(bench.home / "kvasir.db")) as other, other:
            other.execute(
                "CREATE TRIGGER broken BEFORE UPDATE OF rights_at ON knowledge_documents "
                "WHEN NEW.document = '7.md' BEGIN SELECT RAISE(ABORT, 'disk'); END"
            )
        wiki.rights["0.md"] = frozenset()
        assert await find_documents(library, limit=12) == set()
        with contextlib.closing(sqlite3.connect(bench.home / "kvasir.db")) as other, other:
            assert other.execute("SELECT DISTINCT readers FROM knowledge_documents").fetchall() == [('["board"]',)]
            other.execute("DROP TRIGGER broken")
        assert await find_documents(library, limit=12) == set(wiki.texts) - {"0.md"}


async def test_drift_between_source_and_manifest_is_named(bench: Bench, wiki: RightsDict) -> None:
    """The security audit compares documents with what their source says now; more readers there are no drift."""
    async with bench.library(wiki) as library:
        await library.refresh()
        assert await library.access.find_drift(50) == []
        first, second, third, *_ = sorted(wiki.texts)
        wiki.rights[first] = frozenset({"owner"})
        del wiki.rights[second]
        wiki.rights[third] |= {"owner"}
        assert await library.access.find_drift(50) == ["wiki (2 of 12 documents)"]
