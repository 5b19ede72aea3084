"""Read the memory and CPU limits of control groups, versions 1 and 2, and count OOM kills."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60
"""Version 1 uses a number near 2**63 for no limit."""


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """The limits of whole cores and memory; None without one. The limiting group uses memory without its caches."""

    memory_bytes: int | None = None
    memory_used_bytes: int = 0
    cores: int | None = None


def read_cgroup_limits(root: Path = _ROOT, own: Path = _OWN) -> CgroupLimits:
    """Return the tightest limits between this process's group and ``root``."""
    if (root / "cgroup.controllers").exists():
        groups = _list_ancestors(root, find_own_path("", own))
        quota = [_read_quota_v2(group) for group in groups]
        memory = [_read_memory(group, "memory.max", "memory.current", "inactive_file") for group in groups]
    else:
        groups = _list_ancestors(root / "cpu", find_own_path("cpu", own))
        quota = [_read_quota_v1(group) for group in groups]
        names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        memory = [
            _read_memory(group, *names) for group in _list_ancestors(root / "memory", find_own_path("memory", own))
        ]
    cores = min((share for share in quota if share is not None), default=None)
    tightest = min((pair for pair in memory if pair is not None), key=lambda pair: pair[0] - pair[1], default=None)
    most, used = tightest or (None, 0)
    return CgroupLimits(most, used, None if cores is None else max(1, math.floor(cores)))


def count_oom_kills(root: Path = _ROOT, own: Path = _OWN, machine: Path = Path("/proc/vmstat")) -> int | None:
    """Return how many processes the kernel has killed for lack of memory so far; None if unknown.

    Version 2 counts this process's group and those below; otherwise the whole machine counts.
    """
    events = _read_text(root / find_own_path("", own).lstrip("/") / "memory.events") or _read_text(machine)
    return _find_count(events, "oom_kill")


def _list_ancestors(root: Path, below: str) -> list[Path]:
    """Return the group and all its ancestors; a container often sees its own group as the root."""
    group = root / below.lstrip("/")
    return [group, *(parent for parent in group.parents if parent.is_relative_to(root))]


def find_own_path(controller: str, own: Path = _OWN) -> str:
    """Return the path of this process in the hierarchy of a controller ("" for version 2)."""
    for line in _read_text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return "" if ".." in path else path
    return ""


def _read_memory(group: Path, limit: str, used: str, cache: str) -> tuple[int, int] | None:
    most = _read_number(group / limit)
    if most is None or most >= _NO_LIMIT:
        return None
    freed = _find_count(_read_text(group / "memory.stat"), cache) or 0
    return most, max(0, (_read_number(group / used) or 0) - freed)


def _read_quota_v2(group: Path) -> float | None:
    quota, _, period = _read_text(group / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _read_quota_v1(group: Path) -> float | None:
    quota, period = _read_number(group / "cpu.cfs_quota_us"), _read_number(group / "cpu.cfs_period_us")
    return quota / period if quota is not None and quota > 0 and period else None


def _find_count(text: str, name: str) -> int | None:
    """Return the number after a name at the beginning of a line."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), None)


def _read_number(path: Path) -> int | None:
    text = _read_text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
