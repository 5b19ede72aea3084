"""A filter by principals, which replaces the list of audience classes where there are very many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import (
    EVERYONE,
    NumberedStore,
    Scope,
    Viewers,
    holds_numbers,
    intersect_readers,
    may_read,
    number_readers,
    number_viewers,
)
from knowledge.interfaces.audiences import ANY_NUMBER
from knowledge.lexical.terms import index_terms
from knowledge.search.access import audience_classes
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.hybrid import HybridSearch
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.records import AudienceList
from tests.search.search_bench import DIMENSIONS, SOURCE, SearchBench
from tests.viewers import make_members

_NAMES = ["*", "U1", "U2", "U3", "C1", "S1", "guests", "world", ""]
audiences = st.frozensets(st.sampled_from(_NAMES), max_size=4)
joined = st.builds(intersect_readers, audiences, audiences)
ALL = frozenset({SOURCE})


@given(people=st.lists(audiences, max_size=8), readers=audiences | joined)
def test_what_all_viewers_may_read_passes_the_filter(people: list[frozenset[str]], readers: frozenset[str]) -> None:
    viewers = Viewers.of(*people)
    if may_read(viewers, readers):
        assert holds_numbers(number_readers(readers), number_viewers(viewers))


def test_nobody_and_no_readers_pass_nothing() -> None:
    assert Scope(ALL, principals=number_viewers(Viewers(frozenset()))).is_empty
    assert not holds_numbers(number_readers(frozenset()), number_viewers(make_members("U1")))


def test_one_principal_of_joined_ones_is_enough_and_it_is_not_the_public_one() -> None:
    both = intersect_readers(frozenset({"U1"}), frozenset({"guests"}))
    assert number_readers(both) == number_readers(frozenset({"U1"}))


def test_very_many_readers_are_one_number() -> None:
    many = frozenset(f"U{n}" for n in range(300))
    assert number_readers(many) == (ANY_NUMBER,)
    assert holds_numbers(number_readers(many), number_viewers(make_members("U1")))


# ── In a search ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 20 classes for very many."""
    monkeypatch.setattr(audience_classes, "_MANY_CLASSES", 20)


class Witness(LanceDBStore):
    """A store that records the scopes of searches."""

    scopes: list[Scope]

    async def find_candidates(self, *args: object, scope: Scope, **kwargs: object) -> object:  # type: ignore[override]
        self.scopes.append(scope)
        return await super().find_candidates(*args, scope=scope, **kwargs)  # type: ignore[arg-type]


async def add_private_documents(bench: SearchBench, of_each: int = 1) -> None:
    """Add documents of other people, which are better than all else."""
    for n in range(25):
        texts = {f"s{n}-{k}": f"salary of the board, decision {n} {k}" for k in range(of_each)}
        await bench.add(texts, readers=frozenset({f"U{n}", f"D{n}"}))


async def open_search(bench: SearchBench) -> tuple[HybridSearch, Witness]:
    """Return a search over the bench's rows after the store was maintained."""
    store = Witness(bench.store._directory)
    store.scopes = []
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    await store.maintain()
    return bench.search(store=store), store


async def test_documents_of_others_cannot_fill_the_pool(bench: SearchBench) -> None:
    await add_private_documents(bench, 40)
    await bench.add({"mine": "remarks about salary and garden"}, readers=frozenset({"U-ada", "C1"}))
    await bench.add({"ours": "garden and salary and much else"}, readers=EVERYONE)
    search, store = await open_search(bench)
    found = await search.search("salary of the board decision", scope=Scope(ALL, make_members("U-ada")))
    assert {hit.id for hit in found.hits} == {"mine", "ours"}
    assert found.refused_count == 0
    assert [scope.audiences for scope in store.scopes] == [None]
    assert all(scope.principals for scope in store.scopes)
    for viewers in (Viewers.of({"*", "U-ada"}, {"*", "U7"}), Viewers.of(*({"*", f"U{n}"} for n in range(900)))):
        found = await search.search("salary of the board decision", scope=Scope(ALL, viewers))
        assert {hit.id for hit in found.hits} == {"ours"}
    nobody = await search.search("salary", scope=Scope(ALL, Viewers(frozenset())))
    assert not nobody.hits


