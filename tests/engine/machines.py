"""Machines for tests, with equal cards."""

from __future__ import annotations

from engine.planning.hardware import GpuCard, Machine

GIB = 1024**3


def machine(
    *cards_gib: float,
    memory_gib: float = 64,
    system: str = "linux",
    architecture: str = "x86_64",
    capability: tuple[int, int] | None = (9, 0),
    nodes: int = 1,
) -> Machine:
    """Return a machine with cards of these sizes and a large disk."""
    cards = tuple(GpuCard("a card", int(gib * GIB), capability) for gib in cards_gib)
    memory = int(memory_gib * GIB)
    return Machine(cards, 8, memory, memory, 5000 * GIB, system, architecture, nodes=nodes)
