"""Decode server-sent events from chunks of bytes; never awaits.

Lines end as the standard says. Python's line iterators also break at U+2028 and others, which JSON text may contain.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventTooLong(ValueError):
    """An event or a line is too long."""


class SseDecoder:
    """Collects the ``data`` of each event and ignores other fields and comments."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        """Limit a line, and the data of an event, to ``max_bytes``."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._after_cr = False
        self._data: list[bytes] = []
        self._size = 0

    def decode(self, chunk: bytes) -> list[str]:
        """Return the data of each event that ``chunk`` completes.

        Raises:
            EventTooLong: a line or an event is too long.

        """
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        searched_from = max(0, len(self._buffer) - 1)
        self._buffer += chunk
        self._after_cr = self._buffer.endswith(b"\r")
        events, start = [], 0
        for end in _LINE_END.finditer(self._buffer, searched_from):
            events += self._take_line(bytes(self._buffer[start : end.start()]))
            start = end.end()
        del self._buffer[:start]
        if len(self._buffer) > self._max_bytes:
            raise EventTooLong
        return events

    def flush(self) -> list[str]:
        """Return the data of a last event without its blank line."""
        line, self._buffer = bytes(self._buffer), bytearray()
        return [*self._take_line(line), *self._dispatch_event()]

    def _take_line(self, line: bytes) -> list[str]:
        if not line:
            return self._dispatch_event()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1
            if self._size > self._max_bytes:
                raise EventTooLong
        return []

    def _dispatch_event(self) -> list[str]:
        if not self._data:
            return []
        text = b"\n".join(self._data).decode("utf-8", errors="replace")
        self._data, self._size = [], 0
        return [text]
