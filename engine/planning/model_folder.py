"""Describe the model in a folder from its own files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from engine.errors import EngineRefused
from engine.notes import NoteCode
from engine.planning.variant import Checkpoint, Precision, Variant

_MIN_CAPABILITY: dict[Precision, int] = {"bf16": 0, "fp8": 80, "int8": 80, "w4afp8": 90, "nvfp4": 100, "int4": 75}
"""Compute capability times ten; fp8 experts need more, because SGLang has no kernel for older cards."""

_REQUIRED_FIELDS = ("hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
_OPTIONAL_FIELDS = (
    "num_key_value_heads",
    "max_position_embeddings",
    "intermediate_size",
    "moe_intermediate_size",
    "head_dim",
    "kv_lora_rank",
)
"""A missing field, null and 0 are equal."""
_MAX_COUNT = 2**40
"""No real value comes near, and computed sizes stay finite."""


def describe_model_folder(folder: Path) -> Variant:
    """Return the model in ``folder``, from its ``config.json`` and chat template.

    Raises:
        EngineRefused: the folder has no model that SGLang can serve; the text says what is missing.

    """
    config = _load_config(folder)
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    mla = bool(config.get("kv_lora_rank"))
    template = _load_chat_template(folder)
    thinks = "</think>" in template or "<think>" in template
    size_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not size_bytes:
        raise EngineRefused(NoteCode.NO_SAFETENSORS.fill(place=str(folder)))
    precision = _find_precision(config)
    return Variant(
        name=folder.name,
        hf_id=str(folder),
        aliases=(),
        layers=int(config["num_hidden_layers"]),
        hidden_size=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        vocab=int(config["vocab_size"]),
        parameters=size_bytes * 8 // {"bf16": 16, "fp8": 8, "int8": 8}.get(precision, 4),
        context_tokens=int(config.get("max_position_embeddings") or 4096),
        licence="see the model's folder",
        checkpoints=(_build_checkpoint(folder, config, precision, size_bytes),),
        ffn=int(config.get("intermediate_size") or 0),
        expert_ffn=int(config.get("moe_intermediate_size") or 0),
        tied_embeddings=bool(config.get("tie_word_embeddings")),
        family="mla" if mla else "gqa",
        head_dim=int(config["kv_lora_rank"]) + int(config["qk_rope_head_dim"])
        if mla
        else int(config.get("head_dim") or hidden // heads),
        opens_think="<think>" in template.rpartition("add_generation_prompt")[2],
        reasoning_parser="deepseek-r1" if thinks else None,
    )


def _build_checkpoint(folder: Path, config: dict[str, Any], precision: Precision, size_bytes: int) -> Checkpoint:
    """Return the checkpoint with its quantization group, which no split may cut, and the cards it needs."""
    found = re.search(r'"(?:group_size": |weight_block_size": \[)(\d+)', json.dumps(config.get("quantization_config")))
    least = 89 if config.get("moe_intermediate_size") and precision == "fp8" else _MIN_CAPABILITY[precision]
    group = int(found[1]) if found else 0
    return Checkpoint(str(folder), precision, group=group, min_capability=least, size_bytes=size_bytes)


def _find_precision(config: dict[str, Any]) -> Precision:
    """Return the precision in ``quantization_config``; bfloat16 without one."""
    declared = config.get("quantization_config") or {}
    method, text = str(declared.get("quant_method", "")), json.dumps(declared)
    if method in {"awq", "gptq"} or '"num_bits": 4' in text:
        return "int4"
    if "nvfp4" in text.lower():
        return "nvfp4"
    if method == "fp8" or '"type": "float"' in text:
        return "fp8"
    return "int8" if '"num_bits": 8' in text else "bf16"


def _load_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineRefused(NoteCode.NO_CONFIG.fill(place=str(folder), file="config.json")) from error
    except (OSError, ValueError, RecursionError) as error:
        raise EngineRefused(NoteCode.CONFIG_NOT_JSON.fill(path=str(path))) from error
    if missing := _list_unusable_fields(config):
        raise EngineRefused(NoteCode.CONFIG_INVALID.fill(path=str(path), fields=", ".join(missing)))
    return config


def _list_unusable_fields(config: object) -> list[str]:
    """Return the names of the required or used fields whose values are missing or impossible."""
    if not isinstance(config, dict):
        return list(_REQUIRED_FIELDS)
    needed = (*_REQUIRED_FIELDS, "qk_rope_head_dim") if _is_count(config.get("kv_lora_rank")) else _REQUIRED_FIELDS
    unread = [name for name in needed if not _is_count(config.get(name))]
    unread += [name for name in _OPTIONAL_FIELDS if config.get(name) and not _is_count(config[name])]
    if not isinstance(config.get("quantization_config") or {}, dict):
        unread.append("quantization_config")
    if not unread and config["hidden_size"] < config["num_attention_heads"]:
        unread.append("a hidden_size of at least num_attention_heads")
    return unread


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value <= _MAX_COUNT


def _load_chat_template(folder: Path) -> str:
    """Return the chat template of a folder, "" without one; newer models have it in its own file."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return template if isinstance(template, str) else json.dumps(template or "")
