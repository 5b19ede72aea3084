"""The real embedder, opened once: its files are built in the shared cache by whoever comes first."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.wheels import WheelCache
from knowledge.embedding import E5Embedder, open_embedder
from tests.passages.makers import pdf


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the product keeps what it fetched and built."""
    return Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedder(cache: Path) -> AsyncIterator[E5Embedder]:
    opened = await open_embedder(cache, WheelCache(cache / "wheels").unpack)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def make_pdf_with_password() -> bytes:
    return pdf([["x"]], password="geheim")
