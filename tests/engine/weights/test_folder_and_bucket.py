"""Weights in a folder, used in place, and in a bucket, from which they are downloaded; and engines with them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.installation.installer import Installer
from engine.interfaces import EngineState, EngineStatus
from engine.planning.catalogue import resolve_model
from engine.planning.hardware import GpuCard, Machine
from engine.planning.variant import Checkpoint
from engine.process.supervisor import SupervisorPolicy
from engine.service import Engine
from engine.settings import EngineSettings
from engine.weights.download import DownloadRetryPolicy
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore
from tests.engine.fake_hub import REPO, WANTED, FakeHub, fake_hub, get_refusal, model, report_nothing, safetensors
from tests.engine.fakes import refuse_wheel, restart_engine, until
from tests.sources.object_store.bench_objects import S3Faults, refused, s3_client

pytestmark = pytest.mark.slow

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SOON = DownloadRetryPolicy(max_attempts=3, first_delay_s=0.001, max_delay_s=0.002)
GIB = 1024**3


def sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


# ── A folder ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Return the folder of one model, as a person copied it."""
    folder = tmp_path / "shelf" / REPO
    folder.mkdir(parents=True)
    for name, content in model().items():
        if "/" not in name:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def on_shelf(tmp_path: Path, shelf: Path) -> Callable[[], WeightsStore]:
    return lambda: WeightsStore(tmp_path / "cache", WeightsSource(str(shelf.parents[1])))


async def test_folder_is_used_in_place(on_shelf: Callable[[], WeightsStore], shelf: Path) -> None:
    """Nothing is copied or written into it; the same for a model that is named by its folder."""
    before = sorted(path.name for path in shelf.iterdir())
    assert on_shelf().find_folder(WANTED) is not None
    assert await on_shelf().provide_checkpoint(WANTED, report_nothing) == shelf
    assert await on_shelf().provide_checkpoint(Checkpoint(str(shelf), "bf16"), report_nothing) == shelf
    assert sorted(path.name for path in shelf.iterdir()) == before


async def test_missing_and_damaged_files_of_a_folder_are_named(
    on_shelf: Callable[[], WeightsStore], shelf: Path
) -> None:
    os.truncate(shelf / FIRST, 1500)
    said = await get_refusal(on_shelf())
    assert f"{FIRST} is 1,500 bytes long and should be" in said
    (shelf / FIRST).write_bytes(b"{}")
    assert "no complete safetensors header" in await get_refusal(on_shelf())
    (shelf / FIRST).write_bytes(safetensors("a"))
    assert "lacks 1 of the tensors" in await get_refusal(on_shelf())
    (shelf / "tokenizer.json").write_bytes(b'{"model": {"vocab": {"a": 1, "b')
    assert "tokenizer.json is not a complete JSON file" in await get_refusal(on_shelf())
    (shelf / "tokenizer.json").write_bytes(b"[" * 200_000)
    assert "tokenizer.json is not a complete JSON file" in await get_refusal(on_shelf())
    (shelf / FIRST).write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)
    assert "header that cannot be read" in await get_refusal(on_shelf())
    (shelf / FIRST).unlink()
    assert f"{FIRST} is missing" in await get_refusal(on_shelf())
    (shelf / SECOND).unlink()
    assert "pickle" in await get_refusal(on_shelf())
    for path in shelf.iterdir():
        path.unlink()
    shelf.rmdir()
    assert "There is no folder" in await get_refusal(on_shelf())


async def test_checksum_file_is_used(on_shelf: Callable[[], WeightsStore], shelf: Path) -> None:
    """Files are compared once; later their size and time decide, until loading fails."""
    names = [FIRST, SECOND, "config.json", "README.md"]
    (shelf / "SHA256SUMS").write_bytes(sums({name: (shelf / name).read_bytes() for name in names}))
    (shelf / "README.md").write_bytes(b"another")
    await on_shelf().provide_checkpoint(WANTED, report_nothing)
    before = (shelf / FIRST).stat()
    (shelf / FIRST).write_bytes(safetensors("a", "b", fill=9))
    os.utime(shelf / FIRST, ns=(before.st_atime_ns, before.st_mtime_ns))
    await on_shelf().provide_checkpoint(WANTED, report_nothing)
    on_shelf().require_verification(WANTED)
    assert f"{FIRST} does not match SHA256SUMS" in await get_refusal(on_shelf())
    (shelf / FIRST).unlink()
    assert f"{FIRST} is missing" in await get_refusal(on_shelf())


