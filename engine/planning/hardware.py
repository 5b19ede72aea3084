"""What a machine has that a model could run on, as one frozen value, and this machine looked at."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from engine.planning.cgroups import limits
from engine.planning.variant import GIB

Vendor = Literal["nvidia", "amd", "intel"]
LEAST_CAPABILITY = 75
"""Of NVIDIA's cards, times ten; SGLang starts on none below."""
_PART = "MIG-"
_BUSY_SHARE = 0.1
"""Of a card's memory, in use by whatever runs now: worth a word."""


@dataclass(frozen=True, slots=True)
class Card:
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
    def is_part(self) -> bool:
        """Say whether it is one instance of a card that MIG splits."""
        return self.uuid.startswith(_PART)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, or several alike (``nodes``), at the moment it was looked at or as somebody described it."""

    cards: tuple[Card, ...]
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
    described: bool = False
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


def alike(machine: Machine) -> Machine:
    """Return the machine with the largest group of equal cards alone: SGLang gives each of its cards the same share.

    Cards that SGLang does not start on come last, however large they are.
    """
    groups: dict[tuple[object, ...], list[Card]] = {}
    for card in machine.cards:
        groups.setdefault((card.name, card.compute_capability, round(card.memory_gib)), []).append(card)
    parts = [replace(machine, cards=tuple(cards)) for cards in groups.values()]
    return max(parts, key=_size, default=machine)


def _size(machine: Machine) -> tuple[bool, int]:
    able = machine.capability is None or machine.capability >= LEAST_CAPABILITY
    return able, sum(card.memory_bytes for card in machine.cards)


def probe(cache: Path) -> Machine:
    """Look at this machine; blocking, some tens of milliseconds where there is a GPU."""
    memory, allowed = psutil.virtual_memory(), limits()
    total = min(memory.total, allowed.memory_bytes or memory.total)
    seen = Machine(
        cards=(),
        cores=min(len(_affinity()), allowed.cores or sys.maxsize),
        memory_bytes=total,
        memory_free_bytes=max(0, min(memory.available, total - allowed.memory_used_bytes)),
        disk_free_bytes=disk_free_bytes(cache),
        system=sys.platform,
        architecture=platform.machine(),
        numa_nodes=numa_nodes(_affinity()),
    )
    seen = _with_nvidia(seen)
    if seen.cards:
        return seen
    from engine.planning.other_cards import other_cards  # noqa: PLC0415  # starts programs, which most machines do not have

    return replace(seen, cards=other_cards())


def disk_free_bytes(folder: Path) -> int:
    """Return the free bytes where ``folder`` is, or where it would be once made."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def visible(uuids: list[str], wanted: str | None) -> list[int]:
    """Return the indexes of the cards that ``CUDA_VISIBLE_DEVICES`` leaves, in its order, as CUDA reads it.

    Unset: all. Numbers, or beginnings of ids (``GPU-8932f937``). The first that names no card ends the list. Instances
    of MIG come behind the cards and have no numbers.
    """
    whole = sum(not uuid.startswith(_PART) for uuid in uuids)
    if wanted is None:
        return list(range(whole))
    chosen: list[int] = []
    for item in (part.strip() for part in wanted.split(",")):
        if item.isdecimal():
            found = [int(item)] if int(item) < whole else []
        else:
            found = [index for index, uuid in enumerate(uuids) if item and uuid.startswith(item)]
        if len(found) != 1 or found[0] in chosen:
            break
        chosen += found
    return chosen


def numa_nodes(processors: Collection[int], root: Path = Path("/sys/devices/system/node")) -> int:
    """Return how many NUMA nodes have one of the processors; 1 where the system does not say."""
    lists = (path.read_text(encoding="ascii") for path in root.glob("node[0-9]*/cpulist"))
    return sum(not _listed(told).isdisjoint(processors) for told in lists) or 1


def _listed(told: str) -> set[int]:
    """Return the numbers of a list as the kernel writes it: "0-3,8"."""
    spans = (part.partition("-") for part in told.strip().split(",") if part)
    return {number for first, _, last in spans for number in range(int(first), int(last or first) + 1)}


def _affinity() -> list[int]:
    """Return the processors that this process may use."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on a Mac
        return list(range(psutil.cpu_count(logical=True) or 1))


def _with_nvidia(machine: Machine) -> Machine:
    """Return the machine with its NVIDIA cards; none where there is no driver, or one that does not answer."""
    try:
        import pynvml  # noqa: PLC0415  # only the engine's start needs it
    except ImportError:
        return machine
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return machine
    try:
        return replace(
            machine, cards=_cards(pynvml), driver=_text(pynvml.nvmlSystemGetDriverVersion()), cuda=_cuda(pynvml)
        )
    except pynvml.NVMLError:
        return machine
    finally:
        pynvml.nvmlShutdown()


def _cards(nvml: Any) -> tuple[Card, ...]:  # noqa: ANN401  # the library has no types
    """Return the cards that CUDA would see.

    Of cards that MIG splits that is a single instance in all, here the largest: CUDA opens one, so that nothing can be
    spread over several.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    parts = [(part, index) for index, handle in enumerate(handles) for part in _instances(nvml, handle)]
    ids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in (*handles, *(part for part, _ in parts))]
    kept = visible(ids, os.environ.get("CUDA_VISIBLE_DEVICES"))
    whole = tuple(
        _card(nvml, handles[index]) for index in kept if index < len(handles) and not _split(nvml, handles[index])
    )
    own = [
        _card(nvml, part, handles[parent])
        for at, (part, parent) in enumerate(parts, len(handles))
        if at in kept or parent in kept
    ]
    return (*whole, *sorted(own, key=lambda card: -card.memory_bytes)[:1])


def _split(nvml: Any, handle: Any) -> bool:  # noqa: ANN401
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # a card that knows no MIG, or an older driver
        return False


def _instances(nvml: Any, handle: Any) -> list[Any]:  # noqa: ANN401
    """Return the instances of a card that MIG splits, those that this process may use."""
    found = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if _split(nvml, handle) else 0):
        with contextlib.suppress(nvml.NVMLError):
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
    return found


def _card(nvml: Any, handle: Any, parent: Any = None) -> Card:  # noqa: ANN401
    """Describe a card, or the instance of one; what is the whole card's alone is asked of its ``parent``."""
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(parent or handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Card(
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        compute_capability=(int(major), int(minor)),
        free_bytes=int(memory.free),
        link="nvlink" if parent is None and _has_nvlink(nvml, handle) else "pcie",
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
    )


def _has_nvlink(nvml: Any, handle: Any) -> bool:  # noqa: ANN401
    """Say whether any link of the card is up; a card without the feature answers with an error."""
    for link in range(getattr(nvml, "NVML_NVLINK_MAX_LINKS", 18)):
        try:
            if nvml.nvmlDeviceGetNvLinkState(handle, link):
                return True
        except nvml.NVMLError:
            return False
    return False


def _cuda(nvml: Any) -> str:  # noqa: ANN401
    version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())
    return f"{version // 1000}.{version % 1000 // 10}"


def _text(told: str | bytes) -> str:
    return told.decode(errors="replace") if isinstance(told, bytes) else told
