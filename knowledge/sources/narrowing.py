"""What ``kvasir.toml`` takes away from a source: documents by ``exclude``, and readers by ``[[source.rights]]``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from knowledge.interfaces import (
    EVERYONE,
    WORLD,
    DocumentContent,
    ListedDocument,
    RightsSource,
    Source,
    SourceKey,
    WatchableSource,
    find_place,
    intersect_readers,
    lists_rights,
    narrow_readers,
)
from knowledge.path_filter import compile_exclusion, compile_path_filter
from knowledge.settings import PathRights, SourceSpec

_ANYBODY: Final = frozenset({WORLD})
FindReaders = Callable[[str], frozenset[str]]


def make_configured_readers(spec: SourceSpec) -> FindReaders:
    """Return a function that returns who may read a document at most, as ``kvasir.toml`` says."""
    return _narrow_by_path(spec.readers, spec)


def make_reader_limits(spec: SourceSpec) -> FindReaders:
    """Return a function that returns whom ``kvasir.toml`` admits where it names readers; elsewhere, everybody."""
    if spec.names_readers:
        return make_configured_readers(spec)
    # Such a path stays in its place, because the last pattern that matches decides.
    rights = tuple(replace(one, readers=_ANYBODY) if one.readers >= EVERYONE else one for one in spec.rights)
    return _narrow_by_path(_ANYBODY, replace(spec, rights=rights))


def _narrow_by_path(readers: frozenset[str], spec: SourceSpec) -> FindReaders:
    """Return a function that returns readers, and where a path has its own, those of the source who are both."""
    find_path_readers = make_path_readers(spec.rights)

    @lru_cache(maxsize=256)
    def apply_path_readers(path_readers: frozenset[str]) -> frozenset[str]:
        return readers if path_readers is _ANYBODY else narrow_readers(spec.readers, path_readers)

    return lambda document: apply_path_readers(find_path_readers(document))


def make_path_readers(rights: Sequence[PathRights]) -> FindReaders:
    """Return a function that returns the readers of a document by its path; the last matching pattern decides."""
    rules = [(compile_path_filter([one.path]), one.readers) for one in reversed(rights)]
    return lambda document: next((readers for takes, readers in rules if takes(document)), _ANYBODY)


def narrow_source(source: Source, exclude: Sequence[str], rights: Sequence[PathRights]) -> Source:
    """Return a source without the documents that ``exclude`` matches, and with narrower readers by ``rights``."""
    if not exclude and not rights:
        return source
    return _NARROWED_CLASSES[isinstance(source, WatchableSource), isinstance(source, RightsSource)](
        source, compile_exclusion(exclude), make_path_readers(rights)
    )


def find_listing_source(source: Source) -> Source:
    """Return the source that lists the documents, which may have abilities of its own."""
    return source.listing if isinstance(source, _NarrowedSource) else source


class _NarrowedSource:
    def __init__(self, source: Source, excludes: Callable[[str], bool], find_readers: FindReaders) -> None:
        self.listing = source
        self._excludes = excludes
        self._find_readers = find_readers

    @property
    def key(self) -> SourceKey:
        return self.listing.key

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        batches = aiter(self.listing.list())
        try:
            async for batch in batches:
                yield [self._narrow_document(listed) for listed in batch if not self._excludes(listed.document)]
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def read(self, listed: ListedDocument) -> DocumentContent:
        return await self.listing.read(listed)

    async def close(self) -> None:
        await self.listing.close()

    async def find_place(self) -> str:
        return await find_place(self.listing)

    def _narrow_document(self, listed: ListedDocument) -> ListedDocument:
        readers = intersect_readers(self._find_readers(listed.document), listed.readers)
        return listed if readers == listed.readers else replace(listed, readers=readers)


class _WatchedSource(_NarrowedSource):
    def changes(self) -> AsyncIterator[None]:
        assert isinstance(self.listing, WatchableSource)  # noqa: S101 - narrow_source chose this class by it
        return self.listing.changes()


class _NarrowedRightsSource(_NarrowedSource):
    @property
    def lists_rights(self) -> bool:
        return lists_rights(self.listing)

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str] | None]:
        assert isinstance(self.listing, RightsSource)  # noqa: S101 - as above
        readers = await self.listing.read_rights([one for one in documents if not self._excludes(one)])
        return {
            one: None if found is None else intersect_readers(self._find_readers(one), found)
            for one, found in readers.items()
        }


class _WatchedRightsSource(_WatchedSource, _NarrowedRightsSource):
    pass


_NARROWED_CLASSES: Mapping[tuple[bool, bool], type[_NarrowedSource]] = {
    (False, False): _NarrowedSource,
    (True, False): _WatchedSource,
    (False, True): _NarrowedRightsSource,
    (True, True): _WatchedRightsSource,
}
"""The class by whether the source can be watched, and whether it can say who may read."""
