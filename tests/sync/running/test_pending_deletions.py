"""Documents that leave a source: renamed, pending, approved, or not really missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from knowledge.errors import KnowledgeError, SourceDenied, SourceError, SourceUnavailable, StoreReadOnly
from knowledge.interfaces import EVERYONE, make_class_key, narrow_readers
from knowledge.sync.manifest.records import encode_readers
from knowledge.sync.running.pipeline import PipelineLimits


def _fill(source: Any, count: int, prefix: str = "") -> None:
    for n in range(count):
        source.put(f"{prefix}{n}.md", f"text {n}\n\nmore of {n}")


async def test_pending_deletions_are_named_and_happen_after_approval(rig: Any, expected: Callable[..., Any]) -> None:
    _fill(rig.source, 60)
    await rig.sync()
    for n in range(30):
        del rig.source.texts[f"{n}.md"]
    assert (await rig.report()).pending_deletions == 30
    pending = await rig.index.list_pending_deletions(rig.source.key, 3)
    assert [(one.document, one.since) for one in pending] == [(f"{n}.md", rig.clock_s) for n in (0, 1, 10)]
    first = rig.clock_s
    rig.clock_s += 1000
    await rig.sync()
    assert {one.since for one in await rig.index.list_pending_deletions(rig.source.key, 99)} == {first}
    del rig.source.texts["59.md"]
    rig.source.put("0.md", "back again")
    report = await rig.report(approve=True)
    assert (report.deleted, report.pending_deletions, report.updated) == (30, 0, 1)
    assert await rig.answers() == expected(rig.source)
    assert await rig.index.list_pending_deletions(rig.source.key, 3) == ()
    assert await rig.agree()


async def test_an_approval_lists_again_and_a_listing_that_fails_deletes_nothing(rig: Any) -> None:
    _fill(rig.source, 60)
    await rig.sync()
    before = await rig.answers()
    rig.source.texts.clear()
    await rig.sync()
    rig.source.plan("list", SourceError("The share is not mounted. Mount it."))
    assert (await rig.report(approve=True)).deleted == 0
    assert await rig.answers() == before
    _fill(rig.source, 5)
    rig.source.plan("list on", SourceError("Page 2 failed. Try again."), after=3)
    assert (await rig.report(approve=True)).deleted == 0
    assert await rig.answers() == before
    assert (await rig.report(approve=True)).deleted == 55
    assert set(await rig.answers()) == {f"{n}.md" for n in range(5)}


async def test_an_approval_deletes_only_what_the_person_saw(rig: Any) -> None:
    _fill(rig.source, 60)
    await rig.sync()
    rig.source.texts.clear()
    report = await rig.report(approve=True)
    assert (report.deleted, report.pending_deletions) == (0, 60)
    assert (await rig.report(approve=True)).deleted == 60
    assert await rig.answers() == {}
    assert await rig.agree()


async def test_a_source_that_renames_everything_is_never_without_an_answer(
    rig: Any, expected: Callable[..., Any]
) -> None:
    _fill(rig.source, 12)
    await rig.sync()
    rig.limits = replace(rig.limits, stages=PipelineLimits(batch=2))
    rig.source.texts.clear()
    _fill(rig.source, 12, "renamed/")
    held: list[set[str]] = []
    delete = rig.store.delete

    async def looked_at(ids: Any) -> None:
        held.append(set(await rig.answers()))
        await delete(ids)

    rig.store.delete = looked_at
    report = await rig.report()
    assert (report.added, report.deleted, report.pending_deletions) == (12, 12, 0)
    assert held
    assert all({f"renamed/{n}.md" for n in range(12)} <= names for names in held), "deleted before the new ones answer"
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_new_names_that_cannot_be_read_leave_the_old_ones_answering(rig: Any) -> None:
    _fill(rig.source, 5)
    await rig.sync()
    before = await rig.answers()
    rig.source.texts.clear()
    for n in range(5):
        rig.source.put(f"renamed/{n}.md", "broken")
    for _ in range(3):
        report = await rig.report()
        assert (report.deleted, report.pending_deletions, report.failed) == (0, 5, 5)
        assert await rig.answers() == before
    _fill(rig.source, 5, "renamed/")
    assert (await rig.report()).deleted == 5
    assert set(await rig.answers()) == {f"renamed/{n}.md" for n in range(5)}


@pytest.mark.parametrize("kind", [SourceDenied, SourceUnavailable])
async def test_credentials_that_expire_in_mid_run_stop_the_source_and_lose_nothing(
    rig: Any, kind: type[SourceError], expected: Callable[..., Any]
) -> None:
    _fill(rig.source, 40)
    await rig.sync()
    _fill(rig.source, 40)
    for n in range(40):
        rig.source.put(f"{n}.md", f"newer {n}")
    del rig.source.texts["39.md"]
    rig.source.put("new.md", "new")
    expired = kind("The token has expired. Make a new one and set KVASIR_WIKI_TOKEN.")
    for _ in range(4):  # Of four documents that are read side by side, each meets it.
        rig.source.plan("read", expired, after=20)
    report = await rig.report()
    assert (report.error, report.ok, report.failed, report.deleted) == (str(expired), False, 0, 0)
    assert 15 <= report.updated <= 24, "documents that were read stay"
    assert len(rig.source.reads) <= 40 + 24, "no task continues reading"
    answers = await rig.answers()
    assert all(answers[f"{n}.md"] in ([f"newer {n}"], [f"text {n}", f"more of {n}"]) for n in range(39))
    assert "39.md" in answers
    rig.source.plans.clear()
    assert (await rig.report()).ok
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_a_store_that_turns_read_only_stops_the_run_and_loses_nothing(
    rig: Any, expected: Callable[..., Any]
) -> None:
    _fill(rig.source, 20)
    await rig.sync()
    for n in range(20):
        rig.source.put(f"{n}.md", f"newer {n}")
    del rig.source.texts["3.md"]
    rig.limits = replace(rig.limits, stages=PipelineLimits(batch=4))
    full = StoreReadOnly("The store accepts no writes: its disk is over 90 % full. Free some space.")
    for _ in range(40):
        rig.store.plan("write", full, after=2)
        rig.store.plan("delete", full, after=2)
    report = await rig.report()
    assert (report.error, report.ok) == (str(full), False)
    answers = await rig.answers()
    assert all(answers[f"{n}.md"] in ([f"newer {n}"], [f"text {n}", f"more of {n}"]) for n in range(20) if n != 3)
    with pytest.raises(KnowledgeError):
        await rig.sync()  # Pending rows cannot be deleted either, which is reported before anything begins.
    rig.store.plans.clear()
    assert (await rig.report()).ok
    assert await rig.answers() == expected(rig.source)
    assert await rig.agree()


async def test_equal_documents_of_two_sources_are_independent(rig: Any, new_source: Callable[..., Any]) -> None:
    copy = new_source("copy", "/copy")
    for source in (rig.source, copy):
        _fill(source, 3)
        source.put("same.md", "the very same")
    both = (rig.source, copy)
    await rig.sync(*both)
    assert len(rig.store.rows_by_id) == 14
    rows = await rig.index.find_current(list(rig.store.rows_by_id), [source.key.id for source in both])
    assert sum(row.document == "same.md" for row in rows) == 2
    del copy.texts["same.md"]
    await rig.sync(*both)
    assert await rig.answers(copy) == {f"{n}.md": [f"text {n}", f"more of {n}"] for n in range(3)}
    assert (await rig.answers(rig.source))["same.md"] == ["the very same"]
    await rig.sync(rig.source)
    assert (await rig.answers(rig.source))["same.md"] == ["the very same"]
    assert await rig.agree()


async def test_a_clock_that_jumps_back_loses_nothing_and_reads_nothing_for_ever(
    rig: Any, utc: Callable[..., Any], expected: Callable[..., Any]
) -> None:
    rig.source.modified_at = utc(rig.clock_s - 50)
    _fill(rig.source, 3)
    rig.source.put("broken.md", "broken")
    await rig.sync()
    rig.clock_s -= 86_400 * 365
    rig.source.put("1.md", "newer")
    report = await rig.report()
    assert report.error is None
    assert await rig.answers() == expected(rig.source)
    rig.source.put("broken.md", "mended")
    assert (await rig.report()).failed == 0
    rig.clock_s += 86_400 * 365 + 100
    await rig.sync()
    reads = len(rig.source.reads)
    await rig.sync()
    assert len(rig.source.reads) == reads, "once the clock is right again, nothing is read in vain"
    assert await rig.agree()


@pytest.mark.parametrize(
    "name", ["line\nbreak.md", "🦊/🐻‍❄️.md", "cafe\u0301.md", "%20?#.md", "a'b\"c\\d.md", "x" * 900]
)
async def test_a_document_of_any_name_is_added_found_and_deleted(rig: Any, name: str) -> None:
    rig.source.put("other.md", "other")
    rig.source.put(name, "one")
    await rig.sync()
    assert (await rig.answers())[name] == ["one"]
    rig.source.put(name, "two")
    assert (await rig.report()).updated == 1
    assert (await rig.answers())[name] == ["two"]
    del rig.source.texts[name]
    await rig.sync()
    assert await rig.answers() == {"other.md": ["other"]}
    assert await rig.agree()


async def test_changed_bytes_are_only_for_readers_of_both_versions(
    rig: Any,
) -> None:
    """Between listing and reading a document may have become secret; the next listing tells for whom it is."""
    rig.source.readers = frozenset({"U1"})
    rig.source.put("a.md", "harmless")
    await rig.sync()
    rig.source.readers, read = frozenset({"*"}), rig.source.read

    async def read_late(listed: Any) -> Any:
        rig.source.put("a.md", "secret")
        rig.source.readers = frozenset({"U1"})
        return await read(listed)

    rig.source.put("a.md", "still harmless")
    rig.source.read = read_late
    await rig.sync()
    assert await rig.answers() == {"a.md": ["secret"]}
    assert await _readers(rig) == {encode_readers(narrow_readers(EVERYONE, frozenset({"U1"})))}
    rig.source.read, rig.source.readers = read, frozenset({"*"})
    await rig.sync()
    assert await _readers(rig) == {'["*"]'}
    assert {row.chunk.audience for row in rig.store.rows_by_id.values()} == {make_class_key(EVERYONE)}


async def _readers(rig: Any) -> set[str]:
    return {row.readers for row in await rig.index.find_current(list(rig.store.rows_by_id), [rig.source.key.id])}


async def test_a_smaller_audience_is_written_even_if_its_sync_died(rig: Any, store_down: Any) -> None:
    """The manifest has the new readers then, and nothing else would tell that the store has not."""
    rig.source.put("a.md", "one\n\ntwo")
    await rig.sync()
    rig.source.readers = frozenset({"U1"})
    rig.store.plan("write", store_down)
    assert (await rig.report()).error is not None
    assert (await rig.report()).chunks_written == 2
    assert {row.chunk.audience for row in rig.store.rows_by_id.values()} == {make_class_key(frozenset({"U1"}))}
    assert (await rig.report()).chunks_written == 0
