"""Turn a served model's yes into a probability: parameters of known models, and a fit on committed pairs for others.

A judge's yes is biased, and each model's bias differs. Platt's scaling (1999) maps the logit of yes to a probability.
A model whose yes hardly separates true claims from false ones is no judge.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bot.answering.events import Passage
from bot.answering.prompt import Prompt, build_prompt, plan_budget
from bot.answering.support.judge import Calibration, engine_logit, judge_question
from bot.languages.registry import Language
from engine.errors import EngineOverloaded, EngineTimeout
from engine.files import replace_private_file
from engine.interfaces import ChatEngine, OptionScorer

CALIBRATED_MODELS: Final[dict[str, Calibration | None]] = {
    "Qwen2.5-Coder-0.5B-Instruct": None,
    "Qwen2.5-Coder-1.5B-Instruct": Calibration(0.75, {"en": -0.37, "zh": -0.37}, 0.21, {"en": 0.0, "zh": 2.2}),
}
"""The constants by the name of the served model; None for a model that was measured and is no judge.

Fitted by ``scripts/eval_support.py --fit --judge FILE`` on 249 sentences of public fitting sets that the judge is
asked about: 95 % of the supported ones stay unmarked. In Chinese the fit gave -1.47, from 28 supported sentences of one
set, and most of a held-out set were then marked. So the intercept is that of English. The AUC of the 0.5B model is 0.51
on 143 claims. The least logits of an answer were chosen on the 1.5B's answers to 93 questions in own words about a
gateway: 17 of 19 right ones in English and 3 of 5 in Chinese are above them, and 13 of 26 and 5 of 15 wrong ones.
"""

FEATURES_WEIGHT: Final = 0.4
"""The weight of the features for a model that is calibrated here. On the sentences above, weights from 0.4 to
0.8 do the same for the 1.5B."""
_LEAST_AUC: Final = 0.75
"""Below this AUC on the committed pairs, a model is no judge."""
_RIDGE: Final = 0.1
_LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
_REPLY_S: Final = 30.0
"""Nobody waits for these judgements, and the deadlines of answers do not count for them."""
_PAUSE_S: Final = 10.0
"""Seconds from a refusal to the next try."""


class CalibratedEngine(ChatEngine, OptionScorer, Protocol):
    """What a calibration needs of an engine; ``engine.service.Engine`` is the real one."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """A passage with claims that it states, and claims that it does not, in one language."""

    passage: str
    stated: tuple[str, ...]
    not_stated: tuple[str, ...]


@functools.cache
def committed_pairs() -> tuple[Pairs, ...]:
    """Return the pairs that unknown models are calibrated on."""
    text = resources.files(__package__).joinpath("calibration_pairs.json").read_text(encoding="utf-8")
    return tuple(Pairs(one["passage"], tuple(one["stated"]), tuple(one["not_stated"])) for one in json.loads(text))


class Calibrations:
    """The calibrations of known models, and those that were measured here, kept in a file of the state folder."""

    def __init__(self, home: Path) -> None:
        """Read nothing yet."""
        self._path = home / "judge.json"

    def find_calibration(self, model: str | None) -> Calibration | None:
        """Return the calibration of a served model; None for one that is no judge or was not measured."""
        if model in CALIBRATED_MODELS:
            return CALIBRATED_MODELS[model]
        measurement = self._measurements.get(model or "")
        return Calibration(**measurement) if measurement else None

    def is_known(self, model: str) -> bool:
        """Return whether a model was measured, by its makers of this table or here."""
        return model in CALIBRATED_MODELS or model in self._measurements

    def keep_calibration(self, model: str, calibration: Calibration | None) -> None:
        """Keep what was measured of a model.

        Raises:
            OSError: the file cannot be written.

        """
        measured = {**self._measurements, model: asdict(calibration) if calibration else None}
        replace_private_file(self._path, json.dumps({"asked": _hash_question(), "models": measured}))
        self.__dict__.pop("_measurements")

    @functools.cached_property
    def _measurements(self) -> dict[str, Any]:
        """What was measured with the question and the pairs of this release."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return dict(stored["models"]) if stored["asked"] == _hash_question() else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


