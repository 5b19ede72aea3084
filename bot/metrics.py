"""What Kvasir tells Prometheus: how its engine is, and what the answers that it asked for took. No texts, no names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bot.errors import BotError
from engine.backends.local import EngineStats
from engine.errors import EngineError, EngineOverloaded, EngineTimeout
from engine.interfaces import (
    ANONYMOUS,
    ChatEngine,
    ChatMessage,
    Delta,
    EngineState,
    EngineStatus,
    OptionScorer,
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


class MetricsPortTaken(BotError):
    """Nobody can listen on the port that was set for metrics."""


class Metrics:
    """The numbers and the registry that holds them; one a process."""

    def __init__(
        self, status: Callable[[], EngineStatus], vitals: Callable[[], EngineStats], line: Callable[[], QueueCounts]
    ) -> None:
        """Take where the engine's state is looked up at each scrape."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "kvasir_engine_requests",
            "Answers asked of the engine, by how they ended.",
            ["ended"],
            registry=self.registry,
        )
        self._first_token = Histogram(
            "kvasir_engine_first_token_seconds",
            "From asking the engine to its first token, thinking included.",
            buckets=_FIRST_TOKEN_S,
            registry=self.registry,
        )
        self._tokens = Counter(
            "kvasir_engine_tokens",
            "Tokens as the engine counts them; cached are part of prompt, reasoning of completion.",
            ["kind"],
            registry=self.registry,
        )
        self._judgements = Counter(
            "kvasir_engine_judgements",
            "Judgements of claims asked of the engine apart from answers, by how they ended.",
            ["ended"],
            registry=self.registry,
        )
        self._judgement_time = Histogram(
            "kvasir_engine_judgement_seconds",
            "From asking the engine for a judgement to its reply.",
            buckets=_JUDGEMENT_S,
            registry=self.registry,
        )
        self.registry.register(_EngineState(status, vitals, line))

    def record_first_token(self, seconds: float) -> None:
        """Count a first token."""
        self._first_token.observe(seconds)

    def record_answer(self, how: str, usage: Usage | None = None) -> None:
        """Count an answer's end: done, failed or left."""
        self._requests.labels(how).inc()
        for kind in ("prompt", "cached", "completion", "reasoning") if usage is not None else ():
            self._tokens.labels(kind).inc(getattr(usage, f"{kind}_tokens") or 0)

    def record_judgement(self, how: str, seconds: float) -> None:
        """Count a judgement's end: done, late, refused (people wait), failed or left; observe the time of a reply."""
        self._judgements.labels(how).inc()
        if how == "done":
            self._judgement_time.observe(seconds)

    def render(self) -> bytes:
        """Return everything in Prometheus' format."""
        return generate_latest(self.registry)


class _EngineState(Collector):
    """Looks the engine up when it is scraped, so that no number is ever stale."""

    def __init__(
        self, status: Callable[[], EngineStatus], vitals: Callable[[], EngineStats], line: Callable[[], QueueCounts]
    ) -> None:
        self._status = status
        self._vitals = vitals
        self._line = line

    def collect(self) -> Iterator[Metric]:
        """Yield the state as one gauge a state, the line, and the process's figures."""
        now, vitals, line = self._status().state, self._vitals(), self._line()
        states = GaugeMetricFamily("kvasir_engine_state", "1 for the state that the engine is in.", labels=["state"])
        for state in EngineState:
            states.add_metric([state.value], float(state is now))
        yield states
        yield GaugeMetricFamily(
            "kvasir_engine_waiting", "Questions that wait for a turn before the engine.", value=line.waiting
        )
        yield GaugeMetricFamily("kvasir_engine_running", "Questions that are with the engine.", value=line.running)
        yield GaugeMetricFamily(
            "kvasir_engine_restarts",
            "Starts of the engine's process after the first, since it was last brought up.",
            value=max(0, vitals.starts - 1),
        )
        yield GaugeMetricFamily(
            "kvasir_engine_rungs_down",
            "Failures for lack of memory that its present plan comes from.",
            value=vitals.memory_failures,
        )
        yield GaugeMetricFamily(
            "kvasir_engine_rung_up_proposed",
            "1 while the measured load leaves room to try the rung above again.",
            value=float(vitals.can_raise_memory),
        )
        if vitals.startup_s is not None:
            yield GaugeMetricFamily(
                "kvasir_engine_ready_after_seconds", "How long the last start took.", value=vitals.startup_s
            )


class ClosableEngine(ChatEngine, OptionScorer, Protocol):
    """An engine that answers and judges; its streams can be closed before their end, as the real one's can."""

    def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; closing it cancels it in the engine."""


class MeasuredEngine:
    """An engine whose answers and judgements are counted; implements ``ChatEngine`` and ``OptionScorer``."""

    def __init__(self, engine: ClosableEngine, metrics: Metrics) -> None:
        """Take both."""
        self._engine = engine
        self._metrics = metrics

    def status(self) -> EngineStatus:
        """Return the state now."""
        return self._engine.status()

    @property
    def context_tokens(self) -> int:
        """Return the length of the context window in tokens."""
        return self._engine.context_tokens

    def count_tokens(self, text: str) -> int:
        """Count tokens with the served model's own vocabulary."""
        return self._engine.count_tokens(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``."""
        asked_s, began, how, usage = time.monotonic(), False, "left", None
        try:
            async with aclosing(
                self._engine.stream(messages, sampling, request_id=request_id, requester=requester)
            ) as deltas:
                async for delta in deltas:
                    if isinstance(delta, QueuePosition):
                        asked_s = time.monotonic()  # its time in line is not the engine's
                    elif not began:
                        began = True
                        self._metrics.record_first_token(time.monotonic() - asked_s)
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
        thread: str = "",
    ) -> tuple[float, ...]:
        """Return the probability of each option; see ``engine.interfaces.OptionScorer.score_options``."""
        asked_s, how = time.monotonic(), "left"
        try:
            shares = await self._engine.score_options(
                messages, options, request_id=request_id, timeout_s=timeout_s, thread=thread
            )
            how = "done"
        except EngineError as error:
            how = _JUDGEMENT_ENDS.get(type(error), "failed")
            raise
        finally:
            self._metrics.record_judgement(how, time.monotonic() - asked_s)
        return shares


@contextlib.asynccontextmanager
async def serve_metrics(metrics: Metrics, host: str, port: int | None) -> AsyncIterator[str | None]:
    """Serve ``GET /metrics`` within this block and yield its address; None for no port.

    Raises:
        MetricsPortTaken: somebody else listens there.

    """
    if port is None:
        yield None
        return

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise MetricsPortTaken(
                f"Metrics cannot be served on {host}:{port} ({error.strerror}). Set KVASIR_METRICS_PORT to a free port."
            ) from error
        yield f"http://{host}:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()
