"""Fit a judge's parameters by logistic regression over its logit and the features' margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.answering.prompt import Prompt
from bot.answering.support.judge import Calibration, engine_logit, judge_question
from bot.languages.registry import Language
from engine.interfaces import OptionScorer
from scripts.support.sets import Pair

ACCEPTED_SHARE = 0.95
"""The share of supported sentences that the judge must accept, in each language."""
_RIDGE, _STEPS = 1.0, 50
_LANGUAGES: tuple[Language, ...] = ("en", "zh")


class RecordingJudge:
    """A ``Judge`` that changes no score and records the engine's logit."""

    features_weight = 1.0

    def __init__(self, engine: OptionScorer, prompt: Prompt, within_s: float) -> None:
        self._engine = engine
        self._prompt = prompt
        self._within_s = within_s
        self.logit: float | None = None

    @property
    def language(self) -> Language:
        """Return the language of the prompt."""
        return self._prompt.language

    async def judge(self, claim: str, passages: Sequence[int]) -> float:
        """Return one half."""
        text = judge_question(claim, passages, self._prompt.language)
        self.logit = await engine_logit(self._engine, self._prompt, text, within_s=self._within_s)
        return 0.5


@dataclass(frozen=True, slots=True)
class JudgedSentence:
    """A sentence that the judge judged."""

    pair: Pair
    language: Language
    logit: float
    margin: float
    """The features' logit minus that of their threshold."""


def make_example(pair: Pair, judge: RecordingJudge, score: float) -> JudgedSentence | None:
    """Return the example of a verification with ``judge``; None if it was not asked."""
    if judge.logit is None:
        return None
    return JudgedSentence(pair, judge.language, judge.logit, math.log(score / (1 - score)))


def fit_judge(examples: Sequence[JudgedSentence]) -> Calibration:
    """Return the parameters; each set's true and false sentences count alike."""
    true = np.array([one.pair.label == "supported" for one in examples])
    keys = [(one.pair.set_name, bool(label)) for one, label in zip(examples, true, strict=True)]
    shares = np.array([1.0 / keys.count(key) for key in keys])
    shares *= len(examples) / shares.sum()
    x = np.array([[one.logit, one.margin, *(one.language == each for each in _LANGUAGES)] for one in examples], float)
    found = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        predicted = 1 / (1 + np.exp(-x @ found))
        slopes = x.T @ (shares * (predicted - true)) + _RIDGE * found
        curvature = (x.T * (shares * predicted * (1 - predicted))) @ x + _RIDGE * np.eye(len(found))
        found -= np.linalg.solve(curvature, slopes)
    found = found.round(2)
    scores = x[:, :2] @ found[:2]
    intercepts = {
        language: round(0.005 - float(np.quantile(scores[true & (x[:, 2 + place] > 0)], 1 - ACCEPTED_SHARE)), 2)
        for place, language in enumerate(_LANGUAGES)
    }
    return Calibration(float(found[0]), intercepts, float(found[1]))
