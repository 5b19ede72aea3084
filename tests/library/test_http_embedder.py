"""A library whose embedder is a server: no document is lost and no vectors are mixed, whatever the server does."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from bot.answering.policy import Policy
from bot.cli.commands.doctor import run_checks
from bot.cli.commands.knowledge import calibrate as calibrate_command
from bot.cli.commands.status import status_json
from bot.cli.status_view import show_status
from bot.config.settings import Settings, load_settings
from bot.off_peak import calibrate_embedder
from engine.interfaces import EngineState, EngineStatus
from knowledge.embedding.calibration import UNCALIBRATED
from knowledge.embedding.fitting import load_texts
from knowledge.embedding.http_api.embedder import CallLimits
from knowledge.errors import EmbedderError, EmbedderUnavailable
from knowledge.interfaces import Priority, Scope
from knowledge.library import Library
from knowledge.opening import load_calibration, open_library
from tests.embedding.embedding_server import KEY, EmbeddingServer, answer_status, cut_connection, serve_embeddings
from tests.embedding.toy_embedder import ToyEmbedder

pytestmark = pytest.mark.slow

SHORT = CallLimits(attempts=2, call_s=5.0, total_s=5.0)
DOCUMENTS = 40


async def unpack_nothing(*_: str) -> Path:
    raise AssertionError("it has no package")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.embedding.http_api.embedder.LIMITS", dict.fromkeys(Priority, SHORT))


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with serve_embeddings() as server:
        yield server


@pytest.fixture
def settings(server: EmbeddingServer, tmp_path: Path) -> Settings:
    (docs := tmp_path / "docs").mkdir()
    for n in range(DOCUMENTS):
        (docs / f"room-{n}.md").write_text(f"# Room {n}\n\nThe key of room {n} hangs at hook {n}{n}.\n")
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n')
    return load_with(tmp_path, server)


def load_with(folder: Path, server: EmbeddingServer, **more: str) -> Settings:
    variables = {
        "KVASIR_HOME": str(folder / "home"),
        "KVASIR_CACHE": str(folder / "cache"),
        "KVASIR_EMBEDDER_URL": server.url,
        "KVASIR_EMBEDDER_API_KEY": KEY,
        "KVASIR_EMBEDDER_MODEL": "toy",
        "KVASIR_EMBEDDER_BATCH": "4",
    }
    return load_settings(variables | more, folder)


def open_it(settings: Settings) -> AbstractAsyncContextManager[Library]:
    return open_library(settings.knowledge, unpack_nothing)


async def count(library: Library) -> int:
    return sum(source.documents for source in (await library.status()).sources)


@pytest.mark.parametrize("fault", [answer_status(429), answer_status(500), cut_connection])
async def test_a_sync_loses_nothing(settings: Settings, server: EmbeddingServer, fault: Any) -> None:
    async with open_it(settings) as library:
        server.faults = [lambda *_: None, fault, fault, fault, fault]
        report = await library.refresh()
        assert not report.ok
        assert "toy at 127.0.0.1" in str(report.sources["docs"].error)
        assert await count(library) < DOCUMENTS
        server.faults.clear()
        assert (await library.refresh()).ok
        assert await count(library) == DOCUMENTS
        found = await library.search("Where hangs the key of room 17?", limit=1)
        assert found.hits[0].document == "room-17.md"


async def test_vectors_of_another_model_are_never_stored(settings: Settings, server: EmbeddingServer) -> None:
    """The model changes in the middle of a sync, and back before the next one."""
    right = server.embed

    async def embed(texts: Any) -> Any:
        vectors = await right(texts)
        return vectors[:, ::-1] if len(server.requests) > 4 else vectors

    async with open_it(settings) as library:
        server.requests.clear()
        server.embed = embed
        report = await library.refresh()
        assert "another model" in str(report.sources["docs"].error)
        server.embed = right
        assert (await library.refresh()).ok
        assert await count(library) == DOCUMENTS
        store, scope = library._indexes.searched.store, Scope(frozenset({library._sources["docs"].key.id}))
        vector = await library.embedder.embed_query("a room")
        found = await store.find_candidates(vector, "", pool=DOCUMENTS, scope=scope)
        assert len(found) == DOCUMENTS
        for one in found:
            (again,) = await library.embedder.embed_passages([one.chunk.searchable_text])
            assert one.cosine == pytest.approx(float(again @ vector), abs=0.01), "a vector of the first model"
    other = load_with(settings.config.parent, server, KVASIR_EMBEDDER_MODEL="toy")
    server.embed = ToyEmbedder(128).embed_symmetric
    with pytest.raises(EmbedderError, match="128 numbers instead of 256"):
        async with open_it(other):
            pass


async def test_a_killed_server_is_named_everywhere(settings: Settings) -> None:
    async with open_it(settings) as library:
        await library.refresh()
        assert (await library.status()).embedder_trouble == ""
    async with serve_embeddings() as gone:
        pass
    down = load_with(settings.config.parent, gone)
    async with open_it(down) as library:
        with pytest.raises(EmbedderUnavailable, match=r"cannot be reached\. Start that server"):
            await library.search("Where hangs the key of room 17?")
        state, out = await library.status(), io.StringIO()
    assert state.embedder == settings.knowledge.embedder.identity
    show_status(EngineStatus(EngineState.ABSENT), state, Policy(), out, width=400)
    assert "toy:http:" in out.getvalue()
    assert "cannot be reached" in out.getvalue()
    written = json.dumps(status_json(EngineStatus(EngineState.ABSENT), state, Policy()))
    assert json.loads(written)["embedder"]["trouble"] == state.embedder_trouble
    checks = {check.subject: check async for check in run_checks(down)}
    assert not checks["knowledge"].ok
    assert "cannot be reached" in checks["knowledge"].text
    assert KEY not in f"{out.getvalue()}{written}{checks}{settings!r}"


async def test_it_is_calibrated_for_the_next_start(
    settings: Settings, server: EmbeddingServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the quiet hour, or by the command. The server knows which texts belong together, as a real model does."""
    right = server.embed
    async with open_it(settings) as library:
        await calibrate_embedder(library)
        assert (await library.status()).uncalibrated
    assert await load_calibration(settings.knowledge) is UNCALIBRATED, "shared words do not separate the texts"
    subjects = {
        text: str(n) for n, subject in enumerate(load_texts()) for one in subject.values() for text in one.values()
    }

    async def embed(texts: Any) -> Any:
        return await right([f"subject {subjects[text]}" if text in subjects else text for text in texts])

    server.embed = embed
    async with open_it(settings) as library:
        await calibrate_embedder(library)
    fitted = await load_calibration(settings.knowledge)
    assert fitted is not UNCALIBRATED
    async with open_it(settings) as library:
        assert library.calibration == fitted
        assert not (await library.status()).uncalibrated
        await calibrate_embedder(library)
    monkeypatch.setattr(calibrate_command, "load_command_settings", lambda _: settings)
    for embed_texts, status, state in ((embed, 0, "fitted"), (right, 1, "failed")):
        server.embed = embed_texts
        assert await calibrate_command.main(Namespace(json=True)) == status
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["state"] == state
