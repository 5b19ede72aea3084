"""The engine as a judge of questions: whether the same answer would be right for both.

A model judges only if it was measured on the committed questions. It must be surer of half of the paraphrases than of
any near miss. Its threshold lies above the surest near miss, and no threshold is below a probability of 0.99. Small
models fail that, and then only equal words make the same question.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from bot.answering.quoting import neutralise_control_tokens
from bot.answering.verified_answers.same_question import has_same_facts
from engine.errors import EngineError, EngineOverloaded, EngineTimeout
from engine.files import replace_private_file
from engine.interfaces import ChatMessage, EngineState, OptionScorer
from knowledge.language import Language, choose_language

_ASK: Final[dict[Language, str]] = {
    "en": (
        "Question A: {one}\nQuestion B: {other}\n\nWould one answer be complete and correct for both questions? "
        "If they differ in a number, a time, a person, a place, a thing or a negation, it would not. "
        "Answer yes or no."
    ),
    "zh": (
        "问题甲：{one}\n问题乙：{other}\n\n同一个回答对两个问题是否都完整且正确？"
        "如果两者在数字、时间、人物、地点、事物或否定上不同，则不是。只回答“是”或“否”。"
    ),
}
_OPTIONS: Final[dict[Language, tuple[str, str]]] = {"en": ("yes", "no"), "zh": ("是", "否")}
_WITHIN_S: Final = 0.8
_REPLY_S: Final = 30.0
"""Of a measurement, for which nobody waits."""
_PAUSE_S: Final = 10.0
_LARGEST_LOGIT: Final = 12.0
"""An option that is not among the likeliest tokens has a probability of 0 in the reply; this bounds its logit."""
_MARGIN: Final = 1.0
_LEAST_THRESHOLD: Final = math.log(0.99 / 0.01)
_LEAST_SHARE: Final = 0.5

Thresholds = Callable[[str | None], float | None]
"""Returns the least logit of yes of a served model, None for one that is no judge or was not measured."""


@dataclass(frozen=True, slots=True)
class QuestionPairs:
    """A question, other ways to ask it, and questions that ask something else."""

    question: str
    paraphrases: tuple[str, ...]
    variants: tuple[str, ...]
    """The same words with politeness or other writing."""
    near_misses: tuple[tuple[str, str], ...]
    """What differs, and the question."""


class QuestionJudge:
    """Judges whether two questions ask the same; implements ``bot.answering.verified_answers.finder.SameJudge``."""

    def __init__(self, engine: OptionScorer, thresholds: Thresholds, *, within_s: float = _WITHIN_S) -> None:
        self._engine = engine
        self._thresholds = thresholds
        self._within_s = within_s

    @property
    def is_ready(self) -> bool:
        """Return whether the engine is ready and its model is a judge."""
        status = self._engine.status()
        return status.state is EngineState.READY and self._thresholds(status.model) is not None

    async def is_same(self, one: str, other: str) -> bool:
        """Return whether the model is sure that two questions ask the same; False if it is not, or not in time."""
        threshold = self._thresholds(self._engine.status().model)
        if threshold is None:
            return False
        try:
            return await measure_logit(self._engine, one, other, self._within_s) >= threshold
        except EngineError:
            return False


async def measure_logit(engine: OptionScorer, one: str, other: str, within_s: float) -> float:
    """Return the logit of yes, the smaller one of both orders of the questions.

    Raises:
        EngineError: as ``engine.interfaces.OptionScorer.score_options``.

    """
    logits = await asyncio.gather(*(_ask_engine(engine, *pair, within_s) for pair in ((one, other), (other, one))))
    return min(logits)


async def _ask_engine(engine: OptionScorer, one: str, other: str, within_s: float) -> float:
    language = choose_language(other)
    text = _ASK[language].format(one=neutralise_control_tokens(one), other=neutralise_control_tokens(other))
    yes, no = await engine.score_options(
        (ChatMessage("user", text),),
        _OPTIONS[language],
        request_id=f"same-{uuid.uuid4().hex}",
        timeout_s=within_s,
    )
    floor = math.exp(-_LARGEST_LOGIT)
    return math.log(max(yes, floor)) - math.log(max(no, floor))


@functools.cache
def read_question_pairs(name: str) -> tuple[QuestionPairs, ...]:
    """Return a committed set: ``office``, on which the rules were chosen, or ``hospital_and_bank``."""
    text = resources.files(__package__).joinpath("pairs", f"{name}.jsonl").read_text(encoding="utf-8")
    return tuple(
        QuestionPairs(
            row["question"],
            tuple(row["paraphrases"]),
            tuple(row["variants"]),
            tuple((near["kind"], near["text"]) for near in row["near_misses"]),
        )
        for row in map(json.loads, text.splitlines())
    )


PAIR_SETS: Final = ("office", "hospital_and_bank")


def choose_threshold(same: Sequence[float], near: Sequence[float]) -> float | None:
    """Return the least logit that counts as yes; None if too few paraphrases are above all near misses."""
    threshold = max(*near, _LEAST_THRESHOLD - _MARGIN) + _MARGIN
    return threshold if sum(one >= threshold for one in same) >= _LEAST_SHARE * len(same) else None


async def measure_threshold(engine: OptionScorer, patience_s: float) -> float | None:
    """Ask about all committed pairs with the same facts; return the threshold of the model, None if it is no judge.

    Raises:
        TimeoutError: people asked for the engine, or it was too slow, for most of ``patience_s``.
        EngineError: the engine failed.

    """
    same: list[float] = []
    near: list[float] = []
    async with asyncio.timeout(patience_s):
        for row in (row for name in PAIR_SETS for row in read_question_pairs(name)):
            cases = [(same, text) for text in row.paraphrases] + [(near, text) for _, text in row.near_misses]
            for logits, text in cases:
                if has_same_facts(row.question, text):
                    logits.append(await _measure_patiently(engine, row.question, text))
    return choose_threshold(same, near)


async def _measure_patiently(engine: OptionScorer, one: str, other: str) -> float:
    """Return the logit, asked again while people are served first."""
    while True:
        try:
            return await measure_logit(engine, one, other, _REPLY_S)
        except (EngineOverloaded, EngineTimeout):
            await asyncio.sleep(_PAUSE_S)


class MeasuredThresholds:
    """The thresholds that were measured here, in a file of the state folder."""

    def __init__(self, home: Path) -> None:
        """Read nothing yet."""
        self._path = home / "question_judge.json"

    def find_threshold(self, model: str | None) -> float | None:
        """Return the threshold of a served model; None for one that is no judge or was not measured."""
        threshold: float | None = self._thresholds.get(model or "")
        return threshold

    def is_known(self, model: str) -> bool:
        """Return whether a model was measured."""
        return model in self._thresholds

    def save_threshold(self, model: str, threshold: float | None) -> None:
        """Store what was measured of a model.

        Raises:
            OSError: the file cannot be written.

        """
        measured = {**self._thresholds, model: threshold}
        replace_private_file(self._path, json.dumps({"asked": _hash_questions(), "models": measured}))
        self.__dict__.pop("_thresholds")

    @functools.cached_property
    def _thresholds(self) -> dict[str, Any]:
        """What was measured with the prompt and the pairs of this release."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return dict(stored["models"]) if stored["asked"] == _hash_questions() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


@functools.cache
def _hash_questions() -> str:
    """Return a digest of the prompt and the pairs; what was measured with others is worth nothing."""
    text = repr([_ASK, *map(read_question_pairs, PAIR_SETS)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
