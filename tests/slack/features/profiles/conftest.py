"""A bot that applies profiles, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config.models import ChannelTable
from tests.slack.features.profiles.profiles_bot import ProfilesBot, run_profiles_bot

PROFILED = "C0PROJECT1"


class Ward:
    """Guidance of a channel."""

    within = 'in:"docs"'

    def find_warnings(self, _text: str) -> tuple[str, ...]:
        return ()


@pytest.fixture
def channels() -> dict[str, ChannelTable]:
    return {PROFILED: ChannelTable(id=PROFILED, profile="ward")}


@pytest.fixture
async def bot(tmp_path: Path, channels: dict[str, ChannelTable]) -> AsyncIterator[ProfilesBot]:
    async with run_profiles_bot(tmp_path, channels=channels, guidance={"ward": Ward()}) as running:
        yield running
