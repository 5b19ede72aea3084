"""Pure: find all ways to run a model on the cards of a machine, the best first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from engine.notes import EngineNote, NoteCode
from engine.planning.cards import find_card_spec
from engine.planning.hardware import MIN_CAPABILITY, Machine
from engine.planning.memory import (
    CONTEXT_GIB,
    KvDtype,
    Layout,
    MemoryReserve,
    choose_minimal_reserve,
    compute_memory_fraction,
    estimate_kv_bytes_per_card,
    estimate_kv_tokens,
    estimate_loading_gib,
    estimate_weights_gib_per_card,
)
from engine.planning.plans import LaunchPlan, PlanRequirements, choose_min_context_tokens
from engine.planning.speed import estimate_speed
from engine.planning.variant import GIB, Checkpoint, Precision, Variant, estimate_download_bytes, estimate_quality

_GPU_START_DEADLINE_S = 5400.0
"""Loading 600 GiB takes long."""
_ASSUMED_CAPABILITY = 80
"""Assumed for a card that is described only by its memory."""
_FP8_KV_CAPABILITY = 89
_NVIDIA_ONLY: frozenset[Precision] = frozenset({"w4afp8", "nvfp4"})
_WIDTHS = (1, 2, 4, 8, 16, 32)
_SPARE_GIB = 8.0
"""The main memory that stays free when weights are kept there."""


def iterate_plans(variant: Variant, machine: Machine, requirements: PlanRequirements) -> Iterator[LaunchPlan]:
    """Yield every plan that fits: with SGLang's default reserve first, then by quality, then by few cards."""
    plans = (
        _build_plan(variant, machine, requirements, checkpoint, layout, kv=kv, reserve=reserve)
        for reserve in (MemoryReserve(), choose_minimal_reserve(machine.card_gib))
        for checkpoint in list_usable_checkpoints(variant, machine, requirements)
        for kv in _list_kv_dtypes(machine)
        for layout in list_layouts(variant, checkpoint, machine)
    )
    return (plan for plan in plans if plan is not None)


def list_usable_checkpoints(variant: Variant, machine: Machine, requirements: PlanRequirements) -> list[Checkpoint]:
    """Return the checkpoints of the wanted precision that the cards can compute, the best first."""
    able = [
        one
        for one in variant.checkpoints
        if _can_compute(machine, one) and requirements.precision in {None, one.precision}
    ]
    return sorted(able, key=lambda checkpoint: -estimate_quality(variant, checkpoint.precision))


def _can_compute(machine: Machine, checkpoint: Checkpoint) -> bool:
    if machine.vendor != "nvidia":
        return checkpoint.precision not in _NVIDIA_ONLY
    return required_capability(checkpoint) <= (machine.capability or _ASSUMED_CAPABILITY)


def required_capability(checkpoint: Checkpoint) -> int:
    """Return the smallest compute capability with which SGLang runs a checkpoint, times ten."""
    return max(checkpoint.min_capability, MIN_CAPABILITY)


def _list_kv_dtypes(machine: Machine) -> tuple[KvDtype, ...]:
    """Return the possible dtypes of the KV cache, bfloat16 first."""
    return ("auto", "fp8_e4m3") if (machine.capability or 0) >= _FP8_KV_CAPABILITY else ("auto",)


