"""A bot in a workspace for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config.configuration import Access
from tests.slack.running_bot import FakeLibrary, RunningBot, run_bot_in_sandbox


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[RunningBot]:
    async with run_bot_in_sandbox(tmp_path) as served:
        yield served


@pytest.fixture
def library() -> FakeLibrary:
    """Return the library of ``owned_bot``."""
    return FakeLibrary()


@pytest.fixture
async def owned_bot(tmp_path: Path, library: FakeLibrary) -> AsyncIterator[RunningBot]:
    """Run a bot whose one owner is Ada."""
    dependencies = {"access": Access(frozenset({"U0ADA00001"}))}
    async with run_bot_in_sandbox(tmp_path, library=library, dependencies=dependencies) as bot:
        yield bot
