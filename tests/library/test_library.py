"""The library over the embedded store: searches while a sync replaces, deletes or indexes everything again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import Any

import pytest

from knowledge.errors import PendingDeletionsChanged, SyncRunning, UnknownSource
from knowledge.settings import PathWeight
from tests.library.library_bench import Bench, Overtaken, texts
from tests.sync.leaders import lead_elsewhere
from tests.sync.schedules import make_due
from tests.viewers import make_members
from tests.waiting import WAIT_S


async def test_synced_documents_are_found_and_cited(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        assert (await library.search("holiday")).hits == ()
        report = await library.refresh()
        assert report.ok
        hit = (await library.search("how many days of holiday")).hits[0]
        assert (hit.source, hit.document, hit.title) == ("handbook", "holiday.md", "Holidays")
        assert (hit.text, hit.url) == ("Thirty days of holiday a year.", "https://handbook.test/holiday.md")
        [status] = (await library.status()).sources
        assert (status.documents, status.chunks, status.failed, status.error) == (2, 3, 0, None)
        assert status.synced_at is not None
        assert hit.synced_at >= status.synced_at


async def test_a_removed_source_stops_answering_at_once(bench: Bench, handbook: Any, new_source: Any) -> None:
    wiki = new_source("wiki", "/wiki")
    wiki.put("w.md", "The wiki knows the holiday too.")
    async with bench.library(handbook, wiki) as library:
        await library.refresh()
        assert "The wiki knows the holiday too." in await texts(library, "holiday")
    async with bench.library(handbook) as library:
        assert "The wiki knows the holiday too." not in await texts(library, "holiday")
        report = await library.refresh("handbook")
        assert report.sources["handbook"].chunks_written == 0
        await library.refresh(approve=(await library.status()).approval_marks())
    async with bench.library(handbook, wiki) as library:
        assert "The wiki knows the holiday too." not in await texts(library, "holiday"), "purged, not hidden"


async def test_sources_can_be_chosen_and_an_unknown_one_is_named(bench: Bench, handbook: Any, new_source: Any) -> None:
    wiki = new_source("wiki", "/wiki")
    wiki.put("w.md", "The wiki on holiday")
    async with bench.library(handbook, wiki) as library:
        await library.refresh("wiki")
        assert await texts(library, "holiday") == ["The wiki on holiday"]
        assert await texts(library, "holiday", sources=["handbook"]) == []
        with pytest.raises(UnknownSource, match="Did you mean “wiki”"):
            await library.search("x", sources=["wikki"])
        with pytest.raises(UnknownSource, match="Sources are: handbook, wiki"):
            await library.refresh("nothing like it")


async def test_only_readers_of_a_document_find_it(bench: Bench, handbook: Any) -> None:
    handbook.readers = frozenset({"U1", "U2"})
    async with bench.library(handbook) as library:
        await library.refresh()
        assert await texts(library, "holiday") == []
        assert await texts(library, "holiday", readers={"U3"}) == []
        assert await texts(library, "holiday", readers={"U1", "U3"}) == []
        assert len(await texts(library, "holiday", readers={"U1", "U2"})) == 3


async def test_only_current_chunks_of_all_readers_are_kept(bench: Bench, handbook: Any) -> None:
    """A chunk counts if the manifest lists it and all readers may see it."""
    handbook.readers = frozenset({"U1", "U2"})
    async with bench.library(handbook) as library:
        await library.refresh()
        hits = (await library.search("holiday", viewers=make_members("U1"))).hits
        chunks = {chunk for hit in hits for chunk in hit.chunks or (hit.id,)}
        assert await library.filter_current(chunks | {"never"}, make_members("U1", "U2")) == chunks
        assert await library.filter_current(chunks, make_members("U1", "U3")) == frozenset()
        assert await library.filter_current(chunks) == frozenset()
        assert await library.list_current(chunks | {"never"}) == chunks, "whoever may read them"
        handbook.put("holiday.md", "Thirty-one days of holiday a year.")
        await library.refresh()
        assert await library.filter_current(chunks, make_members("U1")) < chunks
        assert await library.list_current(chunks) < chunks


async def test_a_current_passage_is_returned_to_its_readers(bench: Bench, handbook: Any) -> None:
    handbook.readers = frozenset({"U1", "U2"})
    async with bench.library(handbook) as library:
        await library.refresh()
        hit = (await library.search("holiday", viewers=make_members("U1"))).hits[0]
        found = await library.read_passage(hit.chunks, make_members("U1", "U2"))
        assert found is not None
        assert (found.source, found.document, found.url) == (hit.source, hit.document, hit.url)
        assert found.text in {hit.context, hit.text}
        assert await library.read_passage(hit.chunks) is None
        assert await library.read_passage([*hit.chunks, "never"], make_members("U3")) is None
        handbook.put(hit.document, "Thirty-one days of holiday a year.")
        await library.refresh()
        assert await library.read_passage(hit.chunks, {"U1"}) is None


async def test_a_passage_has_no_part_of_another_document(bench: Bench, handbook: Any) -> None:
    handbook.put("board.md", "The board closes the harbour office.")
    async with bench.library(handbook) as library:
        await library.refresh()
        holiday, board = [(await library.search(words)).hits[0] for words in ("holiday", "harbour office")]
        found = await library.read_passage([*holiday.chunks, *board.chunks])
        assert found is not None
        assert (found.document, found.chunks) == (holiday.document, tuple(holiday.chunks))
        assert "harbour" not in found.text


async def test_a_passage_shows_where_a_part_of_it_has_changed(bench: Bench, handbook: Any) -> None:
    """Parts that are no longer consecutive are not shown as one text."""
    parts = ["alpha: everybody may work from home", "but not before the first month", "and tells the manager"]
    handbook.put("home.md", "\n\n".join(parts))
    async with bench.library(handbook) as library:
        await library.refresh()
        hit = (await library.search("alpha everybody may work from home")).hits[0]
        assert len(hit.chunks) == 3
        handbook.put("home.md", "\n\n".join([parts[0], "but not in the first year", parts[2]]))
        await library.refresh()
        found = await library.read_passage(hit.chunks)
        assert found is not None
        assert found.text == f"{parts[0]}\n\n…\n\n{parts[2]}"


async def test_a_second_refresh_reports_the_running_one(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        bench.embedder.gate.clear()
        begun = asyncio.Event()
        first = asyncio.create_task(library.refresh(on_progress=lambda _progress: begun.set()))
        await begun.wait()
        assert (await library.status()).sources[0].syncing is not None
        with pytest.raises(SyncRunning):
            await library.refresh()
        bench.embedder.gate.set()
        assert (await first).ok
        assert (await library.status()).sources[0].syncing is None


async def test_a_scheduled_run_waits_for_the_running_one(bench: Bench, handbook: Any) -> None:
    lock = contextlib.AsyncExitStack()
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await lock.aclose()

    bench.sleep = sleep
    async with bench.library(handbook) as library, library.syncs.run_schedule() as schedule, asyncio.timeout(WAIT_S):
        await lock.enter_async_context(lead_elsewhere(bench.url))
        make_due(schedule)
        while (await library.status()).sources[0].synced_at is None:  # noqa: ASYNC110 - the status is polled by people, too
            await asyncio.sleep(0.01)
        assert waited == [60.0]
        assert await texts(library, "holiday") != []


async def test_an_interrupted_nightly_sync_is_no_failure(
    bench: Bench, handbook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.library(handbook) as library:
        bench.embedder.gate.clear()
        async with library.syncs.run_schedule() as schedule, asyncio.timeout(WAIT_S):
            make_due(schedule)
            while library.syncs.find_progress("handbook") is None:  # noqa: ASYNC110 - a run by the clock reports none
                await asyncio.sleep(0.001)
        await library.syncs.leader.wait_until_ended()
        async with lead_elsewhere(bench.url):
            pass  # what the block began has ended with it
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_unavailable_source_keeps_the_old_index(bench: Bench, handbook: Any, new_source: Any) -> None:
    wiki = new_source("wiki", "/wiki")
    wiki.put("w.md", "The wiki")
    async with bench.library(handbook, wiki) as library:
        await library.refresh()
    bench.chunker = "2"
    async with bench.library(handbook, wiki) as library:
        await library.refresh("handbook")
        assert (await library.status()).indexing
        assert "The wiki" in await texts(library, "wiki")
        await library.refresh("wiki")
        assert not (await library.status()).indexing


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_searches_during_many_replacements_find_no_gap_and_no_mix(bench: Bench, handbook: Any) -> None:

    def version(n: int) -> str:
        return "\n\n".join(f"alpha part {part} of version {n}" for part in ("one", "two", "three"))

    handbook.put("changing.md", version(0))
    async with bench.library(handbook) as library:
        await library.refresh()

        async def replace_it() -> None:
            for n in range(1, 61):
                handbook.put("changing.md", version(n))
                assert (await library.refresh()).sources["handbook"].updated == 1

        writer = asyncio.create_task(replace_it())
        searches = 0
        while not writer.done():
            found = [text for text in await texts(library, "alpha part one of version") if text.startswith("alpha")]
            assert len(found) == 3, "neither version was found whole"
            assert len({text.rpartition(" ")[2] for text in found}) == 1, f"a mix: {found}"
            for hit in (await library.search("alpha part one of version", limit=1)).hits:
                assert len(set(re.findall(r"version (\d+)", hit.context))) <= 1, f"a mix: {hit.context}"
            searches += 1
        await writer
        assert searches > 10


async def test_a_search_during_a_sync_finds_the_new_version(bench: Bench, handbook: Any) -> None:
    bench.store = Overtaken
    async with bench.library(handbook) as library:
        await library.refresh()
        handbook.put("holiday.md", "# Holidays\nThirty-one days of holiday a year.\n\nTell your manager of a holiday.")
        Overtaken.meanwhile = library.refresh
        found = await texts(library, "days of holiday a year", limit=2)
        assert found[:2] == ["Thirty-one days of holiday a year.", "Tell your manager of a holiday."]


async def test_suggestions_find_their_passages(bench: Bench, new_source: Any) -> None:
    docs = new_source("docs", "/docs")
    for title, text in {
        "Add a source": "Write a table source into the file to add a source.",
        "Approve holidays": "A manager approves holidays in the calendar.",
        "如何提交报销": "把 收据 交给 财务 如何提交报销？",
        "Security": "Nothing leaves the house, the documents say about security?",
    }.items():
        docs.put(f"{title}.md", f"# {title}\n{text}")
    async with bench.library(docs) as library:
        assert await library.suggest_questions() == {}
        await library.refresh()
        suggestions = list(await library.suggest_questions())
        assert suggestions == list(await library.suggest_questions())
        assert set(suggestions) <= {
            "How do I add a source?",
            "How do I approve holidays?",
            "What do the documents say about security?",
            "如何提交报销？",
        }
        assert len(suggestions) >= 2


@pytest.mark.slow
async def test_status_and_suggestions_follow_another_process_that_switched(bench: Bench, new_source: Any) -> None:
    docs = new_source("docs", "/docs")
    docs.put("a.md", "# Add a source\nWrite a table source into the file to add a source.")
    async with bench.library(docs) as library:
        await library.refresh()
    bench.chunker = "2"
    async with bench.library(docs) as library, bench.library(docs) as other_process, bench.library(docs) as third:
        await library.refresh()
        status = await other_process.status()
        assert (status.indexing, status.sources[0].documents) == (False, 1)
        assert list(await third.suggest_questions()) == ["How do I add a source?"]


@pytest.mark.slow
async def test_a_search_during_a_switch_finds_the_same(bench: Bench, handbook: Any) -> None:
    async with bench.library(handbook) as library:
        await library.refresh()
        before = await texts(library, "holiday")
    bench.chunker, bench.store = "2", Overtaken
    async with bench.library(handbook) as library, bench.library(handbook) as other_process:
        Overtaken.meanwhile = library.refresh
        assert await texts(other_process, "holiday") == before
    bench.chunker = "3"
    async with bench.library(handbook) as library:
        Overtaken.meanwhile = library.refresh
        assert await texts(library, "holiday") == before


async def test_restricted_documents_make_no_suggestions(bench: Bench, new_source: Any) -> None:
    """The best hit may be a public document of the same name, and would reveal the other's title."""
    board, docs = new_source("board", "/board"), new_source("docs", "/docs")
    board.readers = frozenset({"U1"})
    board.put("README.md", "# Close the Lyon office\nThe Lyon office is closed in May.")
    docs.put("README.md", "# Add a source\nWhat the documents say: how do I close the door of the Lyon office?")
    async with bench.library(board, docs) as library:
        await library.refresh()
        assert list(await library.suggest_questions()) == ["How do I add a source?"]


