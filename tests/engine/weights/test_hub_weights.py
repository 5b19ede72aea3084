"""Weights from a hub: downloaded once, resumed, verified, pinned; and the errors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.errors import InstallError
from engine.notes import NoteCode
from engine.planning.variant import Checkpoint
from engine.weights.download import DownloadProgress, DownloadRetryPolicy
from engine.weights.hub import parse_retry_after_s
from engine.weights.listing import Digest, RemoteFile
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore
from engine.weights.worker_threads import WorkerThreads
from tests.engine.fake_hub import (
    REPO,
    TOKEN,
    WANTED,
    FakeHub,
    fake_hub,
    get_refusal,
    model,
    report_nothing,
    safetensors,
)
from tests.engine.fakes import until
from tests.waiting import WAIT_S

GIB = 1024**3
NEEDED = {
    "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
    "config.json", "tokenizer_config.json",
}  # fmt: skip
FIRST = "model-00001-of-00002.safetensors"
SOON = DownloadRetryPolicy(max_attempts=4, first_delay_s=0.001, max_delay_s=0.002)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with fake_hub() as made:
        yield made


@pytest.fixture
def make(tmp_path: Path, hub: FakeHub) -> Callable[..., WeightsStore]:
    def weights(**options: Any) -> WeightsStore:
        source = WeightsSource(endpoint=options.pop("endpoint", hub.url), token=TOKEN)
        return WeightsStore(tmp_path, source, **{"retry_policy": SOON, **options})

    return weights


def home(tmp_path: Path) -> Path:
    return tmp_path / "weights" / REPO.replace("/", "--")


async def test_downloads_needed_files_once(make: Callable[..., WeightsStore], hub: FakeHub, tmp_path: Path) -> None:
    """No pickles, programs or subfolders; only the hub gets the token; a second start sends no request."""
    steps: list[tuple[float | None, str]] = []
    assert make().find_folder(WANTED) is None
    folder = await make().provide_checkpoint(WANTED, lambda share, step: steps.append((share, str(step))))
    assert {path.name for path in folder.iterdir()} == NEEDED | {"checked.json"}
    assert all((folder / name).read_bytes() == hub.files[name] for name in NEEDED)
    assert folder == home(tmp_path) / hub.commit
    assert any(share is not None and "GiB" in line for share, line in steps)
    assert hub.tokens == {("hub", f"Bearer {TOKEN}"), ("cdn", None)}
    count = len(hub.asked)
    assert make().find_folder(WANTED) is not None
    assert await make().provide_checkpoint(WANTED, report_nothing) == folder
    assert len(hub.asked) == count


async def test_commit_of_the_first_start_is_pinned(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    """The hub has a newer commit; only a damaged file is downloaded again, of the old commit."""
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    old = hub.commit
    hub.move_on({**model(), FIRST: safetensors("a", "b", fill=99)}, "b" * 40)
    (folder / FIRST).write_bytes(b"short")
    hub.served.clear()
    assert await make().provide_checkpoint(WANTED, report_nothing) == folder
    assert set(hub.served) == {FIRST}
    assert (folder / FIRST).read_bytes() == hub.commits[old][FIRST]
    pinned = await make().provide_checkpoint(Checkpoint(REPO, "bf16", revision="b" * 40), report_nothing)
    assert pinned.name == "b" * 40
    assert (pinned / FIRST).read_bytes() == hub.files[FIRST]


async def test_interrupted_connection_is_resumed(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.files = model(size=3 * 2**20)
    hub.cut_after, hub.cuts = 2**20 + 17, 3
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    assert (folder / FIRST).read_bytes() == hub.files[FIRST]
    assert hub.cuts == 0
    assert sum(hub.served[name] for name in hub.files if name.startswith("model-")) == hub.weights_bytes


async def test_mirror_without_ranges(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.files = model(size=2**20)
    hub.cut_after, hub.cuts, hub.ranges = 2**19, 2, False
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    assert (folder / FIRST).read_bytes() == hub.files[FIRST]


async def test_wrong_bytes_are_downloaded_once_more_then_reported(
    make: Callable[..., WeightsStore], hub: FakeHub, tmp_path: Path
) -> None:
    """Nothing wrong stays on the disk."""
    wrong = web.Response(body=bytes(len(hub.files["config.json"])))
    bad = [wrong]
    hub.answer = lambda request: bad.pop() if request.path.endswith("config.json") and bad else None
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    assert (folder / "config.json").read_bytes() == hub.files["config.json"]
    hub.move_on({**hub.files, "tokenizer_config.json": b"[]"}, "c" * 40)
    hub.answer = lambda request: web.Response(body=b"{}") if request.path.endswith("tokenizer_config.json") else None
    said = await get_refusal(make(), Checkpoint(REPO, "bf16", revision="c" * 40))
    assert "tokenizer_config.json" in said
    assert "damaged" in said
    left = {path.name for path in (home(tmp_path) / ("c" * 40)).iterdir()}
    assert not any(name.startswith("tokenizer_config.json") for name in left)


async def test_file_of_wrong_length_is_downloaded_again(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    os.truncate(folder / FIRST, 10)
    assert make().find_folder(WANTED) is None
    hub.served.clear()
    await make().provide_checkpoint(WANTED, report_nothing)
    assert hub.served == {FIRST: len(hub.files[FIRST])}


async def test_required_verification_compares_every_byte(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    """A flipped byte changes neither the size nor, here, the time, so only a failed load finds it."""
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    before = (folder / FIRST).stat()
    damaged = bytearray(hub.files[FIRST])
    damaged[-1] ^= 1
    (folder / FIRST).write_bytes(damaged)
    os.utime(folder / FIRST, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert make().find_folder(WANTED) is not None
    make().require_verification(WANTED)
    hub.served.clear()
    await make().provide_checkpoint(WANTED, report_nothing)
    assert (folder / FIRST).read_bytes() == hub.files[FIRST]
    assert set(hub.served) == {FIRST}


async def test_missing_disk_space_is_reported_before_the_first_byte(
    make: Callable[..., WeightsStore], hub: FakeHub
) -> None:
    said = await get_refusal(make(free_bytes=lambda _: GIB // 2))
    assert "no room" in said
    assert "0.5 GiB" in said
    assert "KVASIR_CACHE" in said
    assert not hub.served


async def test_disk_that_fills_up_is_reported(make: Callable[..., WeightsStore], hub: FakeHub, tmp_path: Path) -> None:
    """With the kernel's device for "no space left"."""
    content = hub.files[FIRST]
    file = RemoteFile(FIRST, len(content), Digest("sha256", hashlib.sha256(content).hexdigest()))
    folder = home(tmp_path) / hub.commit
    folder.mkdir(parents=True)
    (folder / file.part_name).symlink_to("/dev/full")
    assert re.search(r"The disk of .* is full", await get_refusal(make()))
    (folder / file.part_name).unlink()
    assert (await make().provide_checkpoint(WANTED, report_nothing) / FIRST).read_bytes() == content


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "GatedRepo", "Accept them at"),
        (401, "GatedRepo", "HF_TOKEN"),
        (401, "RepoNotFound", "has no access to it"),
        (404, "RepoNotFound", "does not exist"),
        (404, "RevisionNotFound", "not at the commit"),
        (418, "", "answered 418"),
    ],
)
async def test_a_refusal_names_the_next_step(
    make: Callable[..., WeightsStore], hub: FakeHub, status: int, code: str, message: str
) -> None:
    headers = {"X-Error-Code": code, "X-Error-Message": "no"}
    hub.answer = lambda _: web.json_response({"error": "no"}, status=status, headers=headers)
    assert message in await get_refusal(make())


