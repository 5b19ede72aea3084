#!/usr/bin/env python
"""Measure how well the served model judges claims, and fit the parameters for the probability of its yes.

It asks the engine of ``KVASIR_ENGINE_URL`` about the pairs with which the product calibrates unknown models. Then it
asks about other committed pairs, which the parameters have not seen. Each passage is among two others in the prompt.
``--pace`` measures instead how fast the engine writes alone, and while it judges claims.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.support.calibration import (
    CalibratedEngine,
    Pairs,
    auc,
    committed_pairs,
    fit_calibration,
    prompt_of_pairs,
)
from bot.answering.support.judge import Calibration, engine_logit, judge_question
from bot.app import create_engine
from bot.config.settings import load_settings
from bot.languages.registry import Language
from engine.interfaces import ContentDelta, Sampling

PAIRS = Path(__file__).resolve().parent.parent / "tests" / "data" / "support_pairs.jsonl"
_REPLY_S = 60.0
_TOKENS, _ROUNDS = 160, 3
_JUDGE_AFTER_TOKENS = (24, 72)
"""Tokens between two judgements: after each sentence, and after one in three."""


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """One judgement of a claim."""

    logit: float
    stated: bool
    language: Language
    seconds: float
    first: bool
    """Whether it is the first one after its prompt, which is not in the cache yet."""


def find_other_pairs() -> Iterator[Pairs]:
    """Yield the committed pairs, by passage and language, without the passages of the calibration."""
    used = {pairs.passage for pairs in committed_pairs()}
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    for (passage, _), group in groupby(rows, lambda row: (row["passage"], row["sentence_lang"])):
        if passage not in used:
            claims = list(group)
            stated = tuple(row["sentence"] for row in claims if row["supported"])
            yield Pairs(passage, stated, tuple(row["sentence"] for row in claims if not row["supported"]))


async def judge_claims(engine: CalibratedEngine, all_pairs: Sequence[Pairs]) -> list[JudgedClaim]:
    """Return a judgement for each claim."""
    found = []
    for number, pairs in enumerate(all_pairs):
        prompt, passage = prompt_of_pairs(engine, all_pairs, number)
        for nth, claim in enumerate((*pairs.stated, *pairs.not_stated)):
            began_s = time.monotonic()
            logit = await engine_logit(
                engine, prompt, judge_question(claim, (passage,), prompt.language), within_s=_REPLY_S
            )
            seconds = time.monotonic() - began_s
            found.append(JudgedClaim(logit, claim in pairs.stated, prompt.language, seconds, nth == 0))
    return found


def print_report(name: str, rows: Sequence[JudgedClaim], calibration: Calibration | None) -> None:
    """Print how well the judgements separate stated claims from others, and their times."""
    stated = [row.stated for row in rows]
    print(f"{name}: {len(rows)} claims, {sum(stated)} stated")
    print(f"  AUC of the logit {auc(np.array([row.logit for row in rows]), stated):.2f}")
    if calibration is not None:
        probabilities = np.array([calibration.probability(row.logit, row.language) for row in rows])
        right = float(((probabilities > 0.5) == np.array(stated)).mean())
        print(f"  AUC calibrated {auc(probabilities, stated):.2f}, right {right:.0%}")
    for first, label in ((True, "first behind a prompt"), (False, "later")):
        seconds = [row.seconds for row in rows if row.first is first]
        print(f"  seconds, {label}: median {statistics.median(seconds):.2f}, longest {max(seconds):.2f}")


async def measure_pace(engine: CalibratedEngine, judge_after_tokens: int | None) -> float:
    """Return the tokens a second of the engine while it judges claims about the same passages."""
    pairs = committed_pairs()[0]
    prompt, passage = prompt_of_pairs(engine, committed_pairs(), 0)
    claims = itertools.cycle((*pairs.stated, *pairs.not_stated))
    continuation = prompt.replace_question(
        "Explain all passages, one after the other, in great detail and at least 300 words."
    )
    tokens, began_s, last_s = 0, 0.0, 0.0
    deltas = engine.stream(continuation, Sampling(0.0, max_tokens=_TOKENS), request_id="pace")
    async with asyncio.TaskGroup() as judging, aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, ContentDelta):
                last_s = time.monotonic()
                began_s, tokens = began_s or last_s, tokens + 1
                if judge_after_tokens and tokens % judge_after_tokens == 0:
                    claim = f"{next(claims)} ({tokens})"  # no reply comes from the cache
                    judging.create_task(
                        engine_logit(
                            engine, prompt, judge_question(claim, (passage,), prompt.language), within_s=_REPLY_S
                        )
                    )
    return (tokens - 1) / (last_s - began_s)


async def _measure_paces(engine: CalibratedEngine) -> None:
    await measure_pace(engine, None)
    for _ in range(_ROUNDS):
        for after_tokens in (None, *_JUDGE_AFTER_TOKENS):
            label = f"a judgement after every {after_tokens} tokens" if after_tokens else "alone"
            print(f"{await measure_pace(engine, after_tokens):.2f} tokens a second, {label}", flush=True)


async def _main(arguments: argparse.Namespace) -> None:
    engine = create_engine(load_settings(os.environ, Path.cwd(), required=False))
    await engine.start(install=False)
    try:
        status = await engine.wait_until_ready(60)
        print(f"{status.model} at {status.url}")
        if arguments.pace:
            await _measure_paces(engine)
            return
        fitted = await judge_claims(engine, committed_pairs())
        calibration = fit_calibration(
            [row.logit for row in fitted], [row.stated for row in fitted], [row.language for row in fitted]
        )
        print(calibration or "no judge")
        print_report("calibration", fitted, calibration)
        if arguments.passages:
            print_report(
                "other pairs",
                await judge_claims(engine, [*islice(find_other_pairs(), arguments.passages)]),
                calibration,
            )
    finally:
        await engine.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=40, help="of the other pairs, so many passages (0: none)")
    parser.add_argument("--pace", action="store_true", help="measure how fast the engine writes while it judges")
    asyncio.run(_main(parser.parse_args()))
