"""A library whose embedder is a server: no document is lost and no vectors are mixed, whatever the server does."""

from __future__ import annotations

import asyncio
import io
import json
import os
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.answering.policy import Policy
from bot.cli.commands.doctor import run_checks
from bot.cli.commands.knowledge import calibrate as calibrate_command
from bot.cli.commands.status import status_json
from bot.cli.status_view import show_status
from bot.config.settings import Settings, load_settings
from bot.off_peak import calibrate_embedder
from bot.slack.features.kit.status_texts import format_status
from engine.interfaces import EngineState, EngineStatus
from knowledge.embedding.calibration import UNCALIBRATED
from knowledge.embedding.fitting import load_texts
from knowledge.embedding.http_api.embedder import CallLimits
from knowledge.errors import EmbedderUnavailable, StoreError
from knowledge.interfaces import Priority, Scope
from knowledge.library import Library
from knowledge.opening import load_calibration, open_library
from knowledge.sync.manifest.manifest import open_manifest
from tests.embedding.embedding_server import KEY, EmbeddingServer, answer_status, cut_connection, serve_embeddings
from tests.embedding.toy_embedder import ToyEmbedder
from tests.forks import run_command
from tests.waiting import WAIT_S

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


async def other_model(texts: Any) -> Any:
    return (await ToyEmbedder(256).embed_symmetric(texts))[:, ::-1]


WRONG: dict[str, Any] = {
    "another model": other_model,
    "128 numbers instead of 256": ToyEmbedder(128).embed_symmetric,
    "refuses the key (HTTP 401)": None,
}


@pytest.mark.parametrize("trouble", WRONG)
async def test_a_wrong_server_stops_neither_an_opening_nor_an_answer(
    settings: Settings, server: EmbeddingServer, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors are used again as soon as the server is right, without a restart."""
    monkeypatch.setattr("knowledge.embedding.http_api.embedder._MOST_WAIT_S", 0.1)
    async with open_it(settings) as library:
        await library.refresh()
    right, wrong = server.embed, WRONG[trouble]

    async def refuse(_: Any) -> Any:
        raise web.HTTPUnauthorized(text=KEY)

    server.embed = wrong or refuse
    (settings.config.parent / "docs" / "room-0.md").write_text("# Room 0\n\nIts key is lost.\n")
    async with open_it(settings) as library:
        assert trouble in (await library.status()).embedder_trouble
        report = await library.refresh()
        assert trouble in str(report.sources["docs"].error)
        assert await count(library) == DOCUMENTS
        found = await library.search("Where hangs the key of room 17?", limit=1)
        assert found.hits[0].document == "room-17.md"
        assert trouble in str(found.trouble)
        server.embed = right
        await wait_until(lambda: not library.embedder.trouble)
        found = await library.search("Where hangs the key of room 17?", limit=1)
        assert (found.hits[0].document, found.trouble) == ("room-17.md", None)
        assert (await library.refresh()).ok
        assert (await library.status()).embedder_trouble == ""


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - an embedder does not report its recovery
            await asyncio.sleep(0.01)


async def test_the_first_start_needs_no_server(settings: Settings) -> None:
    """The index is made once the server has said how long vectors are."""
    async with serve_embeddings() as gone:
        pass
    down = load_with(settings.config.parent, gone)
    async with open_it(down) as library:
        state = await library.status()
        assert "cannot be reached" in state.embedder_trouble
        assert "cannot be reached" in str(state.index.find_trouble())
        with pytest.raises(StoreError, match="There is no index yet"):
            await library.search("Where hangs the key of room 17?")
        with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
            await library.syncs.repair_index()
        with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
            await library.refresh()
        await library.scrub_store()
        async with serve_embeddings(port=int(gone.url.rpartition(":")[2])):
            await wait_until(lambda: not library.embedder.trouble)
            assert (await library.refresh()).ok
            found = await library.search("Where hangs the key of room 17?", limit=1)
            assert (found.hits[0].document, found.trouble) == ("room-17.md", None)
    (row,) = [library._indexes.written.row]
    manifest = await open_manifest(settings.knowledge.database_url)
    assert [one.dimensions for one in await manifest.list_indexes() if one.id == row.id] == [256]
    await manifest.close()


async def test_the_old_index_answers_while_the_server_of_the_new_one_is_down(
    settings: Settings, server: EmbeddingServer
) -> None:
    async with open_it(settings) as library:
        await library.refresh()
    server.faults = [answer_status(503)] * 1000
    async with open_it(load_with(settings.config.parent, server, KVASIR_EMBEDDER_REVISION="2")) as library:
        found = await library.search("Where hangs the key of room 17?", limit=1)
        assert found.hits[0].document == "room-17.md"
        assert "HTTP 503" in (await library.status()).embedder_trouble
        with pytest.raises(EmbedderUnavailable, match="HTTP 503"):
            await library.refresh()
        server.faults.clear()
        await wait_until(lambda: not library.embedder.trouble)
        assert (await library.refresh()).ok
        assert not (await library.status()).indexing


async def test_a_killed_server_is_named_everywhere(settings: Settings) -> None:
    async with open_it(settings) as library:
        await library.refresh()
        assert (await library.status()).embedder_trouble == ""
    async with serve_embeddings() as gone:
        pass
    down = load_with(settings.config.parent, gone)
    async with open_it(down) as library:
        found = await library.search("Where hangs the key of room 17?", limit=1)
        assert found.hits[0].document == "room-17.md"
        assert "cannot be reached. Start that server" in str(found.trouble)
        state, out = await library.status(), io.StringIO()
    assert state.embedder == settings.knowledge.embedder.identity
    show_status(EngineStatus(EngineState.ABSENT), state, Policy(), out, width=400)
    assert "toy:http:" in out.getvalue()
    assert "cannot be reached" in out.getvalue()
    for language in ("en", "zh"):
        assert "cannot be reached" in format_status(EngineStatus(EngineState.ABSENT), state, language)
    written = json.dumps(status_json(EngineStatus(EngineState.ABSENT), state, Policy()))
    assert json.loads(written)["embedder"]["trouble"] == state.embedder_trouble
    checks = {check.subject: check async for check in run_checks(down)}
    assert not checks["knowledge"].ok
    assert "cannot be reached" in checks["knowledge"].text
    assert KEY not in f"{out.getvalue()}{written}{checks}{settings!r}"


async def test_verify_refuses_another_model(settings: Settings, server: EmbeddingServer) -> None:
    """Its cosines would not be those that the constants were fitted to."""
    async with open_it(settings):
        pass
    server.embed = other_model
    case = {
        "passages": [{"text": "The key of room 17 hangs at hook 1717 near the door.", "title": "", "heading": ""}],
        "answer": "You find the key for that office close to the entrance of the building.",
        "question": "Where is the key?",
    }
    variables = {
        "KVASIR_HOME": str(settings.home),
        "KVASIR_CACHE": str(settings.cache),
        "KVASIR_EMBEDDER_URL": server.url,
        "KVASIR_EMBEDDER_MODEL": "toy",
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KVASIR_")} | variables
    argv, stdin = ("verify", "-", "--config", str(settings.config)), json.dumps(case).encode() + b"\n"
    status, out, _ = await run_command(settings.home, environ, argv, stdin, timeout_s=110)
    assert "has another model than the index was made with" in json.loads(out)["error"]
    assert status == 1


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
