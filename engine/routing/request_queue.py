"""The queue in front of the engine: starts requests as ``admission`` decides, and measures their speed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass

from engine.errors import EngineOverloaded, EngineTimeout
from engine.interfaces import ContentDelta, Delta, QueuePosition, ReasoningDelta, Requester, StreamEnd, StreamRestart
from engine.notes import NoteCode
from engine.routing.admission import FairQueue, QueuedRequest
from engine.routing.place_keeper import PlaceKeeper, SharedPlaces
from engine.tasks import cancel_tasks


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How many requests may wait, for how long, and how often their position is reported."""

    max_waiting: int = 256
    max_wait_s: float = 300.0
    first_notice_s: float = 0.2
    """A shorter wait is not reported. Requests that arrive together are all in the queue by then."""
    notice_interval_s: float = 2.0


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many requests of this process wait and run."""

    waiting: int = 0
    running: int = 0


class RequestQueue:
    """All requests to the engine pass through it. It needs no background task: waiting requests update it."""

    def __init__(self, width: Callable[[], int], policy: QueuePolicy | None = None) -> None:
        """Run ``width()`` requests at once; the width may change at any time."""
        self.policy = policy or QueuePolicy()
        self._width = width
        self._ids = itertools.count()
        self._queue = FairQueue(self.policy.max_waiting)
        self._turns: dict[int, asyncio.Event] = {}
        self._places_at_s = float("-inf")
        self._places: Mapping[int, QueuePosition] = {}
        self._side_deadlines: set[asyncio.Timeout] = set()
        self._keeper: PlaceKeeper | None = None
        """None if no other process uses the engine."""

    @asynccontextmanager
    async def share_places(self, places: SharedPlaces) -> AsyncIterator[None]:
        """Run only as many requests as this process has places, during a block."""
        self._keeper = PlaceKeeper(places, self._width, self._count_requests, self._start_next)
        task = asyncio.create_task(self._keeper.run(), name="places at the engine")
        try:
            yield
        finally:
            self._keeper = None
            await cancel_tasks(task)

    def _count_requests(self) -> tuple[int, int]:
        return self._queue.running_count, self._queue.waiting_count

    def _expect_width(self) -> int:
        """Return how many requests run at once while others wait."""
        return self._width() if self._keeper is None else self._keeper.share

    @property
    def counts(self) -> QueueCounts:
        """Return the numbers of waiting and running requests."""
        return QueueCounts(self._queue.waiting_count, self._queue.running_count)

    async def stream(
        self, requester: Requester, prompt_tokens: int, max_tokens: int, send: Callable[[], AsyncGenerator[Delta, None]]
    ) -> AsyncGenerator[Delta, None]:
        """Wait for a turn, then yield what ``send()`` yields. If it is closed while it waits, nothing is sent.

        Raises:
            EngineOverloaded: the queue is full, or the wait is or would be too long.

        """
        now_s = time.monotonic()
        request = QueuedRequest(
            next(self._ids),
            requester.person,
            prompt_tokens,
            max_tokens,
            now_s,
            now_s + self.policy.max_wait_s,
            None if requester.answer_timeout_s is None else now_s + requester.answer_timeout_s,
        )
        self._queue.add_request(request, now_s, self._expect_width())
        self._turns[request.id] = asyncio.Event()
        try:
            async with aclosing(self._wait_for_turn(request.id)) as places:
                async for place in places:
                    yield place
            async with aclosing(self._measure_answer(send())) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._queue.remove_request(request.id)
            del self._turns[request.id]
            self._update_places()

    @asynccontextmanager
    async def bound_side_request(self, timeout_s: float) -> AsyncIterator[None]:
        """Bound a short request that skips the queue: cancel it after ``timeout_s``, or when a person starts to wait.

        Raises:
            EngineOverloaded: a person waits, or all places are used.
            EngineTimeout: the request took too long.

        """
        if self._queue.waiting_count:
            raise EngineOverloaded(NoteCode.PEOPLE_WAIT.fill())
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                due_s = deadline.when()
                self._side_deadlines.add(deadline)
                try:
                    async with self._keeper.borrow_place() if self._keeper else nullcontext():
                        yield
                finally:
                    self._side_deadlines.discard(deadline)
        except TimeoutError as error:
            if deadline.when() != due_s:  # a person started to wait
                raise EngineOverloaded(NoteCode.PEOPLE_WAIT.fill()) from error
            raise EngineTimeout(NoteCode.NO_REPLY.fill(seconds=timeout_s)) from error

    async def _wait_for_turn(self, request_id: int) -> AsyncGenerator[QueuePosition, None]:
        """Yield the position of a request when it changes, until its turn."""
        turn, timeout_s = self._turns[request_id], self.policy.first_notice_s
        last_place: QueuePosition | None = None
        self._update_places()
        self._cancel_side_requests()
        while not await self._wait_once(turn, timeout_s):
            if (late := self._queue.check_deadline(request_id, time.monotonic())) is not None:
                raise late
            place = self._estimate_place(request_id)
            if place != last_place:
                last_place = place
                yield place
            timeout_s = self.policy.notice_interval_s
        if last_place is not None:
            yield QueuePosition(0, 0.0)

    async def _wait_once(self, turn: asyncio.Event, timeout_s: float) -> bool:
        """Wait for a turn for ``timeout_s``; return whether it came."""
        try:
            async with asyncio.timeout(timeout_s):
                await turn.wait()
        except TimeoutError:
            if self._keeper is None:
                self._start_next()  # the width may have grown
        return turn.is_set()

    def _update_places(self) -> None:
        """Start what may start, after this process has its places."""
        if self._keeper is None:
            self._start_next()
        else:
            self._keeper.update()

    def _start_next(self) -> None:
        width = self._width() if self._keeper is None else min(self._width(), self._keeper.width)
        for request_id in self._queue.start_next(time.monotonic(), width):
            self._turns[request_id].set()

    def _cancel_side_requests(self) -> None:
        """Cancel the side requests if a person waits."""
        while self._queue.waiting_count and self._side_deadlines:
            deadline = self._side_deadlines.pop()
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    def _estimate_place(self, request_id: int) -> QueuePosition:
        """Return the position of a request; computed once for all requests of about the same time."""
        now_s = time.monotonic()
        if now_s - self._places_at_s > self.policy.notice_interval_s / 4 or request_id not in self._places:
            self._places, self._places_at_s = self._queue.estimate_places(now_s, self._expect_width()), now_s
        return self._places[request_id]

    async def _measure_answer(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """Yield an answer and record its speed, even if the reader stops early."""
        began_s, pieces, load = time.monotonic(), 0, 0
        first_s: float | None = None
        tokens: int | None = None
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if isinstance(delta, ContentDelta | ReasoningDelta):
                        first_s = time.monotonic() if first_s is None else first_s
                        pieces, load = pieces + 1, load + self._queue.running_count
                    elif isinstance(delta, StreamRestart):
                        first_s, pieces, load = None, 0, 0
                    elif isinstance(delta, StreamEnd):
                        tokens = delta.usage.completion_tokens
                    yield delta
        finally:
            if first_s is not None:
                ended_s = time.monotonic()
                self._queue.rates.record_answer(first_s - began_s, ended_s - first_s, tokens or pieces, load / pieces)
