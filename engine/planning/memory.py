"""Pure: estimate what weights and context take of a card, and what SGLang reserves.

The formulas are those of SGLang 0.5.23's source, for its default reserve, its chunk and graphs by the size of a card,
and its CPU budget. ``tests/engine/planning/test_memory.py`` compares them with published tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from engine.planning.variant import GIB, Checkpoint, Variant, estimate_download_bytes, estimate_weights_bytes

CONTEXT_GIB = 0.6
TIGHT_CHUNK_TOKENS = 2048
TIGHT_DECODE_BATCH = 16
"""Small prefill chunks and few captured batches: a card then needs less reserve than the default."""

KvDtype = Literal["auto", "fp8_e4m3"]
"""``auto`` is the model's own bfloat16."""

_LARGE_CARD_GIB = 60
_MIB_PER_GIB = 1024
_ATTENTION_WEIGHTS = 187_105_280
"""The attention weights of one layer of the 671B, which DP attention keeps whole on every card."""
_LARGE_BATCH = 300


@dataclass(frozen=True, slots=True)
class Layout:
    """How a model is distributed over cards.

    ``tp`` cards split each layer, and ``pp`` groups of cards each have some of the layers. There are ``dp`` copies of
    the model, each on ``tp × pp`` cards. With MLA, ``attn_dp`` parts of a copy's cards have their own context; it
    divides ``tp``. The experts are distributed over ``ep`` cards, which is 1 or ``tp``.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    attn_dp: int = 1
    ep: int = 1
    nodes: int = 1

    @property
    def cards(self) -> int:
        """Return the number of cards."""
        return self.tp * self.pp * self.dp


@dataclass(frozen=True, slots=True)
class MemoryReserve:
    """What SGLang reserves on each card; None for its own default.

    The values become ``--chunked-prefill-size``, ``--cuda-graph-max-bs-decode`` and ``--mem-fraction-static``.
    """

    chunk_tokens: int | None = None
    decode_batch: int | None = None
    reserve_gib: float | None = None


def choose_minimal_reserve(card_gib: float) -> MemoryReserve:
    """Return the smallest useful reserve: 3 GiB, or 6 GiB on cards above 60 GB."""
    return MemoryReserve(TIGHT_CHUNK_TOKENS, TIGHT_DECODE_BATCH, 6.0 if card_gib > _LARGE_CARD_GIB else 3.0)


def estimate_weights_gib_per_card(variant: Variant, checkpoint: Checkpoint, layout: Layout) -> float:
    """Return the weights on each card in GiB; DP attention has its part whole on each.

    In a pipeline, those of the fullest group: it has the most layers, and the embedding or the output head.
    """
    split = estimate_weights_bytes(variant, checkpoint) / layout.tp
    if layout.pp > 1:
        outer = 2 * variant.embedding_parameters / layout.tp
        layers = math.ceil(variant.layers / layout.pp) / variant.layers
        split = (split - outer) * layers + outer / (1 if variant.tied_embeddings else 2)
    if layout.attn_dp > 1:
        share = estimate_weights_bytes(variant, checkpoint) / variant.parameters
        attention = variant.layers / layout.pp * _ATTENTION_WEIGHTS * share
        split += attention * (layout.attn_dp - 1) / layout.tp
    return split / GIB


def estimate_loading_gib(variant: Variant, checkpoint: Checkpoint, layout: Layout) -> float:
    """Return the memory that a card needs while it loads a checkpoint that SGLang then quantizes, in GiB.

    SGLang 0.5.23 allocates all published weights and quantizes them after loading. 0 for any other checkpoint.
    """
    if checkpoint.quantization is None:
        return 0.0
    share = estimate_download_bytes(variant, checkpoint) / estimate_weights_bytes(variant, checkpoint)
    return estimate_weights_gib_per_card(variant, checkpoint, layout) * share


def estimate_kv_bytes_per_card(variant: Variant, layout: Layout, kv: KvDtype = "auto") -> float:
    """Return the bytes that one token of context takes on a card.

    GQA: ``2 · layers · kv_heads · head_dim · bytes``, heads split until each card has one. MLA: ``layers · 576 ·
    bytes`` on every card. With a pipeline only the layers of the largest group count.
    """
    layers = math.ceil(variant.layers / layout.pp)
    split = 1 if variant.family == "mla" else min(layout.tp, variant.kv_heads)
    return variant.kv_values_per_layer * layers * (1 if kv == "fp8_e4m3" else 2) / split


def estimate_kv_tokens(
    variant: Variant,
    checkpoint: Checkpoint,
    card_gib: float,
    layout: Layout,
    *,
    kv: KvDtype = "auto",
    reserve: MemoryReserve | None = None,
) -> int:
    """Return the tokens of context that fit next to the weights in one pool; negative if the weights do not fit.

    ``card_gib`` is the memory that a card reports. A copy of the model has ``attn_dp`` pools, a plan ``dp · attn_dp``.
    """
    free = estimate_free_gib(variant, checkpoint, card_gib, layout, reserve)
    return int(free * GIB / estimate_kv_bytes_per_card(variant, layout, kv))


def estimate_free_gib(
    variant: Variant, checkpoint: Checkpoint, card_gib: float, layout: Layout, reserve: MemoryReserve | None = None
) -> float:
    """Return the memory for context on a card, in GiB; negative if the weights do not fit."""
    reserved_gib = estimate_reserve_gib(variant, card_gib, layout, reserve)
    return card_gib - CONTEXT_GIB - reserved_gib - estimate_weights_gib_per_card(variant, checkpoint, layout)


def estimate_reserve_gib(
    variant: Variant, card_gib: float, layout: Layout, reserve: MemoryReserve | None = None
) -> float:
    """Return what SGLang reserves on each card, in GiB: the given reserve, or its default.

    In MiB: 512 + 1.5·max(chunk, 2048) + 1024·tp·pp/8 + 2·decode batch + 8 for each prefill graph (1536 for MLA), and at
    least 10 GiB on cards above 60 GB. DP attention adds 3 (4.5 above a batch of 300) times batch and groups.
    """
    reserve = reserve or MemoryReserve()
    if reserve.reserve_gib is not None:
        return reserve.reserve_gib
    chunk, graphs = _find_default_chunk(card_gib)
    chunk = reserve.chunk_tokens or chunk
    batch = reserve.decode_batch or _find_default_decode_batch(card_gib, layout.tp)
    mib = 512 + 1.5 * max(chunk, 2048) + 1024 * layout.tp * layout.pp / 8 + 2 * batch
    mib += 1536 if variant.family == "mla" else 8 * graphs
    if layout.attn_dp > 1:
        mib += batch * layout.attn_dp * (4.5 if batch > _LARGE_BATCH else 3)
    return max(mib / _MIB_PER_GIB, 10.0 if card_gib > _LARGE_CARD_GIB else 0.0)


def compute_memory_fraction(card_gib: float, reserve: float) -> float:
    """Return the ``--mem-fraction-static`` that leaves ``reserve`` GiB besides the CUDA context, rounded down."""
    return math.floor((1 - reserve / (card_gib - CONTEXT_GIB)) * 1000) / 1000


def _find_default_chunk(card_gib: float) -> tuple[int, int]:
    """Return the prefill chunk in tokens for a card of that size, and its number of prefill graphs."""
    for below_gib, chunk, graphs in ((20, 2048, 42), (60, 4096, 50), (160, 8192, 58)):
        if card_gib < below_gib:
            return chunk, graphs
    return 16384, 66


def _find_default_decode_batch(card_gib: float, tp: int) -> int:
    for below_gib, few, many in ((20, 8, 8), (35, 48, 160), (60, 32, 160), (160, 256, 512)):
        if card_gib < below_gib:
            return few if tp < 4 else many  # noqa: PLR2004
    return 512


# --- on a CPU ---------------------------------------------------------------------------------------------------------

CPU_PROCESSES_GIB = 1.6
"""What SGLang's processes take of the free memory before they load the weights; measured."""


def estimate_cpu_kv_tokens(variant: Variant, free_gib: float, fraction: float, numa_nodes: int = 1) -> int:
    """Return the tokens that SGLang gives the context on a CPU with ``--mem-fraction-static`` and no limit in tokens.

    SGLang 0.5.23: ``(free after loading - free before loading · (1 - fraction)) / bytes of a token``. It divides both
    by the number of NUMA nodes, as if each had its own process. ``free_gib`` is the free memory before SGLang starts.
    """
    before = free_gib - CPU_PROCESSES_GIB
    context_gib = (before * fraction - variant.weights_gib) / numa_nodes
    return int(context_gib * GIB / variant.kv_bytes_per_token)


def compute_cpu_fraction(variant: Variant, free_gib: float, tokens: int, numa_nodes: int = 1) -> float:
    """Return the smallest ``--mem-fraction-static`` with room for ``tokens``; above 1 if they cannot fit."""
    static = variant.weights_gib + tokens * variant.kv_bytes_per_token / GIB * numa_nodes
    return math.ceil(static / max(free_gib - CPU_PROCESSES_GIB, 0.001) * 1000) / 1000
