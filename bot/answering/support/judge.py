"""The engine as a judge: one short request for each claim, behind the part of the answer's prompt that is cached."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.answering.prompt import Prompt
from bot.answering.quoting import neutralise_control_tokens
from bot.languages.registry import Language, find_pack
from engine.errors import EngineError, EngineTimeout
from engine.interfaces import ANONYMOUS, EngineState, OptionScorer, Requester

_CLAIM_CHARS: Final = 600
_LARGEST_LOGIT: Final = 12.0
"""An option that is not among the likeliest tokens has a probability of 0 in the reply; this bounds its logit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The parameters of Platt's scaling of a model's logit of yes, and the weight of the features."""

    slope: float
    intercepts: Mapping[Language, float]
    """The intercept of each measured language, as a yes is cheaper in some; other languages have that of English."""
    features_weight: float
    answered: Mapping[Language, float] = field(default_factory=lambda: {"en": 0.0, "zh": 0.0})
    """The least logit of yes with which passages answer a question (``EngineJudge.finds_answer``)."""

    def probability(self, logit: float, language: Language) -> float:
        """Return the probability that a claim with this logit of yes is stated."""
        return 1 / (1 + math.exp(-(self.slope * logit + self.intercepts.get(language, self.intercepts["en"]))))


Calibrate = Callable[[str | None], Calibration | None]
"""Returns the calibration of a served model by its name; None for one that is no judge or was not measured."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a judgement is waited for, in seconds."""

    gpu_s: float = 1.0
    """Seconds for an engine on GPUs, or on an unknown device."""
    cpu_s: float = 4.0
    prompt_s: float = 40.0
    """Seconds if the engine has not read the prompt yet. On two busy cores a 1.5B took up to 20 s for 900 tokens."""
    rest_s: float = 60.0
    """No judgement is asked for during this time after a late one."""


class Judges:
    """Makes the judge of each answer; pauses after a late reply."""

    def __init__(
        self,
        engine: OptionScorer,
        calibrate: Calibrate,
        patience: Patience | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``calibrate`` returns the calibration of a served model, None for one that is no judge or not measured."""
        self._engine = engine
        self._calibrate = calibrate
        self._patience = patience or Patience()
        self._now = now
        self._rests_until = float("-inf")

    def judge_of(self, prompt: Prompt, requester: Requester = ANONYMOUS) -> EngineJudge | None:
        """Return the judge of the answer to a prompt; None while the served model is none. Implements ``NewJudge``."""
        calibration = self._calibrate(self._engine.status().model)
        return None if calibration is None else EngineJudge(self, prompt, calibration, requester)

    async def compute_logit(
        self, prompt: Prompt, text: str, requester: Requester = ANONYMOUS, *, has_read: bool = True
    ) -> float | None:
        """Ask a text in the place of a prompt's question, to be answered with yes or no.

        Return the engine's uncalibrated logit of yes; None if it is not ready, people wait, or the reply is late.
        """
        status = self._engine.status()
        if status.state is not EngineState.READY or (has_read and self._now() < self._rests_until):
            return None
        within_s = self._patience.cpu_s if status.on_cpu else self._patience.gpu_s
        within_s = within_s if has_read else self._patience.prompt_s
        try:
            return await engine_logit(self._engine, prompt, text, within_s=within_s, requester=requester)
        except EngineTimeout:
            if has_read:
                self._rests_until = self._now() + self._patience.rest_s
        except EngineError:
            pass
        return None


@dataclass(frozen=True, slots=True, repr=False)
class EngineJudge:
    """The judge of one answer; implements ``bot.answering.support.interfaces.Judge``.

    What stands before the question in the answer's prompt is in the engine's cache.
    """

    _judges: Judges
    _prompt: Prompt
    _calibration: Calibration
    _requester: Requester

    @property
    def features_weight(self) -> float:
        """Return how much the features' logit counts where it is added to the judge's."""
        return self._calibration.features_weight

    async def judge(self, claim: str, passages: Sequence[int]) -> float | None:
        """Return the calibrated probability that these passages state every part of the claim; None without a reply."""
        text = judge_question(claim, passages, self._prompt.language)
        logit = await self._judges.compute_logit(self._prompt, text, self._requester)
        return None if logit is None else self._calibration.probability(logit, self._prompt.language)

    async def finds_answer(self, question: str) -> bool | None:
        """Return whether the model rather says that the passages answer a question; None without a reply."""
        text = find_pack(self._prompt.language).judge_answer.format(
            question=neutralise_control_tokens(question)[:_CLAIM_CHARS]
        )
        logit = await self._judges.compute_logit(self._prompt, text, self._requester, has_read=False)
        return None if logit is None else logit >= self._calibration.answered.get(self._prompt.language, 0.0)


async def engine_logit(
    engine: OptionScorer, prompt: Prompt, text: str, *, within_s: float, requester: Requester = ANONYMOUS
) -> float:
    """Return the logarithm of how much likelier the engine says yes than no to a text in place of a prompt's question.

    Raises:
        EngineError: as ``engine.interfaces.OptionScorer.score_options``.

    """
    yes, no = await engine.score_options(
        prompt.replace_question(text),
        find_pack(prompt.language).yes_no,
        request_id=f"judge-{uuid.uuid4().hex}",
        timeout_s=within_s,
        requester=requester,
    )
    floor = math.exp(-_LARGEST_LOGIT)
    return math.log(max(yes, floor)) - math.log(max(no, floor))


def judge_question(claim: str, passages: Sequence[int], language: Language) -> str:
    """Return what the engine is asked about a claim, in the language of the answer's question."""
    pack = find_pack(language)
    named = pack.passage_names[len(passages) > 1].format(numbers=pack.passage_separator.join(map(str, passages)))
    return pack.judge_claim.format(claim=neutralise_control_tokens(claim)[:_CLAIM_CHARS], passages=named)
