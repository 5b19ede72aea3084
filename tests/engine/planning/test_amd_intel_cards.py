"""AMD's and Intel's cards from the output of their tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.planning.amd_intel_cards import read_amd_intel_cards
from engine.planning.hardware import GpuCard

AMD_SMI = [
    {"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X"}, "vram": {"size": {"value": 196592, "unit": "MB"}}}
]
ROCM_SMI = {
    "card0": {
        "Card Series": "AMD Instinct MI300X",
        "VRAM Total Memory (B)": "206141652992",
        "VRAM Total Used Memory (B)": "1000",
    },
    "system": {"Driver version": "6.7"},
}
XPU_LIST = {"device_list": [{"device_id": 0, "device_name": "Intel(R) Data Center GPU Max 1550"}]}
XPU_PAGE = {"device_name": "Intel(R) Data Center GPU Max 1550", "memory_physical_size_byte": "137438953472"}


def _tools(outputs: dict[tuple[str, ...], object]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def run(command: tuple[str, ...]) -> str:
        for beginning, value in outputs.items():
            if command[: len(beginning)] == beginning:
                return value if isinstance(value, str) else json.dumps(value)
        return ""

    return run


@pytest.mark.parametrize("output", [AMD_SMI, {"gpu_data": AMD_SMI}])
def test_amd_smi_in_both_formats(output: object) -> None:
    (card,) = read_amd_intel_cards(_tools({("amd-smi",): output}))
    assert (card.name, card.memory_bytes, card.vendor) == ("AMD Instinct MI300X", 196592 << 20, "amd")


def test_rocm_smi_if_amd_smi_prints_another_format() -> None:
    (card,) = read_amd_intel_cards(_tools({("amd-smi",): "usage: …", ("rocm-smi",): ROCM_SMI}))
    assert card == GpuCard("AMD Instinct MI300X", 206141652992, None, 206141651992, "amd", "nvlink")


def test_xpu_smi() -> None:
    (card,) = read_amd_intel_cards(
        _tools({("xpu-smi", "discovery", "-d", "0"): XPU_PAGE, ("xpu-smi", "discovery", "-j"): XPU_LIST})
    )
    assert (card.memory_gib, card.vendor) == (128, "intel")


def test_no_tool() -> None:
    assert read_amd_intel_cards(_tools({})) == ()
    assert read_amd_intel_cards(_tools({("rocm-smi",): {"card0": {}}})) == ()


def test_a_tool_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "amd-smi"
    tool.write_text(f"#!/bin/sh\n[ -z \"$WIKI_PASSWORD\" ] && echo '{json.dumps(AMD_SMI)}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("WIKI_PASSWORD", "s3cret")
    assert len(read_amd_intel_cards()) == 1
