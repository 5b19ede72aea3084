"""Write the encoder as an ONNX graph: BERT with twelve layers, from embedded tokens to hidden states, in int8.

The word embeddings are looked up in a 4-bit table instead (``model.py``), which saves the 384 MB that they take as
floats. Only this module imports onnx, and only the process that builds the artefact uses it.

Inputs of a matrix product are quantised by a fixed scale, so a text's vector does not depend on other texts in its
batch. A few channels are a hundred times as large as the others, mostly at a text's first or last token. So each
channel is divided by a power of its largest value, and the matrix is multiplied by it (SmoothQuant, Xiao et al. 2023).
``ranges.npy`` has the largest values, made by ``scripts/make_ranges.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save

from knowledge.embedding.local_e5.weights import Floats, ModelShape, PackedWeights

Ranges = Mapping[str, Floats]
"""The least and greatest value of each input channel of a product, shape ``(2, channels)``, by its name."""

SMOOTHING: Final = 0.75
"""The share of a channel's size that moves into the matrix. 0.65 and 0.85 give vectors farther from the float ones."""

_CONTRIB = "com.microsoft"
_EPSILON = 1e-12
_OPSET, _IR_VERSION = 18, 9
_LARGEST_WEIGHT = 63
_LEAST = 1e-4
_CONTEXT = "ao"
"""The product after attention."""
_RANGES = Path(__file__).parent / "ranges.npy"


def write_int8_encoder(weights: PackedWeights, path: Path) -> None:
    """Write the encoder: input ``emb`` (batch, tokens, hidden) and ``lengths`` (batch), output ``hidden``.

    Weights are 7-bit integers for each output channel. The eighth bit would saturate on processors without VNNI, which
    would give other vectors. Its loss on question sets is within the noise.
    """
    save(_Int8Products(weights, read_ranges(weights.shape)).build_model(), path)


def list_products(shape: ModelShape) -> list[tuple[str, int]]:
    """Return the name and the input channels of each matrix product, in the order of ``ranges.npy``."""
    parts = (
        ("qkv", shape.hidden_size),
        ("ao", shape.hidden_size),
        ("fi", shape.hidden_size),
        ("fo", shape.feed_forward),
    )
    return [(f"l{layer}.{part}", channels) for layer in range(shape.layers) for part, channels in parts]


def read_ranges(shape: ModelShape) -> Ranges:
    """Return the recorded ranges of each product's inputs."""
    ends = np.cumsum([channels for _, channels in list_products(shape)])
    pieces = np.split(np.load(_RANGES).astype(np.float32), ends[:-1], axis=1)
    return {name: piece for (name, _), piece in zip(list_products(shape), pieces, strict=True)}


