"""Pure: convert between plans and memory profiles, and find plans with lighter weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.oom.ladder import MemoryProfile
from engine.planning.catalogue import VARIANTS
from engine.planning.fit import fit_variant, rank_plan
from engine.planning.hardware import Machine
from engine.planning.plans import LaunchPlan, PlanRequirements
from engine.planning.variant import Precision

_PRECISIONS: Sequence[Precision] = ("bf16", "fp8", "int8", "w4afp8", "nvfp4", "int4")


def extract_profile(plan: LaunchPlan) -> MemoryProfile:
    """Return the memory profile of a plan."""
    return MemoryProfile(
        weights=f"{plan.variant.name} in {plan.weights.precision}",
        device=plan.device,
        context_tokens=plan.context_tokens,
        memory_fraction=plan.memory_fraction,
        chunk_tokens=plan.chunk_tokens,
        decode_batch=plan.decode_batch,
        running_requests=plan.running_requests,
        total_tokens=plan.total_tokens,
        kv_dtype=plan.kv_dtype,
    )


def apply_profile(profile: MemoryProfile, plans: Sequence[LaunchPlan]) -> LaunchPlan | None:
    """Return the plan with the profile's weights and values; None if no plan has such weights."""
    base = next((plan for plan in plans if extract_profile(plan).weights == profile.weights), None)
    if base is None:
        return None
    return replace(
        base,
        context_tokens=profile.context_tokens,
        memory_fraction=profile.memory_fraction,
        chunk_tokens=profile.chunk_tokens,
        decode_batch=profile.decode_batch,
        running_requests=profile.running_requests,
        total_tokens=profile.total_tokens,
        kv_tokens=min(base.kv_tokens, profile.total_tokens or base.kv_tokens),
        kv_dtype="fp8_e4m3" if profile.kv_dtype == "fp8_e4m3" else "auto",
    )


def find_lighter_plans(plan: LaunchPlan, machine: Machine) -> tuple[LaunchPlan, ...]:
    """Return the plans with lighter weights on each card, the best first: other precisions, smaller models."""
    if plan.device == "cpu" or plan.variant.is_directory:
        return ()
    options = [(plan.variant, PlanRequirements(precision=precision)) for precision in _PRECISIONS]
    options += [(other, PlanRequirements()) for other in VARIANTS if other.parameters < plan.variant.parameters]
    candidates = (
        fit_variant(variant, machine, requirements, find_nearest=False).plan for variant, requirements in options
    )
    lighter = [
        candidate
        for candidate in candidates
        if candidate and candidate.weights_gib_per_card < plan.weights_gib_per_card
    ]
    return tuple(sorted(lighter, key=rank_plan, reverse=True))


def build_ladder_key(plan: LaunchPlan, machine: Machine, release: str) -> str:
    """Return the key of a ladder: the model, the machine and SGLang's release."""
    cards = ", ".join(f"{card.name} {card.memory_gib:.0f} GiB" for card in machine.cards) or "no card"
    model = plan.variant.hf_id if plan.variant.is_directory else plan.variant.name  # two folders may have the same name
    return f"{model} | {cards} | {machine.memory_gib:.0f} GiB | SGLang {release}"
