"""The models that Kvasir knows, as data, and the name or folder that a person gives turned into one of them."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.errors import EngineRefused

_GIB = 1024**3

Vocabulary = Literal["deepseek", "qwen2", "llama3", "smollm2"]
"""Which vocabulary a model counts its tokens in."""

Family = Literal["mla", "gqa"]
"""How a model keeps its context: MLA's compressed rows are the same on every card, GQA's heads are split over them."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One model: its shape, what SGLang needs to be told of it, and what its template does."""

    name: str
    """The name that is served."""
    hf_id: str
    """The hub's id, or the absolute path of a folder."""
    aliases: tuple[str, ...]
    """Other names that people use, lower case."""
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    vocab: int
    parameters: int
    weights_bytes: int
    """Of the published checkpoint, in its own precision."""
    context_tokens: int
    licence: str
    family: Family = "gqa"
    head_dim: int = 128
    """Of GQA; for MLA the row of a layer: kv_lora + rope."""
    opens_think: bool = False
    """Whether the chat template ends in ``<think>``, so that the answer starts inside the thinking."""
    reasoning_parser: str | None = None
    """SGLang's parser that takes the thinking apart from the answer, None for a model that does not think."""
    vocabulary: Vocabulary | None = None
    stand_in: bool = False
    """True for the small model that shows the plumbing on a machine without a GPU."""

    @property
    def is_directory(self) -> bool:
        """Say whether the weights are a folder of this machine rather than a hub's repository."""
        return os.path.isabs(self.hf_id)  # noqa: PTH117  # a hub id is no path

    @property
    def weights_gib(self) -> float:
        """Return the size of the weights in GiB."""
        return self.weights_bytes / _GIB

    @property
    def kv_bytes_per_token(self) -> int:
        """Return the bytes that one token of bfloat16 context takes, over all cards (MLA: on every card)."""
        rows = 1 if self.family == "mla" else 2 * self.kv_heads
        return self.layers * rows * self.head_dim * 2


def _distill(  # the seven differ in figures alone
    size: str, aliases: tuple[str, ...], shape: tuple[int, int, int, int, int], parameters: int, licence: str
) -> Variant:
    layers, hidden, heads, kv_heads, vocab = shape
    name = f"DeepSeek-R1-Distill-{size}"
    return Variant(
        name=name,
        hf_id=f"deepseek-ai/{name}",
        aliases=aliases,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        vocab=vocab,
        parameters=parameters,
        weights_bytes=2 * parameters,
        context_tokens=131072,
        licence=f"MIT, on a base under {licence}",
        opens_think=True,
        reasoning_parser="deepseek-r1",
        vocabulary="llama3" if size.startswith("Llama") else "qwen2",
    )


def _r1(name: str, aliases: tuple[str, ...], *, opens_think: bool) -> Variant:
    return Variant(
        name=name,
        hf_id=f"deepseek-ai/{name}",
        aliases=aliases,
        layers=61,
        hidden=7168,
        heads=128,
        kv_heads=128,
        vocab=129280,
        parameters=671_026_419_200,
        # FP8 in 128×128 blocks with their scales; the embedding, the norms and the gates stay bfloat16.
        weights_bytes=int(626.9 * _GIB),
        context_tokens=163840,
        licence="MIT",
        family="mla",
        head_dim=576,
        opens_think=opens_think,
        reasoning_parser="deepseek-r1",
        vocabulary="deepseek",
    )


VARIANTS: tuple[Variant, ...] = (
    _r1("DeepSeek-R1", ("r1", "671b", "deepseek-r1-671b"), opens_think=True),
    _r1("DeepSeek-R1-Zero", ("r1-zero", "zero"), opens_think=True),
    _r1("DeepSeek-R1-0528", ("r1-0528", "0528"), opens_think=False),
    _distill("Llama-70B", ("70b",), (80, 8192, 64, 8, 128256), 70_553_706_496, "llama3.3"),
    _distill("Qwen-32B", ("32b", "33b"), (64, 5120, 40, 8, 152064), 32_763_876_352, "Apache-2.0"),
    _distill("Qwen-14B", ("14b", "13b"), (48, 5120, 40, 8, 152064), 14_770_033_664, "Apache-2.0"),
    Variant(
        name="DeepSeek-R1-0528-Qwen3-8B",
        hf_id="deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
        aliases=("qwen3-8b", "0528-qwen3-8b"),
        layers=36,
        hidden=4096,
        heads=32,
        kv_heads=8,
        vocab=151936,
        parameters=8_190_735_360,
        weights_bytes=2 * 8_190_735_360,
        context_tokens=131072,
        licence="MIT",
        reasoning_parser="deepseek-r1",
        vocabulary="qwen2",
    ),
    _distill("Llama-8B", ("8b", "llama-8b"), (32, 4096, 32, 8, 128256), 8_030_261_248, "llama3.1"),
    _distill("Qwen-7B", ("7b",), (28, 3584, 28, 4, 152064), 7_615_616_512, "Apache-2.0"),
    _distill("Qwen-1.5B", ("1.5b",), (28, 1536, 12, 2, 151936), 1_777_088_000, "Apache-2.0"),
)
"""Every R1 that DeepSeek published, the largest first."""