async def test_a_revoked_document_is_not_shown_and_counted(bench: SearchBench) -> None:
    """Its row in the store still has the readers of before."""
    await add_private_documents(bench)
    await bench.add({"mine": "remarks about salary and garden"}, readers=frozenset({"U-ada"}))
    bench.manifest["mine"] = replace(bench.manifest["mine"], readers=frozenset({"U-bob"}))
    search, _ = await open_search(bench)
    found = await search.search("salary garden", scope=Scope(ALL, make_members("U-ada")))
    assert not found.hits
    assert found.refused_count == 1


async def test_what_only_some_viewers_may_read_is_no_alarm(bench: SearchBench) -> None:
    """The filter has a few of the viewers."""
    await add_private_documents(bench)
    people = [{f"U{n}", "S1"} for n in range(9)]
    await bench.add({"some": "salary garden"}, readers=frozenset(f"U{n}" for n in range(8)))
    search, _ = await open_search(bench)
    found = await search.search("salary garden", scope=Scope(ALL, Viewers.of(*people)))
    assert not found.hits
    assert found.refused_count == 0


async def test_a_table_without_numbers_is_filtered_by_classes_until_they_are_written(bench: SearchBench) -> None:
    await add_private_documents(bench)
    await bench.add({"mine": "remarks about salary"}, readers=frozenset({"U-ada"}))
    await bench.store._table.drop_columns(["principals"])
    search, store = await open_search(bench)
    assert isinstance(store, NumberedStore)
    found = await search.search("salary", scope=Scope(ALL, make_members("U-ada")))
    assert [hit.id for hit in found.hits] == ["mine"]
    assert store.scopes[-1].principals is None
    rows = await store.read_rows([*bench.manifest])
    assert {row.chunk.principals for row in rows} == {()}
    numbered = [
        replace(row, chunk=replace(row.chunk, principals=number_readers(bench.manifest[row.chunk.id].readers)))
        for row in rows
    ]
    await store.write(numbered)
    await store.maintain()
    found = await search.search("salary", scope=Scope(ALL, make_members("U-ada")))
    assert [hit.id for hit in found.hits] == ["mine"]
    assert store.scopes[-1].principals is not None


async def test_an_old_row_of_very_many_readers_differs_from_one_with_their_number(bench: SearchBench) -> None:
    """So the nightly comparison writes it, and it is found once principals filter."""
    many = frozenset(f"U{n}" for n in range(300))
    await bench.add({"wide": "salary of all"}, readers=many)
    await bench.store._table.drop_columns(["principals"])
    _, store = await open_search(bench)
    (row,) = await store.read_rows(["wide"])
    assert row.chunk.principals != number_readers(many)
    await store.write([replace(row, chunk=replace(row.chunk, principals=number_readers(many)))])
    scope = Scope(ALL, make_members("U7"), principals=number_viewers(make_members("U7")))
    assert [one.chunk.id for one in await store.find_candidates(None, index_terms("salary"), pool=9, scope=scope)] == [
        "wide"
    ]


async def test_very_many_classes_are_not_read(bench: SearchBench) -> None:
    """Neither for a search nor for the key of the viewers' rights."""

    async def read_audiences(_: AudienceList | None) -> AudienceList:
        raise AssertionError("it reads the classes")

    async def has_audiences(number: int) -> bool:
        return number <= 20

    await add_private_documents(bench)
    _, store = await open_search(bench)
    classes = AudienceClasses(read_audiences, lambda: 0, has_audiences=has_audiences)
    ada, bob = make_members("U-ada"), make_members("U-bob")
    narrowed = await classes.narrow_scope(Scope(ALL, ada), store)
    assert (narrowed.audiences, narrowed.principals) == (None, number_viewers(ada))
    assert await classes.find_rights_key(ada, ALL) == await classes.find_rights_key(make_members("U-ada"), ALL)
    assert await classes.find_rights_key(ada, ALL) != await classes.find_rights_key(bob, ALL)
