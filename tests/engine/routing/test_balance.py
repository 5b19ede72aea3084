"""Which server is asked: a conversation's own while it has room, and none that fails again and again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.routing.balance import Breaker, choose

NAMES = [f"http://gpu-{number}:30000" for number in range(5)]


def test_a_breaker_opens_tries_and_closes() -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(0.0)
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    assert not breaker.allows(1.9)
    assert breaker.allows(2.0)
    assert breaker.sent()
    assert not breaker.allows(2.0)  # one trial at a time
    breaker.failed(2.0)
    assert not breaker.allows(5.9)  # twice as long
    assert breaker.allows(6.0)
    breaker.sent()
    breaker.spoke()
    assert breaker.allows(6.0)
    breaker.failed(6.5)  # in the middle of its first answer since
    assert not breaker.allows(7.0)
    breaker.answered()
    breaker.failed(7.0)
    assert breaker.allows(7.0)


def test_a_trial_that_is_given_up_leaves_the_next_one() -> None:
    breaker = Breaker()
    breaker.failed(0.0, hung=True)
    assert not breaker.allows(1.0)
    assert breaker.sent()
    breaker.given_up()
    assert breaker.allows(2.0)


@given(st.text(min_size=1), st.sampled_from(NAMES))
def test_a_conversation_keeps_its_server_when_another_goes(thread: str, gone: str) -> None:
    idle = dict.fromkeys(NAMES, 0.0)
    home = choose(idle, thread)
    if home != gone:
        assert choose({name: load for name, load in idle.items() if name != gone}, thread) == home


def test_conversations_spread() -> None:
    homes = Counter(choose(dict.fromkeys(NAMES, 0.0), f"thread-{number}") for number in range(1000))
    assert min(homes.values()) > 140


def test_a_busy_home_is_left() -> None:
    idle = dict.fromkeys(NAMES, 0.0)
    home = choose(idle, "t")
    assert choose(idle | {home: 0.5}, "t") == home
    assert choose(idle | {home: 0.75}, "t") != home
    full = dict.fromkeys(NAMES, 0.9) | {home: 1.0}
    assert choose(full, "t") != home


def test_without_a_conversation_the_emptiest() -> None:
    assert choose({"a": 0.5, "b": 0.25, "c": 0.5}, "") == "b"
