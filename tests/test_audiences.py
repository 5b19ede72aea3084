"""Who may read a document: readers, viewers and joined readers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import ANY_MEMBER, EVERYONE, WORLD, Viewers, intersect_readers, may_read, narrow_readers

names = st.frozensets(st.sampled_from(["U1", "U2", "C1", "guests", "confluence:group:board", WORLD]))
with_everyone = names | names.map(lambda readers: readers | EVERYONE)
people = st.lists(with_everyone, max_size=3)


@given(people, with_everyone)
def test_every_viewer_must_hold_one_of_the_readers(principals: list[frozenset[str]], readers: frozenset[str]) -> None:
    allowed = bool(principals) and all({*one, WORLD} & readers for one in principals)
    assert may_read(Viewers.of(*principals), readers) == allowed


@given(st.lists(names, min_size=1, max_size=3), names, names)
def test_many_viewers_are_weighed_like_few(
    kinds: list[frozenset[str]], one: frozenset[str], other: frozenset[str]
) -> None:
    readers = intersect_readers(one, other)
    many = Viewers.of(*({*kinds[n % len(kinds)], f"person {n}"} for n in range(100)))
    assert may_read(many, readers) == may_read(Viewers.of(*kinds), readers)


@given(names, names, names)
def test_the_intersection_admits_exactly_those_whom_both_admit(
    one: frozenset[str], other: frozenset[str], principals: frozenset[str]
) -> None:
    viewers = Viewers.of(principals)
    both = may_read(viewers, one) and may_read(viewers, other)
    assert may_read(viewers, intersect_readers(one, other)) == both


@given(names, names, names, names)
def test_three_audiences_intersect_in_any_order(
    one: frozenset[str], other: frozenset[str], third: frozenset[str], principals: frozenset[str]
) -> None:
    viewers = Viewers.of(principals)
    left = intersect_readers(intersect_readers(one, other), third)
    right = intersect_readers(one, intersect_readers(other, third))
    assert may_read(viewers, left) == may_read(viewers, right)


@given(with_everyone)
def test_everyone_narrows_nobody_but_the_world(readers: frozenset[str]) -> None:
    narrowed = intersect_readers(EVERYONE, readers)
    assert narrowed == (EVERYONE if WORLD in readers else readers)
    assert may_read(ANY_MEMBER, readers) == bool(readers & {*EVERYONE, WORLD})


def test_a_guest_does_not_read_what_every_member_reads() -> None:
    assert not may_read(Viewers.of({"U9", "guests"}), EVERYONE)
    assert may_read(Viewers.of({"U9", "guests"}), EVERYONE | {"guests"})
    assert not may_read(Viewers.of({"*", "U1"}, {"U9", "guests"}), EVERYONE)


def test_a_guest_whom_the_configuration_admits_does_not_read_what_a_source_opens_to_members() -> None:
    readers = intersect_readers(frozenset({"guests", "U1"}), EVERYONE | {"C1"})
    assert not may_read(Viewers.of({"U9", "guests"}), readers)
    assert may_read(Viewers.of({"U9", "guests", "C1"}), readers), "the source admits this guest by name"
    assert may_read(Viewers.of({"U1", "*"}), readers)
    assert not may_read(Viewers.of({"U2", "*"}), readers), "the configuration does not admit every member"


def test_narrower_readers_could_read_before_and_can_now() -> None:
    members = frozenset({"*"})
    assert intersect_readers(members, frozenset({"board"})) == {"board"}
    narrow = narrow_readers(members, frozenset({"board"}))
    assert may_read(Viewers.of({"*", "board"}), narrow)
    assert not may_read(Viewers.of({"guests", "board"}), narrow), "the text may be older than this right"
    assert narrow_readers(members, members) == members
    both = narrow_readers(frozenset({"A", "B"}), frozenset({"C", "D"}))
    assert narrow_readers(both, frozenset({"C", "D"})) == both, "repetition adds nothing"
    assert narrow_readers(both, frozenset()) == frozenset()


def test_two_long_lists_of_readers_stay_small() -> None:
    one = frozenset(f"U{n}" for n in range(3000))
    other = frozenset({"U1", *(f"confluence:user:{n}" for n in range(3000))})
    assert narrow_readers(one, other) == intersect_readers(one, other) == {"U1"}