async def test_contents_are_shown_only_to_their_readers(bench: Bench, new_source: Any) -> None:
    board, docs, empty = new_source("board", "/board"), new_source("docs", "/docs"), new_source("empty", "/empty")
    board.readers = frozenset({"U1", "U2"})
    board.put("lyon.md", "# Close the Lyon office\nIt is closed in May.")
    for n in range(9):
        docs.put(f"{n}.md", f"# Guide {n}\nText {n}.")
    docs.put("torn.md", "broken")
    async with bench.library(board, docs, empty) as library:
        assert await library.list_documents() == ()
        await library.refresh()
        [contents] = await library.list_documents()
        assert (contents.name, contents.kind, contents.documents) == ("docs", "dict", 9)
        assert contents.titles == ("Guide 0", "Guide 1", "Guide 2", "Guide 3", "Guide 4")
        assert contents.synced_at is not None
        both = await library.list_documents(make_members("U1", "U2"))
        assert [(one.name, one.titles[:1]) for one in both] == [
            ("board", ("Close the Lyon office",)),
            ("docs", ("Guide 0",)),
        ]
        assert [one.name for one in await library.list_documents(make_members("U1", "U3"))] == ["docs"]
        assert [one.name for one in await library.list_documents(make_members("U1"), "in:Board type:md")] == ["board"]
        with pytest.raises(UnknownSource):
            await library.list_documents(within="in:nowhere")


