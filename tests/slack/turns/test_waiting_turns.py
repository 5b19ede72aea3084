"""Tests of the place in the line that is shown while a question waits for a free turn."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.answering.events import AnswerEvent, Question, Text
from bot.slack.turns.waiting_turns import TurnTimes
from bot.storage.turns.questions import QuestionKey
from tests.slack.running_bot import QUICK_TURNS, make_finished, run_bot_in_sandbox

_PLACE = re.compile(r"is busy\. You are number (\d+) in line")


@pytest.mark.slow
async def test_place_in_the_line_is_kept_up_to_date(tmp_path: Path) -> None:
    turns = [asyncio.Event() for _ in range(4)]
    began = 0

    async def script(_question: Question) -> AsyncGenerator[AnswerEvent]:
        nonlocal began
        mine, began = turns[began], began + 1
        await mine.wait()
        yield Text("That is all.")
        yield make_finished()

    settings = replace(QUICK_TURNS, concurrent=1, show_places_every_s=0.1)
    async with run_bot_in_sandbox(tmp_path, settings=settings, script=script) as bot:
        question_ids = [await bot.ask(f"@Kvasir question {n}") for n in range(4)]

        async def list_places(root: str) -> list[int]:
            calls = [
                one["args"]
                for one in await bot.sandbox.requests("assistant.threads.setStatus")
                if one["args"]["thread_ts"] == root
            ]
            found = [_PLACE.match(str(one["status"])) for one in calls]
            return [int(one[1]) for one in found if one]

        async def shows(root: str, place: int) -> bool:
            return (await list_places(root))[-1:] == [place]

        for n, turn in enumerate(turns):
            for place, root in enumerate(question_ids[n + 1 :], 1):
                await bot.sandbox.wait_until(lambda root=root, place=place: shows(root, place), what="place")
            turn.set()
            await bot.wait_for_answer(question_ids[n])
        assert [await list_places(root) for root in question_ids] == [[], [1], [2, 1], [3, 2, 1]]


@pytest.mark.parametrize(
    ("width", "durations_s", "median_s", "p95_s"),
    [(1, (30.0,), 1.0, 3.0), (3, (30.0,), 1.0, 3.0), (4, (20.0, 30.0, 40.0), 10.0, 30.0)],
)
def test_estimate_is_close_to_the_wait(
    width: int, durations_s: tuple[float, ...], median_s: float, p95_s: float
) -> None:
    """Forty turns wait; each estimate that is ever made is compared with the start of its turn."""
    now = [0.0]
    times = TurnTimes(width, lambda: now[0])
    keys = [QuestionKey("T", "C", str(n)) for n in range(40)]
    ends: dict[QuestionKey, float] = {}
    estimates: list[tuple[QuestionKey, float]] = []
    started: dict[QuestionKey, float] = {}
    waiting = list(keys)
    while waiting:
        for key in [key for key, end in ends.items() if end <= now[0]]:
            times.note_end(key)
            del ends[key]
        while waiting and len(ends) < width:
            key = waiting.pop(0)
            times.note_start(key)
            started[key] = now[0]
            ends[key] = now[0] + durations_s[len(started) % len(durations_s)]
        for key, wait_s in zip(waiting, times.estimate_waits_s(len(waiting)), strict=True):
            if wait_s is not None:
                estimates.append((key, now[0] + wait_s))
        now[0] += 1.0
    errors = sorted(abs(at - started[key]) for key, at in estimates)
    assert errors[len(errors) // 2] <= median_s
    assert errors[round(len(errors) * 0.95)] <= p95_s
