"""Convert a GGUF of Qwen2.5 into a folder that SGLang loads: ``convert_gguf.py FILE.gguf FOLDER``.

``engine.weights.wheel_pieces`` runs it with the engine's Python, which has gguf and numpy. Kvasir never imports it. One
block of rows is in memory at a time, so the peak does not depend on the model's size. If it writes other files than
before, ``wheel_pieces`` needs another version of it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize

_BLOCK_VALUES = 4 * 2**20
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # the types of tokens in a GGUF
_ORDINARY_FROM, _ORDINARY_TO = 151657, 151664
"""Added tokens that are not special in Qwen's own files: tools, fill-in-the-middle, files."""
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenizer, which a GGUF only names."""
_WEIGHTS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<kind>weight|bias)")


def convert_model(gguf: Path, folder: Path) -> None:
    """Write the configuration, the tokenizer with its chat template, and the weights in bfloat16.

    Raises:
        ValueError: the file is not a Qwen2 with Qwen2's vocabulary.

    """
    reader = GGUFReader(gguf)
    said = {name: reader.fields[name] for name in reader.fields}
    kind, split = said["general.architecture"].contents(), said["tokenizer.ggml.pre"].contents()
    if (kind, split) != ("qwen2", "qwen2"):
        raise ValueError(f"{gguf.name} is a {kind} with the vocabulary {split}, not a qwen2 with its own")
    tokens = said["tokenizer.ggml.tokens"].contents()
    types = said["tokenizer.ggml.token_type"].contents()
    _write_json(folder / "config.json", _build_configuration(said, len(tokens)))
    _write_json(folder / "generation_config.json", {"bos_token_id": 151643, "eos_token_id": [151645, 151643]})
    _write_json(folder / "tokenizer.json", _build_tokenizer(tokens, types, said["tokenizer.ggml.merges"].contents()))
    _write_json(folder / "tokenizer_config.json", _tokenizer_configuration())
    (folder / "chat_template.jinja").write_text(said["tokenizer.chat_template"].contents(), encoding="utf-8")
    _write_weights(folder / "model.safetensors", _map_names(reader.tensors))


def _build_configuration(said: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    def value(name: str) -> Any:  # noqa: ANN401  # a field's own type
        return said[f"qwen2.{name}"].contents()

    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "hidden_act": "silu",
        "hidden_size": value("embedding_length"),
        "intermediate_size": value("feed_forward_length"),
        "max_position_embeddings": value("context_length"),
        "num_attention_heads": value("attention.head_count"),
        "num_hidden_layers": value("block_count"),
        "num_key_value_heads": value("attention.head_count_kv"),
        "rms_norm_eps": float(f"{value('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": value("rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.43.1",  # as in Qwen's own; without one transformers warns of another maker's mistake
        "use_sliding_window": False,
        "vocab_size": vocabulary,
    }


def _build_tokenizer(tokens: list[str], types: list[int], merges: list[str]) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    added = [
        {
            "id": place,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": not _ORDINARY_FROM <= place <= _ORDINARY_TO,
        }
        for place, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind not in {_NORMAL, _UNUSED}
    ]
    split = {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: place for place, token in enumerate(tokens) if types[place] == _NORMAL},
            "merges": merges,
        },
    }


def _tokenizer_configuration() -> dict[str, Any]:
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 131072,
    }


def _map_names(tensors: list[ReaderTensor]) -> dict[str, ReaderTensor]:
    """Return the tensors under the names that SGLang reads.

    Qwen2.5's output head is its embedding. These files carry it twice, and the copy for the head is the more exact one,
    so that one becomes both.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    by_name["token_embd.weight"] = by_name.pop("output.weight", by_name["token_embd.weight"])
    return {_convert_name(name): tensor for name, tensor in by_name.items()}


def _convert_name(name: str) -> str:
    parts = _NAME.fullmatch(name)
    if parts is None or parts["part"] not in _WEIGHTS:
        raise ValueError(f"a Qwen2 has no tensor {name}")
    layer = f"model.layers.{parts['layer']}." if parts["layer"] is not None else ""
    return f"{layer}{_WEIGHTS[parts['part']]}.{parts['kind']}"


def _write_weights(path: Path, tensors: dict[str, ReaderTensor]) -> None:
    """Write a safetensors file: the length of the header, the header, then every tensor's bytes in its order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + 2 * int(tensor.n_elements)
        shape = [int(size) for size in reversed(tensor.shape)]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors.values():
            for block in _read_blocks(tensor):
                file.write(_round_to_bfloat16(block))


def _read_blocks(tensor: ReaderTensor) -> Iterator[np.ndarray]:
    rows = max(1, _BLOCK_VALUES // int(tensor.shape[0])) if len(tensor.shape) > 1 else len(tensor.data)
    for begin in range(0, len(tensor.data), rows):
        yield dequantize(tensor.data[begin : begin + rows], tensor.tensor_type)


def _round_to_bfloat16(values: np.ndarray) -> bytes:
    """Return the upper halves of float32 values, rounded to the nearest and to even between two."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2").tobytes()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    convert_model(Path(sys.argv[1]), Path(sys.argv[2]))
