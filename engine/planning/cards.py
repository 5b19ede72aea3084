"""Data sheets of common cards, and machines described as ``8xA100-80GB``, ``4x48GB``, ``2x8x80GB``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from pydantic import TypeAdapter

from engine.errors import EngineRefused
from engine.planning.hardware import GpuCard, Machine
from engine.planning.variant import GIB

MACHINE_EXAMPLES = "8xA100-80GB (cards by name), 4x48GB (by memory), 2x8x80GB (nodes x cards x memory), cpu"

_REPORTED_GIB = {24: 23.99, 48: 47.99, 80: 79.6, 141: 140.4}
"""The memory that drivers report for these sizes; for others about a hundredth less."""
_REPORTED_SHARE = 0.99
_MAX_COUNT = 1024
_MEMORY = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)(?:GI?B?)?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class CardSpec:
    """The data sheet of a card, with dense TFLOPS; 0 where it has none."""

    names: tuple[str, ...]
    """The first one is used in messages."""
    reported_gib: float
    capability: int
    """CUDA's compute capability times ten; 0 for another maker's card."""
    bandwidth_gb_s: float
    bf16_tflops: float
    fp8_tflops: float
    link: Literal["nvlink", "pcie"] = "pcie"
    vendor: Literal["nvidia", "amd", "intel"] = "nvidia"


CARD_SPECS: tuple[CardSpec, ...] = TypeAdapter(tuple[CardSpec, ...]).validate_python(
    tomllib.loads(files(__package__).joinpath("cards.toml").read_text(encoding="utf-8"))["card"]
)


def find_card_spec(card: GpuCard) -> CardSpec | None:
    """Return the data sheet of a card by its driver's name; None for an unknown card, or a MIG instance."""
    words = _split_words(card.name)
    if "MIG" in words:
        return None
    fitting = [
        (len(name), spec)
        for spec in CARD_SPECS
        for name in spec.names
        if set(_split_words(name)) <= set(words)
        and abs(spec.reported_gib * GIB - card.memory_bytes) < spec.reported_gib * GIB / 10
    ]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]


def parse_machine(text: str) -> Machine:
    """Parse a machine: ``[nodes x] [cards x] card``, the card by name or by its memory.

    ``+512GB`` at the end is the main memory. Case and spaces are ignored.

    Raises:
        EngineRefused: it is invalid, or names an unknown card; the text has examples.

    """
    words = re.sub(r"[×*]", "X", text.strip().upper())
    words, _, memory = re.sub(r"\s*([X+])\s*", r"\1", words).partition("+")
    counts, card = _split_counts(re.sub(r"[\s_]+", "-", words), text)
    memory_bytes = int(_parse_gigabytes(memory, text) * GIB) if memory else 0
    if card == "CPU" and not counts:
        return _build_machine((), 1, memory_bytes)
    nodes, cards = ([1, 1, *counts])[-2:]
    if not (1 <= nodes <= _MAX_COUNT and 1 <= cards <= _MAX_COUNT):
        raise _unreadable_error(text, f"counts go from 1 to {_MAX_COUNT}")
    return _build_machine((_parse_card(card, text),) * cards, nodes, memory_bytes)


def _split_counts(words: str, text: str) -> tuple[list[int], str]:
    """Split the counts from the card, whose name may contain an X (``MAX-1550``)."""
    *front, card = words.split("X")
    while front and not _NUMBER.fullmatch(front[-1]):
        card = f"{front.pop()}X{card}"
    if len(front) > 2 or not all(_NUMBER.fullmatch(count) for count in front):  # noqa: PLR2004  # nodes and cards
        raise _unreadable_error(text, "it has more counts than nodes and cards")
    return [int(count) for count in front], card


def _parse_card(name: str, text: str) -> GpuCard:
    for spec in CARD_SPECS:
        if _normalize_name(name) in map(_normalize_name, spec.names):
            capability = divmod(spec.capability, 10) if spec.capability else None
            return GpuCard(spec.names[0], int(spec.reported_gib * GIB), capability, vendor=spec.vendor, link=spec.link)
    nominal = _parse_gigabytes(name, text)
    reported_gib = (
        _REPORTED_GIB.get(int(nominal), nominal * _REPORTED_SHARE)
        if nominal == int(nominal)
        else nominal * _REPORTED_SHARE
    )
    return GpuCard(f"{nominal:g} GB card", int(reported_gib * GIB), None)


def _parse_gigabytes(word: str, text: str) -> float:
    found = _MEMORY.fullmatch(word)
    if found is None or not float(found[1]):
        raise _unreadable_error(text, f"{word or 'an empty name'} is neither a known card nor a memory size")
    return float(found[1])


def _unreadable_error(text: str, why: str) -> EngineRefused:
    names = ", ".join(spec.names[0] for spec in CARD_SPECS)
    return EngineRefused(f"{text!r} is not a machine: {why}. Examples: {MACHINE_EXAMPLES}. Known cards: {names}.")


def _build_machine(cards: tuple[GpuCard, ...], nodes: int, memory_bytes: int) -> Machine:
    return Machine(cards, 0, memory_bytes, memory_bytes, 0, "linux", "x86_64", nodes=nodes, is_described=True)


def _normalize_name(name: str) -> str:
    """Return a card's name without separators: RTX 4090, RTX4090 and RTX-4090 are equal."""
    return "".join(_split_words(name))


def _split_words(name: str) -> list[str]:
    """Return the parts of a card's name; a memory ("80GB HBM3") is a part of its own."""
    return re.findall(r"[A-Z0-9]+", name.upper())
