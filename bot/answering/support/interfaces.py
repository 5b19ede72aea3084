"""The interfaces of verification: what the answerer asks of a checker, and what a checker asks of a judge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bot.answering.events import Passage
from bot.answering.prompt import Prompt
from engine.interfaces import Requester

VerdictKind = Literal["supported", "unsupported", "contradicted"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the passages of an answer say about one of its sentences."""

    kind: VerdictKind
    passages: tuple[int, ...] = ()
    """The numbers of the passages that support the sentence, the best first; empty unless ``supported``."""
    against: tuple[int, ...] = ()
    """The numbers of the passages that contradict it. One passage may support it, another contradict it."""
    score: float = 0.0
    """The probability that the best passage supports the sentence, 0 to 1; 0 where it is contradicted."""


class SupportChecker(Protocol):
    """Verifies the sentences of one answer."""

    async def prepare(self, passages: Sequence[Passage], question: str = "") -> None:
        """Analyse the passages that the model sees. Runs while the engine reads the prompt.

        Raises:
            KnowledgeError: the embedder failed.

        """

    async def check_sentence(self, sentence: str, cited: Collection[int] = ()) -> Verdict:
        """Return the verdict on a sentence without citation markers; ``cited`` are the passages that the model named.

        Raises:
            KnowledgeError: the embedder failed.

        """


class Judge(Protocol):
    """A model that is asked whether passages state a claim."""

    @property
    def features_weight(self) -> float:
        """Return how much the features' logit counts where it is added to the judge's: w · features + judge."""

    async def judge(self, claim: str, passages: Sequence[int]) -> float | None:
        """Return the calibrated probability that these passages state every part of the claim.

        Returns None when there is no usable model, when people wait for the engine, or when the reply is late.
        """

    async def finds_answer(self, question: str) -> bool | None:
        """Return whether the passages of the prompt rather answer a question; None as for ``judge``."""


class NewChecker(Protocol):
    """Makes the checker of one answer. The composition root passes it to the answerer."""

    def __call__(self, judge: Judge | None = None) -> SupportChecker:
        """Return a checker that asks this judge where the features leave a sentence undecided."""


NewJudge = Callable[[Prompt, Requester], Judge | None]
"""Makes the judge of one answer from its prompt and its requester; None where the served model is no judge."""
