"""The engine of this machine with a stand-in for SGLang: plan, launch, answer, crash, stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.backends.local import compute_spans
from engine.client.timeouts import RequestTimeouts
from engine.control.runtime_file import RuntimeFile
from engine.interfaces import ChatMessage, ContentDelta, EngineState, EngineStatus, Sampling, StreamEnd
from engine.planning.hardware import Machine
from engine.process.supervisor import SupervisorPolicy
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import SMALL_MODEL, alive, pretend_installed, refuse_wheel, restart_engine, until

ASK = [ChatMessage("user", "ping")]
FAST = SupervisorPolicy(ready_poll_s=0.05, health_interval_s=0.1, first_delay_s=0.01)
SECRET = "hush-hush"
LINUX = Machine((), 2, 8 << 30, 8 << 30, 1 << 40, "linux", "x86_64")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return pretend_installed(tmp_path / "cache")


@pytest.fixture
async def make(tmp_path: Path, installed: Path) -> AsyncIterator[Callable[..., Engine]]:
    assert installed.is_dir()
    async with AsyncExitStack() as stack:

        def engine(
            policy: SupervisorPolicy = FAST,
            home: Path = tmp_path / "home",
            timeouts: RequestTimeouts = RequestTimeouts(),  # noqa: B008  # frozen
        ) -> Engine:
            settings = EngineSettings(
                home,
                tmp_path / "cache",
                supervisor_policy=policy,
                request_timeouts=timeouts,
                follow_poll_s=0.02,
                hidden_variables=frozenset({"WIKI_ENTRY"}),
            )
            made = Engine(settings, refuse_wheel, probe=lambda _: LINUX)
            stack.push_async_callback(made.stop)
            return made

        yield engine


def _starts(installed: Path) -> list[int]:
    return [int(line) for line in (installed / "starts").read_text().split()]


async def _answer(engine: Engine) -> list[object]:
    return [delta async for delta in engine.stream(ASK, Sampling(), request_id="r")]


@pytest.mark.slow
async def test_starts_answers_and_stops(
    make: Callable[..., Engine], installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything installed it starts with progress, answers, and leaves no process or file after the stop."""
    monkeypatch.setenv("WIKI_ENTRY", SECRET)
    engine = make()
    states: list[EngineStatus] = []
    await engine.start(install=False)
    async with aclosing(engine.watch_status()) as changes:
        async for status in changes:
            states.append(status)
            if status.state is EngineState.READY:
                break
    assert [status.state for status in states][-1] is EngineState.READY
    assert {status.state for status in states} <= {EngineState.ABSENT, EngineState.STARTING, EngineState.READY}
    status = engine.status()
    assert (status.model, status.small_model, status.on_cpu, status.progress) == (SMALL_MODEL, True, True, 1.0)
    assert Engine.read_status(tmp_path / "home") == status
    assert engine.context_tokens == 8192
    assert await _answer(engine) == [ContentDelta("pong"), StreamEnd("stop")]
    assert "WIKI_ENTRY" not in psutil.Process(_starts(installed)[0]).environ()
    runtime = RuntimeFile(tmp_path / "home").read()
    assert runtime is not None
    assert runtime.api_key
    assert runtime.api_key not in (tmp_path / "home" / "engine" / "engine.log").read_text()
    await engine.stop()
    assert not alive(_starts(installed)[0])
    assert Engine.read_status(tmp_path / "home").state is EngineState.ABSENT
    assert (engine.status().state, engine.status().url) == (EngineState.ABSENT, None)


@pytest.mark.slow
async def test_a_cpu_that_is_slow_for_a_while_keeps_its_engine(make: Callable[..., Engine], installed: Path) -> None:
    """A part of a long prompt may take longer than several health checks, and a restart would only add work."""
    policy = replace(FAST, max_failed_checks=1, max_failed_checks_on_cpu=100_000)
    engine = make(policy, timeouts=RequestTimeouts(health_s=0.2))
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.READY
    [server] = _starts(installed)
    os.kill(server, signal.SIGSTOP)
    await until(lambda: engine.status().state is EngineState.DEGRADED)
    os.kill(server, signal.SIGCONT)
    await until(lambda: engine.status().state is EngineState.READY)
    assert _starts(installed) == [server]


@pytest.mark.slow
async def test_second_process_shares_the_engine_then_takes_over(make: Callable[..., Engine], installed: Path) -> None:
    """Two processes use one engine; when the first stops, the second starts its own."""
    first, second = make(), make()
    await first.start()
    assert (await first.wait_until_ready(30)).state is EngineState.READY
    assert (await second.ensure_running()).state is EngineState.READY
    assert await _answer(second) == [ContentDelta("pong"), StreamEnd("stop")]
    assert len(_starts(installed)) == 1
    await first.stop()
    await until(lambda: second.status().state is EngineState.READY and len(_starts(installed)) == 2)
    assert await _answer(second) == [ContentDelta("pong"), StreamEnd("stop")]


