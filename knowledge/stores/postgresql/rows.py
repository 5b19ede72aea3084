"""Write, delete and read the rows of an index, each in one transaction that keeps its counts right."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from knowledge.interfaces import Chunk, StoredChunk, Vector
from knowledge.stores.common import from_microseconds, to_class_key, to_class_number, to_microseconds
from knowledge.stores.postgresql.schema import IndexTables

_MOST: Final = 2**15 - 1
"""The largest frequency or length of a posting. A chunk has some hundreds of terms."""

_TAKE: Final = "DELETE FROM {index}_passages WHERE id = ANY($1::text[]) RETURNING number, shelf, terms"
_TAKE_VECTORS: Final = "DELETE FROM {index}_vectors WHERE passage = ANY($1::bigint[])"
_TAKE_POSTINGS: Final = """
DELETE FROM {index}_postings p USING unnest($1::bigint[], $2::bigint[]) AS d(term, passage)
WHERE p.term = d.term AND p.passage = d.passage
"""
_MAKE_SHELVES: Final = """
INSERT INTO {index}_shelves (source, class_number, kind)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT DO NOTHING
"""
_FIND_SHELVES: Final = """
SELECT s.number
FROM unnest($1::text[], $2::bigint[], $3::text[]) WITH ORDINALITY AS w(source, class_number, kind, place)
JOIN {index}_shelves s USING (source, class_number, kind) ORDER BY w.place
"""
_PUT: Final = """
INSERT INTO {index}_passages (id, shelf, document, title, heading, text, url, modified_at, terms)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
$9::text[]) RETURNING id, number
"""
_PUT_VECTORS: Final = """
INSERT INTO {index}_vectors SELECT n, s, v::vector FROM unnest($1::bigint[], $2::int[], $3::text[]) AS w(n, s, v)
"""
_PUT_POSTINGS: Final = """
INSERT INTO {index}_postings SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::smallint[], $5::smallint[])
AS p(term) ORDER BY term
"""
_COUNT_TERMS: Final = """
INSERT INTO {index}_terms AS t SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT (term) DO UPDATE SET holders = t.holders + excluded.holders
"""
_COUNT_SHELVES: Final = """
UPDATE {index}_shelves s SET passages = s.passages + d.change FROM unnest($1::int[], $2::bigint[]) AS d(number, change)
WHERE s.number = d.number
"""
_COUNT_ALL: Final = "UPDATE {index}_totals SET passages = passages + $1::bigint, words = words + $2::bigint"
_READ: Final = """
SELECT p.id, s.source, p.document, p.title, p.heading, p.text, p.url, s.class_number, s.kind, p.modified_at, p.terms,
v.vector::real[] FROM {index}_shelves s JOIN {index}_passages p ON p.shelf = s.number
JOIN {index}_vectors v ON v.passage = p.number WHERE p.id = ANY($1::text[])
"""
_LIST: Final = "SELECT number, id FROM {index}_passages WHERE number > $1::bigint ORDER BY number LIMIT $2::bigint"


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """The terms of a passage by their numbers, each with its frequency, and how many they are with repetitions."""

    frequencies: Sequence[tuple[int, int]]
    length: int


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """A row to write, with what costs time to make."""

    chunk: Chunk
    terms: str
    counted: PassageTerms
    vector: str


@dataclass(slots=True)
class _Tally:
    """What a transaction changes in the counts of an index."""

    postings: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """The postings to delete or insert next."""
    holders: Counter[int] = field(default_factory=Counter)
    shelves: Counter[int] = field(default_factory=Counter)
    passages: int = 0
    words: int = 0

    def count_passage(self, number: int, shelf: int, terms: PassageTerms, sign: int) -> None:
        """Add a passage, or take it away if ``sign`` is -1."""
        self.postings += [(term, number, shelf, frequency, terms.length) for term, frequency in terms.frequencies]
        for term, _ in terms.frequencies:
            self.holders[term] += sign
        self.shelves[shelf] += sign
        self.passages += sign
        self.words += sign * terms.length

    def write_counts(self, connection: Connection, tables: IndexTables) -> None:
        """Write the changed counts."""
        for statement, counts in ((_COUNT_TERMS, self.holders), (_COUNT_SHELVES, self.shelves)):
            changed = sorted((key, change) for key, change in counts.items() if change)
            if changed:
                tables.run(connection, statement, *_to_columns(changed))
        tables.run(connection, _COUNT_ALL, self.passages, self.words)


@lru_cache(maxsize=1 << 16)
def hash_term(term: str) -> int:
    """Return the number under which a term is stored. Two terms of a million share one with a chance of 3 in 10⁸."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), signed=True)


