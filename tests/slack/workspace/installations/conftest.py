"""The database of the app in many workspaces."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    is_sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path / 'l.sqlite3'}" if is_sqlite else request.getfixturevalue("empty_postgres")
    return url
