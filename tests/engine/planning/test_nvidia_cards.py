"""The cards that NVIDIA's library reports: whole ones and MIG instances."""

# ruff: noqa: N802  # the library names its functions so

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from engine.notes import join_notes
from engine.planning.cards import find_card_spec
from engine.planning.catalogue import resolve_model
from engine.planning.fit import fit_variant
from engine.planning.hardware import GpuCard
from engine.planning.launch import build_environment
from engine.planning.machine_probe import read_nvidia_cards
from engine.planning.plans import PlanRequirements
from tests.engine.machines import GIB, machine


@dataclass(frozen=True)
class Device:
    """A fake card, or an instance of one."""

    name: str
    uuid: str
    gib: float
    split: bool | None = None
    """None: it knows no MIG."""
    parts: tuple[Device | None, ...] = ()
    is_part: bool = False


class Nvml:
    """A fake of the library; like the real one it refuses many queries about an instance."""

    class NVMLError(Exception):
        """The library's error."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices

    def nvmlDeviceGetCount(self) -> int:
        return len(self._devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:
        return self._devices[index]

    def nvmlDeviceGetUUID(self, device: Device) -> str:
        return device.uuid

    def nvmlDeviceGetName(self, device: Device) -> str:
        return device.name

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> Any:
        return SimpleNamespace(total=int(device.gib * GIB), free=int(device.gib * GIB))

    def nvmlDeviceGetMigMode(self, device: Device) -> list[int]:
        if device.split is None:
            raise self.NVMLError("Not Supported")
        return [int(device.split), int(device.split)]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Device) -> int:
        return len(device.parts)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, index: int) -> Device:
        if (part := device.parts[index]) is None:
            raise self.NVMLError("Not Found")
        return part

    def nvmlDeviceGetCudaComputeCapability(self, device: Device) -> tuple[int, int]:
        if device.is_part:
            raise self.NVMLError("Not Supported")
        return 8, 0

    def nvmlDeviceGetNvLinkState(self, device: Device, _: int) -> int:
        if device.is_part:
            raise self.NVMLError("Not Supported")
        return 1


def _part(name: str, gib: float) -> Device:
    return Device(f"NVIDIA A100-SXM4-80GB MIG {name}", f"MIG-{name}", gib, is_part=True)


WHOLE = Device("NVIDIA A100-SXM4-80GB", "GPU-a", 79.6, split=False)
OLD = Device("NVIDIA GeForce RTX 3090", "GPU-b", 23.99)
SPLIT = Device(
    "NVIDIA A100-SXM4-80GB", "GPU-c", 79.6, split=True,
    parts=(_part("1g.10gb", 9.5), None, _part("3g.40gb", 39.25), _part("2g.20gb", 19.5)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("devices", "setting", "names"),
    [
        ((WHOLE, OLD), None, ["GPU-a", "GPU-b"]),
        ((WHOLE, OLD), "1", ["GPU-b"]),
        ((SPLIT,), None, ["MIG-3g.40gb"]),
        ((SPLIT,), "0", ["MIG-3g.40gb"]),
        ((SPLIT,), "MIG-2g", ["MIG-2g.20gb"]),
        ((SPLIT,), "MIG-1g.10gb,MIG-2g.20gb", ["MIG-2g.20gb"]),
        ((WHOLE, SPLIT), None, ["GPU-a", "MIG-3g.40gb"]),
        ((WHOLE, SPLIT), "2", []),
        ((replace(SPLIT, parts=(None,)),), None, []),
    ],
)
def test_cards_that_cuda_sees(
    devices: tuple[Device, ...], setting: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [card.uuid for card in read_nvidia_cards(Nvml(*devices))] == names


def test_mig_instance_is_planned_by_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole card could run the 32B in 16 bits; its largest instance of 40 GB only in four bits."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cards = read_nvidia_cards(Nvml(SPLIT))
    assert find_card_spec(cards[0]) is None, "a part is not as fast as a card of that size"
    assert cards[0].compute_capability == (8, 0)
    made = fit_variant(resolve_model("32B"), replace(machine(), cards=cards), PlanRequirements()).plan
    assert made is not None
    assert (made.weights.precision, made.layout.cards, made.visible_cards) == ("int4", 1, ("MIG-3g.40gb",))
    assert build_environment(made, "x", {"CUDA_VISIBLE_DEVICES": "0"})["CUDA_VISIBLE_DEVICES"] == "MIG-3g.40gb"
    assert "only one instance" in join_notes(made.notes)
    assert "CUDA_VISIBLE_DEVICES=MIG-3g.40gb" in join_notes(made.notes)


def test_whole_card_next_to_a_split_one() -> None:
    """CUDA uses no whole card if it sees an instance."""
    both = GpuCard("whole", 80 << 30, (8, 0), uuid="GPU-a"), GpuCard("part", 40 << 30, (8, 0), uuid="MIG-b")
    made = fit_variant(resolve_model("14B"), replace(machine(), cards=both), PlanRequirements()).plan
    assert made is not None
    assert made.visible_cards == ("GPU-a",)
