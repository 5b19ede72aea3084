"""Fixtures of the engine's tests: a fake SGLang server and clients of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.wheels import WheelCache
from engine.client.client import EngineClient, ServerEndpoint
from engine.client.timeouts import RequestTimeouts
from tests.engine.fakes import KEY, FakeSglang, fake_sglang


@pytest.fixture
async def sglang() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        yield fake


@pytest.fixture
async def connect(sglang: FakeSglang) -> AsyncIterator[Callable[..., EngineClient]]:
    """Create clients of the fake server; close all at the end."""
    made: list[EngineClient] = []

    def make(deadlines: RequestTimeouts | None = None, **about: Any) -> EngineClient:
        about = {"url": sglang.url, "api_key": KEY, "model": sglang.model, **about}
        made.append(EngineClient(ServerEndpoint(**about), deadlines))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture(scope="session")
def cache() -> Path:
    """Return the cache that the product and the tests share."""
    return Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")


@pytest.fixture(scope="session")
def unpack_wheel(cache: Path) -> Callable[[str, str, str], Awaitable[Path]]:
    return WheelCache(cache / "wheels").unpack_wheel
