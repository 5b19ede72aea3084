"""Pure: estimate how fast a plan answers. No figure here is measured.

Decoding reads the active weights and the context once for each token. Its time is those bytes over the cards' memory
bandwidth. Prefill multiplies each token with each active weight. Its time is ``2 · parameters · tokens`` over the
cards' FLOPS. The shares of bandwidth and FLOPS that SGLang reaches are fitted to published single-stream figures (2,000
tokens in, 512 out). ``tests/engine/planning/test_speed.py`` checks that the estimate is within a quarter of these:

- 32B on an H100 in fp8: 237 ms to the first token, 68 tokens/s; on an A100 in bf16: 1,044 ms, 22; on an L40S in fp8:
  929 ms, 19
- 14B on an H100 in bf16: 156 ms, 85; 8B: 86 ms, 151
- R1 in int4 on 8 H100: 105 ms (1,000 tokens in), 62
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.planning.cards import CardSpec
from engine.planning.memory import KvDtype, Layout, estimate_kv_bytes_per_card
from engine.planning.variant import Checkpoint, Variant, estimate_weights_bytes

PROMPT_TOKENS = 2000
ANSWER_TOKENS = 512
"""Thinking and answer together."""
ESTIMATE_BASIS = (
    f"estimated, not measured: for one person with {PROMPT_TOKENS} tokens in and {ANSWER_TOKENS} out, from the cards' "
    "TFLOPS and memory bandwidth"
)

_BANDWIDTH_SHARE = 0.72
_DENSE_BF16_SHARE, _DENSE_FP8_SHARE = 0.39, 0.235
_EXPERTS_BF16_SHARE, _EXPERTS_FP8_SHARE = 0.09, 0.05
_EXPERT_LAYER_S = 247e-6
"""The time of a layer of experts for its small kernels and messages. Fitted on eight cards, and used for fewer too:
no faster published figures exist."""
_ALL_REDUCE_S = {"nvlink": 12e-6, "pcie": 40e-6}
"""The time of the two all-reduces of each split layer."""
_HOST_GB_S = 25.0
"""Weights in main memory come over PCIe for every token."""
_EIGHT_BITS = frozenset({"fp8", "int8", "w4afp8", "nvfp4"})


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """The estimated speed for one person alone."""

    first_token_s: float
    tokens_per_s: float
    answer_s: float
    """The seconds until the end of ``ANSWER_TOKENS``, thinking included."""


def estimate_speed(
    variant: Variant,
    checkpoint: Checkpoint,
    layout: Layout,
    spec: CardSpec,
    kv: KvDtype = "auto",
    offload_gib: float = 0.0,
) -> SpeedEstimate:
    """Return the estimate for one request at a time on cards of that data sheet."""
    first = _estimate_first_token_s(variant, checkpoint, layout, spec)
    each = _estimate_token_s(variant, checkpoint, layout, spec, kv) + offload_gib * 1.0737 / _HOST_GB_S
    return SpeedEstimate(first, 1 / each, first + ANSWER_TOKENS * each)


def _estimate_first_token_s(variant: Variant, checkpoint: Checkpoint, layout: Layout, spec: CardSpec) -> float:
    experts = variant.parameters_per_token < variant.parameters
    if checkpoint.precision in _EIGHT_BITS and spec.fp8_tflops:
        peak, share = spec.fp8_tflops, _EXPERTS_FP8_SHARE if experts else _DENSE_FP8_SHARE
    else:
        peak, share = spec.bf16_tflops, _EXPERTS_BF16_SHARE if experts else _DENSE_BF16_SHARE
    reached = peak * 1e12 * share * layout.tp  # the groups of a pipeline take turns, so they do not add up
    return 2 * variant.parameters_per_token * PROMPT_TOKENS / reached + _estimate_overhead_s(variant, layout, spec)


def _estimate_token_s(variant: Variant, checkpoint: Checkpoint, layout: Layout, spec: CardSpec, kv: KvDtype) -> float:
    active_bytes = estimate_weights_bytes(variant, checkpoint) * variant.parameters_per_token / variant.parameters
    context_bytes = estimate_kv_bytes_per_card(variant, layout, kv) * layout.pp * (PROMPT_TOKENS + ANSWER_TOKENS / 2)
    read_s = (active_bytes / layout.tp + context_bytes) / (spec.bandwidth_gb_s * 1e9 * _BANDWIDTH_SHARE)
    return read_s + _estimate_overhead_s(variant, layout, spec)


def _estimate_overhead_s(variant: Variant, layout: Layout, spec: CardSpec) -> float:
    """Return the time of one pass through the layers besides bytes and FLOPS."""
    if variant.parameters_per_token < variant.parameters:
        return variant.layers * _EXPERT_LAYER_S
    if layout.tp == 1:
        return 0.0
    return variant.layers * 2 * _ALL_REDUCE_S[spec.link]
