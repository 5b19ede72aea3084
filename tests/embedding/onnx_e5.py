"""The shipped e5 as the files that others publish: a graph that takes tokens, and a ``tokenizer.json``."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper
from sentencepiece import SentencePieceProcessor
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from knowledge.embedding.local_e5.files import ENCODER, FOLDER, POSITIONS, VOCABULARY, WORDS

_UNKNOWN = 3
_BLOCK = 32


@functools.cache
def write_e5_files(cache: Path) -> tuple[Path, Path]:
    """Write the graph and the vocabulary, once a process because it takes seconds, and return their paths."""
    folder = tempfile.TemporaryDirectory(prefix="kvasir-e5-")
    atexit.register(folder.cleanup)
    artefact = cache / "models" / FOLDER
    graph, tokenizer = Path(folder.name) / "model.onnx", Path(folder.name) / "tokenizer.json"
    onnx.save(_add_embeddings(artefact), str(graph))
    _convert_vocabulary(artefact / VOCABULARY).save(str(tokenizer))
    return graph, tokenizer


def _convert_vocabulary(path: Path) -> Tokenizer:
    pieces = SentencePieceProcessor(model_file=str(path))
    vocabulary = Tokenizer(
        Unigram([(pieces.id_to_piece(n), pieces.get_score(n)) for n in range(len(pieces))], unk_id=_UNKNOWN)
    )
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    vocabulary.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Strip(), spaces])
    vocabulary.pre_tokenizer = pre_tokenizers.Metaspace()
    vocabulary.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return vocabulary


def _add_embeddings(artefact: Path) -> onnx.ModelProto:
    """Return the encoder behind a look-up of the words, whose 4-bit table it unpacks."""
    encoder, blocks = onnx.load(str(artefact / ENCODER)), np.load(artefact / WORDS)
    hidden = blocks.shape[1] * _BLOCK
    constants = {
        "nibbles": np.ascontiguousarray(blocks[..., 2:]),
        "scales": blocks[..., :2].copy().view("<f2"),
        "positions": np.load(artefact / POSITIONS),
        "mask": np.array(15, np.uint8),
        "four": np.array(4, np.uint8),
        "eight": np.array(8, np.float32),
        "zero": np.array([0]),
        "one": np.array([1]),
        "shape": np.array([0, 0, hidden]),
    }
    steps = [
        ("Gather", ["nibbles", "input_ids"], "packed", {}),
        ("BitwiseAnd", ["packed", "mask"], "low", {}),
        ("BitShift", ["packed", "four"], "high", {"direction": "RIGHT"}),
        ("Concat", ["low", "high"], "levels", {"axis": -1}),
        ("Cast", ["levels"], "signed", {"to": TensorProto.FLOAT}),
        ("Sub", ["signed", "eight"], "weights", {}),
        ("Gather", ["scales", "input_ids"], "half", {}),
        ("Cast", ["half"], "scale", {"to": TensorProto.FLOAT}),
        ("Mul", ["weights", "scale"], "scaled", {}),
        ("Reshape", ["scaled", "shape"], "words", {}),
        ("Shape", ["input_ids"], "sizes", {}),
        ("Gather", ["sizes", "one"], "width", {}),
        ("Slice", ["positions", "zero", "width"], "places", {}),
        ("Add", ["words", "places"], "emb", {}),
        ("Cast", ["attention_mask"], "inside", {"to": TensorProto.INT32}),
        ("ReduceSum", ["inside", "one"], "lengths", {"keepdims": 0}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **options) for kind, inputs, output, options in steps],
        "embeddings",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"])
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info("emb", TensorProto.FLOAT, ["b", "t", hidden]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    head = helper.make_model(graph, opset_imports=encoder.opset_import, ir_version=encoder.ir_version)
    head = compose.add_prefix(head, "head/", rename_inputs=False, rename_outputs=False)
    return compose.merge_models(head, encoder, [("emb", "emb"), ("lengths", "lengths")])
