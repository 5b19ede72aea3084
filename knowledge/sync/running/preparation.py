"""One document: read, parsed, cut into chunks, and compared with what is known of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from knowledge.defects import describe_defect
from knowledge.errors import KnowledgeError, ParseError, SourceError
from knowledge.interfaces import Chunk, DocumentContent, ListedDocument, Source
from knowledge.sync.manifest.records import (
    IndexedDocument,
    KnownDocument,
    UnchangedDocument,
    decode_readers,
    encode_readers,
    intersect_readers,
    is_storable,
)
from knowledge.sync.manifest.rows import to_seconds
from knowledge.sync.plan import AddDocument, DocumentRead
from knowledge.sync.running.flow import PreparedDocument, SourceFlow
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.read_budget import ByteLease, ReadBudget, SizeEstimates
from knowledge.sync.running.tools import SyncTools

_log = logging.getLogger(__name__)

_DAY_S = 86_400
_AWAY_BYTES = 1_000_000
"""From which on a checksum is made beside the loop."""
_LARGE_BYTES = 8_000_000


class DocumentTimeout(SourceError):
    """A document was not read within its deadline."""


class ParsingTurns:
    """Whose turn it is to be parsed and cut, over all sources of a run."""

    def __init__(self, cuts: int) -> None:
        self.cuts = asyncio.Semaphore(cuts)
        self.large = asyncio.Semaphore(1)
        """Large documents one at a time: while it is cut, several copies of the text are there."""


class DocumentPreparer:
    """Prepares the documents of one source. Only so many bytes are read ahead, and only so much text lies ready."""

    def __init__(
        self, tools: SyncTools, source: Source, pipeline: Pipeline, budget: ReadBudget, turns: ParsingTurns
    ) -> None:
        self._tools = tools
        self._source = source
        self._pipeline = pipeline
        self._budget = budget
        self._turns = turns
        self._turn = asyncio.Lock()
        self._sizes = SizeEstimates()

    async def through(self, read: DocumentRead, flow: SourceFlow) -> UnchangedDocument | None:
        """Put a document into the pipeline; if it has not changed, return what is to be noted instead.

        Raises:
            TookTooLong: reading or parsing it went over its deadline.
            SourceError, ParseError: it cannot be read.
            EmbedderError, StoreError, ManifestError: an earlier document of this source failed in the pipeline.

        """
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(self._budget.lease(self._sizes.expected(read.listed)))
            read_at = self._tools.now()
            content = await self._read(read.listed, lease)
            sha256 = await _hash_bytes(content.data)
            known = None if isinstance(read, AddDocument) else read.known
            listed = _adjust_listing(content, read.listed, known)
            anew = known is not None and (_has_moved(listed, known) or _has_new_title(content, known))
            if known is not None and sha256 == known.sha256 and not anew:
                return UnchangedDocument(known.row, content.version, read_at)
            await stack.enter_async_context(self._turn)
            await self._pipeline.room(flow)
            if len(content.data) > _LARGE_BYTES:
                await stack.enter_async_context(self._turns.large)
            await stack.enter_async_context(self._turns.cuts)
            title, chunks = await self._cut(listed, content)
            taken = IndexedDocument(listed, content.version, sha256, title, read_at, tuple(chunks))
            del content
            before, fresh = await self._compared(taken, known, anew=anew)
            replaces = known is not None and known.answers
            flow.put(PreparedDocument(taken, before, fresh, replaces=replaces, lease=lease))
            lease.keep()
        return None

    async def _read(self, listed: ListedDocument, lease: ByteLease) -> DocumentContent:
        try:
            async with asyncio.timeout(self._tools.limits.document_s) as deadline:
                content = await self._source.read(listed)
        except KnowledgeError:
            raise
        except Exception as error:
            raise self._late(listed) if deadline.expired() else self._defect(listed, error) from error
        lease.set(len(content.data))
        self._sizes.seen(len(content.data))
        return content

    async def _cut(self, listed: ListedDocument, content: DocumentContent) -> tuple[str, Sequence[Chunk]]:
        try:
            async with asyncio.timeout(self._tools.limits.document_s) as deadline:
                title, chunks = await self._tools.passages(self._source.key, listed, content)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise self._late(listed) from error
        _check_text(listed.document, title, chunks)
        return title, chunks

    async def _compared(
        self, taken: IndexedDocument, known: KnownDocument | None, *, anew: bool
    ) -> tuple[frozenset[str], tuple[Chunk, ...]]:
        """Return the ids of the document's chunks that are current, and those of its chunks that must be written."""
        before = (
            frozenset(await self._tools.manifest.list_document_chunks(known.row))
            if known and known.chunks
            else frozenset[str]()
        )
        # A link, an audience, a title or a date is part of a row: with a new one every row is written again, though
        # not embedded again where its text is the same.
        anew = anew or (known is not None and _has_other_row(taken, known))
        return before, tuple(chunk for chunk in taken.chunks if anew or chunk.id not in before)

    def _defect(self, listed: ListedDocument, error: Exception) -> SourceError:
        _log.error("%s met a defect when it read a document: %s", self._source.key.name, describe_defect(error))
        return SourceError(
            f"{listed.document} could not be read for a defect of its source ({type(error).__name__}). The log says "
            "where it is; the document is tried again later."
        )

    def _late(self, listed: ListedDocument) -> DocumentTimeout:
        return DocumentTimeout(
            f"{listed.document} took over {self._tools.limits.document_s:.0f} s to read. "
            "Split it, or leave it out; it is tried again later."
        )


async def _hash_bytes(data: bytes) -> str:
    if len(data) < _AWAY_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


def _check_text(document: str, title: str, chunks: Sequence[Chunk]) -> None:
    """Refuse what a database would refuse, together with all the documents of the same transaction.

    Raises:
        ParseError: a text holds a NUL, or is no Unicode (half a surrogate pair).

    """
    for text in (title, *(part for chunk in chunks for part in (chunk.title, chunk.heading, chunk.text))):
        if not is_storable(text):
            raise ParseError(
                f"{document} yields text with characters that no database takes. Export it again from what made it, "
                "or leave it out."
            )


def _adjust_listing(content: DocumentContent, listed: ListedDocument, known: KnownDocument | None) -> ListedDocument:
    """Return a listing as it goes for what was read: of other bytes than were listed, it cannot tell the readers.

    Until a listing speaks of these bytes, only those may read them who could before and may by the listing.
    """
    if known is None or content.version == listed.version:
        return listed
    return replace(listed, readers=intersect_readers(decode_readers(known.readers), listed.readers))


def _has_moved(listed: ListedDocument, known: KnownDocument) -> bool:
    return listed.url != known.url or encode_readers(listed.readers) != known.readers


def _has_new_title(content: DocumentContent, known: KnownDocument) -> bool:
    """Tell whether the source calls it otherwise now; a title that stands in the text changes with the bytes."""
    told = (content.title or "").strip()
    return told not in {"", known.title}


def _has_other_row(taken: IndexedDocument, known: KnownDocument) -> bool:
    return known.title != taken.title or _round_to_day(to_seconds(taken.listed.modified_at)) != _round_to_day(
        known.modified_at
    )


def _round_to_day(moment_s: float | None) -> int | None:
    """Return what a filter by date tells apart."""
    return None if moment_s is None else int(moment_s // _DAY_S)
