"""Pure: choose the next request, estimate the wait of the others, and refuse requests that would wait too long.

People get equal shares by self-clocked fair queueing (Golestani, INFOCOM 1994). A new request gets a tag: its cost plus
the tag of the person's last request. If the tag that is being served is larger, it counts instead. The smallest tag
starts first. So a person with fifty requests does not delay a person with one, and each person's requests keep their
order. A short answer costs less than a long one, up to ``_MAX_COST``. Of any other person, at most ``_MAX_COST + 1``
later requests start before the first request of a person.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import EngineOverloaded
from engine.interfaces import QueuePosition
from engine.notes import NoteCode, estimate_wait

_MEAN_WEIGHT = 0.2
"""Weight of a new measurement in the means: the last ten have a weight of nine tenths together."""
_SHORT_TOKENS = 256
"""An answer of at most this length costs 1."""
_MAX_COST = 4.0
"""Cost of the longest answers: each waits for at most this many short answers of every other person."""
_PREFILL_TOKENS_PER_TOKEN = 100
"""Prefill tokens in the time of one decoded token: 0.12 ms and 14.7 ms for a 32B on an H100."""
_SLOWDOWN_EXPONENT = 0.45
"""Exponent of the slowdown by concurrent answers: eight take 2.5 times as long each. Measured for eight on a CPU: 2.2
times (cached prompts) to 2.7 times. Published for a thousand on 8 x H200: an exponent of 0.53."""
_OVERDUE_SHARE = 0.25
"""Expected remaining share of an answer that already takes longer than estimated."""


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request in the queue."""

    id: int
    person: str
    prompt_tokens: int
    """An approximation; only the order depends on it."""
    max_tokens: int
    arrived_s: float
    begin_by_s: float
    """All times are of one monotonic clock."""
    end_by_s: float | None = None

    @property
    def cost(self) -> float:
        """Return the cost, from 1 for a short answer to ``_MAX_COST``."""
        return min(
            _MAX_COST, max(1.0, (self.max_tokens + self.prompt_tokens / _PREFILL_TOKENS_PER_TOKEN) / _SHORT_TOKENS)
        )


@dataclass(slots=True)
class _Pace:
    """How long answers took at about one load."""

    load: float
    begin_s: float
    """The time until the first delta."""
    token_s: float


class ServiceRates:
    """The engine's measured speed: exponentially weighted means for each load.

    For a load without measurements, the values are scaled from the nearest load. Each of ``n`` concurrent answers takes
    about ``n ** _SLOWDOWN_EXPONENT`` times as long as one alone.
    """

    def __init__(self) -> None:
        """Start without measurements."""
        self._paces: dict[int, _Pace] = {}
        """The paces by the logarithm of the load to base two."""
        self._tokens: float | None = None

    def record_answer(self, begin_s: float, rest_s: float, tokens: int, load: float) -> None:
        """Record one answer.

        Args:
            begin_s: from the start to the first delta.
            rest_s: from the first delta to the end.
            tokens: the length of the answer.
            load: the mean number of concurrent answers, this one included.

        """
        token_s = rest_s / max(1, tokens)
        self._tokens = float(tokens) if self._tokens is None else self._tokens + _MEAN_WEIGHT * (tokens - self._tokens)
        pace = self._paces.setdefault(_find_load_level(load), _Pace(load, begin_s, token_s))
        pace.load += _MEAN_WEIGHT * (load - pace.load)
        pace.begin_s += _MEAN_WEIGHT * (begin_s - pace.begin_s)
        pace.token_s += _MEAN_WEIGHT * (token_s - pace.token_s)

    def estimate_service_s(self, max_tokens: int, load: float) -> float | None:
        """Return the estimated time of an answer at a load; None before the first measurement."""
        if self._tokens is None:
            return None
        nearest = min(self._paces, key=lambda level: abs(level - _find_load_level(load)))
        pace = self._paces[nearest]
        then_s = pace.begin_s + pace.token_s * min(self._tokens, max_tokens)
        return then_s * math.pow(max(1.0, load) / max(1.0, pace.load), _SLOWDOWN_EXPONENT)


def _find_load_level(load: float) -> int:
    return round(math.log2(max(1.0, load)))


