"""The key ``exclude`` for any source: the documents that it names are neither listed nor read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from knowledge.interfaces import DocumentContent, ListedDocument, Source, SourceKey, WatchableSource
from knowledge.path_filter import compile_path_filter


def exclude_documents(source: Source, patterns: Sequence[str]) -> Source:
    """Return a source that lists the same documents except those that match a pattern (``compile_path_filter``)."""
    if not patterns:
        return source
    return (
        _WatchedExcludingSource(source, patterns, source)
        if isinstance(source, WatchableSource)
        else _ExcludingSource(source, patterns)
    )


def find_listing_source(source: Source) -> Source:
    """Return the source that lists the documents, without ``exclude``: it may have abilities of its own."""
    return source.listing if isinstance(source, _ExcludingSource) else source


class _ExcludingSource:
    def __init__(self, source: Source, patterns: Sequence[str]) -> None:
        self.listing = source
        self._excludes = compile_path_filter(patterns)

    @property
    def key(self) -> SourceKey:
        return self.listing.key

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        batches = aiter(self.listing.list())
        try:
            async for batch in batches:
                yield [listed for listed in batch if not self._excludes(listed.document)]
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()

    async def read(self, listed: ListedDocument) -> DocumentContent:
        return await self.listing.read(listed)

    async def close(self) -> None:
        await self.listing.close()


class _WatchedExcludingSource(_ExcludingSource):
    def __init__(self, source: Source, patterns: Sequence[str], watched: WatchableSource) -> None:
        super().__init__(source, patterns)
        self._watched = watched

    def changes(self) -> AsyncIterator[None]:
        return self._watched.changes()
