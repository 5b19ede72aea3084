"""The real embedder, opened once a session; the first test to need it builds its files in the shared cache."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.wheels import WheelCache
from knowledge.embedding.local_e5.embedder import E5Embedder, open_e5


@pytest.fixture(scope="session")
def cache() -> Path:
    """Return the folder in which the product keeps downloads and built files."""
    return Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedder(cache: Path) -> AsyncIterator[E5Embedder]:
    opened = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    yield opened
    await opened.close()