class FairQueue:
    """Waiting and running requests. It only decides; its owner sends the requests and measures them."""

    def __init__(self, limit: int, rates: ServiceRates | None = None) -> None:
        """Allow at most ``limit`` waiting requests."""
        self.rates = rates or ServiceRates()
        self._limit = limit
        self._waiting: dict[int, tuple[float, QueuedRequest]] = {}
        self._running: dict[int, tuple[float, QueuedRequest]] = {}
        self._served_tag = 0.0
        self._last_tag: dict[str, float] = {}
        """The last tag of each person, while it is larger than the served one."""

    @property
    def waiting_count(self) -> int:
        """Return the number of waiting requests."""
        return len(self._waiting)

    @property
    def running_count(self) -> int:
        """Return the number of running requests."""
        return len(self._running)

    def add_request(self, request: QueuedRequest, now_s: float, width: int) -> None:
        """Add a request to the queue, of which at most ``width`` run at once.

        Raises:
            EngineOverloaded: the queue is full, or the answer would be too late; the text has the estimated wait.

        """
        tag = max(self._served_tag, self._last_tag.get(request.person, 0.0)) + request.cost
        self._waiting[request.id] = (tag, request)
        if self.running_count + self.waiting_count > width:
            error = self._check_admission(request, now_s, width)
            if error is not None:
                del self._waiting[request.id]
                raise error
        self._last_tag[request.person] = tag

    def start_next(self, now_s: float, width: int) -> list[int]:
        """Return the requests to send now, in order; they count as running."""
        sent = []
        while self._waiting and self.running_count < width:
            tag, request = min(self._waiting.values(), key=_sort_key)
            del self._waiting[request.id]
            self._running[request.id] = (now_s, request)
            self._served_tag = max(self._served_tag, tag)
            sent.append(request.id)
        return sent

    def remove_request(self, request_id: int) -> None:
        """Remove a request that is answered, failed or cancelled."""
        self._running.pop(request_id, None)
        _, request = self._waiting.pop(request_id, (0.0, None))
        if request is not None:  # a request that never ran costs its person nothing
            tags = [tag for tag, other in self._waiting.values() if other.person == request.person]
            self._last_tag[request.person] = max(tags, default=0.0)
        if not self._waiting:  # all shares start again at zero
            self._served_tag = 0.0
            self._last_tag.clear()
        self._last_tag = {person: tag for person, tag in self._last_tag.items() if tag > self._served_tag}

    def check_deadline(self, request_id: int, now_s: float) -> EngineOverloaded | None:
        """Return the error for a request whose deadline passed while it waited; None before that."""
        _, request = self._waiting[request_id]
        service_s = self.rates.estimate_service_s(request.max_tokens, self.running_count) or 0.0
        if now_s < request.begin_by_s and (request.end_by_s is None or now_s + service_s < request.end_by_s):
            return None
        return EngineOverloaded(NoteCode.WAITED_TOO_LONG.fill(wait=estimate_wait(now_s - request.arrived_s)))

    def estimate_places(self, now_s: float, width: int) -> Mapping[int, QueuePosition]:
        """Return the position of each waiting request, and its estimated wait at the measured speed.

        While requests wait, ``width`` answers run at once, so the speed at that load counts.
        """
        width = max(1, width)
        free_at = sorted(
            self._estimate_remaining_s(started_s, request, now_s, width)
            for started_s, request in self._running.values()
        )
        free_at = [*[0.0] * max(0, width - len(free_at)), *free_at]
        del free_at[: len(free_at) - width]  # with fewer places than before, the first answers that end free no place
        places: dict[int, QueuePosition] = {}
        has_rate = self.rates.estimate_service_s(1, width) is not None
        for position, (_, request) in enumerate(sorted(self._waiting.values(), key=_sort_key), 1):
            eta_s = free_at[0]
            heapq.heapreplace(free_at, eta_s + (self.rates.estimate_service_s(request.max_tokens, width) or 0.0))
            places[request.id] = QueuePosition(position, eta_s if has_rate else None)
        return places

    def _estimate_remaining_s(self, started_s: float, request: QueuedRequest, now_s: float, width: int) -> float:
        service_s = self.rates.estimate_service_s(request.max_tokens, width) or 0.0
        return max(service_s - (now_s - started_s), _OVERDUE_SHARE * service_s)

    def _check_admission(self, request: QueuedRequest, now_s: float, width: int) -> EngineOverloaded | None:
        eta_s = self.estimate_places(now_s, width)[request.id].eta_s
        if self.waiting_count > self._limit:
            if eta_s is None:
                return EngineOverloaded(NoteCode.QUEUE_FULL.fill(limit=self._limit))
            return EngineOverloaded(NoteCode.QUEUE_FULL_FOR.fill(limit=self._limit, wait=estimate_wait(eta_s)))
        if eta_s is None:
            return None
        ends_s = now_s + eta_s + (self.rates.estimate_service_s(request.max_tokens, width) or 0.0)
        if now_s + eta_s <= request.begin_by_s and (request.end_by_s is None or ends_s <= request.end_by_s):
            return None
        waits_s = request.begin_by_s - now_s if request.end_by_s is None else request.end_by_s - now_s
        return EngineOverloaded(NoteCode.STARTS_TOO_LATE.fill(wait=estimate_wait(eta_s), limit=estimate_wait(waits_s)))


def _sort_key(tagged: tuple[float, QueuedRequest]) -> tuple[float, int]:
    tag, request = tagged
    return tag, request.id