def prepare_rows(rows: Sequence[StoredChunk]) -> list[PreparedRow]:
    """Return rows as ``write_rows`` takes them; slow, so that it belongs into a thread."""
    return [PreparedRow(row.chunk, row.terms, _count_terms(row.terms), format_vector(row.vector)) for row in rows]


def _count_terms(terms: str) -> PassageTerms:
    every = terms.split()
    counts = Counter(map(hash_term, every))
    return PassageTerms([(term, min(times, _MOST)) for term, times in counts.items()], min(len(every), _MOST))


def write_rows(connection: Connection, tables: IndexTables, rows: Sequence[PreparedRow]) -> None:
    """Insert or replace rows with different ids."""
    tables.lock(connection)
    tally = _Tally()
    chunks = [row.chunk for row in rows]
    ids = [chunk.id for chunk in chunks]
    _take_rows(connection, tables, ids, tally)
    shelves = _find_shelves(connection, tables, chunks)
    columns = [[getattr(chunk, name) for chunk in chunks] for name in ("document", "title", "heading", "text", "url")]
    dates = [None if chunk.modified_at is None else to_microseconds(chunk.modified_at) for chunk in chunks]
    inserted = tables.run(connection, _PUT, ids, shelves, *columns, dates, [row.terms for row in rows])
    by_id: Mapping[str, int] = {one.id: one.number for one in inserted}
    numbers = [by_id[id_] for id_ in ids]
    tables.run(connection, _PUT_VECTORS, numbers, shelves, [row.vector for row in rows])
    for number, shelf, row in zip(numbers, shelves, rows, strict=True):
        tally.count_passage(number, shelf, row.counted, 1)
    if tally.postings:
        tables.run(connection, _PUT_POSTINGS, *_to_columns(tally.postings))
    tally.write_counts(connection, tables)


def delete_rows(connection: Connection, tables: IndexTables, ids: Sequence[str]) -> None:
    """Delete rows; unknown ids are ignored."""
    tables.lock(connection)
    tally = _Tally()
    _take_rows(connection, tables, ids, tally)
    tally.write_counts(connection, tables)


def _take_rows(connection: Connection, tables: IndexTables, ids: Sequence[str], tally: _Tally) -> None:
    """Delete rows and their postings, and subtract them from the counts."""
    for number, shelf, terms in (taken := tables.run(connection, _TAKE, ids).all()):
        tally.count_passage(number, shelf, _count_terms(terms), -1)
    if taken:
        tables.run(connection, _TAKE_VECTORS, [number for number, *_ in taken])
    if tally.postings:
        tables.run(connection, _TAKE_POSTINGS, *_to_columns([posting[:2] for posting in tally.postings]))
        tally.postings.clear()


def _find_shelves(connection: Connection, tables: IndexTables, chunks: Sequence[Chunk]) -> list[int]:
    """Return the number of each passage's shelf; new shelves are made."""
    keys = [(chunk.source, to_class_number(chunk.audience), chunk.kind) for chunk in chunks]
    distinct = list(dict.fromkeys(keys))
    columns = _to_columns(distinct)
    numbers = tables.run(connection, _FIND_SHELVES, *columns).scalars().all()
    if len(numbers) < len(distinct):
        tables.run(connection, _MAKE_SHELVES, *columns)
        numbers = tables.run(connection, _FIND_SHELVES, *columns).scalars().all()
    by_key = dict(zip(distinct, numbers, strict=True))
    return [by_key[key] for key in keys]


def read_rows(connection: Connection, tables: IndexTables, ids: Collection[str]) -> list[StoredChunk]:
    """Return whole rows by id, without unknown ids."""
    rows = []
    for *texts, class_number, kind, made, terms, vector in tables.run(connection, _READ, list(ids)).all():
        texts += [to_class_key(class_number), kind, None if made is None else from_microseconds(made)]
        rows.append(StoredChunk(Chunk(*texts), np.asarray(vector, np.float32), terms))
    return rows


def list_ids(connection: Connection, tables: IndexTables, after: int, most: int) -> tuple[int, list[str]]:
    """Return ids that follow a row's number, and the number of the last one."""
    found = tables.run(connection, _LIST, after, most).all()
    return (found[-1][0] if found else after), [id_ for _, id_ in found]


def format_vector(vector: Vector) -> str:
    """Return a vector as pgvector reads it, without loss."""
    return str(vector.tolist())


def _to_columns(rows: Collection[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
