"""Sources in the manifest that the configuration of this process lacks, or has with another root.

Their documents answer nobody here. Another host may still list them, or a line of ``kvasir.toml`` may be wrong, so
their deletion waits for approval.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from knowledge.interfaces import SourceKey
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import make_approval_mark


@dataclass(frozen=True, slots=True)
class RemovedSource:
    """A source whose deletion waits for approval."""

    name: str
    """Its name; with its root where a configured source has the same name."""
    key: SourceKey
    documents: int
    chunks: int

    @property
    def approval_mark(self) -> str:
        """Return a mark of this source with this number of documents."""
        return make_approval_mark([self.key.id, str(self.documents)])


async def find_removed_sources(manifest: Lookups, configured: Collection[SourceKey]) -> dict[str, RemovedSource]:
    """Return the sources with documents that are not configured, by their names.

    Raises:
        DatabaseError: the manifest's database failed.

    """
    removed: dict[str, RemovedSource] = {}
    names = {key.name for key in configured}
    for id_, documents, chunks in await manifest.count_other_sources([key.id for key in configured]):
        key = SourceKey(*id_.split("\x1f", 2))
        name = key.name if key.name not in {*names, *removed} else f"{key.name} ({key.kind} {key.root})"
        removed[name] = RemovedSource(name, key, documents, chunks)
    return removed
