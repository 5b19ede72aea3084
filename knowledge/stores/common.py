"""Share what several stores need: a deadline for every call, concurrent legs, and the union of their results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np

from knowledge.concurrent_calls import run_all
from knowledge.errors import StoreError, StoreMisconfigured, StoreUnavailable
from knowledge.interfaces import Candidate, StoredChunk

T = TypeVar("T")
U = TypeVar("U")

SCHEMA: Final = 4
"""Increase it if a row's columns change. Every store then gets a new index next to the old one."""

INDEX_PREFIX = "kvasir_"
"""The prefix of all our indexes, so that a shared server's other collections are never listed or dropped."""


@asynccontextmanager
async def enforce_deadline(seconds: float, message: str) -> AsyncIterator[None]:
    """Limit the time of a block.

    Raises:
        StoreUnavailable: with ``message``, after ``seconds``. A cancellation from outside stays a cancellation.

    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(message) from error


async def run_both(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Run two calls concurrently. If one fails or this task is cancelled, cancel the other and wait for it."""
    calls: list[Awaitable[Any]] = [first, second]
    one, other = await run_all(calls)
    return one, other


def merge_legs(lexical: Sequence[Candidate], dense: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Merge the results of the legs into one candidate for each id: the lexical one, because it has both scores."""
    return tuple({one.chunk.id: one for one in (*dense, *lexical)}.values())


def keep_last_rows(rows: Sequence[StoredChunk]) -> list[StoredChunk]:
    """Keep the last row of each id, so that writing a batch equals writing its rows one after the other."""
    return list({row.chunk.id: row for row in rows}.values())


def slice_values(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split values into lists of at most ``size``."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Return an aware moment as exact microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC moment of a value from ``to_microseconds``."""
    return _EPOCH + microseconds * _MICROSECOND


def to_class_number(key: str) -> int:
    """Return the key of an audience class as a number, because a filter of numbers is faster; 0 for no class."""
    return int.from_bytes(bytes.fromhex(key), signed=True)


def to_class_key(number: int) -> str:
    """Return the key of an audience class by its number."""
    return number.to_bytes(8, signed=True).hex() if number else ""


def check_rows(rows: Sequence[StoredChunk], dimensions: int) -> None:
    """Refuse rows that the index cannot store, before any is written.

    Raises:
        StoreMisconfigured: a vector has another length, or has NaN or infinity.
        StoreError: a text is not valid Unicode (half a surrogate pair, from broken documents).

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
                "(which rebuilds the model), then run `kvasir sync`."
            )
        chunk = row.chunk
        texts = [chunk.id, chunk.source, chunk.document, chunk.title, chunk.heading, chunk.text, chunk.kind, row.terms]
        texts.append(chunk.url or "")
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            raise StoreError(
                f"The document {chunk.document!a} has text that is not valid Unicode: export it again from its "
                "program, or exclude it."
            ) from None
