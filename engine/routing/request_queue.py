"""The queue before the engine at work: lets requests through as ``admission`` decides, and measures what it needs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from engine.errors import EngineOverloaded, EngineTimeout
from engine.interfaces import ContentDelta, Delta, QueuePosition, ReasoningDelta, Requester, StreamEnd, StreamRestart
from engine.routing.admission import FairQueue, PlaceEstimate, QueuedRequest

_PEOPLE_WAIT = "People wait for the engine, so it takes nothing else. Ask again in a moment."


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How many may wait, and for how long."""

    max_waiting: int = 256
    max_wait_s: float = 300.0
    """Longer than this nobody waits for a turn."""
    first_notice_s: float = 0.2
    """Nobody is told of a shorter wait; and who asks at the same moment is in the line by then, and reckoned with."""
    notice_interval_s: float = 2.0
    """Between two looks at where one stands."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many questions stand before the engine and are with it at one moment, as one process sees it."""

    waiting: int = 0
    running: int = 0


class RequestQueue:
    """Everything that is asked of the engine goes through here. It has no task of its own: who waits also looks."""

    def __init__(
        self,
        width: Callable[[], int],
        policy: QueuePolicy | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let ``width()`` requests through at once, which may change at any time."""
        self.policy = policy or QueuePolicy()
        self._width = width
        self._now = now
        self._ids = itertools.count()
        self._queue = FairQueue(self.policy.max_waiting)
        self._turns: dict[int, asyncio.Event] = {}
        self._places_at_s = float("-inf")
        self._places: Mapping[int, PlaceEstimate] = {}
        self._deadlines: set[asyncio.Timeout] = set()
        """Of the requests that take no turn."""

    @property
    def waiting_count(self) -> int:
        """Return how many requests wait."""
        return self._queue.waiting_count

    @property
    def running_count(self) -> int:
        """Return how many requests are being answered."""
        return self._queue.running_count

    @property
    def counts(self) -> QueueCounts:
        """Return both."""
        return QueueCounts(self.waiting_count, self.running_count)

    async def stream(
        self, requester: Requester, prompt_tokens: int, max_tokens: int, send: Callable[[], AsyncGenerator[Delta, None]]
    ) -> AsyncGenerator[Delta, None]:
        """Wait for a turn, then yield what ``send()`` yields; closed while it waits, nothing is ever sent.

        Raises:
            EngineOverloaded: the queue is full, or the turn would come, or has come, too late.

        """
        now_s = self._now()
        request = QueuedRequest(
            next(self._ids),
            requester.person,
            prompt_tokens,
            max_tokens,
            now_s,
            now_s + self.policy.max_wait_s,
            None if requester.answer_timeout_s is None else now_s + requester.answer_timeout_s,
        )
        self._queue.add(request, now_s, self._width())
        self._turns[request.id] = asyncio.Event()
        try:
            async with aclosing(self._wait_for_turn(request.id)) as places:
                async for place in places:
                    yield place
            async with aclosing(self._measure(send())) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._queue.remove(request.id)
            del self._turns[request.id]
            self._start_next()

    @asynccontextmanager
    async def bound_side_request(self, timeout_s: float) -> AsyncIterator[None]:
        """Run a short request that takes no turn: it is cut off after ``within_s``, or when somebody begins to wait.

        Raises:
            EngineOverloaded: somebody waits.
            EngineTimeout: the time is over.

        """
        if self.waiting_count:
            raise EngineOverloaded(_PEOPLE_WAIT)
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                due_s = deadline.when()
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError as error:
            if deadline.when() != due_s:  # cut off by who began to wait, and may have left since
                raise EngineOverloaded(_PEOPLE_WAIT) from error
            raise EngineTimeout(f"The engine did not choose within {timeout_s:g} s. It may be busy.") from error

    async def _wait_for_turn(self, request_id: int) -> AsyncGenerator[QueuePosition, None]:
        """Yield where a request stands as that changes, until it is its turn."""
        turn, patience_s = self._turns[request_id], self.policy.first_notice_s
        told: PlaceEstimate | None = None
        self._start_next()
        self._cancel_side_requests()
        while not await self._wait_once(turn, patience_s):
            if (late := self._queue.check_deadline(request_id, self._now())) is not None:
                raise late
            place = self._estimate_place(request_id)
            if place != told:
                told = place
                yield QueuePosition(place.position, place.eta_s)
            patience_s = self.policy.notice_interval_s
        if told is not None:
            yield QueuePosition(0, 0.0)

    async def _wait_once(self, turn: asyncio.Event, patience_s: float) -> bool:
        """Wait so long for a turn; say whether it came."""
        try:
            async with asyncio.timeout(patience_s):
                await turn.wait()
        except TimeoutError:
            self._start_next()  # there may be more places than before
        return turn.is_set()

    def _start_next(self) -> None:
        for request_id in self._queue.start_next(self._now(), self._width()):
            self._turns[request_id].set()

    def _cancel_side_requests(self) -> None:
        """Cut off what takes no turn where somebody waits for one."""
        while self.waiting_count and self._deadlines:
            deadline = self._deadlines.pop()
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    def _estimate_place(self, request_id: int) -> PlaceEstimate:
        """Return where a request stands; reckoned once for all that ask at about the same time."""
        now_s = self._now()
        if now_s - self._places_at_s > self.policy.notice_interval_s / 4 or request_id not in self._places:
            self._places, self._places_at_s = self._queue.estimate_places(now_s, self._width()), now_s
        return self._places[request_id]

    async def _measure(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """Yield an answer; note how long it took, also where it was not read to its end: its place was taken."""
        began_s, pieces, load = self._now(), 0, 0
        first_s: float | None = None
        tokens: int | None = None
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if isinstance(delta, ContentDelta | ReasoningDelta):
                        first_s = self._now() if first_s is None else first_s
                        pieces, load = pieces + 1, load + self.running_count
                    elif isinstance(delta, StreamRestart):
                        first_s, pieces, load = None, 0, 0
                    elif isinstance(delta, StreamEnd):
                        tokens = delta.usage.completion_tokens
                    yield delta
        finally:
            if first_s is not None:
                ended_s = self._now()
                self._queue.rates.record(first_s - began_s, ended_s - first_s, tokens or pieces, load / pieces)
