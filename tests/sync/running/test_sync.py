"""A sync over stand-ins: what it reads, embeds, writes, counts and keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from knowledge.errors import DatabaseError, ErrorCode, KnowledgeError, LeaseLost, ParserUnavailable, SourceError
from knowledge.interfaces import (
    EVERYONE,
    DocumentContent,
    ListedDocument,
    SourceKey,
    make_class_key,
    narrow_readers,
)
from knowledge.sync.manifest.records import decode_readers
from knowledge.sync.running.pipeline import PipelineLimits
from knowledge.sync.running.tools import SyncLimits
from tests.waiting import WAIT_S


async def test_a_first_sync_indexes_everything(rig: Any, expected: Callable[..., Any]) -> None:
    rig.source.put("a.md", "one\n\ntwo")
    rig.source.put("b.md", "three")
    report = await rig.report()
    assert (report.listed, report.added, report.updated, report.unchanged) == (2, 2, 0, 0)
    assert (report.chunks_written, report.chunks_kept, report.ok) == (3, 0, True)
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_an_unchanged_source_is_neither_read_nor_embedded(rig: Any) -> None:
    rig.source.put("a.md", "one\n\ntwo")
    await rig.sync()
    embedded, reads, calls = len(rig.embedder.embedded), len(rig.source.reads), len(rig.store.calls)
    report = await rig.report()
    assert (report.listed, report.unchanged, report.chunks_written, report.chunks_kept) == (1, 1, 0, 2)
    assert (len(rig.embedder.embedded), len(rig.source.reads)) == (embedded, reads)
    assert rig.store.calls[calls:] == ["count"]


async def test_equal_bytes_of_a_new_version_are_not_indexed_again(rig: Any) -> None:
    rig.source.put("a.md", "one\n\ntwo")
    await rig.sync()
    rig.source.put("a.md", "one\n\ntwo")
    report = await rig.report()
    assert (report.unchanged, report.updated, report.chunks_kept, len(rig.embedder.embedded)) == (1, 0, 2, 2)
    await rig.sync()
    assert rig.source.reads == ["a.md", "a.md"]


async def test_only_the_changed_passage_is_embedded_and_written(rig: Any) -> None:
    rig.source.put("a.md", "one\n\ntwo\n\nthree")
    await rig.sync()
    rig.source.put("a.md", "one\n\nTWO\n\nthree")
    report = await rig.report()
    assert (report.updated, report.chunks_written, report.chunks_kept) == (1, 1, 2)
    assert rig.embedder.embedded[3:] == ["a.md\nTWO"]
    assert await rig.answers() == {"a.md": ["one", "TWO", "three"]}
    assert await rig.agree()


async def test_a_new_title_rewrites_every_passage(rig: Any) -> None:
    rig.source.put("a.md", "# Old\none\n\ntwo")
    await rig.sync()
    rig.source.put("a.md", "# New\none\n\ntwo")
    report = await rig.report()
    assert (report.chunks_written, report.chunks_kept) == (2, 0)
    assert {row.chunk.title for row in rig.store.rows_by_id.values()} == {"New"}
    assert await rig.agree()


async def test_a_new_title_from_the_source_rewrites_the_document(rig: Any) -> None:
    rig.source.put("a.md", "one")
    rig.source.titles["a.md"] = " Plan "
    await rig.sync()
    rig.source.put("a.md", "one")
    assert (await rig.report()).unchanged == 1, "spaces around it are no other title"
    rig.source.put("a.md", "one")
    rig.source.titles["a.md"] = "Plan for 2027"
    assert (await rig.report()).updated == 1
    assert {row.chunk.title for row in rig.store.rows_by_id.values()} == {"Plan for 2027"}
    assert [row.title for row in await rig.index.list_documents(rig.source.key)] == ["Plan for 2027"]
    assert await rig.agree()


async def test_a_deleted_document_is_removed(rig: Any) -> None:
    for n in range(5):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    del rig.source.texts["3.md"]
    report = await rig.report()
    assert (report.deleted, report.pending_deletions, report.listed, report.chunks_kept) == (1, 0, 4, 4)
    assert "3.md" not in await rig.answers()
    assert await rig.agree()


async def test_a_listing_of_nothing_deletes_nothing(rig: Any, expected: Callable[..., Any]) -> None:
    for n in range(3):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    before, texts = expected(rig.source), dict(rig.source.texts)
    rig.source.texts.clear()
    report = await rig.report()
    assert (report.deleted, report.pending_deletions) == (0, 3)
    assert await rig.answers() == before
    assert (await rig.index.count_source(rig.source.key)).pending_deletions == 3
    rig.source.texts.update(texts)
    assert (await rig.report()).pending_deletions == 0
    assert (await rig.index.count_source(rig.source.key)).pending_deletions == 0


async def test_a_much_shorter_listing_marks_deletions_and_adds_documents(rig: Any) -> None:
    for n in range(60):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    for n in range(20):
        del rig.source.texts[f"{n}.md"]
    rig.source.put("new.md", "new")
    report = await rig.report()
    assert (report.deleted, report.pending_deletions, report.added) == (0, 20, 1)
    assert len(await rig.answers()) == 61


async def test_an_incomplete_listing_deletes_nothing_and_is_reported(rig: Any) -> None:
    for n in range(4):
        rig.source.put(f"{n}.md", f"text {n}")
    await rig.sync()
    del rig.source.texts["3.md"]
    rig.source.put("1.md", "changed")
    rig.source.plan("list on", SourceError("Page 2 failed. Try again."), after=1)
    report = await rig.report()
    assert (report.error, report.ok, report.deleted, report.updated) == ("Page 2 failed. Try again.", False, 0, 1)
    assert await rig.answers() == {"0.md": ["text 0"], "1.md": ["changed"], "2.md": ["text 2"], "3.md": ["text 3"]}
    counts = await rig.index.count_source(rig.source.key)
    assert (counts.error, counts.error_code) == ("Page 2 failed. Try again.", ErrorCode.SOURCE)
    assert (await rig.report()).deleted == 1
    counts = await rig.index.count_source(rig.source.key)
    assert (counts.error, counts.error_code) == (None, ErrorCode.OTHER)


async def test_a_broken_document_is_quarantined_and_others_are_indexed(rig: Any) -> None:
    rig.source.put("a.md", "fine")
    rig.source.put("b.md", "broken")
    report = await rig.report()
    assert (report.added, report.failed, report.ok) == (1, 1, False)
    assert [(f.document, f.reason) for f in report.failures] == [("b.md", "b.md is broken. Mend it.")]
    (stored,) = await rig.index.list_failures(rig.source.key, 3)
    assert stored.code is report.failures[0].code is ErrorCode.PARSE
    assert await rig.answers() == {"a.md": ["fine"]}


@pytest.mark.parametrize("mark", ["\ud800", "\0"])
async def test_text_that_databases_refuse_is_quarantined(rig: Any, mark: str) -> None:
    rig.source.put("a.md", "fine")
    rig.source.put("b.md", "before")
    await rig.sync()
    rig.source.put("c.md", "new")
    rig.source.garbage["b.md"] = mark
    rig.source.put("b.md", "after")
    report = await rig.report()
    assert (report.error, report.added, report.failed) == (None, 1, 1)
    assert "b.md" in report.failures[0].reason
    assert await rig.answers() == {"a.md": ["fine"], "b.md": ["before"], "c.md": ["new"]}


@pytest.mark.parametrize("mark", ["\0", "\ud800"])
async def test_names_and_links_that_databases_refuse_are_reported(
    rig: Any, new_source: Callable[..., Any], mark: str
) -> None:
    other = new_source("wiki", "/wiki")
    other.put("w.md", "wiki")
    rig.source.put("a.md", "one")
    rig.source.put(f"b{mark}.md", "two")
    rig.source.titles[f"b{mark}.md"] = "A good title"
    report = await rig.sync(rig.source, other)
    handbook = report.sources["handbook"]
    assert (handbook.listed, handbook.added, handbook.failed, report.sources["wiki"].added) == (1, 1, 1, 1)
    assert handbook.failures[0].document.isprintable()
    assert "a database cannot store" in handbook.failures[0].reason
    assert handbook.failures[0].public
    rig.source.readers = frozenset({"U1"})
    assert not (await rig.report()).failures[0].public
    rig.source.readers = EVERYONE
    other.url = f"https://wiki.test/{mark}"
    report = await rig.sync(rig.source, other)
    assert report.sources["wiki"].failed == 1
    assert await rig.agree()


async def test_a_changed_link_does_not_retry_a_failed_document(rig: Any) -> None:
    rig.source.put("a.md", "good")
    await rig.sync()
    rig.source.put("a.md", "broken")
    await rig.sync()
    rig.source.url = "https://elsewhere.test/{}"
    await rig.sync()
    await rig.sync()
    assert rig.source.reads == ["a.md"] * 2
    rig.source.put("a.md", "good")
    assert (await rig.report()).updated == 1
    assert {row.chunk.url for row in rig.store.rows_by_id.values()} == {"https://elsewhere.test/a.md"}


async def test_a_failed_document_waits_for_its_retry_or_a_change(rig: Any) -> None:
    rig.source.put("b.md", "broken")
    await rig.sync()
    report = await rig.report()
    assert (report.failed, rig.source.reads) == (1, ["b.md"])
    rig.clock_s += 301
    assert (await rig.report()).failed == 1
    assert rig.source.reads == ["b.md"] * 2
    rig.clock_s += 301
    await rig.sync()
    assert rig.source.reads == ["b.md"] * 2, "the second rest is longer"
    rig.source.put("b.md", "mended")
    report = await rig.report()
    assert (report.failed, report.added, await rig.answers()) == (0, 1, {"b.md": ["mended"]})


async def test_bytes_that_cannot_be_parsed_are_not_parsed_again(rig: Any) -> None:
    parsed: list[bytes] = []
    chunk_document = rig.chunk_document

    async def count_and_chunk(key: SourceKey, listed: ListedDocument, content: DocumentContent) -> Any:
        parsed.append(content.data)
        return await chunk_document(key, listed, content)

    rig.chunk_document = count_and_chunk
    rig.source.put("b.md", "broken")
    await rig.sync()
    for _ in range(2):
        rig.clock_s += 86_401
        report = await rig.report()
        assert [(f.reason, f.code) for f in report.failures] == [("b.md is broken. Mend it.", ErrorCode.PARSE)]
    rig.source.put("b.md", "broken")  # another version of the same bytes
    assert (await rig.report()).failed == 1
    assert (parsed, rig.source.reads) == ([b"broken"], ["b.md"] * 4)
    rig.source.put("b.md", "broken still")
    assert (await rig.report()).failed == 1
    rig.source.put("b.md", "mended")
    assert (await rig.report()).added == 1
    assert parsed == [b"broken", b"broken still", b"mended"]


async def test_bytes_that_the_machine_had_no_room_for_are_parsed_again(rig: Any) -> None:
    chunk_document = rig.chunk_document

    async def refuse(*_: object) -> Any:
        raise ParserUnavailable("There is no memory. Free some.")

    rig.chunk_document = refuse
    rig.source.put("a.md", "fine")
    assert (await rig.report()).failed == 1
    rig.chunk_document = chunk_document
    rig.clock_s += 301
    assert (await rig.report()).added == 1


async def test_a_broken_update_keeps_the_old_version(rig: Any) -> None:
    rig.source.put("a.md", "good")
    await rig.sync()
    rig.source.put("a.md", "broken")
    report = await rig.report()
    assert (report.failed, report.chunks_kept, await rig.answers()) == (1, 1, {"a.md": ["good"]})
    rig.source.put("a.md", "good")
    report = await rig.report()
    assert (report.failed, report.unchanged) == (0, 1)


@pytest.mark.parametrize("call", ["write", "delete"])
async def test_a_store_that_fails_stops_the_source_and_loses_nothing(
    rig: Any, call: str, store_down: KnowledgeError, expected: Callable[..., Any]
) -> None:
    for n in range(9):
        rig.source.put(f"{n}.md", f"text {n}\n\nsame")
    await rig.sync()
    for n in range(9):
        rig.source.put(f"{n}.md", f"other {n}\n\nsame")
    rig.limits = replace(rig.limits, stages=PipelineLimits(batch=2))
    rig.store.partly = 1
    rig.store.plan(call, store_down, after=2)
    report = await rig.report()
    assert report.error == str(store_down)
    answers = await rig.answers()
    assert all(answers[f"{n}.md"] in ([f"text {n}", "same"], [f"other {n}", "same"]) for n in range(9))
    mended = await rig.sync()
    assert (mended.ok, mended.repaired) == (True, 0), "pending rows are deleted without reading the whole store"
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_an_embedder_that_fails_stops_the_source(rig: Any, embedder_down: KnowledgeError) -> None:
    rig.source.put("a.md", "one")
    rig.embedder.plan("embed", embedder_down)
    assert (await rig.report()).error == str(embedder_down)
    assert await rig.answers() == {}
    assert (await rig.report()).added == 1


async def test_a_database_that_fails_during_a_listing_is_no_defect_of_the_source(rig: Any) -> None:
    rig.source.put("a.md", "text")
    rig.source.plan("list on", DatabaseError("The database is away. Start it."))  # its memory cannot be saved
    assert (await rig.report()).error == "The database is away. Start it."
    assert (await rig.report()).added == 1


async def test_maintenance_that_fails_stops_no_sync(rig: Any, store_down: Exception) -> None:
    for error in (store_down, LeaseLost(), DatabaseError("The database is away. Start it.")):
        rig.source.put("a.md", f"text {error}")
        rig.store.plan("maintain", error)
        report = await rig.report()
        assert (report.ok, report.chunks_written) == (True, 1)


async def test_maintenance_that_fails_at_the_end_is_left_to_the_next_sync(rig: Any, store_down: Exception) -> None:
    attempts = 0

    async def maintain() -> None:
        nonlocal attempts
        attempts += 1
        raise store_down

    rig.store.maintain = maintain
    rig.source.put("a.md", "text")
    assert (await rig.report()).ok
    assert attempts == 1


async def test_documents_become_current_while_the_store_is_maintained(rig: Any) -> None:
    """Maintenance may take minutes. The sync awaits it at its end."""
    for number in range(6):
        rig.source.put(f"{number}.md", f"text {number}")
    rig.limits = SyncLimits(stages=PipelineLimits(batch=1, maintain=1))
    began, ended = 0, 0
    everything_answers = asyncio.Event()

    async def maintain() -> None:
        nonlocal began, ended
        began += 1
        await everything_answers.wait()
        ended += 1

    async def wait_for_answers() -> None:
        while len(await rig.answers()) < 6:  # noqa: ASYNC110 - of the manifest
            await asyncio.sleep(0.01)
        everything_answers.set()

    rig.store.maintain = maintain
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        group.create_task(wait_for_answers())
        assert (await rig.report()).added == 6
    assert began == ended > 1


async def test_a_source_with_another_root_answers_while_the_old_one_waits_for_approval(
    rig: Any, new_source: Callable[..., Any]
) -> None:
    moved = new_source("handbook", "/elsewhere")
    rig.source.put("a.md", "old root")
    await rig.sync()
    assert await rig.answers(moved) == {}, "another root is another source"
    moved.put("a.md", "new root")
    report = await rig.sync(moved)
    assert (report.sources["handbook"].added, report.sources["handbook"].pending_deletions) == (1, 0)
    assert await rig.answers(moved) == {"a.md": ["new root"]}
    assert await rig.answers(rig.source) == {"a.md": ["old root"]}
    await rig.index.drop_sources([rig.source.key.id])
    await rig.sync(moved)
    assert await rig.answers(rig.source) == {}
    assert await rig.agree()


async def test_a_sync_of_one_source_leaves_the_other_configured_ones(rig: Any, new_source: Callable[..., Any]) -> None:
    other = new_source("wiki", "/wiki")
    other.put("w.md", "wiki")
    rig.source.put("a.md", "one")
    keys = [rig.source.key.id, other.key.id]
    await rig.sync(rig.source, other)
    await rig.sync(rig.source, configured=keys)
    assert await rig.answers(rig.source, other) == {"a.md": ["one"], "w.md": ["wiki"]}


async def test_fewer_readers_count_at_once_and_more_after_writing(rig: Any, store_down: KnowledgeError) -> None:
    rig.source.put("a.md", "one")
    await rig.sync()
    rig.source.readers = frozenset({"U1"})
    rig.store.plan("write", store_down)
    await rig.sync()
    [row] = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert decode_readers(row.readers) == narrow_readers(EVERYONE, frozenset({"U1"}))
    rig.source.readers = frozenset({"U1", "U2"})
    rig.store.plan("write", store_down)
    await rig.sync()
    [row] = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert decode_readers(row.readers) == narrow_readers(EVERYONE, frozenset({"U1"}))
    report = await rig.report()
    [row] = await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])
    assert (row.readers, report.chunks_written) == ('["U1", "U2"]', 1)
    assert [stored.chunk.audience for stored in rig.store.rows_by_id.values()] == [
        make_class_key(frozenset({"U1", "U2"}))
    ]


async def test_a_document_read_within_its_clock_tick_is_read_again(rig: Any, utc: Callable[..., Any]) -> None:
    rig.source.modified_at = utc(rig.clock_s - 1)
    rig.source.put("a.md", "one")
    await rig.sync()
    rig.source.texts["a.md"] = "two"
    rig.clock_s += 10
    assert (await rig.report()).updated == 1
    rig.clock_s += 10
    await rig.sync()
    assert rig.source.reads == ["a.md"] * 2, "read once more, and settled"


async def test_lost_rows_are_restored_and_unknown_ones_deleted(rig: Any, expected: Callable[..., Any]) -> None:
    rig.source.put("a.md", "one\n\ntwo")
    rig.source.put("b.md", "three")
    await rig.sync()
    rows = rig.store.rows_by_id.copy()
    lost = next(id_ for id_, row in rows.items() if row.chunk.text == "one")
    del rig.store.rows_by_id[lost]
    report = await rig.sync()
    assert (report.repaired, report.sources["handbook"].chunks_written) == (1, 1)
    rig.store.rows_by_id["stranger"] = rows[lost]
    assert (await rig.sync()).repaired == 1
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_documents_without_text_count_and_are_not_read_twice(rig: Any) -> None:
    rig.source.put("empty.md", "")
    report = await rig.report()
    assert (report.added, report.chunks_written) == (1, 0)
    assert (await rig.report()).unchanged == 1


async def test_a_source_or_document_that_hangs_meets_its_deadline(rig: Any) -> None:
    class Hanging(type(rig.source)):  # type: ignore[misc]
        async def read(self, _listed: object) -> None:
            await asyncio.Event().wait()

    hanging = Hanging("slow", "/slow")
    hanging.put("a.md", "never")
    rig.limits = replace(rig.limits, source_s=0.05)
    stopped = (await rig.sync(hanging)).sources["slow"]
    assert "was stopped" in stopped.error
    assert stopped.error_code is ErrorCode.TIMEOUT
    rig.limits = replace(rig.limits, source_s=60.0, document_s=0.02)
    report = (await rig.sync(hanging)).sources["slow"]
    assert (report.error, report.failed) == (None, 1)
    assert "took over" in report.failures[0].reason
    assert report.failures[0].code is ErrorCode.TIMEOUT


async def test_progress_counts_up_to_the_total(rig: Any) -> None:
    rig.limits = replace(rig.limits, progress_s=0.0)
    for n in range(6):
        rig.source.put(f"{n}.md", "broken" if n == 2 else f"text {n}")
    await rig.sync()
    last = rig.progress[-1]
    assert (last.source, last.listed, last.done, last.failed, last.total, last.eta_s) == ("handbook", 6, 6, 1, 6, 0.0)
    assert [p.done for p in rig.progress] == sorted(p.done for p in rig.progress)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step % 4 == 1 else pytest.mark.slow) for step in range(1, 40, 3)]
)
async def test_a_sync_cancelled_anywhere_continues_next_time(rig: Any, step: int, expected: Callable[..., Any]) -> None:
    for n in range(6):
        rig.source.put(f"{n}.md", f"text {n}\n\nsame")
    rig.limits = replace(rig.limits, stages=PipelineLimits(batch=2, waiting=4))
    task = asyncio.create_task(rig.sync())
    for _ in range(step * 4):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert (await rig.sync()).ok
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


@pytest.mark.slow
async def test_large_documents_of_all_sources_share_one_read_budget(
    rig: Any, new_source: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [new_source(f"s{n}", f"/s{n}") for n in range(4)]
    for source in sources:
        source.put("large.md", source.key.name * 1_500_000)
    rig.limits = replace(rig.limits, read_bytes=5_000_000)
    embed, held = rig.embedder.embed_passages, list[int]()

    async def slowly(texts: Any) -> Any:
        await asyncio.sleep(0.2)
        held.append(sum(len(source.reads) for source in sources) - len(held))
        return await embed(texts)

    monkeypatch.setattr(rig.embedder, "embed_passages", slowly)
    assert (await rig.sync(*sources)).ok
    assert held == [1, 1, 1, 1], "the next one is read once the one before answers"
