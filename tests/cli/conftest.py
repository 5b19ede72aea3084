"""Fixtures of the commands: a folder with one page, a cache without an engine, and a store that does not wait."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from knowledge.settings import KnowledgeSettings
from knowledge.stores.lancedb import store
from tests.e2e.conftest import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place whose one source has a page about leave."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text("# Leave\n\nEverybody has thirty days of leave.\n", encoding="utf-8")
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "hr"\nkind = "folder"\npath = "docs"\n')
    return Place(tmp_path)


@pytest.fixture
def cache_without_engine(tmp_path: Path) -> str:
    """Return a cache that has the embedder and no engine."""
    real = Path(os.environ.get("KVASIR_CACHE", "~/.cache/kvasir")).expanduser()
    cache = tmp_path / "cache"
    cache.mkdir()
    for part in ("models", "wheels"):
        (cache / part).symlink_to(real / part)
    return str(cache)


@pytest.fixture
def hasty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store in this process not wait for readers of deleted rows, of which there are none."""
    make_store = store.make_store

    def make_hasty_store(settings: KnowledgeSettings) -> store.LanceDBStore:
        made = make_store(settings)
        made._sleep = lambda _: asyncio.sleep(0)
        return made

    monkeypatch.setattr(store, "make_store", make_hasty_store)
