"""Tests of the windows that keep all answers within Slack's rate limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.limits import TIER_2, TIER_3, TIER_4, RateLimiter
from bot.slack.wire.rate_limits import CallWindow, MessagePace, PairWindow, RateLimits, choose_rate_limits

PAUSES = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=200)


@given(PAUSES, st.integers(1, 10))
def test_reserved_calls_never_exceed_the_limit(pauses_s: list[float], calls: int) -> None:
    now = [0.0]
    window = CallWindow(calls, 62.0, lambda: now[0])
    times: list[float] = []
    for pause_s in pauses_s:
        now[0] += pause_s
        times.append(now[0] + window.reserve_call())
    assert times == sorted(times)
    assert all(later - earlier >= 60.0 for earlier, later in zip(times, times[calls:], strict=False))


@given(PAUSES, st.data())
def test_pairs_never_exceed_the_limit_at_either_end(pauses_s: list[float], data: st.DataObject) -> None:
    """Ends come in any order and at any time, and none has to wait."""
    now = [0.0]
    window = PairWindow(4, 1e9, 62.0, lambda: now[0])
    open_: list[int] = []
    begun: list[float] = []
    ended: list[float] = []
    for number, pause_s in enumerate(pauses_s):
        now[0] += pause_s
        if open_ and data.draw(st.booleans()):
            window.end(open_.pop(data.draw(st.integers(0, len(open_) - 1))))
            ended.append(now[0])
        elif window.begin(number):
            open_.append(number)
            begun.append(now[0])
    for times in (begun, ended):
        assert all(later - earlier >= 60.0 for earlier, later in zip(times, times[4:], strict=False))


def test_what_nobody_ended_makes_room_after_its_lifetime() -> None:
    now = [0.0]
    window = PairWindow(1, 300.0, 62.0, lambda: now[0])
    assert window.begin("a")
    assert not window.begin("b")
    now[0] = 301.0
    assert window.begin("b")
    window.end("a")
    assert not window.allows_begin()


def test_complete_answers_keep_room_for_updates() -> None:
    now = [0.0]
    window = CallWindow(10, 62.0, lambda: now[0])
    assert sum(window.has_room(0.5) and window.try_reserve() for _ in range(20)) == 5
    assert sum(window.try_reserve() for _ in range(20)) == 5
    now[0] = 63.0
    assert window.has_room(0.5)


def test_windows_fit_into_slacks_tiers() -> None:
    """As many calls as the windows allow in an hour, and Slack refuses none."""
    now = [0.0]
    limits, slack = RateLimits(now=lambda: now[0]), RateLimiter(lambda: now[0], "exact")
    pairs = (
        (limits.appends, "chat.appendStream", TIER_4),
        (limits.updates, "chat.update", TIER_3),
        (limits.words, "assistant.threads.setStatus", TIER_3),
    )
    for _ in range(3_600):
        now[0] += 1.0
        for window, method, tier in pairs:
            while window.try_reserve():
                assert slack.count_call(method, tier, "") is None
        while limits.streams.begin(now[0]):
            assert slack.count_call("chat.startStream", TIER_2, "") is None
            limits.streams.end(now[0])
            assert slack.count_call("chat.stopStream", TIER_2, "") is None


def test_replicas_together_stay_within_slacks_tiers() -> None:
    """Slack refuses no call, and each replica makes some."""
    for processes in (1, 2, 3, 7, 15):
        now = [0.0]
        replicas = [RateLimits(now=lambda now=now: now[0]) for _ in range(processes)]
        slack = RateLimiter(lambda now=now: now[0], "exact")
        for limits in replicas:
            limits.divide_by(processes)
        made = [0] * processes
        for _ in range(600):
            now[0] += 1.0
            for number, limits in enumerate(replicas):
                while limits.updates.try_reserve():
                    assert slack.count_call("chat.update", TIER_3, "") is None
                    made[number] += 1
                while limits.streams.begin(object()):
                    assert slack.count_call("chat.startStream", TIER_2, "") is None
        assert min(made) > 0
        assert sum(made) > 600 / 60 * 45 / 2


def test_a_replica_keeps_its_bursts_in_a_channel() -> None:
    now = [0.0]
    limits = RateLimits(now=lambda: now[0])
    limits.divide_by(3)
    assert [limits.reserve_post("C1") for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 5.2 * 3]


def test_shares_change_while_calls_are_counted() -> None:
    now = [0.0]
    limits = RateLimits(now=lambda: now[0])
    assert sum(limits.updates.try_reserve() for _ in range(100)) == 45
    limits.divide_by(3)
    now[0] = 63.0
    assert sum(limits.updates.try_reserve() for _ in range(100)) == 15
    limits.divide_by(1)
    assert sum(limits.updates.try_reserve() for _ in range(100)) == 30


def test_workspace_on_this_machine_allows_more() -> None:
    slack, local = (choose_rate_limits(url) for url in (None, "http://127.0.0.1:3000/api/"))
    assert sum(slack.updates.try_reserve() for _ in range(500)) == 45
    assert sum(local.updates.try_reserve() for _ in range(500)) == 500


def test_gaps_between_calls_grow() -> None:
    now = [0.0]
    pace = MessagePace(lambda: now[0])
    calls = 0
    while now[0] < 60.0:
        if pace.get_wait_s(is_text=True) <= 0:
            calls += 1
            pace.note_call(is_text=True)
        now[0] += 0.1
    assert calls <= 9
