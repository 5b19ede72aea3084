"""The queue: fair shares, correct estimates, and immediate refusals of requests that would be too late."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineOverloaded
from engine.notes import estimate_wait
from engine.routing.admission import FairQueue, QueuedRequest, ServiceRates

FOREVER = 1e9


def asked(
    number: int, person: str = "a", *, tokens: int = 256, at: float = 0.0, begin_by: float = FOREVER, **more: float
) -> QueuedRequest:
    return QueuedRequest(number, person, 0, tokens, at, begin_by, **more)


def measured(service_s: float, tokens: int = 100, load: float = 1.0) -> ServiceRates:
    rates = ServiceRates()
    rates.record_answer(0.0, service_s, tokens, load)
    return rates


def served(queue: FairQueue) -> list[int]:
    """Answer one at a time until nobody waits; return the order."""
    order = []
    while sent := queue.start_next(0.0, 1):
        order += sent
        queue.remove_request(sent[0])
    return order


def test_person_with_fifty_requests_does_not_starve_others() -> None:
    queue = FairQueue(100)
    for number in range(50):
        queue.add_request(asked(number, "greedy"), 0.0, 1)
    first = queue.start_next(0.0, 1)
    queue.add_request(asked(50, "late"), 0.0, 1)
    queue.add_request(asked(51, "later"), 0.0, 1)
    queue.remove_request(first[0])
    order = served(queue)
    assert order.index(50) <= 1
    assert order.index(51) <= 2
    assert [number for number in order if number < 50] == list(range(1, 50))


def test_short_requests_pass_a_long_one_up_to_a_limit() -> None:
    """Of each other person, at most five short requests start before a long one."""
    queue = FairQueue(1000)
    queue.add_request(asked(0, "now"), 0.0, 1)
    assert queue.start_next(0.0, 1) == [0]
    queue.add_request(asked(1, "long", tokens=100_000), 0.0, 1)
    for number in range(2, 40):
        queue.add_request(asked(number, "short"), 0.0, 1)
    queue.remove_request(0)
    assert 1 <= served(queue).index(1) <= 5


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 5000)), min_size=1, max_size=60))
def test_overtaking_is_limited(questions: list[tuple[str, int]]) -> None:
    """Of each other person at most five later requests start before a person's first one; a person's order is kept."""
    queue = FairQueue(1000)
    for number, (person, tokens) in enumerate(questions):
        queue.add_request(asked(number, person, tokens=tokens), 0.0, 1)
    order = served(queue)
    assert sorted(order) == list(range(len(questions)))
    for person in "abcde":
        own = [number for number in order if questions[number][0] == person]
        assert own == sorted(own)
        if own:
            before = Counter(questions[number][0] for number in order[: order.index(own[0])] if number > own[0])
            assert all(count <= 5 for count in before.values())


@dataclass
class Engine:
    """Answers in virtual time, ``width`` at once, and records when each request starts."""

    queue: FairQueue
    width: int
    service_s: dict[int, float]
    now: float = 0.0
    busy: list[tuple[float, int]] = field(default_factory=list)
    began: dict[int, float] = field(default_factory=dict)

    def run(self) -> None:
        while True:
            for number in self.queue.start_next(self.now, self.width):
                self.began[number] = self.now
                heapq.heappush(self.busy, (self.now + self.service_s[number], number))
            assert len(self.busy) <= self.width
            if not self.busy:
                return
            self.now, number = heapq.heappop(self.busy)
            self.queue.remove_request(number)


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=40),
    st.integers(1, 8),
    st.floats(0.5, 60.0),
    st.sets(st.integers(0, 39)),
)
def test_estimate_is_exact_for_equal_answers(
    people: list[str], width: int, service_s: float, cancelled: set[int]
) -> None:
    """Each request starts when it was estimated, also after others were cancelled."""
    queue = FairQueue(100, measured(service_s, load=width))
    for number, person in enumerate(people):
        queue.add_request(asked(number, person), 0.0, width)
    for number in cancelled:
        queue.remove_request(number)
    promised = queue.estimate_places(0.0, width)
    assert sorted(place.position for place in promised.values()) == list(range(1, len(promised) + 1))
    engine = Engine(queue, width, dict.fromkeys(range(len(people)), service_s))
    engine.run()
    assert engine.began.keys() == promised.keys()
    for number, place in promised.items():
        assert place.eta_s == pytest.approx(engine.began[number], abs=0.001)


@given(st.lists(st.floats(1.0, 9.0), min_size=30, max_size=60))
def test_estimate_is_close_for_different_answers(services_s: list[float]) -> None:
    """Never further off than with the longest answers; there is no estimate before the first measurement."""
    queue = FairQueue(100)
    queue.add_request(asked(0), 0.0, 1)
    queue.add_request(asked(1), 0.0, 1)
    assert queue.start_next(0.0, 1) == [0]
    assert queue.estimate_places(0.0, 1)[1].eta_s is None
    for service_s in services_s:
        queue.rates.record_answer(0.1, service_s, 100, 1)
    eta_s = queue.estimate_places(0.0, 1)[1].eta_s
    assert eta_s is not None
    assert min(services_s) <= eta_s <= max(services_s) + 0.1


def test_speed_is_measured_for_each_load() -> None:
    """An idle engine's speed says little about a busy one; ten quiet answers do not replace a busy hour."""
    rates = ServiceRates()
    assert rates.estimate_service_s(100, 8) is None
    rates.record_answer(0.5, 5.0, 100, 1)
    guessed_s = rates.estimate_service_s(100, 8)
    assert guessed_s is not None
    assert 8 < guessed_s < 20
    rates.record_answer(2.0, 10.0, 100, 7.6)
    for _ in range(10):
        rates.record_answer(0.5, 5.0, 100, 1.2)
    assert rates.estimate_service_s(100, 8) == pytest.approx(12.0, rel=0.05)
    assert rates.estimate_service_s(100, 1) == pytest.approx(5.5, rel=0.1)


