"""The models that Kvasir knows, from three TOML files, and the search by name or folder."""

from __future__ import annotations

import difflib
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from engine.errors import EngineRefused
from engine.notes import NoteCode
from engine.planning.model_folder import describe_model_folder
from engine.planning.variant import Variant

_FIELDS = frozenset(Variant.__dataclass_fields__)


def parse_catalogue(text: str) -> dict[str, tuple[Variant, ...]]:
    """Return the tables of a catalogue with their variants.

    Raises:
        ValueError: a field is unknown, missing or of the wrong type, or a shape is impossible; the text says where.

    """
    adapter = TypeAdapter(tuple[Variant, ...])
    tables: dict[str, list[dict[str, Any]]] = tomllib.loads(text)
    for entry in (entry for entries in tables.values() for entry in entries):
        if unknown := entry.keys() - _FIELDS:
            raise ValueError(f"{entry.get('name')}: unknown {', '.join(sorted(unknown))}")
    found = {table: adapter.validate_python(entries) for table, entries in tables.items()}
    for variant in (variant for variants in found.values() for variant in variants):
        _validate_variant(variant)
    return found


def _validate_variant(variant: Variant) -> None:
    """Raise for an impossible shape, such as a typo causes."""
    wrong = (
        (variant.heads % variant.kv_heads != 0, "heads are no multiple of kv_heads"),
        (variant.embedding_parameters >= variant.parameters, "the embedding is larger than the model"),
        (variant.routed_parameters > variant.parameters, "the experts are larger than the model"),
        (not variant.checkpoints, "no checkpoint"),
        (not 0 < variant.parameters_per_token <= variant.parameters, "more parameters are active than there are"),
    )
    if reasons := [why for is_wrong, why in wrong if is_wrong]:
        raise ValueError(f"{variant.name}: {', '.join(reasons)}")


def _load_tables(name: str) -> dict[str, tuple[Variant, ...]]:
    return parse_catalogue(files(__package__).joinpath(name).read_text(encoding="utf-8"))


VARIANTS: tuple[Variant, ...] = _load_tables("catalogue.toml")["variant"]
"""Every R1 that DeepSeek published, the largest first."""

SMALL_MODELS: tuple[Variant, ...] = _load_tables("small_models.toml")["small_model"]
"""Models for machines without a GPU, the larger ones first. None is an R1."""

VISION_MODELS: tuple[Variant, ...] = _load_tables("vision_models.toml")["vision_model"]
"""Models that see pictures, the larger ones first. ``auto`` chooses none."""

_NICKNAMES = {"33b": "32B", "13b": "14B"}


def resolve_model(name: str) -> Variant:
    """Return the model of that name, alias, hub id or folder; the hub id of a checkpoint finds its variant.

    Raises:
        EngineRefused: there is no such model, or the folder is incomplete; the text has similar names or the reason.

    """
    if Path(name).expanduser().is_dir():
        return describe_model_folder(Path(name).expanduser().resolve())
    index = _index_names()
    found = index.get(_normalize_name(name))
    if found is None:
        near = difflib.get_close_matches(_normalize_name(name), index, n=3, cutoff=0.4) or [
            v.name.lower() for v in VARIANTS
        ]
        suggestions = ", ".join(dict.fromkeys(index[key].name for key in near))
        raise EngineRefused(NoteCode.UNKNOWN_MODEL.fill(name=name, suggestions=suggestions))
    return found


def find_fallback(variant: Variant) -> Variant | None:
    """Return the model of the same shape in a package index; None if there is none."""
    return next((other for other in SMALL_MODELS if other.name == variant.fallback), None)


def explain_nickname(nickname: str) -> str | None:
    """Return a sentence about what a popular name really is; None for a correct name."""
    real = _NICKNAMES.get(_normalize_name(nickname))
    if real is None:
        return None
    variant = resolve_model(nickname)
    return (
        f"{nickname} is what people call {variant.name}, which has {variant.parameters / 1e9:.1f} billion parameters."
    )


def find_served_variant(name: str) -> Variant | None:
    """Return the model that an engine serves under this name, without ``org/`` and quantization suffixes."""
    index = _index_names()
    key = _normalize_name(name.rstrip("/").rsplit("/", 1)[-1])
    exact = index.get(key) or index.get(_normalize_name(name))
    if exact is not None:
        return exact
    contained = [
        variant
        for variant in (*VARIANTS, *SMALL_MODELS)
        if _normalize_name(variant.name) in key and ("distill" in key) == ("distill" in _normalize_name(variant.name))
    ]
    return max(contained, key=lambda variant: len(variant.name), default=None)


def _index_names() -> dict[str, Variant]:
    short = "DeepSeek-R1-Distill-"
    return {
        _normalize_name(name): variant
        for variant in (*VISION_MODELS, *SMALL_MODELS, *VARIANTS)
        for name in (
            *(checkpoint.repo for checkpoint in variant.checkpoints),
            *variant.aliases,
            variant.name,
            variant.hf_id,
            variant.name.removeprefix(short),
            variant.name.removeprefix("DeepSeek-"),
        )
    }


def _normalize_name(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")