STAND_IN = Variant(
    name="SmolLM2-135M-Instruct",
    hf_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    aliases=("smollm2", "stand-in"),
    layers=30,
    hidden=576,
    heads=9,
    kv_heads=3,
    vocab=49152,
    parameters=134_515_008,
    weights_bytes=2 * 134_515_008,
    context_tokens=8192,
    licence="Apache-2.0",
    head_dim=64,
    vocabulary="smollm2",
    stand_in=True,
)
"""What runs where there is no GPU. It shows the plumbing; its answers are not worth reading."""


def resolve(name: str) -> Variant:
    """Return the model of that name, alias, hub id or folder.

    Raises:
        EngineRefused: no such model; names the nearest ones, or says what the folder lacks.

    """
    if Path(name).expanduser().is_dir():
        return describe(Path(name).expanduser().resolve())
    known = _names()
    found = known.get(_key(name))
    if found is None:
        near = difflib.get_close_matches(_key(name), known, n=3, cutoff=0.4) or [v.name.lower() for v in VARIANTS]
        suggestions = ", ".join(dict.fromkeys(known[key].name for key in near))
        raise EngineRefused(
            f"There is no model or folder named {name!r}. Set KVASIR_MODEL to one of: {suggestions}, "
            "or to a folder with a model in it."
        )
    return found


def of_served_name(name: str) -> Variant | None:
    """Return the model that someone's engine serves under this name (``org/`` and quantisation suffixes aside)."""
    known = _names()
    key = _key(name.rstrip("/").rsplit("/", 1)[-1])
    exact = known.get(key) or known.get(_key(name))
    if exact is not None:
        return exact
    contained = [
        variant
        for variant in (*VARIANTS, STAND_IN)
        if _key(variant.name) in key and ("distill" in key) == ("distill" in _key(variant.name))
    ]
    return max(contained, key=lambda variant: len(variant.name), default=None)


def describe(folder: Path) -> Variant:
    """Describe the model in ``folder`` from its own ``config.json`` and chat template.

    Raises:
        EngineRefused: the folder holds no model that can be served; says what is missing.

    """
    config = _config(folder)
    heads = int(config["num_attention_heads"])
    hidden = int(config["hidden_size"])
    mla = "kv_lora_rank" in config
    template = _template(folder)
    thinks = "</think>" in template or "<think>" in template
    weights_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not weights_bytes:
        raise EngineRefused(f"The folder {folder} holds no *.safetensors file. Put the model's weights into it.")
    return Variant(
        name=folder.name,
        hf_id=str(folder),
        aliases=(),
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        vocab=int(config["vocab_size"]),
        parameters=weights_bytes // 2,
        weights_bytes=weights_bytes,
        context_tokens=int(config.get("max_position_embeddings") or 4096),
        licence="see the model's folder",
        family="mla" if mla else "gqa",
        head_dim=int(config["kv_lora_rank"]) + int(config["qk_rope_head_dim"])
        if mla
        else int(config.get("head_dim") or hidden // heads),
        opens_think="<think>" in template.rpartition("add_generation_prompt")[2],
        reasoning_parser="deepseek-r1" if thinks else None,
    )


def _names() -> dict[str, Variant]:
    return {
        _key(name): variant
        for variant in (STAND_IN, *VARIANTS)
        for name in (*variant.aliases, variant.name, variant.hf_id, variant.name.removeprefix("DeepSeek-R1-Distill-"))
    }


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineRefused(f"The folder {folder} holds no config.json. Name a folder with a model in it.") from error
    except (OSError, ValueError) as error:
        raise EngineRefused(f"The file {path} cannot be read as JSON. Copy the model's folder again.") from error
    missing = {"num_attention_heads", "hidden_size", "num_hidden_layers", "vocab_size"} - config.keys()
    if missing:
        raise EngineRefused(f"The file {path} does not say {', '.join(sorted(missing))}; it is no text model's.")
    return config


def _template(folder: Path) -> str:
    """Return the chat template of a folder, "" where it has none; newer models keep it in a file of its own."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError):
        return ""
    return template if isinstance(template, str) else json.dumps(template or "")
