"""Whether the viewers before the first word may see what was found for the planned ones."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.people.viewers import may_see_answer
from knowledge.interfaces import Viewers, may_read

_PEOPLE = st.frozensets(st.sampled_from(["*", "guests", "U1", "U2", "S1"]))
_VIEWERS = st.lists(_PEOPLE, max_size=3).map(lambda people: Viewers.of(*people))
_READERS = ["*", "guests", "U1", "U2", "S1", "world"]


@given(now=_VIEWERS, planned=_VIEWERS)
def test_nobody_sees_what_was_found_for_others(now: Viewers, planned: Viewers) -> None:
    """Whatever the planned viewers may read, the viewers now may read, too."""
    if not may_see_answer(now, planned):
        return
    for size in (1, 2):
        for readers in map(frozenset, itertools.combinations(_READERS, size)):
            assert may_read(now, readers) or not may_read(planned, readers)


def test_fewer_viewers_with_the_same_rights_may_see_it() -> None:
    member, guest = frozenset({"*", "U1"}), frozenset({"guests"})
    assert may_see_answer(Viewers.of(member), Viewers.of(member, guest))
    assert not may_see_answer(Viewers.of(member, guest), Viewers.of(member))
    assert not may_see_answer(Viewers(frozenset()), Viewers.of(member))
