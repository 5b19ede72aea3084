"""The states of the circuit breaker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.searching.circuit_breaker import (
    FIRST_OPEN_S,
    MAX_FAILURES,
    MAX_OPEN_S,
    MAX_RETRY_AFTER_S,
    CircuitBreaker,
)


def test_each_failed_trial_doubles_the_pause() -> None:
    now = [0.0]
    breaker = CircuitBreaker(lambda: now[0])
    for _ in range(MAX_FAILURES):
        assert breaker.acquire()
        breaker.record_failure()
    rests = []
    for _ in range(8):
        rests.append(breaker.remaining_open_s)
        now[0] += breaker.remaining_open_s
        assert breaker.acquire()
        breaker.record_failure()
    assert rests[:3] == [FIRST_OPEN_S, 2 * FIRST_OPEN_S, 4 * FIRST_OPEN_S]
    assert rests[-1] == MAX_OPEN_S


@given(st.floats(0, 1e9) | st.none())
def test_pauses_are_bounded(retry_after_s: float | None) -> None:
    breaker = CircuitBreaker(lambda: 0.0)
    assert breaker.acquire()
    breaker.record_retry_after(retry_after_s)
    assert 1 <= breaker.remaining_open_s <= MAX_RETRY_AFTER_S


STEPS = st.lists(st.sampled_from(["ask", "succeed", "fail", "wait", "give up", "later"]), max_size=60)


@given(STEPS)
def test_an_open_breaker_admits_no_caller_and_a_half_open_one_admits_one(steps: list[str]) -> None:
    now = [0.0]
    breaker = CircuitBreaker(lambda: now[0])
    asking = 0
    for step in steps:
        was_open, trial = breaker.remaining_open_s > 0, breaker._open_until is not None
        if step == "ask":
            if breaker.acquire():
                assert not was_open
                asking += 1
                assert not trial or breaker._on_trial
                assert not breaker.acquire() or not trial
        elif step == "later":
            now[0] += 45
        elif asking:
            asking -= 1
            {
                "succeed": breaker.record_success,
                "fail": breaker.record_failure,
                "wait": lambda: breaker.record_retry_after(20),
                "give up": breaker.release,
            }[step]()
            assert step != "succeed" or breaker.remaining_open_s == 0
            assert step != "wait" or breaker.remaining_open_s == 20
