"""Tests of the log of channel events."""

from __future__ import annotations

from bot.storage.channels.channel_event_log import ConnectionPeriod, find_coverage_end


def test_find_coverage_end_stops_at_gap() -> None:
    watches = [ConnectionPeriod(100, 200), ConnectionPeriod(150, 300), ConnectionPeriod(400, 500)]
    assert find_coverage_end(watches, 120, 310) == (300, True)
    assert find_coverage_end(watches, 120, 900) == (300, False)
    assert find_coverage_end(watches, 300, 520) == (300, False), "nobody was there from 300 to 400"
    assert find_coverage_end(watches, 410, 520) == (500, True)
    assert find_coverage_end([], 0, 10_000) == (0, False)
