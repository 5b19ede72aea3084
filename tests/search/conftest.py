"""A bench of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.stores.lancedb.store import LanceDBStore
from tests.search.search_bench import DIMENSIONS, SearchBench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[SearchBench]:
    store = LanceDBStore(tmp_path)
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    yield SearchBench(store)
    await store.close()