class EncoderGraph(ABC):
    """Collects nodes and initialisers. Each method returns the name of its output."""

    def __init__(self, weights: PackedWeights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def add_node(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:  # noqa: ANN401 - onnx takes any
        """Add a node and return its first output."""
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def add_constant(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant."""
        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    @abstractmethod
    def add_product(self, name: str, state: str, matrix: Floats, bias: Floats) -> str:
        """Multiply a state by a matrix of shape ``(input channels, output channels)``, and add the bias."""

    def add_vector(self, name: str) -> str:
        """Add a vector of the weights."""
        return self.add_constant(name, self._weights.read_floats(name))

    def add_layer(self, prefix: str, state: str) -> str:
        """Add one layer: attention, then the two products of the feed-forward part."""
        attended = self._add_attention(prefix, state)
        state = self._add_residual(f"{prefix}aln", attended, state)
        inner = self._add_named_product(f"{prefix}fi", state, self._weights.shape.hidden_size)
        inner = self.add_node("Gelu", [inner], [f"{prefix}gelu"], _CONTRIB)
        outer = self._add_named_product(f"{prefix}fo", inner, self._weights.shape.feed_forward)
        return self._add_residual(f"{prefix}oln", outer, state)

    def join_attention_inputs(self, prefix: str) -> tuple[Floats, Floats]:
        """Return the matrix and the bias that compute queries, keys and values together."""
        hidden = self._weights.shape.hidden_size
        matrix = np.concatenate([self._weights.read_matrix(f"{prefix}{part}.w", hidden) for part in "qkv"]).T
        return matrix, np.concatenate([self._weights.read_floats(f"{prefix}{part}.b") for part in "qkv"])

    def _add_attention(self, prefix: str, state: str) -> str:
        product = self.add_product(f"{prefix}qkv", state, *self.join_attention_inputs(prefix))
        parts = [f"{prefix}{part}" for part in "qkv"]
        self.add_node("Split", [product], parts, axis=-1, num_outputs=3)
        heads = self._weights.shape.heads
        inputs = [*parts, "", "lengths"]
        context = self.add_node("MultiHeadAttention", inputs, [f"{prefix}context"], _CONTRIB, num_heads=heads)
        return self._add_named_product(f"{prefix}ao", context, self._weights.shape.hidden_size)

    def _add_named_product(self, name: str, state: str, columns: int) -> str:
        matrix = self._weights.read_matrix(f"{name}.w", columns).T
        return self.add_product(name, state, matrix, self._weights.read_floats(f"{name}.b"))

    def _add_residual(self, norm: str, state: str, skip: str) -> str:
        return self._add_norm(norm, self.add_node("Add", [state, skip], [f"{norm}.sum"]))

    def _add_norm(self, name: str, state: str) -> str:
        inputs = [state, self.add_vector(f"{name}.w"), self.add_vector(f"{name}.b")]
        return self.add_node("LayerNormalization", inputs, [name], axis=-1, epsilon=_EPSILON)

    def build_model(self) -> Any:  # noqa: ANN401 - onnx has no usable types
        """Return the whole graph."""
        state = self._add_norm("emb.ln", "emb")
        for layer in range(self._weights.shape.layers):
            state = self.add_layer(f"l{layer}.", state)
        self.add_node("Identity", [state], ["hidden"])
        shape: list[str | int | None] = ["batch", "tokens", self._weights.shape.hidden_size]
        graph = helper.make_graph(
            self._nodes,
            "multilingual-e5-small",
            [
                helper.make_tensor_value_info("emb", TensorProto.FLOAT, shape),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, shape)],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = _IR_VERSION
        return model


class _Int8Products(EncoderGraph):
    def __init__(self, weights: PackedWeights, ranges: Ranges) -> None:
        super().__init__(weights)
        self._ranges = ranges

    def add_product(self, name: str, state: str, matrix: Floats, bias: Floats) -> str:
        least, largest = self._ranges[name]
        factors = self._choose_divisors(name, matrix)
        if not name.endswith(_CONTEXT):
            divisors = self.add_constant(f"{name}.smooth", 1 / factors)
            state = self.add_node("Mul", [state, divisors], [f"{name}.smoothed"])
        step, zero = self._choose_scale(name, least / factors, largest / factors)
        integers = self.add_node("QuantizeLinear", [state, step, zero], [f"{name}.integers"])
        matrix = matrix * factors[:, None]
        steps = np.abs(matrix).max(axis=0) / _LARGEST_WEIGHT
        whole = self.add_constant(f"{name}.w", np.rint(matrix / steps).astype(np.int8))
        inputs = [
            integers,
            whole,
            step,
            self.add_constant(f"{name}.steps", steps),
            zero,
            "",
            self.add_constant(f"{name}.b", bias),
        ]
        return self.add_node("MatMulIntegerToFloat", inputs, [f"{name}.product"], _CONTRIB)

    def join_attention_inputs(self, prefix: str) -> tuple[Floats, Floats]:
        """Smooth the values beforehand: attention adds up each of their channels separately."""
        matrix, bias = super().join_attention_inputs(prefix)
        name, hidden = f"{prefix}{_CONTEXT}", self._weights.shape.hidden_size
        factors = np.ones_like(bias)
        factors[-hidden:] = self._choose_divisors(name, self._weights.read_matrix(f"{name}.w", hidden).T)
        return matrix / factors, bias / factors

    def _choose_divisors(self, name: str, matrix: Floats) -> Floats:
        """Return the divisor of each channel."""
        size = np.maximum(np.abs(self._ranges[name]).max(axis=0), _LEAST)
        factors: Floats = size**SMOOTHING / np.maximum(np.abs(matrix).max(axis=1), _LEAST) ** (1 - SMOOTHING)
        return factors

    def _choose_scale(self, name: str, least: Floats, largest: Floats) -> tuple[str, str]:
        """Return the scale and the zero point of an unsigned byte for every recorded value."""
        low, high = min(0.0, float(least.min())), float(largest.max())
        step = np.float32((high - low) / 255)
        zero = np.uint8(round(-low / float(step)))
        return self.add_constant(f"{name}.step", np.array(step)), self.add_constant(f"{name}.zero", np.array(zero))
