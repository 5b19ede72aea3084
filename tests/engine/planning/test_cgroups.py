"""The limits of a container, from control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.planning.cgroups import CgroupLimits, count_oom_kills, read_cgroup_limits
from engine.planning.machine_probe import count_numa_nodes, select_visible_cards

GIB = 1024**3


def _write(root: Path, files: dict[str, object]) -> None:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def test_version_2_tightest_limit_of_all_ancestors(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "own": "0::/pod/app",
            "g/cgroup.controllers": "cpu memory",
            "g/pod/memory.max": 8 * GIB,
            "g/pod/memory.current": 3 * GIB,
            "g/pod/memory.stat": f"anon 5\ninactive_file {GIB}",
            "g/pod/cpu.max": "max 100000",
            "g/pod/app/memory.max": "max",
            "g/pod/app/cpu.max": "250000 100000",
        },
    )
    assert read_cgroup_limits(tmp_path / "g", tmp_path / "own") == CgroupLimits(8 * GIB, 2 * GIB, 2)


def test_version_1(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "own": "5:cpu,cpuacct:/app\n4:memory:/app",
            "g/memory/app/memory.limit_in_bytes": 4 * GIB,
            "g/memory/app/memory.usage_in_bytes": GIB,
            "g/memory/app/memory.stat": "total_inactive_file 0",
            "g/memory/memory.limit_in_bytes": 9223372036854771712,
            "g/cpu/app/cpu.cfs_quota_us": 50000,
            "g/cpu/app/cpu.cfs_period_us": 100000,
            "g/cpu/cpu.cfs_quota_us": -1,
        },
    )
    assert read_cgroup_limits(tmp_path / "g", tmp_path / "own") == CgroupLimits(4 * GIB, GIB, 1)


def test_no_limits(tmp_path: Path) -> None:
    assert read_cgroup_limits(tmp_path / "none", tmp_path / "own") == CgroupLimits()


def test_oom_kills_are_counted_in_the_own_group(tmp_path: Path) -> None:
    """So kills in another container do not turn a manual kill into OOM."""
    _write(tmp_path, {"own": "0::/pod/app", "vmstat": "pgfault 5\noom_kill 7", "g/pod/memory.events": "oom_kill 3"})
    where = tmp_path / "g", tmp_path / "own", tmp_path / "vmstat"
    assert count_oom_kills(*where) == 7
    _write(tmp_path, {"g/pod/app/memory.events": "low 0\noom 2\noom_kill 1\noom_group_kill 0"})
    assert count_oom_kills(*where) == 1
    assert count_oom_kills(tmp_path, tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("2,0", [2, 0]),
        ("GPU-c", [2]),
        ("0,9,1", [0]),
        ("-1", []),
        ("1,1", [1]),
        ("GPU-", []),
    ],
)
def test_cuda_visible_devices(setting: str | None, left: list[int]) -> None:
    """The first invalid or ambiguous entry ends the list."""
    assert select_visible_cards(["GPU-a1", "GPU-b1", "GPU-c1", "GPU-d1"], setting) == left


@pytest.mark.parametrize(("processors", "nodes"), [(range(12), 2), ([0, 9], 2), ([0, 1], 1), ([11], 1), ([99], 1)])
def test_numa_nodes_of_the_usable_cpus(tmp_path: Path, processors: list[int], nodes: int) -> None:
    """A node without CPUs does not count."""
    _write(tmp_path, {"node0/cpulist": "0-3,8", "node1/cpulist": "4-7,9-11", "node2/cpulist": "", "possible": "0-2"})
    assert count_numa_nodes(processors, tmp_path) == nodes
    assert count_numa_nodes(processors, tmp_path / "none") == 1
