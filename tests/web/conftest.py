"""Marks and fixtures of the tests of the web."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

READING = Path(__file__).parent / "reading"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that read pages of a site as slow: each starts the parsing process, which takes a second."""
    for item in items:
        if isinstance(item, pytest.Function) and "site" in item.fixturenames and item.path.parent == READING:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack
