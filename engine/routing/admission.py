"""Who is sent to the engine next, how long the others wait, and who is told at once that it would be too long. Pure.

People get equal shares by self-clocked fair queueing (Golestani, INFOCOM 1994): a request is tagged when it comes, with
its cost added to the tag of its person's last request, or to the tag that is being served where that is later; the
smallest tag goes first. So one who asks fifty questions waits behind whoever asks one, and a person's own questions
keep their order. A short answer costs less than a long one, within ``_MAX_COST``: of any other person at most
``_LONGEST + 1`` later questions go before one that is its person's first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import EngineOverloaded

_MEAN_WEIGHT = 0.2
"""Of a new measurement in the means: the last ten make nine tenths of them."""
_SHORT_TOKENS = 256
"""An answer of at most so many tokens costs 1."""
_MAX_COST = 4.0
"""What the longest answer costs: no answer is put off for more than so many short ones of each other person."""
_PREFILL_TOKENS_PER_TOKEN = 100
"""So many tokens are read in the time in which one is written: 0.12 ms against 14.7 ms for a 32B on an H100."""
_SLOWDOWN_EXPONENT = 0.45
"""By how much an answer slows down with others beside it, as an exponent: eight at once take 2.5 times as long each.
Eight on a CPU were seen to take 2.2 times as long (prompts read before) to 2.7 times; a thousand on 8 x H200 are
published with an exponent of 0.53."""
_OVERDUE_SHARE = 0.25
"""An answer that takes longer than expected is expected to take this much of an answer more."""


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request that comes to the queue."""

    id: int
    person: str
    prompt_tokens: int
    """About; it decides the order only."""
    max_tokens: int
    arrived_s: float
    begin_by_s: float
    """Moments are of one monotonic clock."""
    end_by_s: float | None = None

    @property
    def cost(self) -> float:
        """Return its share of the engine, from 1 for a short answer to ``_MAX_COST``."""
        return min(
            _MAX_COST, max(1.0, (self.max_tokens + self.prompt_tokens / _PREFILL_TOKENS_PER_TOKEN) / _SHORT_TOKENS)
        )


@dataclass(frozen=True, slots=True)
class PlaceEstimate:
    """Where a waiting request stands."""

    position: int
    """1 is the next to begin."""
    eta_s: float | None
    """From now until it begins; None while nothing was measured."""


@dataclass(slots=True)
class _Pace:
    """What answers took while about so many were answered at once."""

    load: float
    begin_s: float
    """To the first piece."""
    token_s: float

    def update(self, load: float, begin_s: float, token_s: float) -> None:
        self.load += _MEAN_WEIGHT * (load - self.load)
        self.begin_s += _MEAN_WEIGHT * (begin_s - self.begin_s)
        self.token_s += _MEAN_WEIGHT * (token_s - self.token_s)


class ServiceRates:
    """How fast the engine is: exponentially weighted means of what was measured, for each load apart.

    What is asked of a load that was never measured comes from the nearest one that was: of ``n`` at once each takes
    about ``n ** _SLOWER`` times as long as alone.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._paces: dict[int, _Pace] = {}
        """By the load's power of two."""
        self._tokens: float | None = None

    def record(self, begin_s: float, rest_s: float, tokens: int, load: float) -> None:
        """Take in one answer.

        Args:
            begin_s: from its start to its first piece.
            rest_s: from there to its end.
            tokens: its length.
            load: how many were answered at once meanwhile, itself included, on average.

        """
        token_s = rest_s / max(1, tokens)
        self._tokens = float(tokens) if self._tokens is None else self._tokens + _MEAN_WEIGHT * (tokens - self._tokens)
        pace = self._paces.get(_find_load_level(load))
        if pace is None:
            self._paces[_find_load_level(load)] = _Pace(load, begin_s, token_s)
        else:
            pace.update(load, begin_s, token_s)

    def estimate_service_s(self, max_tokens: int, load: float) -> float | None:
        """Return how long an answer of at most so many tokens takes among so many; None while nothing was measured."""
        if self._tokens is None:
            return None
        nearest = min(self._paces, key=lambda level: abs(level - _find_load_level(load)))
        pace = self._paces[nearest]
        then_s = pace.begin_s + pace.token_s * min(self._tokens, max_tokens)
        return then_s * math.pow(max(1.0, load) / max(1.0, pace.load), _SLOWDOWN_EXPONENT)


def _find_load_level(load: float) -> int:
    return round(math.log2(max(1.0, load)))


