"""A bounded dictionary for what may be forgotten."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class LatestEntries(OrderedDict[_Key, _Value]):
    """Holds the entries that were written last, at most ``max_entries``."""

    def __init__(self, max_entries: int) -> None:
        super().__init__()
        self._max_entries = max_entries

    def __setitem__(self, key: _Key, value: _Value) -> None:
        """Write an entry as the latest one; beyond the limit, forget the one that was written first."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._max_entries:
            self.popitem(last=False)
