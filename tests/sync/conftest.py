"""Fixtures of a sync over stand-ins."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge.errors import EmbedderError, KnowledgeError, StoreUnavailable
from knowledge.sync.manifest.records import IndexIdentity
from knowledge.sync.running.workbench import ChunkDocument
from tests.sync.doubles import IDENTITY, DictSource, Rig, open_rig, parts, passages


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'kvasir.db'}"


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with open_rig(database_url) as rig:
        yield rig


@pytest.fixture
def rig_on() -> Callable[..., contextlib.AbstractAsyncContextManager[Rig]]:
    return open_rig


@pytest.fixture
def new_source() -> Callable[[str, str], DictSource]:
    return DictSource


@pytest.fixture
def dict_passages() -> ChunkDocument:
    return passages


@pytest.fixture
def expected() -> Callable[[DictSource], dict[str, list[str]]]:
    return parts


@pytest.fixture
def store_down() -> KnowledgeError:
    return StoreUnavailable("The store cannot be reached. Start it.")


@pytest.fixture
def embedder_down() -> KnowledgeError:
    return EmbedderError("The model cannot run. Make it anew.")


@pytest.fixture
def utc() -> Callable[[float], datetime]:
    return lambda seconds: datetime.fromtimestamp(seconds, UTC)


@pytest.fixture
def kinds() -> tuple[type[Rig], type[DictSource], Callable[[DictSource], dict[str, list[str]]], IndexIdentity]:
    return Rig, DictSource, parts, IDENTITY