class FairQueue:
    """Requests that wait and requests that are answered; it decides, whoever holds it sends and measures."""

    def __init__(self, limit: int, rates: ServiceRates | None = None) -> None:
        """Let at most ``limit`` requests wait."""
        self.rates = rates or ServiceRates()
        self._limit = limit
        self._waiting: dict[int, tuple[float, QueuedRequest]] = {}
        self._running: dict[int, tuple[float, QueuedRequest]] = {}
        self._served_tag = 0.0
        self._last_tag: dict[str, float] = {}
        """Of each person whose last request may still be waiting or has run ahead of what is served."""

    @property
    def waiting_count(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def running_count(self) -> int:
        """Return how many are being answered."""
        return len(self._running)

    def add(self, request: QueuedRequest, now_s: float, width: int) -> None:
        """Put a request in the queue, where at most ``width`` are answered at once.

        Raises:
            EngineOverloaded: the queue is full, or its answer would come too late; the text says how long it would be.

        """
        tag = max(self._served_tag, self._last_tag.get(request.person, 0.0)) + request.cost
        self._waiting[request.id] = (tag, request)
        if self.running_count + self.waiting_count > width:
            refused = self._check_admission(request, now_s, width)
            if refused is not None:
                del self._waiting[request.id]
                raise refused
        self._last_tag[request.person] = tag

    def start_next(self, now_s: float, width: int) -> list[int]:
        """Return whom to send now, in order; they count as being answered from now on."""
        sent = []
        while self._waiting and self.running_count < width:
            tag, request = min(self._waiting.values(), key=_sort_key)
            del self._waiting[request.id]
            self._running[request.id] = (now_s, request)
            self._served_tag = max(self._served_tag, tag)
            sent.append(request.id)
        return sent

    def remove(self, request_id: int) -> None:
        """Forget a request: answered, failed or cancelled, wherever it stood."""
        self._running.pop(request_id, None)
        _, cancelled = self._waiting.pop(request_id, (0.0, None))
        if cancelled is not None:  # what was never served is not held against its person
            tags = [tag for tag, request in self._waiting.values() if request.person == cancelled.person]
            self._last_tag[cancelled.person] = max(tags, default=0.0)
        if not self._waiting:  # nobody is owed anything
            self._served_tag = 0.0
            self._last_tag.clear()
        self._last_tag = {person: tag for person, tag in self._last_tag.items() if tag > self._served_tag}

    def check_deadline(self, request_id: int, now_s: float) -> EngineOverloaded | None:
        """Return what a request is told whose time has run out while it waited."""
        _, request = self._waiting[request_id]
        service_s = self.rates.estimate_service_s(request.max_tokens, self.running_count) or 0.0
        if now_s < request.begin_by_s and (request.end_by_s is None or now_s + service_s < request.end_by_s):
            return None
        waited = format_wait(now_s - request.arrived_s)
        return EngineOverloaded(f"The engine was busy with other questions for {waited}. Ask again in a moment.")

    def estimate_places(self, now_s: float, width: int) -> Mapping[int, PlaceEstimate]:
        """Return where each waiting request stands: the answers under way end as measured, then the next begins.

        As long as somebody waits, ``width`` are answered at once, and take what they take then.
        """
        width = max(1, width)
        free_at = sorted(
            self._estimate_remaining_s(begun, request, now_s, width) for begun, request in self._running.values()
        )
        free_at = [*[0.0] * max(0, width - len(free_at)), *free_at]
        del free_at[: len(free_at) - width]  # fewer places than before: the first to end free none
        places: dict[int, PlaceEstimate] = {}
        known = self.rates.estimate_service_s(1, width) is not None
        for position, (_, request) in enumerate(sorted(self._waiting.values(), key=_sort_key), 1):
            eta_s = free_at[0]
            heapq.heapreplace(free_at, eta_s + (self.rates.estimate_service_s(request.max_tokens, width) or 0.0))
            places[request.id] = PlaceEstimate(position, eta_s if known else None)
        return places

    def _estimate_remaining_s(self, begun_s: float, request: QueuedRequest, now_s: float, width: int) -> float:
        service_s = self.rates.estimate_service_s(request.max_tokens, width) or 0.0
        return max(service_s - (now_s - begun_s), _OVERDUE_SHARE * service_s)

    def _check_admission(self, request: QueuedRequest, now_s: float, width: int) -> EngineOverloaded | None:
        eta_s = self.estimate_places(now_s, width)[request.id].eta_s
        if self.waiting_count > self._limit:
            work = f", which is {format_wait(eta_s)} of work" if eta_s is not None else ""
            return EngineOverloaded(
                f"As many questions wait for the engine as may ({self._limit}){work}. Ask again later."
            )
        if eta_s is None:
            return None
        ends_s = now_s + eta_s + (self.rates.estimate_service_s(request.max_tokens, width) or 0.0)
        if now_s + eta_s <= request.begin_by_s and (request.end_by_s is None or ends_s <= request.end_by_s):
            return None
        waits_s = request.begin_by_s - now_s if request.end_by_s is None else request.end_by_s - now_s
        return EngineOverloaded(
            f"The engine is busy: this question's turn would come in {format_wait(eta_s)}, and it may wait for "
            f"{format_wait(waits_s)}. Ask again later."
        )


def _sort_key(tagged: tuple[float, QueuedRequest]) -> tuple[float, int]:
    tag, request = tagged
    return tag, request.id


def format_wait(seconds: float) -> str:
    """Return a span as people say it, never more exactly than it is known."""
    if seconds < 10:  # noqa: PLR2004
        return "a few seconds"
    if seconds < 90:  # noqa: PLR2004
        return f"about {round(seconds / 10) * 10} s"
    return f"about {round(seconds / 60)} min"
