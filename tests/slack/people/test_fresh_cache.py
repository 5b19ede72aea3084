"""Tests of the cache: values expire, and a change wins over a value that was requested before it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.slack.people.fresh_cache import FreshCache


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_cache(clock: Clock, limit: int = 10) -> FreshCache[str, str]:
    return FreshCache(55.0, limit, clock)


class Calls:
    """A call that returns its values one after the other; each waits for ``resume``."""

    def __init__(self, *values: str | None) -> None:
        self.values = list(values)
        self.count = 0
        self.resume = asyncio.Event()
        self.resume.set()

    async def __call__(self) -> str | None:
        value = self.values[min(self.count, len(self.values) - 1)]
        self.count += 1
        await self.resume.wait()
        return value


async def run_during_call(
    call: Calls, fetch: Callable[[], Awaitable[str | None]], act: Callable[[], None]
) -> str | None:
    """Start a fetch, act while it waits, and return its result."""
    call.resume.clear()
    task = asyncio.ensure_future(fetch())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    act()
    call.resume.set()
    return await task


async def test_value_expires_by_the_start_of_its_fetch() -> None:
    clock, call = Clock(), Calls("old", "new")
    cache = make_cache(clock)

    def wait() -> None:
        clock.now += 30

    assert await run_during_call(call, lambda: cache.fetch("a", call), wait) == "old"
    clock.now += 24
    assert await cache.fetch("a", call) == "old"
    clock.now += 1
    assert await cache.fetch("a", call) == "new"


async def test_change_during_a_fetch_makes_another_one() -> None:
    call = Calls("old", "new")
    cache = make_cache(Clock())
    assert await run_during_call(call, lambda: cache.fetch("a", call), lambda: cache.change("a")) == "new"
    assert cache.get("a") == "new"


async def test_value_that_always_changes_is_unknown() -> None:
    cache = make_cache(Clock())

    async def call() -> str:
        cache.change("a")
        return "never current"

    assert await cache.fetch("a", call) is None
    assert cache.get("a") is None


async def test_clear_during_a_fetch_counts_as_a_change() -> None:
    call = Calls("old", "new")
    cache = make_cache(Clock())
    assert await run_during_call(call, lambda: cache.fetch("a", call), cache.clear) == "new"


async def test_change_of_another_key_does_not_matter() -> None:
    call = Calls("a", "never")
    cache = make_cache(Clock())
    assert await run_during_call(call, lambda: cache.fetch("a", call), lambda: cache.change("b")) == "a"


async def test_equal_keys_share_a_call_and_its_failure() -> None:
    clock, call = Clock(), Calls(None, "value")
    cache = make_cache(clock)
    assert await asyncio.gather(*(cache.fetch("a", call) for _ in range(5))) == [None] * 5
    assert call.count == 1
    clock.now += 3
    assert await asyncio.gather(*(cache.fetch("a", call) for _ in range(5))) == ["value"] * 5
    assert call.count == 2


async def test_cancelled_fetch_leaves_the_key_to_the_next() -> None:
    call = Calls("value")
    cache = make_cache(Clock())
    call.resume.clear()
    first = asyncio.ensure_future(cache.fetch("a", call))
    second = asyncio.ensure_future(cache.fetch("a", call))
    await asyncio.sleep(0)
    first.cancel()
    call.resume.set()
    assert await second == "value"


async def test_update_replaces_a_value_that_expires_as_before() -> None:
    clock, call = Clock(), Calls("one", "two")
    cache = make_cache(clock)
    await cache.fetch("a", call)
    clock.now += 50
    cache.change("a", str.upper)
    assert cache.get("a") == "ONE"
    clock.now += 5
    assert cache.get("a") is None


async def test_oldest_value_goes_first() -> None:
    cache = make_cache(Clock(), limit=2)
    for key in "abc":
        await cache.fetch(key, Calls(key))
    assert [cache.get(key) for key in "abc"] == [None, "b", "c"]
