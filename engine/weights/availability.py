"""Choose where a small model comes from: a model hub if one is reachable, else a package index."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine.errors import InstallError
from engine.notes import EngineNote, NoteCode
from engine.planning.catalogue import find_fallback
from engine.planning.plans import LaunchPlan
from engine.planning.variant import Checkpoint, Variant
from engine.weights.store import WeightsStore

_HUB_DEADLINE_S = 8.0
"""For one query of the hub. A firewall that drops packets would otherwise block it forever."""


async def choose_obtainable_plan(plan: LaunchPlan, weights: WeightsStore) -> LaunchPlan:
    """Return the plan if its model can be downloaded, else the plan for its fallback from a package index.

    If the weights are on this machine already, nothing is queried.
    """
    fallback = find_fallback(plan.variant)
    if fallback is None or await asyncio.to_thread(_is_local, weights, plan.weights):
        return plan
    if await asyncio.to_thread(_is_local, weights, fallback.checkpoints[0]):
        return _use_fallback(plan, fallback, NoteCode.FALLBACK_PRESENT.fill(model=fallback.name))
    try:
        async with asyncio.timeout(_HUB_DEADLINE_S):
            await weights.query_origin(plan.weights, _HUB_DEADLINE_S)
    except (InstallError, TimeoutError):
        if weights.uses_hub:
            return _use_fallback(plan, fallback, NoteCode.HUB_NOT_REACHED.fill(model=fallback.name))
        why = NoteCode.PLACE_LACKS_MODEL.fill(repo=plan.weights.repo, model=fallback.name)
        return _use_fallback(plan, fallback, why)
    return plan


def _is_local(weights: WeightsStore, checkpoint: Checkpoint) -> bool:
    folder = weights.find_folder(checkpoint)
    return folder is not None and folder.is_dir()


def _use_fallback(plan: LaunchPlan, fallback: Variant, why: EngineNote) -> LaunchPlan:
    return replace(plan, variant=fallback, checkpoint=None, notes=(*plan.notes, why))
