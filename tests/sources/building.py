"""Build sources for tests through the registry, with a memory in a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from knowledge.interfaces import EVERYONE, Memory, Source, SourceKey
from knowledge.settings import PathRights, SourceSpec
from knowledge.sources import registry


class KeptMemory:
    """``Memory`` in a dictionary that outlives the source."""

    def __init__(self, kept: dict[str, bytes], key: str) -> None:
        self._kept = kept
        self._key = key

    async def load(self) -> bytes | None:
        return self._kept.get(self._key)

    async def save(self, data: bytes) -> None:
        self._kept[self._key] = data


def memories(kept: dict[str, bytes] | None = None) -> Callable[[SourceKey], Memory]:
    """Return a function that gives each source its memory."""
    held = {} if kept is None else kept
    return lambda key: KeptMemory(held, key.id)


def build(
    kind: str,
    base_dir: Path,
    *,
    name: str = "bench",
    readers: frozenset[str] = EVERYONE,
    secrets: dict[str, str] | None = None,
    kept: dict[str, bytes] | None = None,
    path_rights: tuple[PathRights, ...] = (),
    others: dict[str, registry.SourceKind] | None = None,
    **options: object,
) -> Source:
    """Build the source of a ``[[source]]`` table with these keys; ``kept`` is its memory between builds."""
    spec = SourceSpec(name, kind, options, base_dir, readers=readers, rights=path_rights, secrets=secrets or {})
    return registry.build_source(spec, base_dir / "state", memories(kept), others)