# ── A bucket ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def faults(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Faults]:
    async with S3Faults() as faults:
        for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "ENDPOINT_URL": faults.url}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield faults


class Bin:
    """A bucket with one model."""

    def __init__(self, cache: Path) -> None:
        self.name = f"weights-{uuid.uuid4().hex}"
        self.client = s3_client()
        self.client.create_bucket(Bucket=self.name)
        self.cache = cache
        for name, content in model(size=2**20).items():
            self.put(name, content)

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"models/{REPO}/{name}", Body=content)

    def weights(self, prefix: str = "models") -> WeightsStore:
        return WeightsStore(self.cache, WeightsSource(f"s3://{self.name}/{prefix}"), retry_policy=SOON)


@pytest.fixture
async def bucket(tmp_path: Path, faults: S3Faults) -> Bin:
    assert faults.url
    return await asyncio.to_thread(Bin, tmp_path)


async def test_bucket_is_downloaded_once_and_resumed(bucket: Bin, faults: S3Faults) -> None:
    faults.page_keys = 2
    content = model(size=2**20)
    home = bucket.cache / "weights" / REPO.replace("/", "--")
    bad = [refused(503, "SlowDown"), refused(500, "InternalError")]
    faults.answer = lambda request: bad.pop() if request.path.endswith(FIRST) and bad else None
    folder = await bucket.weights().provide_checkpoint(WANTED, report_nothing)
    assert (folder / FIRST).read_bytes() == content[FIRST]
    assert folder.parent == home
    assert not (folder / "pytorch_model.bin").exists()
    os.truncate(folder / FIRST, 0)
    count = len(faults.seen)
    assert await bucket.weights().provide_checkpoint(WANTED, report_nothing) == folder
    fetched = [request.path for request in faults.seen[count:] if "list-type" not in request.query]
    assert [path.rpartition("/")[2] for path in fetched] == [FIRST]
    count = len(faults.seen)
    assert await bucket.weights().provide_checkpoint(WANTED, report_nothing) == folder
    assert len(faults.seen) == count


async def test_partial_object_is_resumed(bucket: Bin, faults: S3Faults) -> None:
    """Only while the object is unchanged."""
    stop = [True]
    faults.answer = lambda request: refused(403, "AccessDenied") if request.path.endswith(FIRST) and stop else None
    assert "AccessDenied" in await get_refusal(bucket.weights())
    (part,) = bucket.cache.rglob(f"{FIRST}.*.part")
    part.write_bytes(model(size=2**20)[FIRST][: 2**20])
    stop.clear()
    folder = await bucket.weights().provide_checkpoint(WANTED, report_nothing)
    ranges = [request.headers.get("Range") for request in faults.seen if request.path.endswith(FIRST)]
    assert ranges[-1] == f"bytes={2**20}-"
    assert (folder / FIRST).read_bytes() == model(size=2**20)[FIRST]


async def test_errors_of_a_bucket(bucket: Bin, faults: S3Faults) -> None:
    assert "There is no s3://" in await get_refusal(bucket.weights("elsewhere"))
    bucket.put("SHA256SUMS", sums({FIRST: b"other"}))
    assert f"{FIRST} of {REPO} arrived damaged" in await get_refusal(bucket.weights())
    assert "has changed since the download began" not in await get_refusal(bucket.weights())
    bucket.put("SHA256SUMS", b"")
    assert "has changed since the download began" in await get_refusal(bucket.weights())
    faults.answer = lambda _: refused(403, "InvalidAccessKeyId")
    assert "AWS_ACCESS_KEY_ID" in await get_refusal(bucket.weights())


