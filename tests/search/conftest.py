"""A house of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.stores.lancedb.store import LanceDBStore
from tests.search.house import DIMENSIONS, House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = LanceDBStore(tmp_path)
    await store.open("kvasir_0a1b2c3d", DIMENSIONS)
    yield House(store)
    await store.close()
