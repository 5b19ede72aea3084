"""Time ``find_candidates`` of the stores in PostgreSQL and in LanceDB, in turns on the same passages.

``python scripts/bench_postgresql.py --rows 20000 100000`` starts a PostgreSQL with pgvector of its own. Terms follow
Zipf's law; vectors and readers are those of ``bench_passages``. The filters are everybody's passages, those of a
person in 10 groups, and the same of 90 days. It prints milliseconds, the share of the exact nearest passages that each
store finds, and bytes on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from numpy.typing import NDArray

from knowledge.database.database import Database
from knowledge.interfaces import Scope, Store, StoredChunk, Vector, make_class_key
from knowledge.stores.lancedb.store import LanceDBStore
from knowledge.stores.postgresql.store import PostgreSQLStore
from scripts.bench_passages import (
    ALL,
    DAYS,
    DIMENSIONS,
    FIRST_DAY,
    PER_DOCUMENT,
    choose_readers,
    make_clustered_vectors,
    make_passage,
    make_person,
    normalise,
)
from scripts.bench_search import quantiles
from tests.postgres import find_vector_programs, postgres_server

INDEX = "kvasir_bench"
POOL = 50
FILTERS = ("everything", "readers", "readers_and_90_days")


def make_scope(name: str, person: frozenset[str], documents: int) -> Scope:
    """Return the scope of a filter for a person."""
    if name == "everything":
        return Scope(ALL)
    classes = {readers for readers in map(choose_readers, range(documents)) if readers & person}
    scope = Scope(ALL, audiences=frozenset(map(make_class_key, classes)))
    return scope if name == "readers" else replace(scope, after=FIRST_DAY + timedelta(days=DAYS - 90))


def find_nearest(vector: Vector, vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> set[str]:
    """Return the ids of the exact nearest rows in a scope."""
    best = rows[np.argsort(-(vectors[rows] @ vector), kind="stable")[:POOL]]
    return {f"id{n}" for n in best}


def list_rows(scope: Scope, rows: int) -> NDArray[np.int64]:
    """Return the numbers of the rows in a scope."""
    documents = []
    for number in range(rows // PER_DOCUMENT):
        of = make_passage(number * PER_DOCUMENT, "")
        if (scope.audiences is None or of.audience in scope.audiences) and (
            scope.after is None or (of.modified_at is not None and of.modified_at >= scope.after)
        ):
            documents.append(number)
    return (np.array(documents)[:, None] * PER_DOCUMENT + np.arange(PER_DOCUMENT)).ravel()


def make_terms(rows: int, rng: np.random.Generator) -> list[str]:
    """Return the terms of passages: 60 to 120 words of a vocabulary of 50,000."""
    words = np.array([f"w{n}" for n in range(50_000)], dtype=object)
    shares = np.cumsum(1 / (np.arange(len(words)) + 10))
    drawn = words[np.searchsorted(shares / shares[-1], rng.random((rows, 120)))]
    return [" ".join(line[:count]) for line, count in zip(drawn, rng.integers(60, 121, rows), strict=True)]


async def fill_store(store: Store, terms: Sequence[str], vectors: NDArray[np.float32]) -> dict[str, float]:
    """Write all rows, some at a time as a sync does, and maintain the store; return the seconds."""
    began = time.perf_counter()
    for start in range(0, len(terms), 500):
        numbers = range(start, min(start + 500, len(terms)))
        await store.write([StoredChunk(make_passage(n, terms[n]), vectors[n], terms[n]) for n in numbers])
    written = time.perf_counter()
    await store.maintain()
    return {"write_s": round(written - began, 1), "maintain_s": round(time.perf_counter() - written, 1)}


async def measure(stores: Mapping[str, Store], rows: int, count: int) -> dict[str, Any]:
    """Fill both stores and time each question in each of them."""
    rng = np.random.default_rng(1)
    terms, vectors = make_terms(rows, rng), make_clustered_vectors(rows, rng)
    result: dict[str, Any] = {"rows": rows, "audiences": len(set(map(choose_readers, range(rows // PER_DOCUMENT))))}
    for name, store in stores.items():
        await store.open(INDEX, DIMENSIONS)
        result[f"fill_{name}"] = await fill_store(store, terms, vectors)
    result["load"] = round(os.getloadavg()[0], 2)
    for which in FILTERS:
        times: dict[str, list[float]] = {name: [] for name in stores}
        recalls: dict[str, list[float]] = {name: [] for name in stores}
        sizes = []
        for n in range(count):
            scope = make_scope(which, make_person(n, 10), rows // PER_DOCUMENT)
            inside = list_rows(scope, rows)
            sizes.append(len(inside))
            row = int(rng.integers(rows))
            near = normalise((vectors[row] + 0.35 * normalise(rng.normal(size=(1, DIMENSIONS)))[0])[None])[0]
            exact = find_nearest(near, vectors, inside)
            question = " ".join(rng.choice(terms[row].split(), 8))
            for name, store in stores.items():
                began = time.perf_counter()
                found = await store.find_candidates(near, question, pool=POOL, scope=scope)
                times[name].append(1000 * (time.perf_counter() - began))
                recalls[name].append(len(exact & {hit.chunk.id for hit in found}) / max(1, len(exact)))
        result[which] = {"rows_in_scope": int(np.median(sizes))} | {
            name: quantiles(times[name][count // 5 :]) | {"recall": round(float(np.mean(recalls[name])), 4)}
            for name in stores
        }
    return result


async def main(options: argparse.Namespace) -> None:
    """Measure each size in a folder and a server of its own, and print it."""
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder, postgres_server(programs=find_vector_programs()) as url:
            stores = {"postgresql": PostgreSQLStore(url), "lancedb": LanceDBStore(Path(folder))}
            result = await measure(stores, rows, options.queries)
            result["bytes_postgresql"] = await _measure_database(url)
            result["bytes_lancedb"] = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
            print(json.dumps(result, indent=1), flush=True)
            for store in stores.values():
                await store.close()


async def _measure_database(url: str) -> Sequence[Any]:
    database = Database(url)
    sizes = "relname, reltuples, pg_table_size(oid), pg_indexes_size(oid)"
    sql = f"SELECT {sizes} FROM pg_class WHERE starts_with(relname, 'kvasir_') AND relkind = 'r'"  # noqa: S608
    try:
        return await database.read(lambda connection: [tuple(one) for one in connection.exec_driver_sql(sql)])
    finally:
        await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000])
    parser.add_argument("--queries", type=int, default=200)
    asyncio.run(main(parser.parse_args()))
