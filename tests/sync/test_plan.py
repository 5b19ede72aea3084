"""The plan: every document gets exactly one action, and a short listing deletes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import ListedDocument
from knowledge.sync.manifest.records import KnownDocument
from knowledge.sync.plan import DocumentRead, Planner, SyncPlan, compute_retry_delay_s

NOW = 1_800_000_000.0


def known(document: str, version: str = "1", **changes: object) -> KnownDocument:
    row = KnownDocument(0, document, version, "sha", "T", None, '["*"]', NOW - 100, False, None, 0, 0.0, 1)
    return row._replace(**changes)


def listing(*documents: str, version: str = "1") -> dict[str, ListedDocument]:
    return {document: ListedDocument(document, version) for document in documents}


def make_plan(
    listing: Mapping[str, ListedDocument], records: Sequence[KnownDocument], *, now: float, **facts: Any
) -> SyncPlan:
    """Return the plan of records that come in two parts."""
    planner = Planner(listing, now=now)
    for part in (records[: len(records) // 2], records[len(records) // 2 :]):
        planner.add_records(part)
    return planner.make_plan(**facts)


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (5, 0, True), (1, 0, True), (5, 1, False), (10, 1, False), (11, 1, False), (12, 1, True), (50, 40, False),
        (51, 40, True), (100, 80, False), (100, 79, True), (1000, 800, False), (1000, 799, True),
    ],
)  # fmt: skip
def test_the_guard_keeps_documents_that_a_short_listing_lacks(before: int, after: int, *, held: bool) -> None:
    rows = [known(str(n)) for n in range(before)]
    made = make_plan(listing(*(str(n) for n in range(after))), rows, now=NOW)
    assert (len(made.pending_deletions), len(made.deletes)) == ((before - after, 0) if held else (0, before - after))


def test_an_incomplete_listing_deletes_and_marks_nothing() -> None:
    made = make_plan(listing("a"), [known("a"), known("b")], now=NOW, complete=False)
    assert (made.deletes, made.pending_deletions, made.unchanged_count) == ((), (), 1)


def test_a_listing_from_another_disk_deletes_only_what_was_approved() -> None:
    rows = [known("a"), known("b", pending_deletion=True), known("c")]
    made = make_plan(listing("a"), rows, now=NOW, trusted=False, approve={"b"})
    assert (made.deletes, made.approved_deletions, made.pending_deletions) == ((), (rows[1],), (rows[2],))


def test_a_link_or_readers_that_changed_make_an_update() -> None:
    for listed in (ListedDocument("a", "1", url="https://x.test"), ListedDocument("a", "1", readers=frozenset({"U1"}))):
        assert make_plan({"a": listed}, [known("a")], now=NOW).reads == (DocumentRead(listed, known("a")),)


@pytest.mark.parametrize(("age_s", "again"), [(-5.0, True), (0.0, True), (1.9, True), (2.1, False), (500.0, False)])
def test_a_document_modified_just_before_it_was_read_is_read_again(age_s: float, *, again: bool) -> None:
    row = known("a")
    listed = ListedDocument("a", "1", modified_at=datetime.fromtimestamp(row.read_at - age_s, UTC))
    assert bool(make_plan({"a": listed}, [row], now=NOW).reads) is again


def test_a_failed_document_is_retried_later() -> None:
    resting = known("a", reason="broken", retry_at=NOW + 1)
    assert make_plan(listing("a"), [resting], now=NOW).pending_retries == 1
    assert make_plan(listing("a"), [resting], now=NOW + 1).reads == (DocumentRead(ListedDocument("a", "1"), resting),)
    assert make_plan(listing("a"), [resting], now=NOW - 90_000).reads != (), "the clock that said when was wrong"
    assert make_plan(listing("a", version="2"), [resting], now=NOW).reads == (
        DocumentRead(ListedDocument("a", "2"), resting),
    )


def test_retry_delays_grow_to_a_day() -> None:
    assert [compute_retry_delay_s(n) for n in (1, 2, 3, 50, 10_000)] == [300.0, 1200.0, 4800.0, 86400.0, 86400.0]


def test_a_pending_deletion_that_is_listed_again_is_restored() -> None:
    row = known("a", pending_deletion=True)
    made = make_plan(listing("a"), [row], now=NOW)
    assert (made.restored_documents, made.unchanged_count) == ((row,), 1)


NAMES = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.sampled_from("12"), max_size=30)


@given(before=NAMES, after=NAMES, complete=st.booleans())
def test_every_document_gets_one_action(before: dict[str, str], after: dict[str, str], *, complete: bool) -> None:
    rows = [known(document, version) for document, version in before.items()]
    made = make_plan({d: ListedDocument(d, v) for d, v in after.items()}, rows, now=NOW, complete=complete)
    added = {read.entry.document for read in made.reads if read.record is None}
    updated = {read.entry.document for read in made.reads if read.record is not None}
    gone = {row.document for row in (*made.deletes, *made.pending_deletions)}
    assert added == after.keys() - before.keys()
    assert updated == {d for d in after.keys() & before.keys() if after[d] != before[d]}
    assert gone == (before.keys() - after.keys() if complete else set())
    assert made.unchanged_count == len(after.keys() & before.keys()) - len(updated)
    assert not (made.deletes and made.pending_deletions)


def test_later_pending_deletions_need_another_approval() -> None:
    later = [known(f"held later {n}", pending_deletion=True) for n in range(20)]
    rows = [known("shown", pending_deletion=True), *later, known("still there")]
    made = make_plan(listing("still there"), rows, now=NOW, approve={"shown", "still there"})
    assert [row.document for row in made.approved_deletions] == ["shown"]
    assert (made.deletes, made.pending_deletions) == ((), tuple(later))


def test_approved_deletions_happen_and_others_pass_the_guard() -> None:
    held = [known(f"held {n}", pending_deletion=True) for n in range(60)]
    rest = [known(f"rest {n}") for n in range(100)]
    listed = [f"rest {n}" for n in range(100)]
    agreed = {row.document for row in held}
    made = make_plan(listing(*listed[5:]), [*held, *rest], now=NOW, approve=agreed)
    assert (len(made.approved_deletions), len(made.deletes), len(made.pending_deletions)) == (60, 5, 0)
    made = make_plan(listing(*listed[30:]), [*held, *rest], now=NOW, approve=agreed)
    assert (len(made.approved_deletions), len(made.deletes), len(made.pending_deletions)) == (60, 0, 30)
    made = make_plan(listing(*listed[5:]), [*held, *rest], now=NOW)
    assert (made.approved_deletions, made.deletes, len(made.pending_deletions)) == ((), (), 65)


def test_an_approval_keeps_a_document_that_is_listed_again() -> None:
    made = make_plan(
        listing("a"),
        [known("a", pending_deletion=True), known("b", pending_deletion=True)],
        now=NOW,
        approve={"a", "b"},
    )
    assert ([row.document for row in made.approved_deletions], [row.document for row in made.restored_documents]) == (
        ["b"],
        ["a"],
    )


def test_an_approval_of_an_empty_listing_deletes_only_pending_deletions() -> None:
    made = make_plan({}, [known("a", pending_deletion=True), known("b")], now=NOW, approve={"a", "b"})
    assert ([row.document for row in made.approved_deletions], [row.document for row in made.pending_deletions]) == (
        ["a"],
        ["b"],
    )


def test_an_approved_but_incomplete_listing_deletes_nothing() -> None:
    made = make_plan({}, [known("a", pending_deletion=True), known("b")], now=NOW, complete=False, approve={"a", "b"})
    assert (made.approved_deletions, made.deletes, made.pending_deletions) == ((), (), ())


def test_new_names_that_cannot_be_read_do_not_replace_the_old_ones() -> None:
    rows = [known(f"old {n}") for n in range(50)]
    made = make_plan(listing(*(f"new {n}" for n in range(50))), rows, now=NOW)
    assert len(made.deletes) == 50
    assert made.recheck_deletions(failed=10) == made
    doubted = made.recheck_deletions(failed=11)
    assert (doubted.deletes, len(doubted.pending_deletions)) == ((), 50)


def test_unreadable_documents_do_not_make_up_for_missing_ones() -> None:
    """The sync after the one above: the new names are known by now, and rest."""
    old = [known(f"old {n}", pending_deletion=True) for n in range(5)]
    new = [known(f"new {n}", reason="broken", read_at=0.0, retry_at=NOW + 9) for n in range(5)]
    made = make_plan(listing(*(row.document for row in new)), [*old, *new], now=NOW)
    assert (made.deletes, len(made.pending_deletions), made.pending_retries) == ((), 5, 5)