async def calibrate(engine: CalibratedEngine, patience_s: float) -> Calibration | None:
    """Judge the committed pairs and return the calibration of the served model; None if it is no judge.

    Raises:
        TimeoutError: people asked for the engine, or it was too slow, for most of ``patience_s``.
        EngineError: the engine failed.

    """
    logits, stated, languages = [], [], []
    async with asyncio.timeout(patience_s):
        for number, pairs in enumerate(committed_pairs()):
            prompt, passage = prompt_of_pairs(engine, committed_pairs(), number)
            for claim in (*pairs.stated, *pairs.not_stated):
                logits.append(await _patient_logit(engine, prompt, claim, passage))
                stated.append(claim in pairs.stated)
                languages.append(prompt.language)
    return fit_calibration(logits, stated, languages)


def fit_calibration(
    logits: Sequence[float], stated: Sequence[bool], languages: Sequence[Language]
) -> Calibration | None:
    """Return Platt's scaling of logits of yes by penalised maximum likelihood; None where they separate too little."""
    columns = np.column_stack([logits, *([language == each for language in languages] for each in _LANGUAGES)]).astype(
        float
    )
    targets, found = np.asarray(stated, np.float64), np.zeros(columns.shape[1])
    for _ in range(50):
        predicted = 1 / (1 + np.exp(-columns @ found))
        slopes = columns.T @ (predicted - targets) + _RIDGE * found
        curvature = (columns.T * (predicted * (1 - predicted))) @ columns + _RIDGE * np.eye(len(found))
        found = found - np.linalg.solve(curvature, slopes)
    if found[0] <= 0 or auc(columns @ found, stated) < _LEAST_AUC:
        return None
    return Calibration(float(found[0]), dict(zip(_LANGUAGES, found[1:].tolist(), strict=True)), FEATURES_WEIGHT)


def auc(scores: NDArray[np.float64], targets: Sequence[bool]) -> float:
    """Return how often a score of a wanted one is above that of another; a tie counts half."""
    ours = np.asarray(targets, bool)
    differences = scores[ours][:, None] - scores[~ours][None, :]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


_PASSAGES: Final = 3
"""Passages in a prompt: the one that is asked about, and two others, as in an answer."""


def prompt_of_pairs(engine: CalibratedEngine, pairs: Sequence[Pairs], number: int) -> tuple[Prompt, int]:
    """Return a prompt with a passage at another place among others for each number, and its number in the prompt."""
    place = number % _PASSAGES
    texts = [pairs[(number + step - place) % len(pairs)].passage for step in range(_PASSAGES)]
    passages = [Passage(n, "", "", "", "", None, text) for n, text in enumerate(texts, 1)]
    question = (*pairs[number].stated, *pairs[number].not_stated)[0]
    return build_whole_prompt(engine, question, passages), place + 1


def build_whole_prompt(engine: ChatEngine, question: str, passages: Sequence[Passage]) -> Prompt:
    """Return a prompt with all passages and their whole texts, without the budget of a chat.

    Raises:
        ContextTooSmall: they do not fit.

    """
    half = engine.context_tokens // 2
    budget = plan_budget(engine.context_tokens, small_model=engine.status().small_model)
    budget = replace(budget, passages=len(passages), passage_tokens=half, prompt_tokens=half)
    return build_prompt(question, (), passages, budget=budget, count_tokens=engine.count_tokens)


async def _patient_logit(engine: OptionScorer, prompt: Prompt, claim: str, passage: int) -> float:
    """Return the engine's logit, asked again while people are served first."""
    text = judge_question(claim, (passage,), prompt.language)
    while True:
        try:
            return await engine_logit(engine, prompt, text, within_s=_REPLY_S)
        except (EngineOverloaded, EngineTimeout):
            await asyncio.sleep(_PAUSE_S)


@functools.cache
def _hash_question() -> str:
    """Return a digest of the question and the pairs, with which what was measured is worth nothing if they change."""
    questions = [judge_question("", (1,), language) for language in _LANGUAGES]
    text = json.dumps([questions, [asdict(pairs) for pairs in committed_pairs()]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
