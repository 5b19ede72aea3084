"""Pure: does this model run on this machine, how, and if not, why not in numbers.

The formulae are SGLang 0.5.23's own (its default reserve, its chunk by card size) and were checked against the tables
that ``tests/engine/test_fit.py`` repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.catalogue import STAND_IN, VARIANTS, Variant
from engine.errors import EngineRefused
from engine.hardware import Machine

_GIB = 1024**3
_CONTEXT_GIB = 0.6
"""What a CUDA context takes of a card."""
_LEAST_KV_TOKENS = 8192
"""Less context than this answers no question over passages."""
_CPU_OVERHEAD_GIB = 2.5
"""SGLang's three processes without weights and context, measured; shared pages counted once."""
_CPU_KV_TOKENS = 16384
_CPU_START_DEADLINE_S = 600.0
_GPU_START_DEADLINE_S = 5400.0
"""SGLang fetches the weights itself on the first start; 600 GiB take their time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is run: everything that the launch needs to know."""

    variant: Variant
    device: Literal["cpu", "cuda"]
    tensor_parallel: int
    context_tokens: int
    """Prompt and answer together."""
    kv_tokens: int
    """Tokens of context for all people together, as computed."""
    start_deadline_s: float
    note: str = ""
    """One line for a person about the choice, "" where there is nothing to say."""


def plan(wanted: Variant | None, machine: Machine) -> Plan:
    """Return how ``wanted`` runs on ``machine``; without a wish, the stand-in on the CPU.

    Raises:
        EngineRefused: it does not fit, or no engine runs on such a machine; the text has the numbers and the next step.

    """
    if (why := why_no_engine(machine)) is not None:
        raise EngineRefused(why)
    if wanted is None:
        note = (
            f"Set KVASIR_MODEL to an R1 variant, such as {VARIANTS[-1].name}, to use the GPU." if machine.cards else ""
        )
        return _on_cpu(STAND_IN, machine, note)
    if wanted.stand_in or not machine.cards:
        return _on_cpu(wanted, machine)
    return _on_cards(wanted, machine)


def why_no_engine(machine: Machine) -> str | None:
    """Return the sentence for a kind of machine that no engine runs on, None for one where it may."""
    if machine.system == "linux" and machine.architecture in {"x86_64", "AMD64"}:
        return None
    return (
        f"No engine runs on this kind of machine ({machine.system}, {machine.architecture}). "
        "Set KVASIR_ENGINE_URL to an SGLang server that runs elsewhere."
    )


def _on_cpu(variant: Variant, machine: Machine, note: str = "") -> Plan:
    if not (variant.stand_in or variant.is_directory):
        raise EngineRefused(
            f"{variant.name} has {variant.weights_gib:.2f} GiB of weights and needs NVIDIA GPUs; none is seen here. "
            "Unset KVASIR_MODEL to try Kvasir with a small stand-in, or set KVASIR_ENGINE_URL to an SGLang server."
        )
    kv_tokens = max(_CPU_KV_TOKENS, variant.context_tokens)
    needed = variant.weights_gib + kv_tokens * variant.kv_bytes_per_token / _GIB + _CPU_OVERHEAD_GIB
    if needed > machine.memory_gib:
        raise EngineRefused(
            f"{variant.name} needs about {needed:.1f} GiB of memory on a CPU ({variant.weights_gib:.2f} GiB of them "
            f"weights); this machine has {machine.memory_gib:.1f} GiB. Use a smaller model, or set KVASIR_ENGINE_URL."
        )
    return Plan(variant, "cpu", 1, variant.context_tokens, kv_tokens, _CPU_START_DEADLINE_S, note)


def _on_cards(variant: Variant, machine: Machine) -> Plan:
    smallest_gib = min(card.memory_bytes for card in machine.cards) / _GIB
    degrees = [tp for tp in (1, 2, 4, 8, 16) if tp <= len(machine.cards) and variant.heads % tp == 0]
    for tensor_parallel in degrees:
        tokens = kv_tokens(variant, smallest_gib, tensor_parallel)
        if tokens >= _LEAST_KV_TOKENS:
            context = min(variant.context_tokens, tokens)
            return Plan(variant, "cuda", tensor_parallel, context, tokens, _GPU_START_DEADLINE_S)
    widest = degrees[-1]
    per_card, reserve = variant.weights_gib / widest, reserve_gib(variant, smallest_gib, widest)
    raise EngineRefused(
        f"{variant.name} does not fit: its weights are {variant.weights_gib:.1f} GiB, {per_card:.1f} GiB on each of "
        f"{widest} card(s) of {smallest_gib:.1f} GiB, where SGLang keeps {reserve:.1f} GiB for itself "
        f"and {_LEAST_KV_TOKENS} tokens of context must fit as well. "
        "Set KVASIR_MODEL to a smaller variant, or KVASIR_ENGINE_URL to a larger machine."
    )


def kv_tokens(variant: Variant, card_gib: float, tensor_parallel: int) -> int:
    """Return the tokens of bfloat16 context that are left beside the weights, negative where they do not fit.

    ``card_gib`` is what one card shows. GQA's heads are split over the cards until each has one; MLA's rows are not.
    """
    weights = variant.weights_gib / tensor_parallel
    free = card_gib - _CONTEXT_GIB - reserve_gib(variant, card_gib, tensor_parallel) - weights
    split = 1 if variant.family == "mla" else min(tensor_parallel, variant.kv_heads)
    return int(free * _GIB / (variant.kv_bytes_per_token / split))


def reserve_gib(variant: Variant, card_gib: float, tensor_parallel: int) -> float:
    """Return what SGLang keeps free on each card by default, in GiB.

    In MiB: 512 + 1.5·max(chunk, 2048) + 1024·tp/8 + 2·decode batch + 8 for each prefill graph (1536 for MLA), and at
    least 10 GiB on cards above 60 GB.
    """
    chunk, graphs = _chunk(card_gib)
    mib = 512 + 1.5 * max(chunk, 2048) + 1024 * tensor_parallel / 8 + 2 * _decode_batch(card_gib, tensor_parallel)
    mib += 1536 if variant.family == "mla" else 8 * graphs
    return max(mib / 1024, 10.0 if card_gib > 60 else 0.0)  # noqa: PLR2004  # the formula's own


def _chunk(card_gib: float) -> tuple[int, int]:
    """Return the prefill chunk in tokens for a card of that size, and the number of prefill graphs that go with it."""
    for below_gib, chunk, graphs in ((20, 2048, 42), (60, 4096, 50), (160, 8192, 58)):
        if card_gib < below_gib:
            return chunk, graphs
    return 16384, 66


def _decode_batch(card_gib: float, tensor_parallel: int) -> int:
    for below_gib, few, many in ((35, 48, 160), (60, 32, 160)):
        if card_gib < below_gib:
            return few if tensor_parallel < 4 else many  # noqa: PLR2004
    return 256 if tensor_parallel < 4 else 512  # noqa: PLR2004
