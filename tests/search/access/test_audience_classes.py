"""Which audience classes an answer may use, and what happens if store and manifest disagree about them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import DatabaseError
from knowledge.interfaces import (
    ANY_MEMBER,
    EVERYONE,
    Candidate,
    Scope,
    Vector,
    Viewers,
    intersect_readers,
    make_class_key,
    may_read,
)
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.search.plan import plan_words
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.sync.manifest.records import AudienceList, AudienceRow, encode_readers, mark_unsettled
from tests.search.search_bench import DIMENSIONS, SOURCE, SearchBench
from tests.viewers import make_members

BOARD = frozenset({"C1"})
ALL = frozenset({"docs"})


def make_row(readers: Collection[str], source: str = "docs", url: str = "") -> AudienceRow:
    return AudienceRow(source, encode_readers(frozenset(readers)), url)


def keys(*readers: Collection[str]) -> frozenset[str]:
    return frozenset(make_class_key(frozenset(one)) for one in readers)


@dataclass
class ManifestDouble:
    """A manifest with a clock, that counts how often it was read."""

    rows: frozenset[AudienceRow] = frozenset({make_row(EVERYONE), make_row(BOARD)})
    writes: int = 0
    now_s: float = 100.0
    reads: int = 0
    error: DatabaseError | None = None
    classes: AudienceClasses = field(init=False)

    def __post_init__(self) -> None:
        self.classes = AudienceClasses(self.read_audiences, lambda: self.writes, now=lambda: self.now_s)

    async def read_audiences(self, _: AudienceList | None) -> AudienceList:
        self.reads += 1
        if self.error is not None:
            raise self.error
        rows = self.rows
        await asyncio.sleep(0)
        return AudienceList(rows)

    async def find(self, viewers: Viewers = ANY_MEMBER, *sources: str) -> frozenset[str] | None:
        return await self.classes.find_usable(viewers, frozenset(sources or ALL))


async def test_named_principals_are_those_of_restricted_documents() -> None:
    """What every full member may read needs no other principal."""
    both = intersect_readers(frozenset({"C1"}), frozenset({"S2"}))
    manifest = ManifestDouble(frozenset({make_row({"*", "C9"}), make_row(both), make_row({"ada@x.com"})}))
    assert await manifest.classes.list_named_principals() == {"C1", "S2", "ada@x.com"}
    manifest.rows, manifest.writes = frozenset({make_row(EVERYONE)}), 1
    assert await manifest.classes.list_named_principals() == frozenset()


# ── Which classes ────────────────────────────────────────────────────────────────────────────────────────────────────

_NAMES = ["*", "U1", "U2", "C1", "S1", "guests", "world", ""]
audiences = st.frozensets(st.sampled_from(_NAMES), max_size=3)
joined = st.builds(intersect_readers, audiences, audiences)
viewers_of_answers = st.lists(audiences, max_size=5).map(lambda people: Viewers.of(*people))


@given(viewers=viewers_of_answers, readers=st.lists(audiences | joined, max_size=8))
async def test_the_usable_classes_are_those_that_all_viewers_may_read(
    viewers: Viewers, readers: list[frozenset[str]]
) -> None:
    usable = await ManifestDouble(frozenset(map(make_row, readers))).find(viewers)
    readable = {make_class_key(one) for one in readers if may_read(viewers, one)}
    if usable is None:
        assert viewers.people
        assert readable == keys(*readers)
    else:
        assert usable == readable


async def test_all_classes_need_no_filter_and_nobody_may_use_any() -> None:
    manifest = ManifestDouble()
    assert await manifest.find() == keys(EVERYONE)
    assert await manifest.find(make_members("C1")) is None
    assert await manifest.find(make_members("C1", "U9")) == keys(EVERYONE)
    assert await manifest.find(Viewers(frozenset())) == frozenset()
    assert await manifest.find(Viewers.of({"guests"})) == frozenset()


async def test_only_classes_of_the_searched_sources_count() -> None:
    manifest = ManifestDouble(frozenset({make_row(EVERYONE), make_row(BOARD, "wiki"), make_row({"U2"}, "hr")}))
    assert await manifest.find(ANY_MEMBER, "docs") is None
    assert await manifest.find(make_members("C1"), "docs", "wiki") is None
    assert await manifest.find(make_members("C1"), "docs", "hr") == keys(EVERYONE)


async def test_thousands_of_people_and_classes_are_weighed() -> None:
    groups = [frozenset({f"S{n}"}) for n in range(1000)]
    manifest = ManifestDouble(frozenset(map(make_row, [EVERYONE, *groups])))
    members = Viewers.of(*({"*", f"U{n}", f"S{n % 3}", "S500"} for n in range(5000)))
    assert await manifest.find(members) == keys(EVERYONE, groups[500])
    assert await manifest.find(Viewers.of(*members.people, {"U1", "S500"})) == keys(groups[500])


async def test_rows_that_are_being_rewritten_are_found_with_both_audiences() -> None:
    """The manifest has the readers of both audiences, and the rows have those before or after."""
    old, new = frozenset({"U1", "U2"}), frozenset({"U2", "U3"})
    url = mark_unsettled("https://docs.example", encode_readers(old), encode_readers(new))
    manifest = ManifestDouble(frozenset({make_row(old & new, url=url), make_row({"U9"})}))
    assert await manifest.find(make_members("U2")) == keys(old, new, old & new)
    assert await manifest.find(make_members("U1")) == frozenset()


# ── When they are read ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_they_are_read_again_after_a_write_or_some_seconds() -> None:
    manifest = ManifestDouble()
    for _ in range(3):
        assert await manifest.find() == keys(EVERYONE)
    assert manifest.reads == 1
    manifest.rows = frozenset({make_row(EVERYONE), make_row({"*", "C1"}), make_row(BOARD)})
    assert await manifest.find() == keys(EVERYONE)
    manifest.writes += 1
    assert await manifest.find() == keys(EVERYONE, {"*", "C1"})
    manifest.rows = frozenset({make_row(EVERYONE)})
    assert await manifest.find() == keys(EVERYONE, {"*", "C1"})
    manifest.now_s += 10.0
    assert await manifest.find() is None
    assert manifest.reads == 3


async def test_a_question_that_is_cancelled_while_they_are_read_hides_no_class(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = ManifestDouble()
    assert await manifest.find() == keys(EVERYONE)
    manifest.rows = frozenset({make_row(EVERYONE), make_row({"*", "C1"}), make_row(BOARD)})
    manifest.writes += 1
    entered, real = asyncio.Event(), asyncio.to_thread

    async def hang(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "to_thread", hang)
    asking = asyncio.create_task(manifest.find())
    await entered.wait()
    asking.cancel()
    await asyncio.wait([asking])
    monkeypatch.setattr(asyncio, "to_thread", real)
    assert await manifest.find() == keys(EVERYONE, {"*", "C1"})
    assert await manifest.classes.list_named_principals() == {"C1", "*"} - EVERYONE | {"C1"}


async def test_a_class_that_got_the_number_of_another_is_found_after_ten_minutes() -> None:
    """After a recovery of the database to an earlier point, numbers are used again."""
    rows = {1: make_row(EVERYONE), 2: make_row(BOARD)}

    async def read_new(known: AudienceList | None) -> AudienceList:
        before = known or AudienceList()
        added = [row for number, row in rows.items() if number > before.newest]
        return AudienceList(before.rows.union(added), max(rows))

    now_s = 100.0
    classes = AudienceClasses(read_new, lambda: 0, now=lambda: now_s)
    assert await classes.find_usable(make_members("C1"), ALL) is None
    rows[2] = make_row({"C2"})
    now_s += 590.0
    assert await classes.find_usable(make_members("C1"), ALL) is None
    now_s += 20.0
    assert await classes.find_usable(make_members("C1"), ALL) == keys(EVERYONE)
    assert await classes.list_named_principals() == {"C2"}


async def test_many_questions_at_once_read_them_once() -> None:
    manifest = ManifestDouble()
    assert set(await asyncio.gather(*(manifest.find() for _ in range(20)))) == {keys(EVERYONE)}
    assert manifest.reads == 1


async def test_a_write_during_the_reading_counts() -> None:
    manifest = ManifestDouble()
    reading = asyncio.ensure_future(manifest.find())
    await asyncio.sleep(0)
    manifest.rows, manifest.writes = frozenset({make_row(EVERYONE)}), 1
    assert await reading == keys(EVERYONE)
    assert await manifest.find() is None


async def test_a_failed_reading_fails_this_question_alone() -> None:
    manifest = ManifestDouble(error=DatabaseError("The database is down. Start it."))
    with pytest.raises(DatabaseError):
        await manifest.find()
    manifest.error = None
    assert await manifest.find() == keys(EVERYONE)


# ── In a search ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Witness(LanceDBStore):
    """A store that records its candidates."""

    proposed: set[str]
    scopes: list[Scope]

    async def find_candidates(
        self, vector: Vector | None, terms: str, *, pool: int, scope: Scope
    ) -> Sequence[Candidate]:
        found = await super().find_candidates(vector, terms, pool=pool, scope=scope)
        self.proposed |= {one.chunk.id for one in found}
        self.scopes.append(scope)
        return found


@pytest.fixture
async def witness(bench: SearchBench) -> Witness:
    store = Witness(bench.store._directory)
    store.proposed, store.scopes = set(), []
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    return store


async def test_what_is_not_allowed_cannot_fill_the_pool(bench: SearchBench, witness: Witness) -> None:
    """Two thousand better passages of other people, and the largest pool has 800."""
    for n in range(20):
        texts = {f"s{n}-{k}": f"salary of the board, decision {n} {k}" for k in range(100)}
        await bench.add(texts, readers=frozenset({f"U{n % 7}"}))
    await bench.add({f"mine{n}": f"remarks {n} about salary and garden and much else" for n in range(3)}, readers=BOARD)
    search = bench.search(store=witness)
    scope = Scope(frozenset({SOURCE}), make_members("C1"))
    found = await search.search("salary of the board decision", scope=scope)
    assert {hit.id for hit in found.hits} == {"mine0", "mine1", "mine2"}
    assert witness.proposed == {"mine0", "mine1", "mine2"}
    assert found.refused_count == 0
    assert len(witness.scopes) == 1


async def test_a_passage_that_the_store_should_not_have_proposed_is_counted_and_not_shown(bench: SearchBench) -> None:
    await bench.add({"secret": "office hours of the board", "open": "office hours of the porter"})
    await bench.add({"other": "office hours of the guards"}, readers=BOARD)
    bench.manifest["secret"] = replace(bench.manifest["secret"], readers=BOARD)
    scope = Scope(frozenset({SOURCE}), ANY_MEMBER)
    found = await bench.search().find_documents(plan_words("office hours", scope))
    assert ({hit.id for hit in found.make_hits()}, found.refused) == ({"open"}, {"docs": 1})
    assert found.to_result().refused_count == 1


async def test_no_alarm_while_a_sync_rewrites_the_rows(bench: SearchBench) -> None:
    await bench.add({"secret": "office hours of the board", "open": "office hours of the porter"})
    bench.manifest["secret"] = replace(bench.manifest["secret"], readers=BOARD, is_settled=False)
    found = await bench.search().search("office hours", scope=Scope(frozenset({SOURCE}), ANY_MEMBER))
    assert ({hit.id for hit in found.hits}, found.refused_count) == ({"open"}, 0)


async def test_a_change_between_store_and_manifest_is_no_alarm(bench: SearchBench) -> None:
    """The passage is rewritten for others after the store proposed it."""
    await bench.add({"secret": "office hours of the board", "open": "office hours of the porter"})
    first = True

    class Overtaken(Witness):
        async def find_candidates(self, *args: object, **kwargs: object) -> Sequence[Candidate]:  # type: ignore[override]
            nonlocal first
            found = await LanceDBStore.find_candidates(self, *args, **kwargs)  # type: ignore[arg-type]
            if first:
                first = False
                await bench.add({"secret": "office hours of the board"}, readers=BOARD)
            return found

    store = Overtaken(bench.store._directory)
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    found = await bench.search(store=store).search("office hours", scope=Scope(frozenset({SOURCE}), ANY_MEMBER))
    assert ({hit.id for hit in found.hits}, found.refused_count) == ({"open"}, 0)


async def test_a_passage_that_only_the_first_lookup_proposed_is_counted(bench: SearchBench) -> None:
    """A row that the manifest has lost costs a second lookup, which a replica with newer rows may answer."""
    await bench.add({"secret": "office hours of the board", "open": "office hours of the porter", "lost": "office"})
    bench.manifest["secret"] = replace(bench.manifest["secret"], readers=BOARD)
    del bench.manifest["lost"]
    lookups = 0

    class Repaired(Witness):
        async def find_candidates(self, *args: object, **kwargs: object) -> Sequence[Candidate]:  # type: ignore[override]
            nonlocal lookups
            lookups += 1
            found = await LanceDBStore.find_candidates(self, *args, **kwargs)  # type: ignore[arg-type]
            return [one for one in found if one.chunk.id != "secret" or lookups == 1]

    store = Repaired(bench.store._directory)
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    found = await bench.search(store=store).search("office hours", scope=Scope(frozenset({SOURCE}), ANY_MEMBER))
    assert ({hit.id for hit in found.hits}, found.refused_count, lookups) == ({"open"}, 1, 2)


async def test_viewers_who_may_read_nothing_find_nothing(bench: SearchBench, witness: Witness) -> None:
    await bench.add({"a": "office hours"}, readers=BOARD)
    found = await bench.search(store=witness).search("office hours", scope=Scope(frozenset({SOURCE}), ANY_MEMBER))
    assert (found.hits, found.refused_count, witness.proposed) == ((), 0, set())
