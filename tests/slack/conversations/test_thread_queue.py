"""Tests of the order of turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.conversations.thread_queue import ThreadQueue


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 4), st.randoms(use_true_random=False))
def test_queue_runs_each_thread_in_order(items: list[int], width: int, random: object) -> None:
    """Each thread runs one item at a time, at most ``width`` threads run, and all items run in the end."""
    queue: ThreadQueue[int, tuple[int, int]] = ThreadQueue(width)
    for number, thread in enumerate(items):
        queue.add_item(thread, (thread, number))
        queue.add_item(thread, (thread, number))
    begun: list[tuple[int, int]] = []
    moving: list[int] = []
    while True:
        while (entry := queue.take_item()) is not None:
            thread, item = entry
            assert thread not in moving
            moving.append(thread)
            begun.append(item)
        assert len(moving) <= width
        if not moving:
            break
        done = random.choice(moving)  # type: ignore[attr-defined]
        moving.remove(done)
        queue.finish_item(done)
    assert sorted(begun, key=lambda item: item[1]) == [(thread, number) for number, thread in enumerate(items)]
    for thread in set(items):
        mine = [number for at, number in begun if at == thread]
        assert mine == sorted(mine)
    assert not any((thread, number) in queue for number, thread in enumerate(items))


def test_earlier_items_of_a_thread_run_first() -> None:
    queue: ThreadQueue[str, str] = ThreadQueue(1, lambda item: item)
    for item in ("a3", "a1", "a2", "a1"):
        queue.add_item("a", item)
    assert queue.take_item() == ("a", "a1")
    assert not queue.has_earlier("a", "a1")
    queue.add_item("a", "a0")
    assert queue.has_earlier("a", "a1")
    queue.finish_item("a")
    assert queue.take_item() == ("a", "a0")


def test_threads_run_in_order_of_arrival() -> None:
    queue: ThreadQueue[str, str] = ThreadQueue(2)
    for item in ("a1", "a2", "b1", "c1"):
        queue.add_item(item[0], item)
    assert [queue.take_item(), queue.take_item(), queue.take_item()] == [("a", "a1"), ("b", "b1"), None]
    queue.finish_item("a")
    assert not queue.is_free("d")
    assert queue.take_item() == ("c", "c1")
    queue.finish_item("b")
    assert queue.take_item() == ("a", "a2")
    queue.finish_item("c")
    assert queue.is_free("d")
    assert not queue.is_free("a")
    assert "a2" in queue
    assert "a1" not in queue
