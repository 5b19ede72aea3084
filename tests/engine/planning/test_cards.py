"""Descriptions of machines, and the data sheets of common cards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineRefused
from engine.planning.cards import CARD_SPECS, find_card_spec, parse_machine
from engine.planning.hardware import GpuCard
from engine.planning.variant import GIB

NAMES = [name for spec in CARD_SPECS for name in spec.names]
COUNT = st.integers(1, 64)


@pytest.mark.parametrize(
    ("said", "nodes", "cards", "gib"),
    [
        ("8xA100-80GB", 1, 8, 79.6),
        ("8 x a100-80g", 1, 8, 79.6),
        ("A100 80GB", 1, 1, 79.6),
        ("4x48GB", 1, 4, 47.99),
        ("2x8x80GB", 2, 8, 79.6),
        ("2×8×H200", 2, 8, 140.4),
        ("24", 1, 1, 23.99),
        ("2xMAX-1550", 1, 2, 127.5),
        ("RTX 4090", 1, 1, 23.99),
        ("2x RTX4090", 1, 2, 23.99),
        ("rtx a6000", 1, 1, 47.99),
    ],
)
def test_parses_machine_descriptions(said: str, nodes: int, cards: int, gib: float) -> None:
    machine = parse_machine(said)
    assert (machine.nodes, len(machine.cards), machine.is_described) == (nodes, cards, True)
    assert machine.card_gib == pytest.approx(gib, abs=0.01)


def test_main_memory_without_cards() -> None:
    assert parse_machine("1x24GB+128GB").memory_gib == 128
    assert parse_machine("cpu").cards == ()


@given(nodes=COUNT, cards=COUNT, name=st.sampled_from(NAMES))
def test_every_known_card_in_any_count(nodes: int, cards: int, name: str) -> None:
    machine = parse_machine(f"{nodes}x{cards}x{name.lower()}")
    assert (machine.nodes, len(machine.cards)) == (nodes, cards)
    spec = find_card_spec(machine.cards[0])
    assert spec is not None
    assert name in spec.names


@given(nodes=COUNT, cards=COUNT, gb=st.integers(1, 400))
def test_cards_by_memory_report_a_little_less(nodes: int, cards: int, gb: int) -> None:
    machine = parse_machine(f"{nodes}x{cards}x{gb}GB")
    assert (machine.nodes, len(machine.cards)) == (nodes, cards)
    assert 0.98 * gb <= machine.card_gib <= gb
    assert machine.capability is None


@given(st.text(max_size=30) | st.from_regex(r"[0-9x]{0,8}[A-Z0-9-]{0,8}(GB)?(\+[0-9]{0,3}GB)?", fullmatch=True))
def test_any_text_is_a_machine_or_an_error_with_examples(said: str) -> None:
    try:
        problem = "" if parse_machine(said).nodes else "no machine"
    except EngineRefused as refused:
        problem = str(refused)
    assert not problem or ("8xA100-80GB" in problem and "2x8x80GB" in problem)


@pytest.mark.parametrize(
    "said", ["", "x", "0x24GB", "8x", "2x2x2x24GB", "8xB9000", "24TB", "-1x24GB", "0GB", "1e3x24GB", "²x24GB"]
)
def test_invalid_machines(said: str) -> None:
    with pytest.raises(EngineRefused, match="8xA100-80GB"):
        parse_machine(said)


@pytest.mark.parametrize(
    ("driver_name", "gib", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", 80.0, "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB", 40.0, "A100-40GB"),
        ("NVIDIA H100 80GB HBM3", 79.65, "H100-80GB"),
        ("NVIDIA H100 PCIe", 79.65, "H100-PCIE"),
        ("NVIDIA H200", 140.4, "H200-141GB"),
        ("NVIDIA GeForce RTX 4090", 23.99, "RTX-4090"),
        ("NVIDIA L40S", 44.99, "L40S"),
        ("NVIDIA RTX A6000", 47.99, "RTX-A6000"),
        ("NVIDIA RTX 6000 Ada Generation", 47.99, "RTX-6000-ADA"),
        ("Tesla T4", 15.0, "T4"),
        ("AMD Instinct MI300X", 191.98, "MI300X"),
        ("Intel(R) Data Center GPU Max 1550", 128.0, "GPU-MAX-1550"),
    ],
)
def test_names_reported_by_drivers(driver_name: str, gib: float, name: str) -> None:
    spec = find_card_spec(GpuCard(driver_name, int(gib * GIB), None))
    assert spec is not None
    assert spec.names[0] == name


def test_unknown_card_has_no_data_sheet() -> None:
    assert find_card_spec(GpuCard("NVIDIA GeForce GTX 1060", 6 * GIB, (6, 1))) is None