def list_layouts(variant: Variant, checkpoint: Checkpoint, machine: Machine) -> list[Layout]:
    """Return the layouts that SGLang accepts: one node first, then without a pipeline, then few cards.

    Heads, the feed-forward width and the groups of a quantization must be divisible by tp. A copy uses several nodes
    only if one has too few cards. MLA can also give each card its own context (DP attention).
    """
    per_node = len(machine.cards)
    widths = [tp for tp in _WIDTHS if tp <= per_node and _is_divisible(variant, checkpoint, tp)]
    found = [
        Layout(tp=tp, pp=pp, dp=dp)
        for tp in widths
        for pp in range(1, min(per_node // tp, variant.layers) + 1)
        for dp in range(1, per_node // (tp * pp) + 1)
        if pp == 1 or dp == 1
    ]
    for nodes in range(2, machine.nodes + 1):
        if _is_divisible(variant, checkpoint, per_node * nodes):
            found.append(Layout(tp=per_node * nodes, nodes=nodes))
        pipelines = [Layout(tp=tp, pp=nodes * per_node // tp, nodes=nodes) for tp in widths if per_node % tp == 0]
        found += [one for one in pipelines if one.pp <= variant.layers]
    if variant.family == "mla":
        spread = [replace(one, attn_dp=one.tp, ep=one.tp) for one in found if one.tp > 1 and one.pp == one.dp == 1]
        found += [one for one in spread if checkpoint.precision == "fp8"]
    return sorted(found, key=lambda one: (one.nodes, one.pp, one.cards, one.dp, one.attn_dp))


def _is_divisible(variant: Variant, checkpoint: Checkpoint, tp: int) -> bool:
    if tp == 1:
        return True
    if variant.heads % tp or (variant.kv_heads % tp and tp % variant.kv_heads):
        return False
    widths = [width for width in (variant.ffn, variant.expert_ffn) if width]
    return all(width % tp == 0 and (width // tp) % (checkpoint.group or 1) == 0 for width in widths)


def _build_plan(
    variant: Variant,
    machine: Machine,
    requirements: PlanRequirements,
    checkpoint: Checkpoint,
    layout: Layout,
    *,
    kv: KvDtype,
    reserve: MemoryReserve,
) -> LaunchPlan | None:
    """Return the plan for one way, None if its context would be smaller than required."""
    card = machine.card_gib
    pools = layout.dp * layout.attn_dp
    in_one_pool = -(-requirements.people // pools)
    least = requirements.context_tokens or choose_min_context_tokens(variant)
    loading_gib = estimate_loading_gib(variant, checkpoint, layout)
    if least > variant.context_tokens or loading_gib > card - CONTEXT_GIB:
        return None
    tokens = estimate_kv_tokens(variant, checkpoint, card, layout, kv=kv, reserve=reserve)
    offload = 0.0
    if tokens < in_one_pool * least and requirements.offload:
        offload = _choose_offload_gib(variant, machine, checkpoint, layout, kv, in_one_pool * least - tokens)
        tokens += int(offload * GIB / estimate_kv_bytes_per_card(variant, layout, kv))
    if tokens < in_one_pool * least:
        return None
    spec = find_card_spec(machine.cards[0])
    spec = spec and replace(spec, link=machine.cards[0].link)  # as measured, not as in the data sheet
    return LaunchPlan(
        variant=variant,
        device="xpu" if machine.vendor == "intel" else "cuda",
        context_tokens=requirements.context_tokens or min(variant.context_tokens, tokens),
        kv_tokens=tokens * pools,
        start_deadline_s=_GPU_START_DEADLINE_S,
        layout=layout,
        checkpoint=checkpoint,
        kv_dtype=kv,
        memory_fraction=None if reserve.reserve_gib is None else compute_memory_fraction(card, reserve.reserve_gib),
        chunk_tokens=reserve.chunk_tokens,
        decode_batch=reserve.decode_batch,
        offload_gib=offload,
        people=tokens // least * pools,
        speed=None if spec is None else estimate_speed(variant, checkpoint, layout, spec, kv, offload),
    )


def _choose_offload_gib(
    variant: Variant, machine: Machine, checkpoint: Checkpoint, layout: Layout, kv: KvDtype, missing_tokens: int
) -> float:
    """Return how many GiB of each card's weights go to main memory for the missing context; 0 if they cannot.

    SGLang moves whole layers, so one more than needed is counted.
    """
    missing = missing_tokens * estimate_kv_bytes_per_card(variant, layout, kv) / GIB
    share = estimate_weights_gib_per_card(variant, checkpoint, layout)
    offload_gib = float(math.ceil(missing + share * layout.pp / variant.layers))
    room = machine.memory_free_bytes / GIB - _SPARE_GIB
    return offload_gib if offload_gib < share and offload_gib * layout.cards / layout.nodes <= room else 0.0


def estimate_slowness(plan: LaunchPlan) -> float:
    """Return the estimated time of an answer, or a substitute for a card without a data sheet."""
    if plan.speed is not None:
        return plan.speed.answer_s
    return plan.weights_gib_per_card * plan.layout.pp * plan.variant.parameters_per_token / plan.variant.parameters


def list_plan_notes(plan: LaunchPlan, machine: Machine, whole: Machine) -> tuple[EngineNote, ...]:
    """Return what users should know about a plan for ``machine``, the equal cards of the ``whole`` one."""
    notes, first = [], machine.cards[0]
    if len(machine.cards) < len(whole.cards):
        note = NoteCode.UNEQUAL_CARDS.fill(
            cards=len(whole.cards), equal=len(machine.cards), card_gib=machine.card_gib, name=first.name
        )
        notes.append(note)
    if first.is_mig_instance:
        notes.append(NoteCode.MIG_INSTANCE.fill(name=first.name))
    if plan.visible_cards:
        notes.append(NoteCode.VISIBLE_CARDS.fill(cards=",".join(plan.visible_cards)))
    if machine.vendor != "nvidia":
        notes.append(NoteCode.OTHER_VENDOR.fill())
    elif machine.capability is None:
        notes.append(NoteCode.UNKNOWN_CAPABILITY.fill(needed=required_capability(plan.weights) / 10))
    if plan.offload_gib:
        notes.append(NoteCode.OFFLOADED.fill(offload_gib=plan.offload_gib))
    if plan.memory_fraction is not None:
        notes.append(NoteCode.SMALLER_RESERVE.fill())
    if (spare := len(whole.cards) * whole.nodes - plan.layout.cards) > 0:
        notes.append(NoteCode.UNUSED_CARDS.fill(spare=spare, cards=len(whole.cards) * whole.nodes))
    size_gib, disk_gib = estimate_download_bytes(plan.variant, plan.weights) / GIB, machine.disk_free_bytes / GIB
    if not machine.is_described and disk_gib < size_gib and not plan.variant.is_directory:
        notes.append(NoteCode.DISK_TOO_SMALL.fill(size_gib=size_gib, free_gib=disk_gib))
    return tuple(notes)
