"""How long a service is waited for: pure but for the clock, so that each case can be tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """Return the type that the answer declares, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long is waited."""

    call_s: float = 60.0
    """One call with its redirects, from the connection to the answer's last byte."""
    download_s: float = 300.0
    """The same of a call that brings a document."""
    attempts: int = 6
    waits_s: float = 300.0
    """All waits between the attempts of a call together; a service that asks for more is not waited for."""


class CallPacer:
    """Keeps calls to an average rate; a second's worth of them may come at once."""

    def __init__(self, per_second: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._gap_s = 1.0 / per_second
        self._burst_s = 1.0
        self._sleep = sleep
        self._due = float("-inf")

    async def turn(self) -> None:
        """Wait until a call may be made."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._gap_s, now - self._burst_s)
        if self._due > now:
            await self._sleep(self._due - now)


def compute_wait_s(reply: ServiceResponse | str, attempt: int, now: float, chance: float) -> float:
    """Return how long to wait before the next attempt: what the service asks for, else 1, 2, 4 … seconds.

    ``chance`` (0 to 1) spreads those who wait: up to half as long again.
    """
    asked = None if isinstance(reply, str) else parse_retry_after_s(reply.headers.get("Retry-After"), now)
    base = float(2 ** (attempt - 1)) if asked is None else asked
    return base + chance * max(base / 2 if asked is None else min(base / 2, 5.0), 0.1)


def parse_retry_after_s(header: str | None, now: float) -> float | None:
    """Read a ``Retry-After``: seconds, or a date; None for none or nonsense."""
    if header is None:
        return None
    word = header.strip()
    if word.isascii() and word.replace(".", "", 1).isdecimal():
        return min(float(word), 1e9)
    try:
        date = parsedate_to_datetime(word)
    except ValueError:
        return None
    return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now, 0.0)
