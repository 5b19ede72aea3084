"""One document: read, parsed, cut into chunks, and compared with what is known of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from knowledge.defects import told_of
from knowledge.errors import KnowledgeError, ParseError, SourceError
from knowledge.interfaces import Chunk, Content, Listed, Source
from knowledge.sync.manifest.records import Known, Taken, Touched, both, decode_readers, encode_readers, storable
from knowledge.sync.manifest.rows import seconds
from knowledge.sync.plan import Add, Read
from knowledge.sync.running.flow import Flow, Prepared
from knowledge.sync.running.pipeline import Pipeline
from knowledge.sync.running.read_budget import Budget, Lease, Sizes
from knowledge.sync.running.tools import Tools

_log = logging.getLogger(__name__)

_DAY_S = 86_400
_AWAY_BYTES = 1_000_000
"""From which on a checksum is made beside the loop."""
_LARGE_BYTES = 8_000_000


class TookTooLong(SourceError):
    """A document was not read within its deadline."""


class Turns:
    """Whose turn it is to be parsed and cut, over all sources of a run."""

    def __init__(self, cuts: int) -> None:
        self.cuts = asyncio.Semaphore(cuts)
        self.large = asyncio.Semaphore(1)
        """Large documents one at a time: while it is cut, several copies of the text are there."""


class Preparer:
    """Prepares the documents of one source. Only so many bytes are read ahead, and only so much text lies ready."""

    def __init__(self, tools: Tools, source: Source, pipeline: Pipeline, budget: Budget, turns: Turns) -> None:
        self._tools = tools
        self._source = source
        self._pipeline = pipeline
        self._budget = budget
        self._turns = turns
        self._turn = asyncio.Lock()
        self._sizes = Sizes()

    async def through(self, read: Read, flow: Flow) -> Touched | None:
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
            sha256 = await _sha256(content.data)
            known = None if isinstance(read, Add) else read.known
            listed = _of(content, read.listed, known)
            anew = known is not None and (_moved(listed, known) or _retitled(content, known))
            if known is not None and sha256 == known.sha256 and not anew:
                return Touched(known.row, content.version, read_at)
            await stack.enter_async_context(self._turn)
            await self._pipeline.room(flow)
            if len(content.data) > _LARGE_BYTES:
                await stack.enter_async_context(self._turns.large)
            await stack.enter_async_context(self._turns.cuts)
            title, chunks = await self._cut(listed, content)
            taken = Taken(listed, content.version, sha256, title, read_at, tuple(chunks))
            del content
            before, fresh = await self._compared(taken, known, anew=anew)
            replaces = known is not None and known.answers
            flow.put(Prepared(taken, before, fresh, replaces=replaces, lease=lease))
            lease.keep()
        return None

    async def _read(self, listed: Listed, lease: Lease) -> Content:
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

    async def _cut(self, listed: Listed, content: Content) -> tuple[str, Sequence[Chunk]]:
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
        self, taken: Taken, known: Known | None, *, anew: bool
    ) -> tuple[frozenset[str], tuple[Chunk, ...]]:
        """Return the ids of the document's chunks that are current, and those of its chunks that must be written."""
        before = frozenset(await self._tools.manifest.places(known.row)) if known and known.chunks else frozenset[str]()
        # A link, an audience, a title or a date is part of a row: with a new one every row is written again, though
        # not embedded again where its text is the same.
        anew = anew or (known is not None and _other_row(taken, known))
        return before, tuple(chunk for chunk in taken.chunks if anew or chunk.id not in before)

    def _defect(self, listed: Listed, error: Exception) -> SourceError:
        _log.error("%s met a defect when it read a document: %s", self._source.key.name, told_of(error))
        return SourceError(
            f"{listed.document} could not be read for a defect of its source ({type(error).__name__}). The log says "
            "where it is; the document is tried again later."
        )

    def _late(self, listed: Listed) -> TookTooLong:
        return TookTooLong(
            f"{listed.document} took over {self._tools.limits.document_s:.0f} s to read. "
            "Split it, or leave it out; it is tried again later."
        )


async def _sha256(data: bytes) -> str:
    if len(data) < _AWAY_BYTES:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()


def _check_text(document: str, title: str, chunks: Sequence[Chunk]) -> None:
    """Refuse what a database would refuse, together with all the documents of the same transaction.

    Raises:
        ParseError: a text holds a NUL, or is no Unicode (half a surrogate pair).

    """
    for text in (title, *(part for chunk in chunks for part in (chunk.title, chunk.heading, chunk.text))):
        if not storable(text):
            raise ParseError(
                f"{document} yields text with characters that no database takes. Export it again from what made it, "
                "or leave it out."
            )


def _of(content: Content, listed: Listed, known: Known | None) -> Listed:
    """Return a listing as it goes for what was read: of other bytes than were listed, it cannot tell the readers.

    Until a listing speaks of these bytes, only those may read them who could before and may by the listing.
    """
    if known is None or content.version == listed.version:
        return listed
    return replace(listed, readers=both(decode_readers(known.readers), listed.readers))


def _moved(listed: Listed, known: Known) -> bool:
    return listed.url != known.url or encode_readers(listed.readers) != known.readers


def _retitled(content: Content, known: Known) -> bool:
    """Tell whether the source calls it otherwise now; a title that stands in the text changes with the bytes."""
    told = (content.title or "").strip()
    return told not in {"", known.title}


def _other_row(taken: Taken, known: Known) -> bool:
    return known.title != taken.title or _day(seconds(taken.listed.modified_at)) != _day(known.modified_at)


def _day(moment_s: float | None) -> int | None:
    """Return what a filter by date tells apart."""
    return None if moment_s is None else int(moment_s // _DAY_S)
