"""Reads the first and the newest messages of a thread of any length, in a bounded number of calls.

``conversations.replies`` returns a thread from its beginning. A window of time that holds more than one page is
therefore cut after its first page, and its newer half is read first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

Payload = Mapping[str, Any]
FetchWindow = Callable[[str | None, str | None], Awaitable[tuple[list[Payload], bool]]]
"""Returns the messages after one ``ts`` and up to another, oldest first, and whether the window holds more of them."""

PAGE_SIZE: Final = 1_000
"""Messages of one call, as many as Slack returns."""
MAX_CALLS: Final = 12
ENOUGH: Final = 1_000
"""Newest messages after which the others stay unread."""
_NARROWEST_S: Final = 1.0


async def read_long_thread(fetch: FetchWindow, now: float) -> list[Payload]:
    """Return the first and the newest messages of a thread, oldest first; those between are left out if it is long."""
    messages, has_more = await fetch(None, None)
    read = newest = {_get_ts(message): message for message in messages}
    unread = _split_window(max(read, key=float), None, now) if has_more and read else []
    end: str | None = None
    for _ in range(MAX_CALLS - 1):
        if not unread or (end is not None and len(newest) >= ENOUGH):
            break
        low, high = unread.pop()
        messages, has_more = await fetch(low, high)
        page = {_get_ts(one): one for one in messages if float(_get_ts(one)) > float(low)}  # each page has the root
        read = read | page
        unread += _split_window(max(page, key=float), high, now) if has_more and page else []
        end = unread[-1][1] if unread else low
        newest = page if end is None else {ts: one for ts, one in read.items() if float(ts) > float(end)}
    chosen = {min(read, key=float), *newest} if unread else set(read)
    return [read[ts] for ts in sorted(chosen, key=float)]


def _split_window(low: str, high: str | None, now: float) -> list[tuple[str, str | None]]:
    """Return the windows between two ``ts``, the newer one last."""
    end = float(high) if high else max(now, float(low))
    if high and end <= float(low):
        return []
    if end - float(low) < _NARROWEST_S:
        return [(low, high)]
    middle = f"{(float(low) + end) / 2:.6f}"
    return [(low, middle), (middle, high)]


def _get_ts(message: Payload) -> str:
    return str(message.get("ts") or "0")
