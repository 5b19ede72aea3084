"""Documents that people add to Kvasir itself, with ``kvasir add`` or as a file in a direct message."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from knowledge.database.content import SharedContent
from knowledge.errors import SourceError, SourceUnavailable
from knowledge.interfaces import DocumentContent, ListedDocument, SourceContext, SourceKey, intersect_readers
from knowledge.settings import SourceSpec
from knowledge.sources.common import MAX_MB, parse_size_limit
from knowledge.sources.registry import SourceKind, read_options, source_folder_name
from knowledge.sources.uploads.upload_store import UploadRecord, UploadStore, get_plain_name, has_records

_SHARED_ROOT = "added documents"
"""The root where hosts share the documents; a source that is older keeps the path of its folder."""
_POLL_S = 2.0
"""Seconds between two checks for changes."""


@dataclass(frozen=True, slots=True)
class PushOptions:
    """The keys of a ``[[source]]`` of kind ``push``."""

    path: str | None = None
    """The folder of the documents, relative to the configuration file; by default, a folder in ``KVASIR_HOME``."""
    max_mb: float = MAX_MB


class PushSource:
    """Lists and reads the added documents."""

    lists_rights = True

    def __init__(
        self,
        key: SourceKey,
        tray: UploadStore,
        *,
        readers: frozenset[str],
        must_exist: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.key = key
        self._store = tray
        self._readers = readers
        self._must_exist = must_exist
        self._sleep = sleep

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the added documents.

        Raises:
            SourceError: the folder, or a file in it, cannot be read.

        """
        yield [self._make_listed(card) for card in await self._store.run(self._list_records)]

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one document.

        Raises:
            SourceError: the document was removed, or replaced by one for few people, or its bytes are lost.

        """
        return await self._store.run(lambda: self._read_document(listed))

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return who may read these documents now.

        Raises:
            SourceError: the folder, or a record, cannot be read.

        """
        cards = await self._store.run(lambda: self._find_records(documents))
        return {card.name: self._find_readers(card) for card in cards}

    async def close(self) -> None:
        """Do nothing: no file is open."""

    async def changes(self) -> AsyncIterator[None]:
        """Yield after any process has added, replaced or removed a document."""
        before = await self._store.run(self._store.get_change_mark)
        while True:
            await self._sleep(_POLL_S)
            now = await self._store.run(self._store.get_change_mark)
            if now != before:
                before = now
                yield None

    def _find_records(self, documents: Collection[str]) -> Sequence[UploadRecord]:
        # On another machine or without its mount the folder may be missing, and the documents are not gone.
        if not (self._store.is_shared or has_records(self._store.folder)):
            raise self._make_missing_error()
        return self._store.find_records(documents)

    def _list_records(self) -> Sequence[UploadRecord]:
        if self._must_exist and not (self._store.is_shared or self._store.folder.is_dir()):
            raise self._make_missing_error()
        return self._store.list_records()

    def _make_missing_error(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"The folder {self._store.folder} of source {self.key.name} is not there, or is empty. Check that it is "
            "mounted; until then Kvasir deletes nothing of it."
        )

    def _read_document(self, listed: ListedDocument) -> DocumentContent:
        card = next(iter(self._store.find_records([listed.document])), None)
        if card is None:
            name = get_plain_name(listed.document)
            raise SourceError(f"{name} was removed. Nothing needs to be done; the next sync leaves it out.")
        if card.readers is not None and card.version != listed.version:
            # The listing has the readers of the earlier content.
            raise SourceError(f"{card.plain_name} was replaced. Nothing needs to be done; the next sync reads it.")
        return DocumentContent(self._store.read_data(card), card.media_type, card.version, card.title, card.plain_name)

    def _make_listed(self, card: UploadRecord) -> ListedDocument:
        return ListedDocument(
            document=card.name,
            version=card.version,
            size_bytes=card.size_bytes,
            modified_at=datetime.fromtimestamp(card.added_at, UTC),
            readers=self._find_readers(card),
        )

    def _find_readers(self, card: UploadRecord) -> frozenset[str]:
        return self._readers if card.readers is None else intersect_readers(self._readers, frozenset(card.readers))


def build(context: SourceContext, options: PushOptions) -> PushSource:
    """Build the source; the first document creates its folder.

    Raises:
        SourceMisconfigured: ``max_mb`` is not a size.

    """
    folder = _find_folder(context.base_dir, context.state_dir, options)
    shared, limit = context.content, parse_size_limit(context.name, options.max_mb)
    content = None if shared is None else shared.open_source("push", context.name)
    tray = UploadStore(folder, max_bytes=limit, now=context.now, content=content)
    root = str(folder) if shared is None else shared.roots.get(("push", context.name), _SHARED_ROOT)
    key = SourceKey(context.name, "push", root)
    return PushSource(key, tray, readers=context.readers, must_exist=options.path is not None, sleep=context.sleep)


KIND = SourceKind(PushOptions, build, lambda *_: ())


def open_upload_store(spec: SourceSpec, home: Path, content: SharedContent | None = None) -> UploadStore:
    """Return the store of a configured source of kind ``push``; ``content`` is what several hosts share, if they do.

    Raises:
        SourceMisconfigured: a key has a wrong value.

    """
    options = read_options(PushOptions, spec)
    folder = _find_folder(spec.base_dir, home / "sources" / source_folder_name(spec.name), options)
    source = None if content is None else content.open_source("push", spec.name)
    return UploadStore(folder, max_bytes=parse_size_limit(spec.name, options.max_mb), content=source)


def _find_folder(base_dir: Path, state_dir: Path, options: PushOptions) -> Path:
    if options.path is None:
        return Path(os.path.abspath(state_dir))  # noqa: PTH100 - resolving would follow links to another root
    return Path(os.path.abspath(base_dir / Path(options.path).expanduser()))  # noqa: PTH100 - as above
