"""The bench of each provider, opened and closed around a test."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.web.searching.provider_bench import KINDS, Bench


@pytest.fixture(params=list(KINDS))
async def bench(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Bench:
    kind = KINDS[request.param]
    bench = Bench(kind, kind.fake(), stack)
    await bench.fake.start(stack)
    return bench
