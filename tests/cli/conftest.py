"""Fixtures of the commands: the folder of the end-to-end tests, and a cache without an engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def cache_without_engine(tmp_path: Path) -> str:
    """Return a cache that has the embedder and no engine."""
    real = Path(os.environ.get("KVASIR_CACHE", "~/.cache/kvasir")).expanduser()
    cache = tmp_path / "cache"
    cache.mkdir()
    for part in ("models", "wheels"):
        (cache / part).symlink_to(real / part)
    return str(cache)
