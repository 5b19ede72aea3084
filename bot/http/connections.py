"""Connections of HTTP servers: a deadline for headers, and limits for all of them and for each address.

aiohttp has no deadline for headers. So each connection stands before aiohttp's own protocol and passes its bytes on.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import Final, cast

HEADER_S: Final = 10.0
"""From the first byte of a request, or from the connection, to the end of its headers."""
_MOST_CONNECTIONS: Final = 2_000


def count_allowed_connections() -> int:
    """Return how many connections may be open: half of the descriptors that the process may have."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CONNECTIONS if descriptors < 0 else max(2, min(_MOST_CONNECTIONS, descriptors // 2))


class Connections:
    """The open connections of a process. One address has half of them at most.

    Where a limit is reached, a new connection replaces the oldest one that waits for a request. So half-open
    connections keep nobody out, not even behind a proxy, whose connections all come from one address.
    """

    def __init__(self, most: int | None = None, *, header_s: float = HEADER_S) -> None:
        self.header_s = header_s
        self._most = count_allowed_connections() if most is None else most
        self._most_of_address = max(1, self._most // 2)
        self._counts: Counter[str] = Counter()
        self._total = 0
        self._waiting: dict[GuardedConnection, None] = {}
        """The connections without a complete request, in the order in which they began to wait."""

    def admit_connection(self, connection: GuardedConnection) -> bool:
        """Count a new connection; return False if there is no place for it."""
        address = connection.address
        if (self._counts[address] >= self._most_of_address and not self._close_oldest(address)) or (
            self._total >= self._most and not self._close_oldest()
        ):
            return False
        self._counts[address] += 1
        self._total += 1
        self._waiting[connection] = None
        return True

    def remove_connection(self, connection: GuardedConnection) -> None:
        """Count an admitted connection no longer."""
        self._waiting.pop(connection, None)
        self._total -= 1
        self._counts[connection.address] -= 1
        if not self._counts[connection.address]:
            del self._counts[connection.address]

    def note_request(self, connection: GuardedConnection) -> None:
        """Keep a connection whose request is complete until its answer is."""
        self._waiting.pop(connection, None)

    def note_answer(self, connection: GuardedConnection) -> None:
        """Let a connection wait for the next request."""
        self._waiting[connection] = None

    def _close_oldest(self, address: str | None = None) -> bool:
        """Close the connection that waits longest, of an address or of all; return False if none waits."""
        found = next((one for one in self._waiting if address in {None, one.address}), None)
        if found is not None:
            found.abort()
        return found is not None


class GuardedConnection(asyncio.Protocol):
    """One connection. ``make_handler`` makes aiohttp's protocol, which gets all of its bytes."""

    def __init__(self, connections: Connections, make_handler: Callable[[], asyncio.Protocol]) -> None:
        self.address = ""
        self._connections = connections
        self._make_handler = make_handler
        self._handler: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_admitted = False
        self._has_request = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, and begin to wait for headers."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._is_admitted = self._connections.admit_connection(self)
        if not self._is_admitted:
            self._transport.abort()
            return
        self._handler = self._make_handler()
        self._handler.connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        self._stop_deadline()
        self._leave_count()
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the first ones of a request start its deadline."""
        if not self._has_request and self._deadline is None:
            self._start_deadline()
        if self._handler is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the end on."""
        return None if self._handler is None else self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client has read."""
        if self._handler is not None:
            self._handler.resume_writing()

    def note_headers(self) -> None:
        """Note that the headers of a request are complete."""
        self._has_request = True
        self._stop_deadline()

    def note_body(self) -> None:
        """Note that a request is complete."""
        if self._is_admitted:
            self._connections.note_request(self)

    def note_answer(self) -> None:
        """Note that a request is answered."""
        self._has_request = False
        if self._is_admitted:
            self._connections.note_answer(self)

    def abort(self) -> None:
        """Close the connection at once."""
        self._leave_count()
        if self._transport is not None:
            self._transport.abort()

    def _leave_count(self) -> None:
        if self._is_admitted:
            self._is_admitted = False
            self._connections.remove_connection(self)

    def _start_deadline(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._connections.header_s, self.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
