"""Blocking calls in threads of their own: what hangs there holds up nobody, not even the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from knowledge.thread_pool import NamedThreadPool


async def test_calls_run_concurrently_and_return_or_raise() -> None:
    door = NamedThreadPool("door", width=2)
    both = threading.Barrier(2, timeout=120)
    assert sorted(await asyncio.gather(door.run(both.wait), door.run(both.wait))) == [0, 1]
    with pytest.raises(ZeroDivisionError):
        await door.run(lambda: 1 // 0)
    door.close()
    assert await door.run(lambda: threading.current_thread().name.partition("_")[0]) == "door", "it opens again"
    door.close()


async def test_queued_calls_finish_after_close() -> None:
    door, done = NamedThreadPool("door", width=1), threading.Event()
    running = asyncio.ensure_future(door.run(lambda: time.sleep(0.05)))
    await asyncio.sleep(0)
    door.run_later(done.set)
    door.close()
    await running
    assert await asyncio.to_thread(done.wait, 5)


async def test_a_call_that_is_cancelled_before_its_turn_is_not_made() -> None:
    door, go, made = NamedThreadPool("door", width=1), threading.Event(), []
    first = asyncio.ensure_future(door.run(lambda: go.wait(5)))
    second = asyncio.ensure_future(door.run(lambda: made.append(1)))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.wait([second])
    go.set()
    assert await first
    await door.run(lambda: None)
    assert made == []
    door.close()


def test_a_call_that_hangs_does_not_keep_the_process_from_its_end() -> None:
    script = """
        import asyncio, threading
        from knowledge.thread_pool import NamedThreadPool

        async def main():
            door = NamedThreadPool("door")
            try:
                async with asyncio.timeout(0.1):
                    await door.run(threading.Event().wait)  # as a network folder that answers no more
            except TimeoutError:
                print("given up", flush=True)
            door.close()

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], timeout=120, check=True, capture_output=True, text=True
    )
    assert ended.stdout == "given up\n"