def test_token_limit_limits_the_estimate() -> None:
    rates = measured(10.0, tokens=100, load=4)
    assert rates.estimate_service_s(50, 4) == pytest.approx(5.0)
    assert rates.estimate_service_s(5000, 4) == pytest.approx(10.0)


def test_full_queue_refuses() -> None:
    queue = FairQueue(1, measured(120.0))
    queue.add_request(asked(0), 0.0, 1)
    assert queue.start_next(0.0, 1) == [0]
    queue.add_request(asked(1), 0.0, 1)
    with pytest.raises(EngineOverloaded, match=r"queue is full: 1 waiting, which takes about 4 min"):
        queue.add_request(asked(2, "b"), 0.0, 1)
    assert (queue.waiting_count, queue.running_count) == (1, 1)
    queue.remove_request(1)
    queue.add_request(asked(3, "b"), 0.0, 1)


def test_too_late_request_is_refused_at_once() -> None:
    queue = FairQueue(10, measured(60.0))
    queue.add_request(asked(0, begin_by=1.0), 0.0, 1)  # what can begin at once is never refused
    assert queue.start_next(0.0, 1) == [0]
    with pytest.raises(EngineOverloaded, match=r"would start in about 60 s, but it may wait only for about 30 s"):
        queue.add_request(asked(1, begin_by=30.0), 0.0, 1)
    with pytest.raises(EngineOverloaded, match="busy"):
        queue.add_request(asked(2, end_by_s=100.0), 0.0, 1)
    queue.add_request(asked(3, begin_by=61.0, end_by_s=121.0), 0.0, 1)


def test_passed_deadline_is_an_error() -> None:
    queue = FairQueue(10)
    queue.add_request(asked(0), 0.0, 1)
    queue.add_request(asked(1, begin_by=100.0), 0.0, 1)
    assert queue.start_next(0.0, 1) == [0]
    assert queue.check_deadline(1, 99.0) is None
    assert "about 2 min" in str(queue.check_deadline(1, 100.0))


def test_cancelled_requests_cost_nothing() -> None:
    queue = FairQueue(100)
    queue.add_request(asked(0, "now"), 0.0, 1)
    assert queue.start_next(0.0, 1) == [0]
    for number in range(1, 30):
        queue.add_request(asked(number, "a"), 0.0, 1)
    queue.add_request(asked(30, "b"), 0.0, 1)
    queue.add_request(asked(31, "b"), 0.0, 1)
    for number in range(1, 30):
        queue.remove_request(number)
    queue.add_request(asked(32, "a"), 0.0, 1)
    queue.remove_request(0)
    assert served(queue) == [30, 32, 31]


def test_fewer_slots_than_before() -> None:
    """Running requests continue; the next one starts when a slot is free."""
    queue = FairQueue(10, measured(10.0))
    for number in range(4):
        queue.add_request(asked(number), 0.0, 3)
    assert queue.start_next(0.0, 3) == [0, 1, 2]
    queue.remove_request(0)
    assert queue.start_next(0.0, 1) == []
    assert queue.estimate_places(0.0, 1)[3].eta_s == 10.0
    queue.remove_request(1)
    queue.remove_request(2)
    assert queue.start_next(0.0, 1) == [3]


@pytest.mark.parametrize(("seconds", "said"), [(3, "a few seconds"), (44, "about 40 s"), (100, "about 2 min")])
def test_waiting_times_in_words(seconds: float, said: str) -> None:
    assert str(estimate_wait(seconds)) == said
