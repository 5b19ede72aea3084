"""The encoder as an ONNX graph: BERT with twelve layers, from embedded tokens to hidden states, in int8.

The word embeddings are not part of it: they are looked up in the 4-bit table (``model.py``), which spares the 384 MB
that they would take as floats. onnx is imported here alone, and only the process that builds the artefact comes here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from knowledge.embedding.weights import Floats, Weights

_CONTRIB = "com.microsoft"
_EPSILON = 1e-12
_OPSET, _IR_VERSION = 18, 9


def write_int8_encoder(weights: Weights, path: Path) -> None:
    """Write the encoder: input ``emb`` (batch, tokens, hidden) and ``lengths`` (batch), output ``hidden``.

    Weights are integers of 7 bits for each output channel, activations are quantised as they come (dynamic
    quantisation). The eighth bit would saturate on processors without VNNI, so that they would give other vectors;
    on question sets its loss cannot be told from noise.
    """
    quantize_dynamic(
        _float_model(weights),
        path,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        reduce_range=True,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def _float_model(weights: Weights) -> Any:  # noqa: ANN401 - onnx has no usable types
    builder = _Builder(weights)
    state = builder.normalised_embeddings()
    for layer in range(weights.shape.layers):
        state = builder.layer(f"l{layer}.", state)
    builder.node("Identity", [state], ["hidden"])
    return builder.model()


class _Builder:
    """Collects nodes and initialisers; each method returns the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def node(self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any) -> str:  # noqa: ANN401 - onnx takes any
        self._nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def tensor(self, name: str, values: Floats) -> str:
        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    def vector(self, name: str) -> str:
        return self.tensor(name, self._weights.floats(name))

    def normalised_embeddings(self) -> str:
        inputs = ["emb", self.vector("emb.ln.w"), self.vector("emb.ln.b")]
        return self.node("LayerNormalization", inputs, ["normalised"], axis=-1, epsilon=_EPSILON)

    def layer(self, prefix: str, state: str) -> str:
        attended = self._attention(prefix, state)
        state = self._residual(prefix, attended, state, "ao", "aln")
        inner = self._product(f"{prefix}fi", state, self._weights.shape.hidden)
        inner = self.node("BiasGelu", [inner, self.vector(f"{prefix}fi.b")], [f"{prefix}gelu"], _CONTRIB)
        outer = self._product(f"{prefix}fo", inner, self._weights.shape.feed_forward)
        return self._residual(prefix, outer, state, "fo", "oln")

    def _attention(self, prefix: str, state: str) -> str:
        hidden = self._weights.shape.hidden
        matrix = np.concatenate([self._weights.matrix(f"{prefix}{part}.w", hidden) for part in "qkv"]).T
        bias = np.concatenate([self._weights.floats(f"{prefix}{part}.b") for part in "qkv"])
        joined = self.node("MatMul", [state, self.tensor(f"{prefix}qkv.w", matrix)], [f"{prefix}qkv"])
        joined = self.node("Add", [joined, self.tensor(f"{prefix}qkv.b", bias)], [f"{prefix}qkv_biased"])
        parts = [f"{prefix}{part}" for part in "qkv"]
        self.node("Split", [joined], parts, axis=-1, num_outputs=3)
        heads = self._weights.shape.heads
        inputs = [*parts, "", "lengths"]
        context = self.node("MultiHeadAttention", inputs, [f"{prefix}context"], _CONTRIB, num_heads=heads)
        return self._product(f"{prefix}ao", context, hidden)

    def _product(self, name: str, state: str, columns: int) -> str:
        matrix = self._weights.matrix(f"{name}.w", columns).T
        return self.node("MatMul", [state, self.tensor(f"{name}.w", matrix)], [f"{name}.product"])

    def _residual(self, prefix: str, state: str, skip: str, bias: str, norm: str) -> str:
        scale, shift = self.vector(f"{prefix}{norm}.w"), self.vector(f"{prefix}{norm}.b")
        inputs = [state, skip, scale, shift, self.vector(f"{prefix}{bias}.b")]
        return self.node("SkipLayerNormalization", inputs, [f"{prefix}{norm}"], _CONTRIB, epsilon=_EPSILON)

    def model(self) -> Any:  # noqa: ANN401 - onnx has no usable types
        shape: list[str | int | None] = ["batch", "tokens", self._weights.shape.hidden]
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