async def test_refused_file_names_the_next_step(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    gated = web.Response(status=403, headers={"X-Error-Code": "GatedRepo"})
    hub.answer = lambda request: gated if "/resolve/" in request.path else None
    assert "Accept them at" in await get_refusal(make())


@pytest.mark.parametrize("where", ["/api/", "/resolve/"])
async def test_retry_after_is_respected(make: Callable[..., WeightsStore], hub: FakeHub, where: str) -> None:
    busy = [web.Response(status=429, headers={"Retry-After": "7"}), web.Response(status=503)]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    hub.answer = lambda request: busy.pop(0) if where in request.path and busy else None
    await make(sleep=sleep).provide_checkpoint(WANTED, report_nothing)
    assert max(slept) == 7
    assert len(slept) == 2


async def test_server_that_is_no_hub(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.answer = lambda _: web.Response(text="<html>Welcome</html>", content_type="text/html")
    assert "HF_ENDPOINT" in await get_refusal(make())
    hub.answer = lambda _: web.json_response({"id": REPO, "sha": "../..", "siblings": []})
    assert "HF_ENDPOINT" in await get_refusal(make())


async def test_mirror_without_sizes_is_refused(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    """A shard without a size may still be needed."""
    siblings = [{"rfilename": name, "size": len(content)} for name, content in hub.files.items()]
    del siblings[0]["size"]
    hub.answer = lambda _: web.json_response({"id": REPO, "sha": hub.commit, "siblings": siblings})
    assert "does not report the sizes" in await get_refusal(make())
    assert not hub.served


async def test_pickles_are_refused(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    said = await get_refusal(make())
    assert "pytorch_model.bin" in said
    assert "pickle" in said
    hub.files = {"config.json": b"{}"}
    assert "no *.safetensors" in await get_refusal(make())
    hub.files = {"model.safetensors": safetensors("a")}
    assert "config.json" in await get_refusal(make())


async def test_damaged_files_of_a_hub_are_reported(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.files = {**model(), FIRST: safetensors("a", "b")[:-1]}
    said = await get_refusal(make())
    assert FIRST in said
    assert hub.url in said


async def test_another_mirror_resumes_the_download(
    make: Callable[..., WeightsStore], hub: FakeHub, tmp_path: Path
) -> None:
    hub.files = model(size=6 * 2**20)
    hub.pause_s = 0.01
    fetching = asyncio.create_task(make().provide_checkpoint(WANTED, report_nothing))
    await until(lambda: hub.served[FIRST] > 5 * 2**20)
    await hub.stop()
    with pytest.raises(InstallError) as caught:
        await fetching
    assert "tried 4 times" in str(caught.value)
    assert "keeps the downloaded part" in str(caught.value)
    assert any(home(tmp_path).glob("*/*.part"))
    assert "cannot be reached" in await get_refusal(make())
    async with fake_hub(FakeHub(files=hub.files)) as other:
        folder = await make(endpoint=other.url).provide_checkpoint(WANTED, report_nothing)
        assert (folder / FIRST).read_bytes() == hub.files[FIRST]
        assert other.served[FIRST] < len(hub.files[FIRST]) - 2**20


async def test_one_writer_at_a_time(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    hub.pause_s = 0.02
    folders = await asyncio.gather(*(make().provide_checkpoint(WANTED, report_nothing) for _ in range(3)))
    assert len(set(folders)) == 1
    assert sum(hub.served.values()) == sum(len(hub.files[name]) for name in NEEDED)


async def test_cancellation_anywhere_can_be_resumed(make: Callable[..., WeightsStore], hub: FakeHub) -> None:
    """No partial file ever counts as complete."""
    hub.files = model(size=2**19)
    for wait in range(0, 60, 3):
        fetching = asyncio.create_task(make().provide_checkpoint(WANTED, report_nothing))
        for _ in range(wait):
            await asyncio.sleep(0.001)
        fetching.cancel()
        async with asyncio.timeout(WAIT_S):
            done = await asyncio.gather(fetching, return_exceptions=True)
        if not isinstance(done[0], asyncio.CancelledError):
            break
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    assert all((folder / name).read_bytes() == hub.files[name] for name in NEEDED)


@pytest.mark.slow
async def test_kill_can_be_resumed(hub: FakeHub, make: Callable[..., WeightsStore], tmp_path: Path) -> None:
    """After kill -9, written parts are not downloaded again, and finished files are not read again."""
    hub.files = model(size=12 * 2**20)
    hub.pause_s = 0.02
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("fetch_process.py")), str(tmp_path), hub.url, REPO
    )
    await until(lambda: hub.served[FIRST] > 11 * 2**20, 60)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await asyncio.sleep(0.1)
    hub.pause_s = 0.0
    before = sum(hub.served.values())
    folder = await make().provide_checkpoint(WANTED, report_nothing)
    assert (folder / FIRST).read_bytes() == hub.files[FIRST]
    again = sum(hub.served.values()) - sum(len(hub.files[name]) for name in NEEDED)
    assert before > 11 * 2**20
    assert again < 12 * 2**20, "per file a block that was not written, and what was on the wire"
    assert json.loads((folder / "checked.json").read_text())


def test_progress_estimates_the_remaining_time() -> None:
    steps: list[tuple[float | None, str]] = []
    clock = [0.0]
    tally = DownloadProgress(
        100 * GIB,
        20 * GIB,
        lambda share, step: steps.append((share, str(step))),
        NoteCode.FETCHING_WEIGHTS.fill(repo="m", origin="the hub"),
        lambda: clock[0],
    )
    tally.add_bytes(0)
    clock[0] = 60.0
    tally.add_bytes(10 * GIB)
    tally.add_bytes(GIB)
    assert steps[0] == (0.2, "Downloading m from the hub: 20.0 of 100.0 GiB.")
    assert steps[1:] == [(0.3, "Downloading m from the hub: 30.0 of 100.0 GiB, about 7 min left.")]


def test_retry_after_is_a_number_or_a_date() -> None:
    assert parse_retry_after_s("12") == 12
    assert parse_retry_after_s(None) is None
    assert parse_retry_after_s("soon") is None
    assert parse_retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0


async def test_a_cancelled_write_ends_before_its_caller() -> None:
    """Otherwise the next attempt could write to the same part."""
    threads, started, release, ended = WorkerThreads(1), threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        started.set()
        release.wait(5)
        ended.set()

    writing = asyncio.create_task(threads.run_to_end(write))
    await asyncio.to_thread(started.wait, 5)
    writing.cancel()
    asyncio.get_running_loop().call_later(0.05, release.set)
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ended.is_set()
    threads.close()
