"""The workbench of each kind of source, opened and closed around a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sources.contract import Workbench, opened, workbenches

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every workbench that supports it; the first one of a kind is among the fast tests."""
    if "make_bench" not in metafunc.fixturenames:
        return
    needed = getattr(metafunc.function, "needs", frozenset())
    benches = [bench for bench in workbenches().values() if not needed & bench.cannot]
    fast = {bench.kind: bench for bench in reversed(benches) if not (bench.slow or bench.needs_server)}.values()
    metafunc.parametrize(
        "make_bench",
        [
            pytest.param(
                bench,
                id=bench.__name__,
                marks=[pytest.mark.slow] * (bench not in fast) + [pytest.mark.servers] * bench.needs_server,
            )
            for bench in benches
        ],
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of sites as slow: each starts the parsing process, which takes a second."""
    for item in items:
        if isinstance(item, pytest.Function) and "site" in item.fixturenames and HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def bench(make_bench: type[Workbench], tmp_path: Path) -> AsyncIterator[Workbench]:
    async with opened(make_bench(tmp_path)) as bench:
        yield bench
