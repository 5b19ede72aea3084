"""When looks at a running engine count as a crash."""

from __future__ import annotations

from engine.client.wire import Loads, loads
from engine.oom.state import Load
from engine.process.health import Watchman


def _busy(done: int, running: int = 1) -> Loads:
    return Loads(running, 0, 0.4, (str(done),))


def test_silence_counts_only_in_a_row() -> None:
    watchman = Watchman(silent_looks=3, token_deadline_s=60)
    said = [watchman.look(n, healthy=well, loads=None) for n, well in enumerate([False, False, True, False, False])]
    assert said == [None] * 5
    assert "3 times in a row" in (watchman.look(9, healthy=False, loads=None) or "")


def test_work_that_stands_still_is_a_hang_and_none_is_not() -> None:
    watchman = Watchman(3, 60)
    assert watchman.look(0, healthy=True, loads=_busy(1)) is None
    assert watchman.look(59, healthy=True, loads=_busy(1)) is None
    assert watchman.look(61, healthy=True, loads=_busy(2)) is None
    assert watchman.look(90, healthy=True, loads=_busy(2, running=0)) is None
    assert watchman.look(1000, healthy=True, loads=_busy(2)) is None
    assert "60 s with 1 requests" in (watchman.look(1060, healthy=True, loads=_busy(2)) or "")


def test_a_server_that_does_not_say_is_not_judged() -> None:
    watchman = Watchman(3, 1)
    for now in range(100):
        assert watchman.look(now, healthy=True, loads=Loads(3, 0, 0.9, None)) is None


def test_the_peaks_are_kept() -> None:
    watchman = Watchman(3, 60)
    for use, waiting, retractions in ((0.2, 0, 0), (0.7, 2, 1), (0.1, 0, 1)):
        watchman.look(0, healthy=True, loads=Loads(0, waiting, use, None), retractions=retractions)
    assert watchman.load == Load(looks=3, peak_use=0.7, peak_waiting=2, retractions=1)


def test_what_sglang_says_of_its_load() -> None:
    """The fullest of its parts counts, and any step of any part is a step."""
    part = {"num_running_reqs": 2, "num_waiting_reqs": 1, "token_usage": 0.25, "total_prefill_uncached_tokens": 42}
    other = {**part, "token_usage": 0.5, "decode_moments": [1.0]}
    told = loads({"loads": [part, other]})
    assert told is not None
    assert (told.running, told.waiting, told.use) == (4, 2, 0.5)
    again = loads({"loads": [part, {**other, "decode_moments": [2.0]}]})
    assert again is not None
    assert told.done != again.done
    assert loads({"loads": []}) is None
    assert loads({}) is None
    assert loads({"loads": 3}) is None
    bare = loads({"loads": [{"num_running_reqs": 1}]})
    assert bare is not None
    assert bare.done is None
