"""Test the metrics: the engine's state at the scrape, and the outcomes of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.http.listeners import Listeners, PortUnavailable
from bot.metrics import MeasuredEngine, Metrics, serve_metrics
from engine.backends.local import EngineStats
from engine.errors import EngineError, EngineInterrupted, EngineOverloaded, EngineTimeout
from engine.interfaces import (
    ANONYMOUS,
    ChatMessage,
    ContentDelta,
    Delta,
    EngineState,
    EngineStatus,
    ReasoningDelta,
    Requester,
    Sampling,
    StreamEnd,
    Usage,
)
from engine.notes import NoteCode
from engine.routing.request_queue import QueueCounts

ASK = [ChatMessage("user", "a secret question")]
USAGE = Usage(prompt_tokens=120, completion_tokens=30, reasoning_tokens=20, cached_tokens=100)


class _Engine:
    """Streams the given deltas, then ends or raises as given."""

    def __init__(self, *deltas: Delta, error: Exception | None = None) -> None:
        self.deltas, self.error = deltas, error
        self.now = EngineStatus(EngineState.READY)

    def status(self) -> EngineStatus:
        return self.now

    context_tokens = 4096

    def count_tokens(self, text: str) -> int:
        return len(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, requester: Requester = ANONYMOUS
    ) -> AsyncGenerator[Delta, None]:
        assert messages
        assert sampling
        assert request_id
        assert requester == ANONYMOUS
        for delta in self.deltas:
            await asyncio.sleep(0)
            yield delta
        if self.error is not None:
            raise self.error

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        timeout_s: float,
        requester: Requester = ANONYMOUS,
    ) -> tuple[float, ...]:
        assert messages
        assert request_id
        assert timeout_s
        assert requester.thread == "T1"
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return tuple(1 / len(options) for _ in options)


def _numbers(metrics: Metrics) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(metrics.render_metrics().decode())
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def _measured(engine: _Engine) -> tuple[MeasuredEngine, Metrics]:
    metrics = Metrics(
        engine.status,
        lambda: EngineStats(starts=3, memory_failures=2, can_raise_memory=True, startup_s=41.5),
        lambda: QueueCounts(7, 2),
        lambda: {"Confluence wiki.secret.example": 2, "people.csv": 1},
        count_lost=lambda: 4,
    )
    return MeasuredEngine(engine, metrics), metrics


async def test_answers_are_counted_by_outcome_with_tokens_and_first_token() -> None:
    good, metrics = _measured(_Engine(ReasoningDelta("hm"), ContentDelta("yes"), StreamEnd("stop", USAGE)))
    assert [d async for d in good.stream(ASK, Sampling(), request_id="r")][-1] == StreamEnd("stop", USAGE)
    async with aclosing(good.stream(ASK, Sampling(), request_id="r")) as left:
        await anext(left)
    bad = MeasuredEngine(
        _Engine(ContentDelta("y"), error=EngineInterrupted(NoteCode.ERROR.fill(text="It broke."))), metrics
    )
    with pytest.raises(EngineInterrupted):
        [d async for d in bad.stream(ASK, Sampling(), request_id="r")]
    numbers = _numbers(metrics)
    ended = {how: numbers["kvasir_engine_requests_total", how] for how in ("done", "left", "failed")}
    assert ended == {"done": 1, "left": 1, "failed": 1}
    assert numbers["kvasir_engine_first_token_seconds_count", ""] == 3
    tokens = {kind: numbers["kvasir_engine_tokens_total", kind] for kind in ("prompt", "cached", "completion")}
    assert tokens == {"prompt": 120, "cached": 100, "completion": 30}
    assert b"secret" not in metrics.render_metrics()


def test_failures_of_identity_sources_are_counted_without_their_names() -> None:
    _, metrics = _measured(_Engine())
    assert _numbers(metrics)["kvasir_identity_failures_total", ""] == 3
    assert _numbers(metrics)["kvasir_audit_lost_total", ""] == 4
    assert b"secret" not in metrics.render_metrics()


def test_votes_are_counted() -> None:
    _, metrics = _measured(_Engine())
    for vote in ("good", "bad", "bad"):
        metrics.record_vote(vote)
    numbers = _numbers(metrics)
    assert [numbers["kvasir_feedback_total", vote] for vote in ("good", "bad")] == [1, 2]


async def test_judgements_are_counted_separately_from_answers() -> None:
    engine = _Engine()
    judging, metrics = _measured(engine)

    async def judge() -> tuple[float, ...]:
        return await judging.score_options(
            ASK, ("yes", "no"), request_id="r", timeout_s=1.0, requester=Requester(thread="T1")
        )

    assert await judge() == (0.5, 0.5)
    left = asyncio.create_task(judge())
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    for engine.error in (
        EngineOverloaded(NoteCode.ERROR.fill(text="People wait.")),
        EngineTimeout(NoteCode.ERROR.fill(text="Late.")),
        EngineInterrupted(NoteCode.ERROR.fill(text="It broke.")),
    ):
        with pytest.raises(EngineError):
            await judge()
    numbers = _numbers(metrics)
    ends = ("done", "left", "refused", "late", "failed")
    assert [numbers["kvasir_engine_judgements_total", how] for how in ends] == [1] * 5
    assert numbers["kvasir_engine_judgement_seconds_count", ""] == 1
    assert not any(name == "kvasir_engine_requests_total" for name, _ in numbers)


async def test_the_engines_state_is_that_of_the_scrape() -> None:
    engine = _Engine()
    _, metrics = _measured(engine)
    engine.now = EngineStatus(EngineState.DEGRADED)
    numbers = _numbers(metrics)
    assert {state.value: numbers["kvasir_engine_state", state.value] for state in EngineState} == {
        state.value: float(state is EngineState.DEGRADED) for state in EngineState
    }
    assert numbers["kvasir_engine_restarts", ""] == 2
    assert numbers["kvasir_engine_rungs_down", ""] == 2
    assert numbers["kvasir_engine_rung_up_proposed", ""] == 1
    assert (numbers["kvasir_engine_waiting", ""], numbers["kvasir_engine_running", ""]) == (7, 2)
    assert numbers["kvasir_engine_ready_after_seconds", ""] == 41.5


async def test_metrics_have_a_port_and_a_used_one_is_reported() -> None:
    _, metrics = _measured(_Engine())
    async with serve_metrics(metrics, Listeners(), "127.0.0.1", 0) as url:
        assert url is not None
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain")
            assert b"kvasir_engine_state" in await response.read()
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        with pytest.raises(PortUnavailable, match="KVASIR_METRICS_PORT"):
            async with serve_metrics(metrics, Listeners(), "127.0.0.1", port):
                pass
    async with serve_metrics(metrics, Listeners(), "127.0.0.1", None) as nowhere:
        assert nowhere is None
