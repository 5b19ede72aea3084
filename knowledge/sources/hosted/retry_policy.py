"""How calls to a hosted service are paced and retried. Pure but for the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from knowledge.web.crawling.retry_after import parse_retry_after_s


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """A response with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """Return the declared media type without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long Kvasir waits for a service."""

    call_s: float = 60.0
    """For one call with its redirects, from the connection to the last byte."""
    download_s: float = 300.0
    """The same for a call that downloads a document."""
    attempts: int = 6
    waits_s: float = 300.0
    """For all waits between the attempts of a call together; a service that asks for more gets no retry."""


QUESTION_PATIENCE: Final = RetryLimits(call_s=20.0, attempts=3, waits_s=10.0)
"""For the calls of a question, which has a deadline of its own."""


class CallPacer:
    """Keep calls to an average rate; calls of one second may come at once."""

    def __init__(self, per_second: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._gap_s = 1.0 / per_second
        self._burst_s = 1.0
        self._sleep = sleep
        self._due = float("-inf")

    async def wait_for_turn(self) -> None:
        """Wait until a call may start."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._gap_s, now - self._burst_s)
        if self._due > now:
            await self._sleep(self._due - now)


def compute_wait_s(response: ServiceResponse | str, attempt: int, now: float, chance: float) -> float:
    """Return how long to wait before the next attempt: what the service asks for, else 1, 2, 4 … seconds.

    ``chance`` (0 to 1) adds jitter of up to half of the wait.
    """
    retry_after_s = None if isinstance(response, str) else parse_retry_after_s(response.headers.get("Retry-After"), now)
    base = float(2 ** (attempt - 1)) if retry_after_s is None else retry_after_s
    return base + chance * max(base / 2 if retry_after_s is None else min(base / 2, 5.0), 0.1)
