"""Two published tables, every cell: the size of weights, and the context left on common machines."""

from __future__ import annotations

import re

import pytest

from engine.planning.catalogue import SMALL_MODELS, resolve_model
from engine.planning.memory import (
    CPU_PROCESSES_GIB,
    Layout,
    MemoryReserve,
    choose_minimal_reserve,
    compute_cpu_fraction,
    estimate_cpu_kv_tokens,
    estimate_kv_bytes_per_card,
    estimate_kv_tokens,
    estimate_weights_gib_per_card,
)
from engine.planning.variant import Checkpoint, Variant, estimate_weights_bytes

GIB = 1024**3

SIZES = """
1.5B     |    3.31 |   2.09 |   1.50 | 55 |  28672
7B       |   14.19 |   8.11 |   5.19 | 63 |  57344
Llama-8B |   14.96 |   8.46 |   5.33 | 64 | 131072
Qwen3-8B |   15.26 |   8.79 |   5.68 | 63 | 147456
14B      |   27.51 |  15.21 |   9.29 | 66 | 196608
32B      |   61.03 |  31.97 |  18.00 | 71 | 262144
70B      |  131.42 |  67.68 |  37.04 | 72 | 327680
R1       | 1249.9  | 626.9  | 339.6  |  - |  70272
"""
"""GiB in bf16, fp8, int4 (groups of 128 with zero points; R1 of 64); what int4 saves in per cent; KV bytes a token."""

CARDS_GIB = {"24": 23.99, "48": 47.99, "80": 79.6, "141": 140.4}
MACHINES = ("1x24", "1x48", "1x80", "2x80", "8x80", "8x141", "2x8x80")
LEFT = """
7B bf16   | 39k (116k) | 489k | 959k | 2.2M | 4.7M | 9.2M | 4.7M
L-8B bf16 | 11k (45k) | 208k | 413k | 947k | 4.1M | 8.1M | 4.1M
14B bf16  | ✗ | 70k | 207k | 563k | 2.6M | 5.3M | 2.7M
14B int4  | 38k (61k) | 169k | 307k | 662k | 2.7M | 5.4M | 2.7M
32B bf16  | ✗ | ✗ | 18k (49k) | 285k | 1.8M | 3.8M | 1.9M
32B fp8   | ✗ | 34k | 137k | 404k | 2.0M | 4.0M | 2.0M
32B int4  | ✗ (9.8k) | 91k | 194k | 461k | 2.0M | 4.0M | 2.0M
70B fp8   | ✗ | ✗ | ✗ (17k) | 206k | 1.5M | 3.1M | 1.5M
70B int4  | ✗ | 11k (24k) | 93k | 307k | 1.6M | 3.2M | 1.6M
R1 fp8    | ✗ | ✗ | ✗ | ✗ | ✗ | 694k | 349k
R1 int4   | ✗ | ✗ | ✗ | ✗ | 314k | 1.24M | 623k
R1 bf16   | ✗ | ✗ | ✗ | ✗ | ✗ | ✗ | ✗
"""
"""Tokens of bf16 context with SGLang's own reserve; in brackets with 3 GiB (24 and 48 GB cards) or 6 GiB (others)."""


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _variant(name: str) -> Variant:
    return resolve_model(name.replace("L-8B", "Llama-8B"))


def _checkpoint(variant: Variant, precision: str) -> Checkpoint:
    """Return the published checkpoint of that precision; the table also has sizes of unpublished ones."""
    group, block = (64 if variant.family == "mla" else 128), (128 if variant.family == "mla" else 0)
    made = {
        "bf16": Checkpoint("", "bf16"),
        "fp8": Checkpoint("", "fp8", block),
        "int4": Checkpoint("", "int4", group, zero_points=True),
    }
    return next((one for one in variant.checkpoints if one.precision == precision), made[precision])


SIZE_CELLS = [
    (row[0], precision, float(row[column]))
    for row in _rows(SIZES)
    for column, precision in ((1, "bf16"), (2, "fp8"), (3, "int4"))
]
LEFT_CELLS = [
    (row[0].split()[0], row[0].split()[1], where, cell)
    for row in _rows(LEFT)
    for where, cell in zip(MACHINES, row[1:], strict=True)
]


@pytest.mark.parametrize(("name", "precision", "gib"), SIZE_CELLS)
def test_weights(name: str, precision: str, gib: float) -> None:
    variant = _variant(name)
    assert estimate_weights_bytes(variant, _checkpoint(variant, precision)) / GIB == pytest.approx(gib, rel=0.01)


