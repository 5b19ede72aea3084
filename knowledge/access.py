"""Explains who may read a document: the readers of its source now, and those of ``kvasir.toml``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.errors import SourceError
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import ExplainingSource, RightsLimit, RightsSource, Source, Viewers, may_read
from knowledge.interfaces.audiences import find_held_readers, format_reader, holds_reader, split_reader
from knowledge.search.documents import DocumentSearch
from knowledge.search.source_rules import SourceRules
from knowledge.sources.narrowing import find_listing_source
from knowledge.status import LibraryStatus
from knowledge.sync.manifest.lookups import Lookups
from knowledge.sync.manifest.records import NamedDocument, decode_readers
from knowledge.sync.rights import read_known_rights

_RIGHTS_S = 20.0
_SAMPLE_S = 60.0
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class DocumentAccess:
    """Who may read one document."""

    source: str
    document: str
    title: str
    readers: frozenset[str]
    """The readers that the source names now, if it can be asked, else those of the last sync."""
    indexed_readers: frozenset[str]
    """The readers as of the last sync."""
    configured_readers: frozenset[str]
    """The readers in ``kvasir.toml``. A person must be among all three."""
    limits: tuple[RightsLimit, ...] = ()
    """What limits the readers at the source, if it says so."""
    problem: str = ""
    """Why the source could not be asked; then nobody may read the document."""

    def may_be_read(self, viewers: Viewers) -> bool:
        """Return whether all viewers may read it."""
        limits = (self.readers, self.indexed_readers, self.configured_readers)
        return not self.problem and all(may_read(viewers, readers) for readers in limits)

    def find_obstacles(self, principals: frozenset[str]) -> Sequence[RightsLimit]:
        """Return what does not admit a person with these principals, as far as the source says."""
        return [limit for limit in self.limits if not holds_reader(principals, limit.readers)]

    def find_reasons(self, principals: frozenset[str]) -> frozenset[str]:
        """Return by which readers a person with these principals may read it."""
        return find_held_readers(principals, self.readers)


class AccessExplainer:
    """Reads who may read documents."""

    def __init__(
        self,
        documents: DocumentSearch,
        sources: Mapping[str, Source],
        rules: Mapping[str, SourceRules],
        identities: IdentityMap,
    ) -> None:
        """Store the sources by name, and the rules by ``SourceKey.id``."""
        self._documents = documents
        self._sources = sources
        self._rules = rules
        self._identities = identities

    async def find_documents(self, name: str) -> Sequence[DocumentAccess]:
        """Return the documents with this title or this name (``source/document``), by source and name.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        manifest = (await self._documents.follow_active_index()).manifest
        accesses: list[DocumentAccess] = []
        for source in self._sources.values():
            document = name.removeprefix(f"{source.key.name}/") if name.startswith(f"{source.key.name}/") else None
            rows = await manifest.find_named(source.key, document=document, title=name)
            rules = self._rules[source.key.id]
            find_configured = rules.choose_readers((await manifest.count_source(source.key)).readers_key)
            accesses += [
                await self._explain_access(manifest, source, row, find_configured(row.document)) for row in rows
            ]
        return accesses

    async def add_unreachable(self, state: LibraryStatus) -> LibraryStatus:
        """Return the state with the number of documents that nobody can be shown, for each source.

        These have no reader of whom somebody may hold all principals: Slack and the identity sources give none of them.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        manifest = (await self._documents.follow_active_index()).manifest
        counted = []
        for status in state.sources:
            audiences = await manifest.count_audiences(self._sources[status.name].key)
            decoded = {decode_readers(readers): count for readers, count in audiences.items()}
            principals = frozenset(part for readers in decoded for reader in readers for part in split_reader(reader))
            held = await self._identities.find_holdable(principals)
            lost = {readers: count for readers, count in decoded.items() if not find_held_readers(held, readers)}
            examples = sorted({format_reader(reader) for readers in lost for reader in readers})[:_EXAMPLES]
            counted.append(replace(status, unreachable=sum(lost.values()), unreachable_readers=tuple(examples)))
        return replace(state, sources=tuple(counted))

    async def find_drift(self, limit: int) -> Sequence[str]:
        """Return the sources with documents whose readers in the manifest their source no longer names.

        For each source that can say it, the ``limit`` documents are compared that were checked longest ago.

        Raises:
            SourceError: a source does not answer, or refuses.
            DatabaseError: the manifest's database failed.

        """
        manifest = (await self._documents.follow_active_index()).manifest
        drifts: list[str] = []
        for source in self._sources.values():
            rows = await manifest.list_oldest_rights(source.key, before=math.inf, limit=limit)
            if isinstance(source, RightsSource) and rows:
                async with asyncio.timeout(_SAMPLE_S):
                    origin = await manifest.read_origin(source.key.id)
                    named = await read_known_rights(source, [row.document for row in rows], origin)
                seen = [(row, readers) for row in rows if (readers := named[row.document]) is not None]
                wrong = [row for row, readers in seen if decode_readers(row.readers) - readers]
                drifts += [f"{source.key.name} ({len(wrong)} of {len(rows)} documents)"] if wrong else []
        return drifts

    async def _explain_access(
        self, manifest: Lookups, source: Source, row: NamedDocument, configured: frozenset[str]
    ) -> DocumentAccess:
        document, listed = row.document, decode_readers(row.readers)
        readers, problem, limits = listed, "", tuple[RightsLimit, ...]()
        explaining = find_listing_source(source)
        if isinstance(source, RightsSource):
            try:
                async with asyncio.timeout(_RIGHTS_S):
                    limits = tuple(
                        await explaining.explain_rights(document) if isinstance(explaining, ExplainingSource) else ()
                    )
                    origin = await manifest.read_origin(source.key.id)
                    named = (await read_known_rights(source, [document], origin))[document]
                if named is None:
                    problem = f"This process cannot see {document}: it lies on the disk of another host."
                readers = listed if named is None else named
            except TimeoutError:
                problem = f"The source {source.key.name} did not say within {_RIGHTS_S:g} s who may read it."
            except SourceError as error:
                problem = str(error)
        return DocumentAccess(source.key.name, document, row.title, readers, listed, configured, limits, problem)
