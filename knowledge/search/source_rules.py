"""What ``kvasir.toml`` says about the documents of a source in a search: their weights and their readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from knowledge.interfaces import WORLD, CurrentChunk, RightsSource, Source, SourceKey
from knowledge.path_filter import compile_path_filter
from knowledge.settings import SourceSpec
from knowledge.sources.narrowing import FindReaders, make_configured_readers, make_reader_limits
from knowledge.sync.manifest.records import CurrentRow, decode_readers

WeighDocument = Callable[[str], float]
"""Returns the factor for the scores of a document's passages."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """The rules for the documents of one source."""

    key: SourceKey
    weigh: WeighDocument
    find_readers: FindReaders
    """Finds readers again where the manifest has those of another configuration."""
    find_limit: FindReaders
    """Finds whom this configuration refuses although the source admits them, where the manifest follows it."""
    readers_key: str
    """``SourceSpec.readers_key`` now. Readers in the manifest that follow another one need a second look."""
    named_readers: frozenset[str]
    """Whom the configuration admits to the source at most; the world if it names no readers."""
    names_rights: bool
    """Whether the source can say who may read (``RightsSource``)."""

    def choose_readers(self, configured: str) -> FindReaders:
        """Return the configured readers that count for readers in the manifest; ``configured`` is their readers key."""
        return self.find_limit if configured == self.readers_key else self.find_readers

    def make_current_chunk(self, row: CurrentRow) -> CurrentChunk:
        """Return a chunk as the manifest and the configuration have it."""
        return CurrentChunk(
            source_name=self.key.name,
            readers=decode_readers(row.readers),
            synced_at=datetime.fromtimestamp(row.confirmed_at, UTC),
            row=row.row,
            place=row.place,
            kind=row.kind,
            modified_at=None if row.modified_at is None else datetime.fromtimestamp(row.modified_at, UTC),
            configured_readers=self.choose_readers(row.readers_key)(row.document),
            rights_at=row.rights_at if self.names_rights else None,
            weight=self.weigh(row.document),
            is_settled=row.is_settled,
            text_hash=row.text_hash,
        )


def make_rules(specs: Sequence[SourceSpec], sources: Mapping[str, Source]) -> dict[str, SourceRules]:
    """Return the rules of all configured sources, by ``SourceKey.id``; ``sources`` has them by name."""
    rules = [
        SourceRules(
            (source := sources[spec.name]).key,
            make_document_weights(spec),
            make_configured_readers(spec),
            make_reader_limits(spec),
            spec.readers_key,
            named_readers=spec.readers if spec.names_readers else frozenset({WORLD}),
            names_rights=isinstance(source, RightsSource),
        )
        for spec in specs
    ]
    return {one.key.id: one for one in rules}


def make_document_weights(spec: SourceSpec) -> WeighDocument:
    """Return a function that returns the weight of a source's documents."""
    rules = [(compile_path_filter([one.path]), one.weight) for one in reversed(spec.weights)]

    @lru_cache(maxsize=4096)
    def weigh_document(document: str) -> float:
        return spec.weight * next((weight for takes, weight in rules if takes(document)), 1.0)

    return weigh_document
