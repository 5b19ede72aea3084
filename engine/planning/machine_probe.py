"""Probe this machine: its cards, CPUs, memory and disk."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from engine.planning.amd_intel_cards import read_amd_intel_cards
from engine.planning.cgroups import read_cgroup_limits
from engine.planning.hardware import MIG_PREFIX, GpuCard, Machine, read_free_disk_bytes


def probe_machine(cache: Path) -> Machine:
    """Probe this machine; blocking, some tens of milliseconds with a GPU."""
    memory, limits = psutil.virtual_memory(), read_cgroup_limits()
    total = min(memory.total, limits.memory_bytes or memory.total)
    machine = Machine(
        cards=(),
        cores=min(len(_list_usable_cpus()), limits.cores or sys.maxsize),
        memory_bytes=total,
        memory_free_bytes=max(0, min(memory.available, total - limits.memory_used_bytes)),
        disk_free_bytes=read_free_disk_bytes(cache),
        system=sys.platform,
        architecture=platform.machine(),
        numa_nodes=count_numa_nodes(_list_usable_cpus()),
    )
    machine = _add_nvidia_cards(machine)
    return machine if machine.cards else replace(machine, cards=read_amd_intel_cards())


def select_visible_cards(uuids: list[str], selection: str | None) -> list[int]:
    """Return the indexes of the cards that ``CUDA_VISIBLE_DEVICES`` selects, in its order, as CUDA does.

    Unset: all. Otherwise numbers, or prefixes of ids (``GPU-8932f937``). The first invalid entry ends the list. MIG
    instances come after the cards and have no numbers.
    """
    whole = sum(not uuid.startswith(MIG_PREFIX) for uuid in uuids)
    if selection is None:
        return list(range(whole))
    indexes: list[int] = []
    for item in (part.strip() for part in selection.split(",")):
        if item.isdecimal():
            found = [int(item)] if int(item) < whole else []
        else:
            found = [index for index, uuid in enumerate(uuids) if item and uuid.startswith(item)]
        if len(found) != 1 or found[0] in indexes:
            break
        indexes += found
    return indexes


def count_numa_nodes(processors: Collection[int], root: Path = Path("/sys/devices/system/node")) -> int:
    """Return the number of NUMA nodes with one of the CPUs; 1 if unknown."""
    lists = (path.read_text(encoding="ascii") for path in root.glob("node[0-9]*/cpulist"))
    return sum(not _parse_cpu_list(text).isdisjoint(processors) for text in lists) or 1


def _parse_cpu_list(text: str) -> set[int]:
    """Return the numbers of a list in the kernel's format: "0-3,8"."""
    spans = (part.partition("-") for part in text.strip().split(",") if part)
    return {number for first, _, last in spans for number in range(int(first), int(last or first) + 1)}


def _list_usable_cpus() -> list[int]:
    """Return the CPUs that this process may use."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on a Mac
        return list(range(psutil.cpu_count(logical=True) or 1))


def _add_nvidia_cards(machine: Machine) -> Machine:
    """Return the machine with its NVIDIA cards; none without a working driver."""
    try:
        import pynvml  # noqa: PLC0415  # only the engine's start needs it
    except ImportError:
        return machine
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return machine
    try:
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return replace(
            machine,
            cards=read_nvidia_cards(pynvml),
            driver=pynvml.nvmlSystemGetDriverVersion(),
            cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
        )
    except pynvml.NVMLError:
        return machine
    finally:
        pynvml.nvmlShutdown()


def read_nvidia_cards(nvml: Any) -> tuple[GpuCard, ...]:  # noqa: ANN401  # the library has no types
    """Return the cards that CUDA would see.

    Of cards that MIG splits, CUDA uses one instance in all. This returns the largest.
    """
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    parts = [(part, index) for index, handle in enumerate(handles) for part in _list_mig_instances(nvml, handle)]
    ids = [nvml.nvmlDeviceGetUUID(handle) for handle in (*handles, *(part for part, _ in parts))]
    visible = select_visible_cards(ids, os.environ.get("CUDA_VISIBLE_DEVICES"))
    whole = tuple(
        _read_card(nvml, handles[index])
        for index in visible
        if index < len(handles) and not _is_mig_enabled(nvml, handles[index])
    )
    instances = [
        _read_card(nvml, part, handles[parent])
        for at, (part, parent) in enumerate(parts, len(handles))
        if at in visible or parent in visible
    ]
    return (*whole, *sorted(instances, key=lambda card: -card.memory_bytes)[:1])


def _is_mig_enabled(nvml: Any, handle: Any) -> bool:  # noqa: ANN401
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # a card that knows no MIG, or an older driver
        return False


def _list_mig_instances(nvml: Any, handle: Any) -> list[Any]:  # noqa: ANN401
    """Return the MIG instances of a card that this process may use."""
    instances = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if _is_mig_enabled(nvml, handle) else 0):
        with contextlib.suppress(nvml.NVMLError):
            instances.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
    return instances


def _read_card(nvml: Any, handle: Any, parent: Any = None) -> GpuCard:  # noqa: ANN401
    """Return a card or a MIG instance; values of the whole card come from its ``parent``."""
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(parent or handle)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return GpuCard(
        name=nvml.nvmlDeviceGetName(handle),
        memory_bytes=int(memory.total),
        compute_capability=(int(major), int(minor)),
        free_bytes=int(memory.free),
        link="nvlink" if parent is None and _has_nvlink(nvml, handle) else "pcie",
        uuid=nvml.nvmlDeviceGetUUID(handle),
    )


def _has_nvlink(nvml: Any, handle: Any) -> bool:  # noqa: ANN401
    """Return whether a link of the card is up; a card without NVLink reports an error."""
    for link in range(getattr(nvml, "NVML_NVLINK_MAX_LINKS", 18)):
        try:
            if nvml.nvmlDeviceGetNvLinkState(handle, link):
                return True
        except nvml.NVMLError:
            return False
    return False
