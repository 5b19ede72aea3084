"""Builds an index of vectors on one core, and prints how many searches ended before the build: ``FOLDER``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import numpy as np

from knowledge.interfaces import Scope
from knowledge.stores.lancedb.store import _VECTOR_INDEX, LanceDBStore
from tests.stores.rows import row

ROWS, DIMENSIONS = 6000, 384


async def main(folder: Path) -> int:
    store = LanceDBStore(folder)
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    vectors = np.random.default_rng(1).normal(size=(ROWS, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    await store.write([row(f"r{n}", vector=vector) for n, vector in enumerate(vectors)])
    build = asyncio.ensure_future(store._table.create_index("vector", config=_VECTOR_INDEX))
    ended = 0
    while not build.done():
        search = store.find_candidates(vectors[ended], "term", pool=5, scope=Scope(frozenset({"docs"})))
        await asyncio.wait({build, asyncio.ensure_future(search)}, return_when=asyncio.FIRST_COMPLETED)
        ended += not build.done()
    await build
    await store.close()
    return ended


os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
sys.stdout.write(str(asyncio.run(main(Path(sys.argv[1])))))
