"""Prepare one document: read it, parse it, split it into chunks and compare them with the manifest."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import cache
from importlib.metadata import version

from knowledge.control_characters import clean_name
from knowledge.dates import count_days
from knowledge.defects import describe_defect
from knowledge.errors import (
    ErrorCode,
    KnowledgeError,
    ParseError,
    ParserUnavailable,
    SourceError,
    make_parse_error,
)
from knowledge.interfaces import Chunk, DocumentContent, ListedDocument, Source, narrow_readers
from knowledge.sync.manifest.records import (
    IndexedDocument,
    KnownDocument,
    UnchangedDocument,
    decode_readers,
    encode_readers,
    is_storable,
)
from knowledge.sync.manifest.rows import to_seconds
from knowledge.sync.plan import DocumentRead
from knowledge.sync.running.flow import PreparedDocument, SourceFlow
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.read_budget import ByteLease, ReadBudget, SizeEstimates
from knowledge.sync.running.tools import SyncTools

_log = logging.getLogger(__name__)

_THREAD_BYTES = 1_000_000
"""Larger documents are hashed in a thread."""
_LARGE_BYTES = 8_000_000


class DocumentTimeout(SourceError):
    """A document was not read within its deadline."""

    code = ErrorCode.TIMEOUT


class ParsingTurns:
    """Limits of concurrent parsing and chunking, over all sources of a run."""

    def __init__(self, cuts: int) -> None:
        self.cuts = asyncio.Semaphore(cuts)
        self.large = asyncio.Semaphore(1)
        """One large document at a time, because chunking it needs several copies of its text."""
        self.scans = asyncio.Semaphore(1)
        """One document whose images are read at a time; others do not wait for it."""


class DocumentPreparer:
    """Prepares the documents of one source, within the limits of bytes read ahead and text queued."""

    def __init__(
        self, tools: SyncTools, source: Source, pipeline: Pipeline, budget: ReadBudget, turns: ParsingTurns
    ) -> None:
        self._tools = tools
        self._source = source
        self._pipeline = pipeline
        self._budget = budget
        self._turns = turns
        self._turn = asyncio.Semaphore(tools.limits.source_cuts)
        self._sizes = SizeEstimates()

    async def prepare_document(
        self, read: DocumentRead, flow: SourceFlow, *, recognises: bool = False
    ) -> UnchangedDocument | None:
        """Put a document into the pipeline, or return the record of an unchanged one.

        With ``recognises``, images of text are read, while other documents are prepared.

        Raises:
            DocumentScanned: it has images of text.
            DocumentTimeout: reading or parsing it exceeded its deadline.
            SourceError, ParseError: it cannot be read, or its bytes are still those that could not be parsed.
            EmbedderError, StoreError, DatabaseError: an earlier document of this source failed in the pipeline.

        """
        async with AsyncExitStack() as stack:
            if recognises:
                await stack.enter_async_context(self._turns.scans)
            lease = await stack.enter_async_context(self._budget.lease_bytes(self._sizes.estimate_size(read.entry)))
            read_at = self._tools.now()
            content = await self._read_document(read.entry, lease)
            sha256 = await _hash_bytes(content.data)
            record = read.record
            listed = _adjust_listing(content, read.entry, record)
            rewrite = record is not None and (
                listed.url != record.url
                or encode_readers(listed.readers) != record.readers
                or _has_new_title(content, record)
            )
            if record is not None and sha256 == record.sha256 and not rewrite:
                return UnchangedDocument(record.row, content.version, read_at)
            bytes_key = f"{sha256} {_find_version()}{' ocr' if self._tools.recognises else ''}"
            _refuse_failed_bytes(record, bytes_key)
            if not recognises:
                await stack.enter_async_context(self._turn)
            await self._pipeline.wait_for_room(flow)
            if not recognises:
                if len(content.data) > _LARGE_BYTES:
                    await stack.enter_async_context(self._turns.large)
                await stack.enter_async_context(self._turns.cuts)
            title, chunks = await self._chunk_document(listed, content, bytes_key, recognises=recognises)
            document = IndexedDocument(listed, content.version, sha256, title, read_at, tuple(chunks))
            del content
            before, fresh = await self._find_new_chunks(document, record, rewrite=rewrite)
            replaces = record is not None and record.answers
            flow.add_document(PreparedDocument(document, before, fresh, replaces=replaces, lease=lease))
            lease.kept = True
        return None

    async def _read_document(self, listed: ListedDocument, lease: ByteLease) -> DocumentContent:
        try:
            async with asyncio.timeout(self._tools.limits.document_s) as deadline:
                content = await self._source.read(listed)
        except KnowledgeError:
            raise
        except Exception as error:
            raise self._make_timeout(listed) if deadline.expired() else self._log_defect(listed, error) from error
        lease.set_size(len(content.data))
        self._sizes.record_size(len(content.data))
        return content

    async def _chunk_document(
        self, listed: ListedDocument, content: DocumentContent, bytes_key: str, *, recognises: bool
    ) -> tuple[str, Sequence[Chunk]]:
        limits, passages = self._tools.limits, self._tools.bench.chunk_document
        if recognises:
            passages = functools.partial(passages, recognises=True)
        try:
            async with asyncio.timeout(limits.recognition_s if recognises else limits.document_s) as deadline:
                title, chunks = await passages(self._source.key, listed, content)
            _check_text(listed.document, title, chunks)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise self._make_timeout(listed) from error
        except ParserUnavailable:
            raise
        except ParseError as error:
            error.bytes_key = bytes_key
            raise
        return title, chunks

    async def _find_new_chunks(
        self, document: IndexedDocument, record: KnownDocument | None, *, rewrite: bool
    ) -> tuple[frozenset[str], tuple[Chunk, ...]]:
        """Return the ids of the document's current chunks, and the chunks that must be written."""
        before = (
            frozenset(await self._tools.manifest.list_document_chunks(record.row))
            if record and record.chunks
            else frozenset[str]()
        )
        # A row has the link, audience, title and date. A change of one rewrites all rows, without embedding the same
        # text again.
        rewrite = rewrite or (record is not None and _has_other_row(document, record))
        return before, tuple(chunk for chunk in document.chunks if rewrite or chunk.id not in before)

    def _log_defect(self, listed: ListedDocument, error: Exception) -> SourceError:
        _log.error("A defect of %s stopped reading a document: %s", self._source.key.name, describe_defect(error))
        return SourceError(
            f"{listed.document} could not be read because of a defect of its source ({type(error).__name__}). The log "
            "has the details; Kvasir tries the document again later."
        )

    def _make_timeout(self, listed: ListedDocument) -> DocumentTimeout:
        return DocumentTimeout(
            f"{listed.document} took over {self._tools.limits.document_s:.0f} s to read. "
            "Split it, or exclude it; Kvasir tries it again later."
        )


