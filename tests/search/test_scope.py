"""Filters, exact names, copies and lexical searches, over a real embedded store and a manifest by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.interfaces import EVERYONE, Scope
from tests.search.search_bench import CALIBRATION, EVERYWHERE, SOURCE, SearchBench, ids
from tests.viewers import make_members

OLD, NEW = datetime(2025, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
BETWEEN = datetime(2026, 1, 1, tzinfo=UTC)


async def found(bench: SearchBench, query: str, scope: Scope = EVERYWHERE, limit: int = 8) -> set[str]:
    return {hit.id for hit in (await bench.search().search(query, scope=scope, limit=limit)).hits}


async def test_kinds_and_dates_narrow(bench: SearchBench) -> None:
    await bench.add({"a": "office hours, one"}, kind="md", modified_at=OLD)
    await bench.add({"b": "office hours, two"}, kind="pdf", modified_at=NEW)
    await bench.add({"c": "office hours, three"}, kind="pdf")
    assert await found(bench, "office hours") == {"a", "b", "c"}
    assert await found(bench, "office hours", replace(EVERYWHERE, kinds=frozenset({"pdf"}))) == {"b", "c"}
    assert await found(bench, "office hours", replace(EVERYWHERE, after=BETWEEN)) == {"b"}
    assert await found(bench, "office hours", replace(EVERYWHERE, before=BETWEEN)) == {"a"}
    assert await found(bench, "office hours", replace(EVERYWHERE, before=NEW, after=NEW)) == set()


async def test_the_manifest_has_the_last_word_on_kind_and_date(bench: SearchBench) -> None:
    """The store's row is of an earlier sync."""
    await bench.add({"a": "office hours, one"}, kind="pdf", modified_at=NEW)
    bench.manifest["a"] = replace(bench.manifest["a"], kind="md")
    assert await found(bench, "office hours", replace(EVERYWHERE, kinds=frozenset({"pdf"}))) == set()
    bench.manifest["a"] = replace(bench.manifest["a"], kind="pdf", modified_at=OLD)
    assert await found(bench, "office hours", replace(EVERYWHERE, after=BETWEEN)) == set()
    bench.manifest["a"] = replace(bench.manifest["a"], modified_at=None)
    assert await found(bench, "office hours", replace(EVERYWHERE, before=NEW + timedelta(days=1))) == set()


_SHELF = [
    (
        f"r{n}",
        ("md", "pdf", "csv")[n % 3],
        (EVERYONE, frozenset({"U1"}), frozenset({"U1", "U2"}))[n % 3 if n % 2 else 0],
    )
    for n in range(24)
]
days = st.none() | st.integers(0, 24).map(lambda n: OLD + timedelta(days=n))


@settings(
    max_examples=min(40, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kinds=st.frozensets(st.sampled_from(["md", "pdf", "csv", "docx"])),
    readers=st.frozensets(st.sampled_from(["U1", "U2", "U3"])),
    after=days,
    before=days,
)
async def test_exactly_the_scope_is_found(
    bench: SearchBench, kinds: frozenset[str], readers: frozenset[str], after: datetime | None, before: datetime | None
) -> None:
    if not bench.manifest:
        for n, (id_, kind, audience) in enumerate(_SHELF):
            made = None if n % 7 == 0 else OLD + timedelta(days=n)
            await bench.add({id_: f"office hours number {n}"}, kind=kind, readers=audience, modified_at=made)
    scope = Scope(frozenset({SOURCE}), make_members(*readers), kinds, after, before)
    inside = {
        id_
        for id_, one in bench.manifest.items()
        if (one.readers == EVERYONE or (bool(readers) and readers <= one.readers))
        and (not kinds or one.kind in kinds)
        and (after is None or (one.modified_at is not None and one.modified_at >= after))
        and (before is None or (one.modified_at is not None and one.modified_at < before))
    }
    assert await found(bench, "office hours", scope, limit=24) == inside


# ── Exact names ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_exact_names_rank_before_similar_passages(bench: SearchBench) -> None:
    near = {
        f"n{n}": f"Error E-{n}: how to repair the failing payment gateway connection error" for n in range(1000, 1020)
    }
    await bench.add(near)
    await bench.add(
        {"exact": "Appendix: E-1042 is raised once the ledger was locked by another clerk for a long while."}
    )
    question = "how to repair the failing payment gateway connection error E-1042"
    assert (await ids(bench.search(), question))[0] == "exact"
    assert (await ids(bench.search(), question.replace("E-1042", "E1042")))[0] == "exact"


async def test_an_unknown_code_is_not_explained_by_a_similar_one(bench: SearchBench) -> None:
    await bench.add({f"n{n}": f"Topic number {n} about something else." for n in range(30)})
    await bench.add({"a": "Error E-1043: the payment gateway refused the card."})
    search = bench.search()
    result = await search.search("payment gateway error E-1043", scope=EVERYWHERE)
    unknown = await search.search("payment gateway error E-1042", scope=EVERYWHERE)
    assert result.answerable
    assert not unknown.answerable
    assert unknown.hits[0].confidence < CALIBRATION.answerable


async def test_an_unknown_version_does_not_lower_the_confidence(bench: SearchBench) -> None:
    await bench.add({f"n{n}": f"Topic number {n} about something else." for n in range(30)})
    await bench.add({"a": "The payment gateway refuses a card that has expired."})
    assert (await bench.search().search("payment gateway refuses a card 9.8.7", scope=EVERYWHERE)).answerable


# ── Copies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_copies_the_newest_is_shown(bench: SearchBench) -> None:
    await bench.add({"old": "Install release v1.2.0 with the setup tool."}, modified_at=OLD)
    await bench.add({"new": "Install release v1.3.0 with the setup tool."}, modified_at=NEW)
    await bench.add({"other": "Install the printer with its own tool."}, modified_at=NEW)
    assert await found(bench, "install with the setup tool") == {"new", "other"}
    assert await found(bench, "install v1.2.0 with the setup tool") == {"old", "new", "other"}


async def test_a_forbidden_copy_hides_nothing(bench: SearchBench) -> None:
    await bench.add({"secret": "Office opens at nine."}, modified_at=NEW, readers=frozenset({"U1"}))
    await bench.add({"open": "office OPENS at nine."}, modified_at=OLD)
    assert await found(bench, "office opens") == {"open"}
    assert await found(bench, "office opens", Scope(frozenset({SOURCE}), make_members("U1"))) == {"secret"}


# ── Without vectors ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_words_find_while_the_embedder_changes(bench: SearchBench) -> None:
    await bench.add({f"n{n}": f"Topic number {n} about something else." for n in range(30)})
    await bench.add({"a": "The quick brown fox jumps over the lazy dog."})
    search = bench.search(dense=False)
    sure = await search.search("quick brown fox jumps over the lazy dog", scope=EVERYWHERE)
    assert [hit.id for hit in sure.hits] == ["a"]
    assert sure.answerable
    assert not (await search.search("a dog and a parental leave policy", scope=EVERYWHERE)).answerable
    assert not (await search.search("什么", scope=EVERYWHERE)).hits
    assert not bench.embedder.asked


@pytest.mark.parametrize("query", ["", "!?", "\x00"])
async def test_without_terms_and_vectors_nothing_is_found(bench: SearchBench, query: str) -> None:
    await bench.add({"a": "Words."})
    assert not (await bench.search(dense=False).search(query, scope=EVERYWHERE)).hits
