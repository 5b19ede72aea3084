"""The expiring cache: lifetimes and its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.web.crawling.expiring_cache import ExpiringCache


def test_an_entry_expires_after_its_own_lifetime() -> None:
    now = [100.0]
    cache: ExpiringCache[str, int] = ExpiringCache(10, lambda: now[0])
    cache.store_value("short", 1, 5)
    cache.store_value("long", 2, 50)
    assert (cache.get_value("short"), cache.get_value("long"), cache.get_value("missing")) == (1, 2, None)
    now[0] += 5
    assert (cache.get_value("short"), cache.get_value("long")) == (None, 2)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
def test_only_the_entries_written_last_stay(keys: list[int], max_entries: int) -> None:
    cache: ExpiringCache[int, int] = ExpiringCache(max_entries, lambda: 0.0)
    for place, key in enumerate(keys):
        cache.store_value(key, place, 1)
    last_writes = {key: place for place, key in enumerate(keys)}
    newest = sorted(last_writes, key=lambda key: last_writes[key])[-max_entries:]
    assert {key: cache.get_value(key) for key in range(10) if cache.get_value(key) is not None} == {
        key: last_writes[key] for key in newest
    }