async def _hash_bytes(data: bytes) -> str:
    if len(data) < _THREAD_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


@cache
def _find_version() -> str:
    """Return Kvasir's version: another one may read bytes that this one cannot."""
    return version("kvasir")


def _refuse_failed_bytes(record: KnownDocument | None, bytes_key: str) -> None:
    """Refuse bytes that could not be parsed at the last attempt, without another one.

    Raises:
        ParseError: the error of that attempt.

    """
    if record is not None and record.reason is not None and record.failed_bytes == bytes_key:
        error = make_parse_error(record.reason_code, record.reason)
        error.bytes_key = bytes_key
        raise error


def _check_text(document: str, title: str, chunks: Sequence[Chunk]) -> None:
    """Refuse text that a database refuses, which would fail all documents of the same transaction.

    Raises:
        ParseError: a text has a NUL or is not valid Unicode (half a surrogate pair).

    """
    for text in (title, *(part for chunk in chunks for part in (chunk.title, chunk.heading, chunk.text))):
        if not is_storable(text):
            raise ParseError(
                f"{document} has characters that a database cannot store. Export it again from its program, "
                "or exclude it."
            )


def _adjust_listing(content: DocumentContent, listed: ListedDocument, record: KnownDocument | None) -> ListedDocument:
    """Return the listing with readers that fit the bytes that were read.

    If the bytes are newer than the listing, its readers may not apply to them. Then only readers of both the known
    version and the listing may see the document.
    """
    if record is None or content.version == listed.version:
        return listed
    return replace(listed, readers=narrow_readers(decode_readers(record.readers), listed.readers))


def _has_new_title(content: DocumentContent, record: KnownDocument) -> bool:
    """Return whether the source has a new title. A title within the text changes with the bytes."""
    return clean_name(content.title or "") not in {"", record.title}


def _has_other_row(document: IndexedDocument, record: KnownDocument) -> bool:
    return record.title != document.title or count_days(to_seconds(document.entry.modified_at)) != count_days(
        record.modified_at
    )
