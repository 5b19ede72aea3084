"""The hardware of a machine as frozen values."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.planning.variant import GIB

Vendor = Literal["nvidia", "amd", "intel"]
MIN_CAPABILITY = 75
"""The smallest compute capability of NVIDIA's cards, times ten, on which SGLang starts."""
MIG_PREFIX = "MIG-"
_BUSY_SHARE = 0.1
"""The share of a card's memory whose use by other programs is worth a note."""


@dataclass(frozen=True, slots=True)
class GpuCard:
    """One GPU."""

    name: str
    memory_bytes: int
    """The memory as the driver reports it, CUDA context included."""
    compute_capability: tuple[int, int] | None
    """None if unknown (a card described by its memory) or not applicable (AMD, Intel)."""
    free_bytes: int | None = None
    vendor: Vendor = "nvidia"
    link: Literal["nvlink", "pcie"] = "pcie"
    uuid: str = ""
    """The id for CUDA_VISIBLE_DEVICES; "" if unknown."""

    @property
    def memory_gib(self) -> float:
        """Return the memory in GiB."""
        return self.memory_bytes / GIB

    @property
    def busy_gib(self) -> float:
        """Return the memory that other programs use, in GiB; 0 if it is small or unknown."""
        used_bytes = self.memory_bytes - self.free_bytes if self.free_bytes is not None else 0
        return used_bytes / GIB if used_bytes > _BUSY_SHARE * self.memory_bytes else 0.0

    @property
    def is_mig_instance(self) -> bool:
        """Return whether it is an instance of a card that MIG splits."""
        return self.uuid.startswith(MIG_PREFIX)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, or several equal ones (``nodes``), probed or described by a user.

    ``system`` is as in ``sys.platform``, ``architecture`` as the kernel names it.
    """

    cards: tuple[GpuCard, ...]
    """The cards of one node that this process may use, in its order."""
    cores: int
    memory_bytes: int
    """The memory of the machine or of the container's limit; 0 if unknown."""
    memory_free_bytes: int
    disk_free_bytes: int
    """The free space on the cache's file system; 0 (unknown) for a described machine."""
    system: str
    architecture: str
    nodes: int = 1
    numa_nodes: int = 1
    """The NUMA nodes with CPUs that this process may use."""
    driver: str = ""
    cuda: str = ""
    """The newest CUDA version that the driver supports, as 12.8."""
    is_described: bool = False
    """Whether a user described the machine (``--machine``)."""

    @property
    def memory_gib(self) -> float:
        """Return the main memory in GiB."""
        return self.memory_bytes / GIB

    @property
    def card_gib(self) -> float:
        """Return the memory of the smallest card in GiB, 0 without cards."""
        return min((card.memory_gib for card in self.cards), default=0.0)

    @property
    def capability(self) -> int | None:
        """Return the smallest compute capability of the cards, times ten; None if unknown."""
        capabilities = [card.compute_capability for card in self.cards]
        if not capabilities or None in capabilities:
            return None
        return min(major * 10 + minor for major, minor in filter(None, capabilities))

    @property
    def vendor(self) -> Vendor | None:
        """Return the vendor of the cards, None without any."""
        return self.cards[0].vendor if self.cards else None


def select_equal_cards(machine: Machine) -> Machine:
    """Return the machine with only its largest group of equal cards: SGLang gives each card the same share.

    Cards on which SGLang does not start come last, even large ones.
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
    """Return the free bytes on the disk of ``folder``, which need not exist."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free
