"""Test ``kvasir engine`` next to a process that runs one, and alone, with real processes and a fake SGLang."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.interfaces import EngineState
from engine.process.supervisor import SupervisorPolicy
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import alive, pretend_installed, restart_engine, until
from tests.forks import Fork, end_fork, start_command

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
Kvasir = Callable[..., Awaitable[Fork]]


async def _no_wheel(name: str, version: str, sha256: str) -> Path:
    raise FileNotFoundError(f"{name} {version} {sha256[:4]}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n')
    return pretend_installed(tmp_path / "cache")


@pytest.fixture
async def owner(tmp_path: Path, model: Path) -> AsyncIterator[Engine]:
    """Run an engine as the bot would."""
    assert model.is_dir()
    policy = SupervisorPolicy(ready_poll_s=0.05, health_interval_s=0.2, first_delay_s=0.01)
    engine = Engine(EngineSettings(tmp_path / "home", tmp_path / "cache", supervisor_policy=policy), _no_wheel)
    await engine.start()
    assert (await engine.wait_until_ready(60)).state is EngineState.READY
    yield engine
    await engine.stop()


@pytest.fixture
async def kvasir(tmp_path: Path) -> AsyncIterator[Kvasir]:
    """Start ``kvasir engine …`` on the same state directory."""
    started: list[Fork] = []

    async def start(*argv: str, command: str = "engine") -> Fork:
        ours = {"KVASIR_HOME": str(tmp_path / "home"), "KVASIR_CACHE": str(tmp_path / "cache")}
        config = ("--config", str(tmp_path / "kvasir.toml"))
        environ = {**os.environ, **ours}
        process = await start_command([command, *argv, *config], cwd=ROOT, env=environ, stdout=PIPE, stderr=PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        await end_fork(process)


async def _finish(process: Fork) -> tuple[int | None, str, str]:
    async with asyncio.timeout(240):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_engine_of_another_process_is_stopped_started_and_restarted(
    owner: Engine, kvasir: Kvasir, model: Path
) -> None:
    code, out, err = await _finish(await kvasir("stop", "--json"))
    assert (code, json.loads(out)["state"]) == (0, "absent"), err
    assert owner.status().state is EngineState.ABSENT
    (model / "fails").write_text("pool-cpu")
    code, out, err = await _finish(await kvasir("start", "--json"))
    assert (code, json.loads(out)["state"]) == (0, "ready"), err
    assert "tokens of context in all" in err.splitlines()[-1]
    assert "tokens of context in all" in json.loads(out)["detail"]
    assert owner.collect_stats().memory_failures == 1
    code, out, err = await _finish(await kvasir("restart", "--fresh"))
    assert (code, out.split()[0]) == (0, "ready"), err
    assert owner.collect_stats().memory_failures == 0
    code, _, err = await _finish(await kvasir("start"))
    assert code == 1
    assert "ready already" in err


async def test_doctor_names_the_model_that_was_started(owner: Engine, kvasir: Kvasir, tmp_path: Path) -> None:
    assert owner.status().state is EngineState.READY
    _, out, err = await _finish(await kvasir("--json", command="doctor"))
    text = {found["what"]: found["told"] for found in json.loads(out)["findings"]}["model"]
    started = json.loads((tmp_path / "home" / "engine" / "runtime.json").read_text())
    assert text.startswith(f"{started['model']}, bf16, on the CPU. "), err
    assert "Its weights are in " in text


async def test_an_engine_that_cannot_start_exits_with_1(owner: Engine, kvasir: Kvasir, model: Path) -> None:
    (model / "fails").write_text("truncated-weights")
    code, out, _ = await _finish(await kvasir("restart", "--json"))
    assert (code, json.loads(out)["state"]) == (1, "failed")
    assert "damaged" in owner.status().detail


@pytest.mark.usefixtures("owner")
async def test_the_log_is_printed_and_followed(kvasir: Kvasir, tmp_path: Path) -> None:
    """The last lines come without the key; -f also follows the next start and a file that replaces a full one."""
    key = json.loads((tmp_path / "home" / "engine" / "runtime.json").read_text())["api_key"]
    code, out, _ = await _finish(await kvasir("logs", "-n", "2"))
    assert code == 0
    assert "fired up" in out.splitlines()[-1]
    assert len(out.splitlines()) == 2
    following = await kvasir("logs", "-f")
    assert following.stdout is not None
    async with asyncio.timeout(240):
        while "fired up" not in (line := (await following.stdout.readline()).decode()):
            assert key not in line
        await restart_engine(tmp_path / "home")
        while "fired up" not in (await following.stdout.readline()).decode():
            pass
        log = tmp_path / "home" / "engine" / "engine.log"
        log.rename(log.with_name("engine.log.1"))
        log.write_text("a new file\n")
        while (await following.stdout.readline()).decode() != "a new file\n":
            pass


async def test_start_runs_the_engine_if_no_other_process_does(kvasir: Kvasir, model: Path, tmp_path: Path) -> None:
    """There is nothing to stop and no log; start runs the engine until SIGTERM, and others use it meanwhile."""
    code, _, err = await _finish(await kvasir("stop"))
    assert (code, "kvasir run" in err) == (1, True)
    code, _, err = await _finish(await kvasir("logs"))
    assert (code, "no engine has run" in err) == (1, True)
    host = await kvasir("start")
    await until(lambda: Engine.read_status(tmp_path / "home").state is EngineState.READY, 60)
    code, out, _ = await _finish(await kvasir("status"))
    assert (code, out.split()[0]) == (0, "ready")
    host.send_signal(signal.SIGTERM)
    code, out, _ = await _finish(host)
    assert (code, out.split()[0]) == (0, "ready")
    assert not any(alive(int(pid)) for pid in (model / "starts").read_text().split())
    assert Engine.read_status(tmp_path / "home").state is EngineState.ABSENT
