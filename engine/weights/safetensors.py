"""Check that a model's files are complete, by safetensors headers and the index. Blocking."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH_BYTES = 8
_LONGEST_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file."""

    name: str
    why: str
    """Follows the name in a sentence: "is 3 bytes long, …"."""


def find_damage(folder: Path) -> Iterator[Damage]:
    """Yield the damaged files of a model, by lengths, names and format; no weights are read."""
    tensors: dict[str, frozenset[str]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found = _read_tensor_names(path)
        if isinstance(found, Damage):
            yield found
        else:
            tensors[path.name] = found
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".safetensors.index.json"):
            yield from _check_index(path, tensors)
        elif not _is_json(path):
            yield Damage(path.name, "is not a complete JSON file")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def _read_tensor_names(path: Path) -> frozenset[str] | Damage:
    """Return the names of the tensors in a file, or its damage."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < length <= min(_LONGEST_HEADER_BYTES, size - _LENGTH_BYTES):
            return Damage(path.name, f"is {size:,} bytes long and has no complete safetensors header")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            ends = {name: int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return Damage(path.name, "has a safetensors header that cannot be read")
    expected = _LENGTH_BYTES + length + max(ends.values(), default=0)
    if size != expected:
        return Damage(path.name, f"is {size:,} bytes long and should be {expected:,} by its own header")
    return frozenset(ends)


def _check_index(path: Path, tensors: dict[str, frozenset[str]]) -> Iterator[Damage]:
    """Yield the files of the index that are missing or lack a tensor.

    Its ``total_size`` is not compared: published ones are wrong where tensors are shared or quantized. The names of all
    tensors and the lengths of all files say more.
    """
    try:
        places: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        expected_tensors: dict[str, set[str]] = {}
        for tensor, name in places.items():
            expected_tensors.setdefault(name, set()).add(tensor)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield Damage(path.name, "is not a readable index of weights")
        return
    for name, expected in sorted(expected_tensors.items()):
        if not os.path.lexists(path.parent / name):
            yield Damage(name, f"is missing, though {path.name} names it")
        elif name in tensors and (lost := expected - tensors[name]):
            yield Damage(name, f"lacks {len(lost)} of the tensors that {path.name} names, {min(lost)} among them")
