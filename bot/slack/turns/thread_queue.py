"""Who is answered next: one at a time in each thread, threads side by side, first come first served. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

ThreadId = TypeVar("ThreadId", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


class ThreadQueue(Generic[ThreadId, Item]):
    """Waiting items, each in a lane; at most ``width`` lanes move at once, and no lane moves two items."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._waiting: dict[ThreadId, deque[Item]] = {}
        self._ready: OrderedDict[ThreadId, None] = OrderedDict()
        self._moving: dict[ThreadId, Item] = {}
        self._known: set[Item] = set()

    def __len__(self) -> int:
        """Return how many items wait."""
        return sum(len(items) for items in self._waiting.values())

    def __contains__(self, item: object) -> bool:
        """Tell whether an item waits or moves."""
        return item in self._known

    @property
    def moving(self) -> int:
        """Return how many items move."""
        return len(self._moving)

    def is_free(self, lane: ThreadId) -> bool:
        """Tell whether an item that is put into this lane now would be the next to move, at once."""
        crowded = lane in self._moving or lane in self._waiting or bool(self._ready)
        return not crowded and len(self._moving) < self._width

    def add(self, lane: ThreadId, item: Item) -> None:
        """Put an item at its lane's end; one that waits or moves already is not put twice."""
        if item in self._known:
            return
        self._known.add(item)
        self._waiting.setdefault(lane, deque()).append(item)
        if lane not in self._moving:
            self._ready[lane] = None

    def take(self) -> tuple[ThreadId, Item] | None:
        """Set the next item moving and return it with its lane; None if none may move now."""
        if len(self._moving) >= self._width or not self._ready:
            return None
        lane, _ = self._ready.popitem(last=False)
        items = self._waiting[lane]
        item = items.popleft()
        if not items:
            del self._waiting[lane]
        self._moving[lane] = item
        return lane, item

    def done(self, lane: ThreadId) -> None:
        """Say that the lane's item has come to its end."""
        self._known.discard(self._moving.pop(lane))
        if lane in self._waiting:
            self._ready[lane] = None
