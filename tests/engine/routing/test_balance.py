"""The choice of a server: a conversation's own while it has room, and none that keeps failing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.routing.balance import ServerCircuitBreaker, choose_server

NAMES = [f"http://gpu-{number}:30000" for number in range(5)]


def test_breaker_opens_tries_and_closes() -> None:
    breaker = ServerCircuitBreaker()
    for _ in range(2):
        breaker.record_failure(0.0)
    assert breaker.allows_request(0.0)
    breaker.record_failure(0.0)
    assert not breaker.allows_request(1.9)
    assert breaker.allows_request(2.0)
    assert breaker.start_request()
    assert not breaker.allows_request(2.0)  # one trial at a time
    breaker.record_failure(2.0)
    assert not breaker.allows_request(5.9)  # twice as long
    assert breaker.allows_request(6.0)
    breaker.start_request()
    breaker.record_output()
    assert breaker.allows_request(6.0)
    breaker.record_failure(6.5)  # in the middle of its first answer since
    assert not breaker.allows_request(7.0)
    breaker.record_success()
    breaker.record_failure(7.0)
    assert breaker.allows_request(7.0)


def test_cancelled_trial_allows_the_next_one() -> None:
    breaker = ServerCircuitBreaker()
    breaker.record_failure(0.0, hung=True)
    assert not breaker.allows_request(1.0)
    assert breaker.start_request()
    breaker.record_cancellation()
    assert breaker.allows_request(2.0)


@given(st.text(min_size=1), st.sampled_from(NAMES))
def test_conversation_keeps_its_server_when_another_leaves(thread: str, gone: str) -> None:
    idle = dict.fromkeys(NAMES, 0.0)
    home = choose_server(idle, thread)
    if home != gone:
        assert choose_server({name: load for name, load in idle.items() if name != gone}, thread) == home


def test_conversations_are_distributed() -> None:
    homes = Counter(choose_server(dict.fromkeys(NAMES, 0.0), f"thread-{number}") for number in range(1000))
    assert min(homes.values()) > 140


def test_busy_server_of_a_conversation_is_left() -> None:
    idle = dict.fromkeys(NAMES, 0.0)
    home = choose_server(idle, "t")
    assert choose_server(idle | {home: 0.5}, "t") == home
    assert choose_server(idle | {home: 0.75}, "t") != home
    full = dict.fromkeys(NAMES, 0.9) | {home: 1.0}
    assert choose_server(full, "t") != home


def test_without_a_conversation_the_least_loaded() -> None:
    assert choose_server({"a": 0.5, "b": 0.25, "c": 0.5}, "") == "b"