async def test_a_person_has_more_only_if_restricted_passages_change_the_answer(bench: Bench, new_source: Any) -> None:
    board, docs = new_source("board", "/board"), new_source("docs", "/docs")
    board.readers = frozenset({"U1"})
    board.put("lyon.md", "# Close the Lyon office\nWhen does the Lyon office close? It closes in May.")
    docs.put("holiday.md", "# Holidays\nHow many days of holiday? Thirty days of holiday a year.")
    one, both = make_members("U1"), make_members("U1", "U2")
    async with bench.library(board, docs) as library:
        await library.refresh()
        assert await library.has_more("when does the Lyon office close?", one, both)
        assert await library.has_more("when does the Lyon office close? in:board", one, both)
        assert not await library.has_more("when does the Lyon office close?", one, one)
        assert not await library.has_more("when does the Lyon office close?", make_members("U2"), both)
        assert not await library.has_more("how many days of holiday?", one, both)


async def test_a_light_document_comes_last_and_suggests_nothing(bench: Bench, new_source: Any) -> None:
    docs = new_source("docs", "/docs")
    docs.put("a.md", "# Add a holiday\nHow do I add a holiday? Ask for a day of holiday.")
    docs.put("b.md", "# Add a source\nHow do I add a source? Ask for a day of holiday, or a table.")
    async with bench.library(docs) as library:
        await library.refresh()
        question = "ask for a day of holiday"
        assert [hit.document for hit in (await library.search(question)).hits] == ["a.md", "b.md"]
        assert (await library.list_documents())[0].titles == ("Add a holiday", "Add a source")
        assert len(await library.suggest_questions()) == 2
    bench.weights = (PathWeight("a.md", 0.3),)
    async with bench.library(docs) as library:
        assert [hit.document for hit in (await library.search(question)).hits] == ["b.md", "a.md"]
        assert (await library.list_documents())[0].titles == ("Add a source", "Add a holiday")
        assert list(await library.suggest_questions()) == ["How do I add a source?"]


