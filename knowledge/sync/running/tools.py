"""Collaborators and limits of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from knowledge.interfaces import Store
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.running.pipeline import PipelineLimits
from knowledge.sync.running.shadow_index import ShadowIndex
from knowledge.sync.running.workbench import Workbench


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """Deadlines and concurrency limits of a run."""

    listing_s: float = 600.0
    """The longest gap between two batches of a listing."""
    document_s: float = 300.0
    """The time for reading one document, and again for parsing and chunking it, without the wait for its turn."""
    source_s: float = 86_400.0
    """The time for one source, from its listing to its last chunk."""
    close_s: float = 10.0
    """The time for a source to close its connections."""
    documents: int = 4
    """Documents of one source that are read concurrently."""
    recognition_s: float = 3_600.0
    """The time for reading the images of one document, parsing and chunking included, without the wait for its turn."""
    cuts: int = 2
    """Documents of all sources that are parsed and chunked concurrently."""
    source_cuts: int = 1
    """Documents of one source that are parsed and chunked concurrently."""
    read_bytes: int = 128_000_000
    """Bytes of all sources that are read ahead and not yet current. Documents below ``read_budget.SMALL_BYTES`` do not
    count, so they never wait for large ones."""
    silent: int = 8
    """Timeouts in a row after which the source counts as hanging."""
    progress_s: float = 0.2
    """The shortest time between two progress reports of a source."""
    stages: PipelineLimits = field(default_factory=PipelineLimits)


def make_limits(workers: int) -> SyncLimits:
    """Return the limits for so many processes that compute, so that none of them waits for work."""
    if workers == 1:
        return SyncLimits()
    stages = PipelineLimits(
        batch=128 * min(8, max(1, workers // 8)),
        waiting=max(1024, 256 * workers),
        embedding=max(2, workers // 2 + 1),
    )
    return SyncLimits(documents=4 * workers, cuts=2 * workers, source_cuts=2 * workers, stages=stages)


@dataclass(frozen=True, slots=True)
class SyncTools:
    """The collaborators that turn a document into current chunks."""

    bench: Workbench
    store: Store
    manifest: IndexManifest
    limits: SyncLimits = field(default_factory=SyncLimits)
    shadow: ShadowIndex | None = None
    readers_keys: Mapping[str, str] = field(default_factory=dict)
    """``SourceSpec.readers_key`` of each source, by ``SourceKey.id``."""
    configurations: Mapping[str, str] = field(default_factory=dict)
    """``SourceSpec.configuration_key`` of each source, by ``SourceKey.id``."""
    conflicts: frozenset[str] = frozenset()
    """Sources that another running process has with other keys (``SourceKey.id``). What is missing may be there."""
    recognises: bool = False
    """Whether ``passages`` can read images of text."""
    now: Callable[[], float] = time.time
