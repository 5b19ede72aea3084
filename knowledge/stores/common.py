"""What both stores share: a deadline for every call, two legs at once, one union of what they found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

import numpy as np

from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import EVERYONE, Candidate, Chunk, StoredChunk

T = TypeVar("T")
U = TypeVar("U")

SCHEMA: Final = 2
"""Raise it when a row's columns change: every store then gets a new index, grown beside the old one."""

INDEX_PREFIX = "kvasir_"
"""Every index of ours begins with it, so that a shared server's other collections are never listed or dropped."""


@dataclass(frozen=True, slots=True)
class LegHit:
    """A row as one leg found it; ``bm25`` is 0.0 when it was the dense leg."""

    chunk: Chunk
    cosine: float
    bm25: float = 0.0


@asynccontextmanager
async def enforce_deadline(seconds: float, message: str) -> AsyncIterator[None]:
    """Bound a block.

    Raises:
        StoreUnavailable: with ``message``, when ``seconds`` have passed; a cancellation from outside stays one.

    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(message) from error


async def run_both(first: Coroutine[None, None, T], second: Coroutine[None, None, U]) -> tuple[T, U]:
    """Run two calls at once; when one fails or we are cancelled, the other is cancelled and waited for."""
    one, other = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(one, other)
    finally:
        one.cancel()
        other.cancel()
        await asyncio.gather(one, other, return_exceptions=True)


def merge_legs(lexical: Sequence[LegHit], dense: Sequence[LegHit]) -> tuple[Candidate, ...]:
    """Join what the legs found, one candidate an id."""
    found = {row.chunk.id: row for row in (*dense, *lexical)}  # the lexical row last: it knows both scores
    return tuple(Candidate(row.chunk, row.bm25, row.cosine) for row in found.values())


def keep_last_rows(rows: Sequence[StoredChunk]) -> list[StoredChunk]:
    """Keep the last row of each id: writing a batch means the same as writing its rows one after the other."""
    return list({row.chunk.id: row for row in rows}.values())


def slice_values(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut values into lists of at most ``size``."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def list_readers(readers: Collection[str]) -> list[str]:
    """Return the readers to look for, in a stable order: these, and the mark of what everybody may read."""
    return sorted({*readers, *EVERYONE})


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Return an aware moment as microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC moment that ``to_microseconds`` wrote."""
    return _EPOCH + microseconds * _MICROSECOND


def check_rows(rows: Sequence[StoredChunk], dimensions: int) -> None:
    """Refuse rows that the index cannot hold, before any is written.

    Raises:
        StoreMisconfigured: a vector has another length, or holds NaN or infinity.
        StoreError: a text is no Unicode (half a surrogate pair, as broken documents yield).

    """
    for row in rows:
        if row.vector.shape != (dimensions,):
            raise StoreMisconfigured(
                f"A passage's vector has shape {row.vector.shape}, the index holds {dimensions} dimensions: "
                "the embedder changed, so run `kvasir sync` to build a new index."
            )
        if not np.isfinite(row.vector).all():
            raise StoreMisconfigured(
                "The embedder returned a vector that is not finite: remove its cached model, start Kvasir again "
                "(the model is made anew), then run `kvasir sync`."
            )
        chunk = row.chunk
        texts = (chunk.id, chunk.source, chunk.document, chunk.title, chunk.heading, chunk.text, chunk.kind, row.terms)
        if not _is_unicode(*texts):
            raise StoreError(
                f"The document {chunk.document!a} yields text that is no Unicode: export it again from what made "
                "it, or leave it out."
            )


def _is_unicode(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
