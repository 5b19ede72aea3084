"""Metrics for Prometheus: the engine's state, answers, votes on them, refused passages. No texts, no names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bot.http.listeners import Listeners
from engine.backends.local import EngineStats
from engine.errors import EngineError, EngineOverloaded, EngineTimeout
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    Delta,
    EngineState,
    EngineStatus,
    EngineWrapper,
    QueuePosition,
    Requester,
    Sampling,
    StreamEnd,
    Usage,
)
from engine.routing.request_queue import QueueCounts

_FIRST_TOKEN_S = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 180)

_JUDGEMENT_S = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4)
_JUDGEMENT_ENDS: Mapping[type[EngineError], str] = {EngineOverloaded: "refused", EngineTimeout: "late"}


class Metrics(Collector):
    """The counters and their registry; one for each process."""

    def __init__(
        self,
        status: Callable[[], EngineStatus],
        stats: Callable[[], EngineStats],
        queue: Callable[[], QueueCounts],
        failures: Callable[[], Mapping[str, int]],
        *,
        count_lost: Callable[[], int] = lambda: 0,
        measure_index: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """Store what returns the engine's state, and the failures of identity sources by source, at each scrape.

        ``count_lost`` returns how many entries of the audit could not be written, and ``measure_index`` how much of the
        index can be searched.
        """
        self._measure_index = measure_index
        self._count_lost = count_lost
        self._status = status
        self._stats = stats
        self._queue = queue
        self._failures = failures
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "kvasir_engine_requests",
            "Requests for answers, by outcome.",
            ["ended"],
            registry=self.registry,
        )
        self.first_token = Histogram(
            "kvasir_engine_first_token_seconds",
            "Time from the request to the engine's first token, thinking included.",
            buckets=_FIRST_TOKEN_S,
            registry=self.registry,
        )
        self._tokens = Counter(
            "kvasir_engine_tokens",
            "Tokens as the engine counts them. Prompt includes cached, completion includes reasoning.",
            ["kind"],
            registry=self.registry,
        )
        self._judgements = Counter(
            "kvasir_engine_judgements",
            "Judgements of sentences by the engine, by outcome.",
            ["ended"],
            registry=self.registry,
        )
        self._judgement_time = Histogram(
            "kvasir_engine_judgement_seconds",
            "Time from the request for a judgement to the engine's reply.",
            buckets=_JUDGEMENT_S,
            registry=self.registry,
        )
        self.refused = Counter(
            "kvasir_refused_passages",
            "Passages that the store proposed to people who may not read them. None was shown.",
            registry=self.registry,
        )
        self._votes = Counter(
            "kvasir_feedback", "Votes on answers, changed ones too.", ["vote"], registry=self.registry
        )
        self.registry.register(self)

    def record_answer(self, how: str, usage: Usage | None = None) -> None:
        """Count an answer by outcome: done, failed or left."""
        self._requests.labels(how).inc()
        for kind in ("prompt", "cached", "completion", "reasoning") if usage is not None else ():
            self._tokens.labels(kind).inc(getattr(usage, f"{kind}_tokens") or 0)

    def record_judgement(self, how: str, seconds: float) -> None:
        """Count a judgement by outcome: done, late, refused (people wait), failed or left; observe its time."""
        self._judgements.labels(how).inc()
        if how == "done":
            self._judgement_time.observe(seconds)

    def record_vote(self, vote: str) -> None:
        """Count a vote on an answer: good or bad."""
        self._votes.labels(vote).inc()

    def render_metrics(self) -> bytes:
        """Return everything in Prometheus' format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the engine's state and the failures of identity sources at each scrape, so that no number is stale."""
        now, stats, queue = self._status().state, self._stats(), self._queue()
        states = GaugeMetricFamily("kvasir_engine_state", "1 for the engine's current state, else 0.", labels=["state"])
        for state in EngineState:
            states.add_metric([state.value], float(state is now))
        yield states
        yield GaugeMetricFamily("kvasir_engine_waiting", "Questions that wait for the engine.", value=queue.waiting)
        yield GaugeMetricFamily("kvasir_engine_running", "Questions that the engine is answering.", value=queue.running)
        yield GaugeMetricFamily(
            "kvasir_engine_restarts",
            "Restarts of the engine's process since Kvasir last started it.",
            value=max(0, stats.starts - 1),
        )
        yield GaugeMetricFamily(
            "kvasir_engine_rungs_down",
            "Failures for lack of memory that led to the current plan.",
            value=stats.memory_failures,
        )
        yield GaugeMetricFamily(
            "kvasir_engine_rung_up_proposed",
            "1 while the measured load leaves room for the larger memory profile.",
            value=float(stats.can_raise_memory),
        )
        if stats.startup_s is not None:
            yield GaugeMetricFamily(
                "kvasir_engine_ready_after_seconds", "How long the last start took.", value=stats.startup_s
            )
        yield CounterMetricFamily(
            "kvasir_identity_failures",
            "Failures of identity sources. People held fewer principals meanwhile.",
            value=sum(self._failures().values()),
        )
        yield GaugeMetricFamily(
            "kvasir_index_complete",
            "How much of the index can be searched: 1, less while it is rebuilt, 0 if it is lost.",
            value=self._measure_index(),
        )
        yield CounterMetricFamily(
            "kvasir_audit_lost", "Entries of the audit that could not be written.", value=self._count_lost()
        )


@dataclass(frozen=True, slots=True)
class MeasuredEngine(EngineWrapper):
    """An engine whose answers and judgements are counted; implements ``ChatEngine`` and ``OptionScorer``."""

    _metrics: Metrics

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``."""
        asked_s, has_begun, how, usage = time.monotonic(), False, "left", None
        try:
            async with aclosing(
                self._engine.stream(messages, sampling, request_id=request_id, requester=requester)
            ) as deltas:
                async for delta in deltas:
                    if isinstance(delta, QueuePosition):
                        asked_s = time.monotonic()  # time in the queue does not count
                    elif not has_begun:
                        has_begun = True
                        self._metrics.first_token.observe(time.monotonic() - asked_s)
                    if isinstance(delta, StreamEnd):
                        how, usage = "done", delta.usage
                    yield delta
        except EngineError:
            how = "failed"
            raise
        finally:
            self._metrics.record_answer(how, usage)

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.OptionScorer.score_options``."""
        asked_s, how = time.monotonic(), "left"
        try:
            shares = await self._engine.score_options(
                messages, options, request_id=request_id, timeout_s=timeout_s, requester=requester
            )
            how = "done"
        except EngineError as error:
            how = _JUDGEMENT_ENDS.get(type(error), "failed")
            raise
        finally:
            self._metrics.record_judgement(how, time.monotonic() - asked_s)
        return shares


@contextlib.asynccontextmanager
async def serve_metrics(
    metrics: Metrics, listeners: Listeners, host: str, port: int | None
) -> AsyncIterator[str | None]:
    """Serve ``GET /metrics`` within this block and yield its address; None for no port.

    Raises:
        PortUnavailable: another program uses the port.

    """
    if port is None:
        yield None
        return

    async def answer_scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render_metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    routes = [web.get("/metrics", answer_scrape)]
    async with listeners.listen(routes, host, port, variable="KVASIR_METRICS_PORT", shutdown_s=2.0) as bound:
        yield f"http://{host}:{bound}/metrics"
