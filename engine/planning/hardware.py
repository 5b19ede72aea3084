"""What a machine has that a model could run on, as one frozen value, and this machine looked at."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.planning.variant import GIB

Vendor = Literal["nvidia", "amd", "intel"]
MIN_CAPABILITY = 75
"""Of NVIDIA's cards, times ten; SGLang starts on none below."""
MIG_PREFIX = "MIG-"
"""Begins the id of one instance of a card that MIG splits."""
_BUSY_SHARE = 0.1
"""Of a card's memory, in use by whatever runs now: worth a word."""


@dataclass(frozen=True, slots=True)
class GpuCard:
    """One GPU."""

    name: str
    memory_bytes: int
    """As the driver shows it; the CUDA context is not taken off."""
    compute_capability: tuple[int, int] | None
    """None where it is not known (a card described by its memory alone) or there is no such thing (AMD, Intel)."""
    free_bytes: int | None = None
    """None where nobody has looked."""
    vendor: Vendor = "nvidia"
    link: Literal["nvlink", "pcie"] = "pcie"
    """How it reaches the other cards of its machine."""
    uuid: str = ""
    """By which CUDA_VISIBLE_DEVICES can name it, "" where nobody has looked."""

    @property
    def memory_gib(self) -> float:
        """Return the memory in GiB."""
        return self.memory_bytes / GIB

    @property
    def busy_gib(self) -> float:
        """Return how much is in use by whatever runs now, in GiB; 0 where that is not worth a word, or not known."""
        taken = self.memory_bytes - self.free_bytes if self.free_bytes is not None else 0
        return taken / GIB if taken > _BUSY_SHARE * self.memory_bytes else 0.0

    @property
    def is_mig_instance(self) -> bool:
        """Say whether it is one instance of a card that MIG splits."""
        return self.uuid.startswith(MIG_PREFIX)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, or several alike (``nodes``), at the moment it was looked at or as somebody described it."""

    cards: tuple[GpuCard, ...]
    """Of one node: those that this process may use, in the order in which it would see them."""
    cores: int
    memory_bytes: int
    """What the machine, or the container that limits it, has; 0 where it is not known."""
    memory_free_bytes: int
    disk_free_bytes: int
    """On the file system that holds the cache; of a described machine 0, and unknown."""
    system: str
    """As ``sys.platform`` names it: linux, darwin, win32."""
    architecture: str
    """As the kernel names it: x86_64, aarch64, arm64."""
    nodes: int = 1
    numa_nodes: int = 1
    """Parts of main memory with processors that this process may use."""
    driver: str = ""
    """The GPU driver's version, "" where there is none."""
    cuda: str = ""
    """The newest CUDA that the driver serves, as 12.8."""
    is_described: bool = False
    """Whether somebody described it (``--machine``), and nobody looked."""

    @property
    def memory_gib(self) -> float:
        """Return the main memory in GiB."""
        return self.memory_bytes / GIB

    @property
    def card_gib(self) -> float:
        """Return the memory of the smallest card in GiB, 0 without cards: what each of several has to do with."""
        return min((card.memory_gib for card in self.cards), default=0.0)

    @property
    def capability(self) -> int | None:
        """Return the least compute capability of the cards, times ten; None where it is not known."""
        known = [card.compute_capability for card in self.cards]
        if not known or None in known:
            return None
        return min(major * 10 + minor for major, minor in filter(None, known))

    @property
    def vendor(self) -> Vendor | None:
        """Return who made the cards, None without any."""
        return self.cards[0].vendor if self.cards else None


def select_equal_cards(machine: Machine) -> Machine:
    """Return the machine with the largest group of equal cards alone: SGLang gives each of its cards the same share.

    Cards that SGLang does not start on come last, however large they are.
    """
    groups: dict[tuple[object, ...], list[GpuCard]] = {}
    for card in machine.cards:
        groups.setdefault((card.name, card.compute_capability, round(card.memory_gib)), []).append(card)
    parts = [replace(machine, cards=tuple(cards)) for cards in groups.values()]
    return max(parts, key=_rank_group, default=machine)


def _rank_group(machine: Machine) -> tuple[bool, int]:
    able = machine.capability is None or machine.capability >= MIN_CAPABILITY
    return able, sum(card.memory_bytes for card in machine.cards)


def read_free_disk_bytes(folder: Path) -> int:
    """Return the free bytes where ``folder`` is, or where it would be once made."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
