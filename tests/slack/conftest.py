"""A bot in a workspace for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.slack.room import Bot, house


@pytest.fixture(params=["socket", pytest.param("http", marks=pytest.mark.slow)])
async def bot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bot]:
    """Run the same bot over either transport."""
    async with house(tmp_path, request.param) as served:
        yield served


@pytest.fixture
async def socket_bot(tmp_path: Path) -> AsyncIterator[Bot]:
    """Run the bot over Socket Mode."""
    async with house(tmp_path, "socket") as served:
        yield served
