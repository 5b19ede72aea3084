"""What holds for the tests of the web."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Call slow what reads pages of a site: each starts the process that takes pages apart, a second of it."""
    for item in items:
        if isinstance(item, pytest.Function) and "site" in item.fixturenames and item.path.parent == HERE:
            item.add_marker(pytest.mark.slow)
