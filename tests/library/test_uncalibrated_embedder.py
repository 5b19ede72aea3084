"""A library with an embedder for which nothing was measured: it answers, and says what is missing."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.answering.events import Finished, Question, Sources, Text
from bot.answering.policy import Policy
from bot.app import create_answerer
from bot.cli.commands.doctor import run_checks
from bot.cli.status_view import show_status
from bot.config.settings import load_settings
from engine.interfaces import EngineState, EngineStatus
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.settings import KnowledgeSettings, SourceSpec
from tests.answering.conftest import ScriptedEngine, words
from tests.embedding.toy_embedder import TOY

pytestmark = pytest.mark.slow

LEAVE = "Employees receive 25 days of paid annual leave per calendar year. Up to five days may be carried over."
QUESTION = Question("How many days of annual leave do employees receive?")


async def unpack_nothing(*_: str) -> Path:
    raise AssertionError("it has no package")


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    (root := tmp_path / "root").mkdir()
    (root / "leave.md").write_text(f"# Leave\n\n{LEAVE}\n")
    (root / "bread.md").write_text("# Bread\n\nBread needs flour, water and salt.\n")
    source = SourceSpec("docs", "folder", {"path": "."}, root)
    settings = KnowledgeSettings(
        tmp_path / "home", tmp_path, f"sqlite:///{tmp_path}/kvasir.db", (source,), embedder=TOY
    )
    async with open_library(settings, unpack_nothing) as library:
        await library.refresh()
        yield library


async def ask(library: Library, engine: ScriptedEngine) -> tuple[str, Finished, list[str]]:
    events = [event async for event in create_answerer(library, engine).answer(QUESTION)]
    text = "".join(event.markdown for event in events if isinstance(event, Text))
    [sources] = [event for event in events if isinstance(event, Sources)]
    [finished] = [event for event in events if isinstance(event, Finished)]
    return text, finished, [passage.document for passage in sources.passages]


async def test_a_model_answers_and_words_support_it(library: Library) -> None:
    text, finished, found = await ask(
        library, ScriptedEngine(words("Employees receive 25 days of annual leave per calendar year [1]."))
    )
    assert found[0] == "leave.md"
    assert "25 days of annual leave" in text
    assert [passage.document for passage in finished.cited] == ["leave.md"]


async def test_extracts_answer_without_an_engine(library: Library) -> None:
    text, _, _ = await ask(library, ScriptedEngine(status=EngineStatus(EngineState.ABSENT)))
    assert "25 days" in text


async def test_status_and_doctor_say_what_is_missing(library: Library, tmp_path: Path) -> None:
    state, out = await library.status(), io.StringIO()
    show_status(EngineStatus(EngineState.ABSENT), state, Policy(), out, width=400)
    settings = load_settings({"KVASIR_HOME": str(tmp_path / "other")}, tmp_path, default_docs=tmp_path / "root")
    settings = replace(settings, knowledge=replace(settings.knowledge, embedder=TOY))
    checks = {check.subject: check async for check in run_checks(settings)}
    for text in (state.uncalibrated, out.getvalue(), checks["knowledge"].text):
        assert f"Nothing was measured with the embedder {TOY.identity}" in text
        assert "kvasir calibrate" in text
    assert checks["knowledge"].ok