@pytest.mark.parametrize(("name", "saving", "kv_bytes"), [(row[0], row[4], int(row[5])) for row in _rows(SIZES)])
def test_saving_of_four_bits_and_size_of_context(name: str, saving: str, kv_bytes: int) -> None:
    """Four bits never save three quarters; context does not depend on the weights, and fp8 halves it."""
    variant = _variant(name)
    assert variant.kv_bytes_per_token == kv_bytes
    assert estimate_kv_bytes_per_card(variant, Layout()) == kv_bytes
    assert estimate_kv_bytes_per_card(variant, Layout(), "fp8_e4m3") == kv_bytes / 2
    if saving != "-":
        saved = 1 - estimate_weights_bytes(variant, _checkpoint(variant, "int4")) / (2 * variant.parameters)
        assert round(100 * saved) == int(saving)


def _said(cell: str) -> tuple[str, str | None]:
    found = re.fullmatch(r"(\S+)(?: \((\S+)\))?", cell)
    assert found is not None
    return found[1], found[2]


def _tokens(said: str) -> float:
    return float(said[:-1]) * {"k": 1e3, "M": 1e6}[said[-1]]


@pytest.mark.parametrize(("name", "precision", "where", "cell"), LEFT_CELLS)
def test_remaining_context(name: str, precision: str, where: str, cell: str) -> None:
    """Within 3 %, and ✗ if nothing is left; the table splits over all cards even if heads cannot be divided."""
    *counts, card = where.split("x")
    nodes, cards = ([1, *map(int, counts)])[-2:]
    layout = Layout(tp=nodes * cards, nodes=nodes)
    variant, gib = _variant(name), CARDS_GIB[card]
    checkpoint = _checkpoint(variant, precision)
    plain, bracketed = _said(cell)
    held: MemoryReserve | None = None
    for said in (plain, bracketed):
        if said == "✗":
            assert estimate_kv_tokens(variant, checkpoint, gib, layout, reserve=held) <= 0
        elif said is not None:
            left = estimate_kv_tokens(variant, checkpoint, gib, layout, reserve=held)
            assert left == pytest.approx(_tokens(said), rel=0.03)
            twice = estimate_kv_tokens(variant, checkpoint, gib, layout, kv="fp8_e4m3", reserve=held)
            assert twice == pytest.approx(2 * left, abs=2)
        held = choose_minimal_reserve(gib)


def test_mla_context_is_on_every_card_without_dp_attention() -> None:
    r1 = resolve_model("R1")
    assert estimate_kv_bytes_per_card(r1, Layout(tp=8)) == estimate_kv_bytes_per_card(r1, Layout())
    plain, spread = Layout(tp=8), Layout(tp=8, attn_dp=8)
    assert estimate_weights_gib_per_card(r1, r1.checkpoints[0], spread) > estimate_weights_gib_per_card(
        r1, r1.checkpoints[0], plain
    )
    assert estimate_kv_tokens(r1, r1.checkpoints[0], 140.4, spread) * 8 > estimate_kv_tokens(
        r1, r1.checkpoints[0], 140.4, plain
    )


def test_largest_group_of_a_pipeline_counts() -> None:
    seven = resolve_model("7B")
    assert estimate_kv_bytes_per_card(seven, Layout(pp=3)) == pytest.approx(57344 * 10 / 28)


@pytest.mark.parametrize("nodes", [1, 2, 8])
def test_cpu_context_is_divided_by_numa_nodes(nodes: int) -> None:
    """SGLang's own formula: free memory before and after loading, each divided by the nodes."""
    free_gib, tokens = 64.0, 40_000
    fraction = compute_cpu_fraction(SMALL_MODELS[-1], free_gib, tokens, nodes)
    before_gib = (free_gib - CPU_PROCESSES_GIB) / nodes
    after_gib = (free_gib - CPU_PROCESSES_GIB - SMALL_MODELS[-1].weights_gib) / nodes
    reported = int((after_gib - before_gib * (1 - fraction)) * GIB / SMALL_MODELS[-1].kv_bytes_per_token)
    assert estimate_cpu_kv_tokens(SMALL_MODELS[-1], free_gib, fraction, nodes) == pytest.approx(reported, abs=1)
    assert tokens <= reported < tokens + 0.001 * before_gib * GIB / SMALL_MODELS[-1].kv_bytes_per_token + 1