@pytest.mark.slow
async def test_restart_after_a_crash_uses_another_port(make: Callable[..., Engine], installed: Path) -> None:
    engine, other = make(), make()
    await engine.start()
    before = await engine.wait_until_ready(30)
    await other.ensure_running()
    os.kill(_starts(installed)[0], signal.SIGKILL)
    await until(lambda: len(_starts(installed)) == 2)
    await until(lambda: engine.status().state is EngineState.READY and engine.status().url != before.url)
    assert await _answer(engine) == [ContentDelta("pong"), StreamEnd("stop")]
    await until(lambda: other.status() == engine.status())
    assert await _answer(other) == [ContentDelta("pong"), StreamEnd("stop")]


@pytest.mark.slow
async def test_two_engines_cannot_share_a_state_directory(make: Callable[..., Engine], installed: Path) -> None:
    engines = [make() for _ in range(4)]
    for engine in engines:
        await engine.start()
    for engine in engines:
        assert (await engine.wait_until_ready(30)).state is EngineState.READY
    assert len(_starts(installed)) == 1


def test_progress_covers_only_the_remaining_steps() -> None:
    assert compute_spans(install=False, fetch=False).start_begin == 0
    whole = compute_spans(install=True, fetch=True)
    assert 0 < whole.install_end < whole.start_begin < 1
    only = compute_spans(install=False, fetch=True)
    assert 0 == only.install_end < only.start_begin < 1


# ── The ladder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _flag(installed: Path, name: str) -> list[int]:
    """Return what each start was given for a flag."""
    lines = [json.loads(line) for line in (installed / "argv").read_text().splitlines()]
    return [int(line[line.index(name) + 1]) for line in lines]


@pytest.mark.slow
async def test_memory_profile_falls_persists_and_resets(
    make: Callable[..., Engine], installed: Path, tmp_path: Path
) -> None:
    """After two failures it runs; a new start keeps the profile; ``fresh`` returns to the plan's own."""
    (installed / "fails").write_text("pool-cpu pool-cpu")
    engine = make()
    states: list[EngineStatus] = []
    await engine.start()
    async with aclosing(engine.watch_status()) as changes:
        async for status in changes:
            states.append(status)
            if status.state in {EngineState.READY, EngineState.FAILED}:
                break
    assert engine.status().state is EngineState.READY, engine.status().detail
    values = _flag(installed, "--max-total-tokens")
    assert values == [values[0], values[0] // 2, values[0] // 4]
    assert any("tokens of context in all" in status.detail for status in states)
    assert "--fresh" in engine.status().detail
    assert engine.context_tokens == min(8192, values[-1])
    assert engine.collect_stats().memory_failures == 2
    await engine.stop()
    again = make()
    await again.start()
    assert (await again.wait_until_ready(30)).state is EngineState.READY
    assert _flag(installed, "--max-total-tokens")[3:] == [values[-1]]
    await restart_engine(tmp_path / "home", fresh=True)
    await until(lambda: len(_starts(installed)) == 5)
    await until(lambda: again.status().state is EngineState.READY)
    assert _flag(installed, "--max-total-tokens")[-1] == values[0]
    assert again.collect_stats().memory_failures == 0
    assert "--fresh" not in again.status().detail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("died_of", "words"),
    [
        ("weights", ("No smaller memory profile is left", "272.00 MiB")),
        ("truncated-weights", ("damaged or incomplete", "incomplete metadata")),
    ],
)
async def test_what_no_other_start_would_mend_fails_with_the_reason(
    make: Callable[..., Engine], installed: Path, died_of: str, words: tuple[str, str]
) -> None:
    (installed / "fails").write_text(died_of)
    engine = make()
    await engine.start()
    status = await engine.wait_until_ready(30)
    assert status.state is EngineState.FAILED
    assert [one for one in words if one not in status.detail] == []
    assert len(_starts(installed)) == 1


@pytest.mark.slow
async def test_manual_kill_does_not_lower_the_memory_profile(make: Callable[..., Engine], installed: Path) -> None:
    (installed / "fails").write_text("scheduler-killed")
    engine = make()
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.READY
    assert len(set(_flag(installed, "--max-total-tokens"))) == 1
    assert engine.collect_stats().starts == 2


