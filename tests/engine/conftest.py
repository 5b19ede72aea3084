"""The engine's tests: a server that speaks SGLang's wire, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from engine.client import Deadlines, Endpoint, EngineClient
from tests.engine.fakes import KEY, FakeSglang, fake_sglang


@pytest.fixture
async def sglang() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        yield fake


@pytest.fixture
async def connect(sglang: FakeSglang) -> AsyncIterator[Callable[..., EngineClient]]:
    """Make clients of the fake server; all are closed at the end."""
    made: list[EngineClient] = []

    def make(deadlines: Deadlines | None = None, **about: Any) -> EngineClient:
        about = {"url": sglang.url, "api_key": KEY, "model": sglang.model, **about}
        made.append(EngineClient(Endpoint(**about), deadlines))
        return made[-1]

    yield make
    for client in made:
        await client.close()
