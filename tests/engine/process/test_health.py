"""Which health checks count as a crash."""

from __future__ import annotations

from engine.client.wire import ServerLoad, parse_load
from engine.oom.state import PeakLoad
from engine.process.supervisor import HealthMonitor, SupervisorPolicy


def _busy(done: int, running: int = 1) -> ServerLoad:
    return ServerLoad(running, 0, 0.4, (str(done),))


def test_failed_checks_count_only_in_a_row() -> None:
    watchman = HealthMonitor(SupervisorPolicy(max_failed_checks=3, token_deadline_s=60))
    said = [
        watchman.add_check(n, healthy=well, loads=None) for n, well in enumerate([False, False, True, False, False])
    ]
    assert said == [None] * 5
    assert "3 health checks in a row" in str(watchman.add_check(9, healthy=False, loads=None))


def test_stalled_requests_are_a_hang_but_idleness_is_not() -> None:
    watchman = HealthMonitor(SupervisorPolicy(max_failed_checks=3, token_deadline_s=60))
    assert watchman.add_check(0, healthy=True, loads=_busy(1)) is None
    assert watchman.add_check(59, healthy=True, loads=_busy(1)) is None
    assert watchman.add_check(61, healthy=True, loads=_busy(2)) is None
    assert watchman.add_check(90, healthy=True, loads=_busy(2, running=0)) is None
    assert watchman.add_check(1000, healthy=True, loads=_busy(2)) is None
    assert "60 s with 1 running requests" in str(watchman.add_check(1060, healthy=True, loads=_busy(2)))


def test_unknown_load_is_no_hang() -> None:
    watchman = HealthMonitor(SupervisorPolicy(max_failed_checks=3, token_deadline_s=1))
    for now in range(100):
        assert watchman.add_check(now, healthy=True, loads=ServerLoad(3, 0, 0.9, None)) is None


def test_peak_load_is_recorded() -> None:
    watchman = HealthMonitor(SupervisorPolicy(max_failed_checks=3, token_deadline_s=60))
    for use, waiting, retractions in ((0.2, 0, 0), (0.7, 2, 1), (0.1, 0, 1)):
        watchman.add_check(0, healthy=True, loads=ServerLoad(0, waiting, use, None), retractions=retractions)
    assert watchman.peak_load == PeakLoad(checks=3, cache_use=0.7, waiting=2, retractions=1)


def test_parses_the_load() -> None:
    """The fullest part counts, and progress in any part is progress."""
    part = {"num_running_reqs": 2, "num_waiting_reqs": 1, "token_usage": 0.25, "total_prefill_uncached_tokens": 42}
    other = {**part, "token_usage": 0.5, "decode_moments": [1.0]}
    load = parse_load({"loads": [part, other]})
    assert load is not None
    assert (load.running, load.waiting, load.cache_use) == (4, 2, 0.5)
    again = parse_load({"loads": [part, {**other, "decode_moments": [2.0]}]})
    assert again is not None
    assert load.progress_marker != again.progress_marker
    assert parse_load({"loads": []}) is None
    assert parse_load({}) is None
    assert parse_load({"loads": 3}) is None
    bare = parse_load({"loads": [{"num_running_reqs": 1}]})
    assert bare is not None
    assert bare.progress_marker is None