def _report_load(path: Path, *, running: int, done: int, use: float = 0.1) -> None:
    part = {"num_running_reqs": running, "num_waiting_reqs": 0, "token_usage": use}
    part |= {"total_prefill_uncached_tokens": done, "total_prefill_busy_us": 1, "decode_moments": [done]}
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({"loads": [part]}))
    scratch.replace(path)


@pytest.mark.slow
async def test_requests_without_tokens_count_as_a_hang(make: Callable[..., Engine], installed: Path) -> None:
    """A healthy engine whose requests make no progress is restarted; one that makes progress is not."""
    engine = make(policy=replace(FAST, token_deadline_s=2.5))
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.READY
    for done in range(8):
        _report_load(installed / "loads", running=2, done=done)
        await asyncio.sleep(0.15)
    assert len(_starts(installed)) == 1
    await until(lambda: "generated no token for" in engine.status().detail)
    _report_load(installed / "loads", running=0, done=0)
    await until(lambda: len(_starts(installed)) == 2)


@pytest.mark.slow
async def test_larger_profile_waits_for_an_idle_engine(
    make: Callable[..., Engine], installed: Path, tmp_path: Path
) -> None:
    """It is proposed to all processes, tried only when no request runs, and lowered again if it fails."""
    (installed / "fails").write_text("pool-cpu")
    engine = make(policy=replace(FAST, health_interval_s=0.01))
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.READY
    top, low = _flag(installed, "--max-total-tokens")
    assert await engine.raise_memory_profile(1) is None  # nothing was measured yet
    assert not engine.collect_stats().can_raise_memory
    assert "leaves room" not in engine.status().detail
    _report_load(installed / "loads", running=1, done=1)
    await until(lambda: _looks(engine) >= 25)
    assert engine.collect_stats().can_raise_memory
    await until(lambda: "The load leaves memory free" in Engine.read_status(tmp_path / "home").detail)
    assert f"tokens of context in all {top}" in engine.status().detail
    with pytest.raises(TimeoutError):
        await engine.raise_memory_profile(0.2)
    _report_load(installed / "loads", running=0, done=1)
    (installed / "fails").write_text("pool-cpu")
    assert "retrying" in (await engine.raise_memory_profile(30) or "")
    await until(lambda: len(_starts(installed)) == 4)
    await until(lambda: engine.status().state is EngineState.READY)
    assert _flag(installed, "--max-total-tokens")[2:] == [top, low]
    await until(lambda: _looks(engine) >= 25)
    assert await engine.raise_memory_profile(1) is None


def _looks(engine: Engine) -> int:
    supervisor = engine._local._supervisor
    return 0 if supervisor is None else supervisor.health.peak_load.checks


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 64 KiB without free space."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        _fill(folder)
        yield folder
    finally:
        subprocess.run(("umount", str(folder)), check=True)


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


async def test_unwritable_cache_fails_with_the_reason(tmp_path: Path, installed: Path) -> None:
    """Also while the flags are checked at the same time."""
    shutil.rmtree(installed.parent)
    installed.parent.write_text("a file in the way")

    async def unpack(name: str, version: str, sha256: str) -> Path:
        return tmp_path / name / version / sha256

    engine = Engine(EngineSettings(tmp_path / "home", tmp_path / "cache"), unpack, probe=lambda _: LINUX)
    await engine.start()
    status = await engine.wait_until_ready(30)
    await engine.stop()
    assert status.state is EngineState.FAILED
    assert "Check the disk" in status.detail


async def test_full_disk_fails_with_the_reason(full_disk: Path, make: Callable[..., Engine]) -> None:
    engine = make(home=full_disk)
    await engine.start()
    status = await engine.wait_until_ready(30)
    assert status.state is EngineState.FAILED
    assert "No space left on device" in status.detail
    assert list(full_disk.glob("engine/.runtime-*")) == []


@pytest.mark.slow
async def test_disk_fills_up_while_running(full_disk: Path, make: Callable[..., Engine], installed: Path) -> None:
    """It keeps running and can restart in the space of its own files; without that space it fails with the reason."""
    (full_disk / "filler").unlink()
    engine = make(home=full_disk)
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.READY
    _fill(full_disk)
    assert isinstance((await _answer(engine))[-1], StreamEnd)
    os.kill(_starts(installed)[-1], signal.SIGKILL)
    await until(lambda: len(_starts(installed)) == 2 and engine.status().state is EngineState.READY)
    assert Engine.read_status(full_disk) == engine.status()
    (full_disk / "engine" / "launch.yaml").unlink()
    _fill(full_disk)
    os.kill(_starts(installed)[-1], signal.SIGKILL)
    await until(lambda: engine.status().state is EngineState.FAILED)
    assert "the disk is full: free some space" in engine.status().detail
    assert Engine.read_status(full_disk) == engine.status()
