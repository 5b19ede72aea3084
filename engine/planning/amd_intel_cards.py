"""Read the cards of AMD and Intel from the JSON output of their vendors' tools."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from engine.planning.hardware import GpuCard
from engine.tasks import copy_plain_variables

_DEADLINE_S = 10.0
RunTool = Callable[[tuple[str, ...]], str]
"""Runs a command and returns its output, "" if it fails."""


def read_amd_intel_cards(run: RunTool | None = None) -> tuple[GpuCard, ...]:
    """Return the cards that ``amd-smi``, ``rocm-smi`` or ``xpu-smi`` list; none without such a tool."""
    run = run or _run_tool
    for command, read in (
        (("amd-smi", "static", "--asic", "--vram", "--json"), _parse_amd_smi),
        (("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json"), _parse_rocm_smi),
        (("xpu-smi", "discovery", "-j"), lambda value: _parse_xpu_smi(value, run)),
    ):
        try:
            cards = read(json.loads(run(command) or "null"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # another release prints another format: as without the tool
        if cards:
            return cards
    return ()


def _parse_amd_smi(value: Any) -> tuple[GpuCard, ...]:  # noqa: ANN401  # a tool's JSON
    """Parse a list of cards, which newer releases put under ``gpu_data``. The size in MB is in MiB."""
    cards = value["gpu_data"] if isinstance(value, dict) else value or []
    return tuple(
        GpuCard(
            str(card["asic"]["market_name"]),
            int(card["vram"]["size"]["value"]) << 20,
            None,
            vendor="amd",
            link="nvlink",
        )
        for card in cards
    )


def _parse_rocm_smi(value: Any) -> tuple[GpuCard, ...]:  # noqa: ANN401
    """Parse an object of ``card0``, ``card1``, … and others."""
    cards = [value[key] for key in sorted(value or {}) if key.startswith("card")]
    return tuple(_parse_rocm_card(card) for card in cards)


def _parse_rocm_card(card: dict[str, str]) -> GpuCard:
    name = card.get("Card Series") or card.get("Card series") or card.get("Card Model") or "AMD card"
    total, used = int(card["VRAM Total Memory (B)"]), int(card.get("VRAM Total Used Memory (B)", 0))
    return GpuCard(name, total, None, free_bytes=total - used, vendor="amd", link="nvlink")


def _parse_xpu_smi(value: Any, run: RunTool) -> tuple[GpuCard, ...]:  # noqa: ANN401
    """Parse the list of devices, then the page of each, which has the memory."""
    pages = [
        json.loads(run(("xpu-smi", "discovery", "-d", str(device["device_id"]), "-j")) or "{}")
        for device in (value or {}).get("device_list", [])
    ]
    return tuple(
        GpuCard(str(page["device_name"]), int(page["memory_physical_size_byte"]), None, vendor="intel")
        for page in pages
    )


def _run_tool(command: tuple[str, ...]) -> str:
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        return subprocess.run(
            (program, *command[1:]), capture_output=True, text=True, timeout=_DEADLINE_S, check=False,
            env=copy_plain_variables("HOME", "ROCM_PATH", "ZE_AFFINITY_MASK"),
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
