"""The requirements of a plan, and the plans that result, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.notes import EngineNote
from engine.planning.memory import KvDtype, Layout, estimate_weights_gib_per_card
from engine.planning.speed import SpeedEstimate
from engine.planning.variant import Checkpoint, Precision, Variant

MIN_CONTEXT_TOKENS = 8192
"""Less context than this is useless for questions over passages."""


def choose_min_context_tokens(variant: Variant) -> int:
    """Return the smallest context for each person if none is required."""
    return min(MIN_CONTEXT_TOKENS, variant.context_tokens)


@dataclass(frozen=True, slots=True)
class PlanRequirements:
    """What a user requires of a plan."""

    context_tokens: int | None = None
    """Prompt and answer together; None for as much as fits, at least ``MIN_CONTEXT_TOKENS``."""
    people: int = 4
    """Concurrent answers, each with a context of that size."""
    goal: Literal["quality", "speed"] = "quality"
    """The best precision that fits on the fewest cards, or the shortest answer time."""
    precision: Precision | None = None
    offload: bool = False
    """Whether weights may stay in main memory, which is slow."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything that the launch of a model needs. Change it with ``dataclasses.replace``.

    SGLang chooses the memory fraction, the prefill chunk, the graphs' largest batch and the requests that are None.
    """

    variant: Variant
    device: Literal["cpu", "cuda", "xpu"]
    """SGLang's name of the device; AMD's cards are ``cuda`` there."""
    context_tokens: int
    kv_tokens: int
    """Estimated tokens of context for all people together."""
    start_deadline_s: float
    layout: Layout = field(default_factory=Layout)
    checkpoint: Checkpoint | None = None
    """The weights; None for the published ones."""
    kv_dtype: KvDtype = "auto"
    memory_fraction: float | None = None
    chunk_tokens: int | None = None
    decode_batch: int | None = None
    running_requests: int | None = None
    total_tokens: int | None = None
    """A limit of ``kv_tokens``; None for as many as fit."""
    threads: int = 1
    offload_gib: float = 0.0
    people: int = 1
    """How many people the context suffices for at once."""
    speed: SpeedEstimate | None = None
    """An estimate; None for a CPU and for cards without a data sheet."""
    visible_cards: tuple[str, ...] = ()
    """The ids of the cards to use, if a machine's cards differ; () for all."""
    notes: tuple[EngineNote, ...] = ()

    @property
    def weights(self) -> Checkpoint:
        """Return the checkpoint that is loaded."""
        return self.checkpoint or self.variant.checkpoints[0]

    @property
    def weights_gib_per_card(self) -> float:
        """Return the weights on each card in GiB, without those in main memory."""
        return estimate_weights_gib_per_card(self.variant, self.weights, self.layout) - self.offload_gib


@dataclass(frozen=True, slots=True)
class NearestFit:
    """A plan that works instead, and its requirements."""

    plan: LaunchPlan
    requirements: PlanRequirements


@dataclass(frozen=True, slots=True)
class FitResult:
    """Whether a variant fits: a plan, or the reasons in numbers and the nearest plan that works."""

    variant: Variant
    plan: LaunchPlan | None
    reasons: tuple[str, ...] = ()
    nearest: LaunchPlan | None = None
    claims: tuple[str, ...] = ()
    """Common false claims about this combination, with numbers."""
