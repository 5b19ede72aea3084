"""What is wanted of a model on a machine, and what comes of it, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.planning.memory import KvDtype, Layout, estimate_weights_gib_per_card
from engine.planning.speed import SpeedEstimate
from engine.planning.variant import Checkpoint, Precision, Variant

MIN_CONTEXT_TOKENS = 8192
"""Less context than this answers no question over passages."""


def choose_min_context_tokens(variant: Variant) -> int:
    """Return the context that each person gets at least where nobody says how much."""
    return min(MIN_CONTEXT_TOKENS, variant.context_tokens)


@dataclass(frozen=True, slots=True)
class PlanRequirements:
    """What a person wants of a plan."""

    context_tokens: int | None = None
    """Prompt and answer together; None for what there is room for, at least ``MIN_CONTEXT_TOKENS``."""
    people: int = 4
    """Answered at once, each with a context of that size."""
    goal: Literal["quality", "speed"] = "quality"
    """The best precision that fits on the fewest cards, or the shortest answer time."""
    precision: Precision | None = None
    """Of the weights; None leaves it to the goal."""
    offload: bool = False
    """Whether weights may stay in main memory, which is slow."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How a model is run: everything that the launch needs to know. Change one with ``dataclasses.replace``."""

    variant: Variant
    device: Literal["cpu", "cuda", "xpu"]
    """As SGLang names it; AMD's cards are ``cuda`` there."""
    context_tokens: int
    """Prompt and answer together."""
    kv_tokens: int
    """Tokens of context for all people together, as computed."""
    start_deadline_s: float
    layout: Layout = field(default_factory=Layout)
    checkpoint: Checkpoint | None = None
    """None: the published one."""
    kv_dtype: KvDtype = "auto"
    memory_fraction: float | None = None
    """None: SGLang's own, which depends on the card."""
    chunk_tokens: int | None = None
    """The largest piece of a prompt that is read at once; None: SGLang's own."""
    decode_batch: int | None = None
    """The largest batch for which a CUDA graph is captured; None: SGLang's own."""
    running_requests: int | None = None
    """Answered at once at most; None: SGLang's own."""
    total_tokens: int | None = None
    """A limit on ``kv_tokens`` that SGLang is told; None: as many as there is room for."""
    threads: int = 1
    """OpenMP threads on a CPU."""
    offload_gib: float = 0.0
    """Of each card's weights that stay in main memory."""
    people: int = 1
    """How many the context suffices for at once, each with the context wished for (else ``MIN_CONTEXT_TOKENS``)."""
    speed: SpeedEstimate | None = None
    """An estimate; None for cards that are not in the table, and for a CPU."""
    visible_cards: tuple[str, ...] = ()
    """The ids of the cards that it may use, where a machine's cards are not all alike; () for all."""
    note: str = ""
    """One line for a person about the choice, "" where there is nothing to say."""

    @property
    def weights(self) -> Checkpoint:
        """Return the checkpoint that is loaded."""
        return self.checkpoint or self.variant.checkpoints[0]

    @property
    def weights_gib_per_card(self) -> float:
        """Return what the weights take on each card in GiB, without those kept in main memory."""
        return estimate_weights_gib_per_card(self.variant, self.weights, self.layout) - self.offload_gib


@dataclass(frozen=True, slots=True)
class NearestFit:
    """What works instead of what does not, and for which wish."""

    plan: LaunchPlan
    requirements: PlanRequirements


@dataclass(frozen=True, slots=True)
class FitResult:
    """Whether a variant fits: a plan, or the reasons against it in numbers and the nearest plan that works."""

    variant: Variant
    plan: LaunchPlan | None
    reasons: tuple[str, ...] = ()
    nearest: LaunchPlan | None = None
    claims: tuple[str, ...] = ()
    """What is often said of this combination and is false, each with the numbers."""
