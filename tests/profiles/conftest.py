"""A server with SGLang's protocol, which profiles ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.fakes import FakeSglang, fake_sglang


@pytest.fixture
async def server() -> AsyncIterator[FakeSglang]:
    async with fake_sglang() as fake:
        fake.model = "DeepSeek-R1-Distill-Qwen-7B"
        yield fake
