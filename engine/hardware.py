"""What this machine has that a model could run on, as one frozen value."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Card:
    """One NVIDIA GPU."""

    name: str
    memory_bytes: int
    """As the driver shows it; the CUDA context is not taken off."""
    compute_capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, at the moment it was looked at."""

    cards: tuple[Card, ...]
    cores: int
    memory_bytes: int
    memory_free_bytes: int
    disk_free_bytes: int
    """On the file system that holds the cache."""
    system: str
    """As ``sys.platform`` names it: linux, darwin, win32."""
    architecture: str
    """As the kernel names it: x86_64, aarch64, arm64."""

    @property
    def memory_gib(self) -> float:
        """Return the main memory in GiB."""
        return self.memory_bytes / _GIB


def probe(cache: Path) -> Machine:
    """Look at this machine; blocking, some tens of milliseconds where there is a GPU."""
    memory = psutil.virtual_memory()
    return Machine(
        cards=_cards(),
        cores=psutil.cpu_count(logical=True) or 1,
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        disk_free_bytes=disk_free_bytes(cache),
        system=sys.platform,
        architecture=platform.machine(),
    )


def disk_free_bytes(folder: Path) -> int:
    """Return the free bytes where ``folder`` is, or where it would be once made."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _cards() -> tuple[Card, ...]:
    """Return the GPUs; none where there is no driver, or a driver that does not answer."""
    try:
        import pynvml  # noqa: PLC0415  # only the engine's start needs it
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_card(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _card(pynvml: object, index: int) -> Card:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)  # type: ignore[attr-defined]
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)  # type: ignore[attr-defined]
    return Card(
        name=str(pynvml.nvmlDeviceGetName(handle)),  # type: ignore[attr-defined]
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),  # type: ignore[attr-defined]
        compute_capability=(int(major), int(minor)),
    )
