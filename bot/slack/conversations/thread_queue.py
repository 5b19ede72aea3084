"""The order of turns: several threads at once, and in each thread one after the other. Pure."""

from __future__ import annotations

import bisect
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Thread = TypeVar("Thread", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class ThreadQueue(Generic[Thread, Item]):
    """Waiting items by thread; at most ``width`` threads run at once, and no thread runs two items.

    ``rank`` orders the waiting items of a thread; without it they keep the order in which they came.
    """

    def __init__(self, width: int, rank: Callable[[Item], str] = lambda _: "") -> None:
        self._width = width
        self._rank = rank
        self._waiting: dict[Thread, deque[Item]] = {}
        self._ready: OrderedDict[Thread, None] = OrderedDict()
        """Threads whose first waiting item may run, in the order in which they run."""
        self._running: dict[Thread, Item] = {}
        self._items: set[Item] = set()

    def __contains__(self, item: object) -> bool:
        """Return whether an item waits or runs."""
        return item in self._items

    def is_free(self, thread: Thread) -> bool:
        """Return whether an item that is added to this thread now would run at once."""
        is_crowded = thread in self._running or thread in self._waiting or bool(self._ready)
        return not is_crowded and len(self._running) < self._width

    def add_item(self, thread: Thread, item: Item) -> None:
        """Put an item into its thread; an item that waits or runs already is ignored."""
        if item in self._items:
            return
        self._items.add(item)
        bisect.insort(self._waiting.setdefault(thread, deque()), item, key=self._rank)
        if thread not in self._running:
            self._ready[thread] = None

    def list_ready(self) -> list[Item]:
        """Return the items that wait for a free place, in the order in which they run."""
        return [self._waiting[thread][0] for thread in self._ready]

    def list_waiting(self) -> list[Item]:
        """Return all items that do not run."""
        return [item for items in self._waiting.values() for item in items]

    def take_item(self) -> tuple[Thread, Item] | None:
        """Start the next item and return it with its thread; return None if no item may run now."""
        if len(self._running) >= self._width or not self._ready:
            return None
        thread, _ = self._ready.popitem(last=False)
        items = self._waiting[thread]
        item = items.popleft()
        if not items:
            del self._waiting[thread]
        self._running[thread] = item
        return thread, item

    def has_earlier(self, thread: Thread, item: Item) -> bool:
        """Return whether an earlier item than this one waits in its thread."""
        return thread in self._waiting and self._rank(self._waiting[thread][0]) < self._rank(item)

    def finish_item(self, thread: Thread) -> None:
        """Remove the item that runs in a thread."""
        self._items.discard(self._running.pop(thread))
        if thread in self._waiting:
            self._ready[thread] = None