# ── An engine that needs them ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: FakeHub) -> AsyncIterator[Engine]:
    """Return an engine for a fake card, with a stand-in for SGLang and that hub."""
    python = Installer(tmp_path / "cache").python_path("cuda")
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parents[1] / "fake_server.py"} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("FAKE_HELP", " ")
    machine = Machine((GpuCard("a card", 24 * GIB, (9, 0)),), 2, 64 * GIB, 64 * GIB, 1 << 40, "linux", "x86_64")
    settings = EngineSettings(
        tmp_path / "home",
        tmp_path / "cache",
        model="R1-Distill-Qwen-1.5B",
        weights_source=WeightsSource(endpoint=hub.url),
        supervisor_policy=SupervisorPolicy(ready_poll_s=0.05, health_interval_s=0.1, first_delay_s=0.01),
    )
    made = Engine(settings, refuse_wheel, probe=lambda _: machine)
    yield made
    await made.stop()


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub(FakeHub(pause_s=0.05)) as made:
        yield made


async def _settled(engine: Engine) -> list[EngineStatus]:
    """Return the statuses until it is ready or has failed."""
    statuses: list[EngineStatus] = []
    async with aclosing(engine.watch_status()) as changes:
        async for status in changes:
            statuses.append(status)
            if status.state in {EngineState.READY, EngineState.FAILED}:
                return statuses
    raise AssertionError(statuses)


async def test_engine_downloads_with_progress_and_starts_on_the_folder(
    engine: Engine, hub: FakeHub, tmp_path: Path
) -> None:
    """A refusing hub ends in FAILED with the reason, and the next start continues."""
    files, hub.files = hub.files, {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    await engine.start()
    assert (await engine.wait_until_ready(30)).state is EngineState.FAILED
    assert "pickle" in engine.status().detail
    hub.files = files
    await restart_engine(tmp_path / "home")
    await until(lambda: engine.status().state is not EngineState.FAILED)
    statuses = await _settled(engine)
    assert statuses[-1].state is EngineState.READY
    assert EngineState.DOWNLOADING in {status.state for status in statuses}
    assert any("Downloading" in status.detail for status in statuses)
    (folder,) = (tmp_path / "cache" / "weights").glob(f"*/{hub.commit}")
    argv = json.loads((folder / "argv").read_text().splitlines()[-1])
    assert argv[argv.index("--model-path") + 1] == str(folder)


@pytest.mark.parametrize(("died_of", "whole"), [("unknown-model", True), ("truncated-weights", False)])
async def test_only_signs_of_damage_require_verification(
    engine: Engine, hub: FakeHub, tmp_path: Path, *, died_of: str, whole: bool
) -> None:
    """Kvasir does not read hundreds of gigabytes again because SGLang does not know a model."""
    weights = WeightsStore(tmp_path / "cache", WeightsSource(endpoint=hub.url))
    folder = await weights.provide_checkpoint(WANTED, report_nothing)
    (folder / "fails").write_text(died_of)
    await engine.start()
    assert (await _settled(engine))[-1].state is EngineState.FAILED
    assert weights.is_ready(WANTED) is whole


async def test_lighter_memory_profile_downloads_its_weights(engine: Engine, hub: FakeHub, tmp_path: Path) -> None:
    """The published weights did not fit, so the next checkpoint is downloaded with progress and served."""
    lighter = [checkpoint.repo for checkpoint in resolve_model(REPO).checkpoints[1:]]
    hub.repos |= set(lighter)
    folder = await WeightsStore(tmp_path / "cache", WeightsSource(endpoint=hub.url)).provide_checkpoint(
        WANTED, report_nothing
    )
    (folder / "fails").write_text("weights")
    await engine.start()
    statuses = await _settled(engine)
    assert statuses[-1].state is EngineState.READY, statuses[-1].detail
    assert EngineState.DOWNLOADING in {status.state for status in statuses}
    fetched = {path.parent.name for path in (tmp_path / "cache" / "weights").glob(f"*/{hub.commit}")}
    assert len(fetched & {repo.replace("/", "--") for repo in lighter}) == 1
