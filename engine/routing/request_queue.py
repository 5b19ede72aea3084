"""The queue before the engine at work: lets requests through as ``admission`` decides, and measures what it needs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from engine.errors import EngineOverloaded, EngineTimeout
from engine.interfaces import Again, Asker, Content, Delta, Done, Reasoning, Waiting
from engine.routing.admission import Place, Queue, Request

_PEOPLE_WAIT = "People wait for the engine, so it takes nothing else. Ask again in a moment."


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How many may wait, and for how long."""

    waiting: int = 256
    wait_s: float = 300.0
    """Longer than this nobody waits for a turn."""
    tell_after_s: float = 0.2
    """Nobody is told of a shorter wait; and who asks at the same moment is in the line by then, and reckoned with."""
    tell_every_s: float = 2.0
    """Between two looks at where one stands."""


@dataclass(frozen=True, slots=True)
class Line:
    """How many questions stand before the engine and are with it at one moment, as one process sees it."""

    waiting: int = 0
    running: int = 0


class Gate:
    """Everything that is asked of the engine goes through here. It has no task of its own: who waits also looks."""

    def __init__(
        self,
        width: Callable[[], int],
        policy: GatePolicy | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let ``width()`` requests through at once, which may change at any time."""
        self.policy = policy or GatePolicy()
        self._width = width
        self._now = now
        self._ids = itertools.count()
        self._queue = Queue(self.policy.waiting)
        self._turns: dict[int, asyncio.Event] = {}
        self._told_at = float("-inf")
        self._told: Mapping[int, Place] = {}
        self._deadlines: set[asyncio.Timeout] = set()
        """Of the requests that take no turn."""

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return self._queue.waiting

    @property
    def running(self) -> int:
        """Return how many requests are being answered."""
        return self._queue.running

    @property
    def line(self) -> Line:
        """Return both."""
        return Line(self.waiting, self.running)

    async def through(
        self, asker: Asker, prompt_tokens: int, max_tokens: int, send: Callable[[], AsyncGenerator[Delta, None]]
    ) -> AsyncGenerator[Delta, None]:
        """Wait for a turn, then yield what ``send()`` yields; closed while it waits, nothing is ever sent.

        Raises:
            EngineOverloaded: the queue is full, or the turn would come, or has come, too late.

        """
        now_s = self._now()
        request = Request(
            next(self._ids),
            asker.person,
            prompt_tokens,
            max_tokens,
            now_s,
            now_s + self.policy.wait_s,
            None if asker.within_s is None else now_s + asker.within_s,
        )
        self._queue.enter(request, now_s, self._width())
        self._turns[request.id] = asyncio.Event()
        try:
            async with aclosing(self._turn(request.id)) as places:
                async for place in places:
                    yield place
            async with aclosing(self._measured(send())) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self._queue.leave(request.id)
            del self._turns[request.id]
            self._move()

    @asynccontextmanager
    async def spare_place(self, within_s: float) -> AsyncIterator[None]:
        """Run a short request that takes no turn: it is cut off after ``within_s``, or when somebody begins to wait.

        Raises:
            EngineOverloaded: somebody waits.
            EngineTimeout: the time is over.

        """
        if self.waiting:
            raise EngineOverloaded(_PEOPLE_WAIT)
        try:
            async with asyncio.timeout(within_s) as deadline:
                due_s = deadline.when()
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError as error:
            if deadline.when() != due_s:  # cut off by who began to wait, and may have left since
                raise EngineOverloaded(_PEOPLE_WAIT) from error
            raise EngineTimeout(f"The engine did not choose within {within_s:g} s. It may be busy.") from error

    async def _turn(self, request_id: int) -> AsyncGenerator[Waiting, None]:
        """Yield where a request stands as that changes, until it is its turn."""
        turn, patience_s = self._turns[request_id], self.policy.tell_after_s
        told: Place | None = None
        self._move()
        self._clear()
        while not await self._came(turn, patience_s):
            if (late := self._queue.late(request_id, self._now())) is not None:
                raise late
            place = self._place(request_id)
            if place != told:
                told = place
                yield Waiting(place.position, place.eta_s)
            patience_s = self.policy.tell_every_s
        if told is not None:
            yield Waiting(0, 0.0)

    async def _came(self, turn: asyncio.Event, patience_s: float) -> bool:
        """Wait so long for a turn; say whether it came."""
        try:
            async with asyncio.timeout(patience_s):
                await turn.wait()
        except TimeoutError:
            self._move()  # there may be more places than before
        return turn.is_set()

    def _move(self) -> None:
        for request_id in self._queue.take(self._now(), self._width()):
            self._turns[request_id].set()

    def _clear(self) -> None:
        """Cut off what takes no turn where somebody waits for one."""
        while self.waiting and self._deadlines:
            deadline = self._deadlines.pop()
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    def _place(self, request_id: int) -> Place:
        """Return where a request stands; reckoned once for all that ask at about the same time."""
        now_s = self._now()
        if now_s - self._told_at > self.policy.tell_every_s / 4 or request_id not in self._told:
            self._told, self._told_at = self._queue.places(now_s, self._width()), now_s
        return self._told[request_id]

    async def _measured(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """Yield an answer; note how long it took, also where it was not read to its end: its place was taken."""
        began_s, pieces, load = self._now(), 0, 0
        first_s: float | None = None
        tokens: int | None = None
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if isinstance(delta, Content | Reasoning):
                        first_s = self._now() if first_s is None else first_s
                        pieces, load = pieces + 1, load + self.running
                    elif isinstance(delta, Again):
                        first_s, pieces, load = None, 0, 0
                    elif isinstance(delta, Done):
                        tokens = delta.usage.completion_tokens
                    yield delta
        finally:
            if first_s is not None:
                ended_s = self._now()
                self._queue.rates.measured(first_s - began_s, ended_s - first_s, tokens or pieces, load / pieces)