async def test_an_approval_deletes_exactly_what_was_shown(bench: Bench, handbook: Any) -> None:
    """A sync after the look marks as many other deletions, which the person did not see."""
    for n in range(40):
        handbook.put(f"{n}.md", f"holiday {n}")
    async with bench.library(handbook) as library:
        await library.refresh()
        for n in range(20):
            del handbook.texts[f"{n}.md"]
        await library.refresh()
        marks = (await library.status()).approval_marks()
        handbook.put("0.md", "holiday 0")
        del handbook.texts["39.md"]
        await library.refresh()
        status = await library.status()
        assert (status.sources[0].pending_deletions, len(marks)) == (20, 1)
        with pytest.raises(PendingDeletionsChanged, match="The pending deletions of handbook have changed"):
            await library.refresh(approve=marks)
        assert (await library.status()).sources[0].pending_deletions == 20
        del handbook.texts["38.md"]
        report = (await library.refresh("handbook", approve=status.approval_marks("handbook"))).sources["handbook"]
        assert (report.deleted, report.pending_deletions) == (21, 0), "one more is within what a listing may lack"


@pytest.mark.parametrize(
    ("readers", "unreachable"),
    [({"U1"}, 0), ({"*"}, 0), ({"ada@company.com", "old"}, 0), ({"old"}, 2), ({"U1\x1fold"}, 2), (set(), 2)],
)
async def test_documents_that_nobody_can_be_shown_are_counted(
    bench: Bench, handbook: Any, readers: set[str], unreachable: int
) -> None:
    handbook.readers = frozenset(readers)
    async with bench.library(handbook) as library:
        await library.refresh()
        (status,) = (await library.access.add_unreachable(await library.status())).sources
    assert status.unreachable == unreachable
    assert status.unreachable_readers == tuple(one.replace("\x1f", " + ") for one in readers if unreachable)


async def test_the_access_to_a_document_is_explained(bench: Bench, handbook: Any) -> None:
    handbook.readers = frozenset({"U1", "board"})
    async with bench.library(handbook) as library:
        await library.refresh()
        assert await library.access.find_documents("handbook/nothing.md") == []
        (access,) = await library.access.find_documents("handbook/holiday.md")
        assert (access.source, access.document) == ("handbook", "holiday.md")
        assert [one.document for one in await library.access.find_documents(access.title.upper())] == ["holiday.md"]
    assert access.may_be_read(make_members("U1"))
    assert not access.may_be_read(make_members("U2"))
    assert access.find_reasons(frozenset({"board", "U2"})) == {"board"}
