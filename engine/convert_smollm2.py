"""Turn the GGUF of SmolLM2-135M-Instruct into a folder that SGLang loads: ``convert_smollm2.py FILE.gguf FOLDER``.

Run by ``engine.install`` with the engine's own Python, which has torch and transformers; Kvasir never imports it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

_RMS_NORM_EPS = 1e-5
"""What the model was trained with; the GGUF reader of transformers does not carry it over."""
_NOT_CARRIED_OVER = ("quantization_config", "rms_norm_eps", "dtype", "torch_dtype", "_name_or_path")


def convert(gguf: Path, folder: Path) -> None:
    """Write ``config.json``, ``model.safetensors`` in bfloat16 and the tokenizer with its chat template."""
    source = str(gguf.parent)
    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf.name, dtype=torch.float32)
    kept = {key: value for key, value in loaded.config.to_dict().items() if key not in _NOT_CARRIED_OVER}
    model = LlamaForCausalLM(LlamaConfig(**kept, rms_norm_eps=_RMS_NORM_EPS))
    model.load_state_dict(loaded.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=gguf.name).save_pretrained(folder)
    _split_digits(folder / "tokenizer.json")


def _split_digits(tokenizer: Path) -> None:
    """Restore what the GGUF reader loses: SmolLM2 splits each digit off before anything else."""
    data = json.loads(tokenizer.read_text(encoding="utf-8"))
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    tokenizer.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
