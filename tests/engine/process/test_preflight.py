"""Checks before a start: each result has numbers and the next step."""

from __future__ import annotations

import asyncio
import shlex
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError, EngineRefused, EngineUnavailable, InstallError
from engine.installation.installer import Installer, parse_pins
from engine.planning.hardware import GpuCard, Machine
from engine.planning.variant import Checkpoint
from engine.process.preflight import Preflight, check_port
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore
from tests.engine.fake_hub import REPO, FakeHub, fake_hub, model
from tests.engine.machines import GIB, machine

PINS = """sglang==0.5.23 \\
    --hash=sha256:00
torch==2.13.0 ; sys_platform == 'linux' \\
    --hash=sha256:00
torch==2.12.0 ; sys_platform != 'linux'
nvidia-cuda-runtime==13.0.96
"""
SMALL = "R1-Distill-Qwen-1.5B"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Preflight]:
    (tmp_path / "requirements").mkdir()
    for kind in ("cpu", "cuda"):
        (tmp_path / "requirements" / f"{kind}.txt").write_text(PINS)

    def checkup(machine: Machine, named: str | None = SMALL, source: WeightsSource | None = None) -> Preflight:
        cache = tmp_path / "cache"
        installer = Installer(cache, requirements=tmp_path / "requirements")
        return Preflight(named, machine, installer, WeightsStore(cache, source or WeightsSource()))

    return checkup


def _installed(tmp_path: Path, *packages: str) -> Path:
    """Create the GPU environment as the installer leaves it, with these packages."""
    installer = Installer(tmp_path / "cache", requirements=tmp_path / "requirements")
    python = installer.python_path("cuda")
    python.parent.mkdir(parents=True)
    python.touch()
    for package in packages:
        name, _, version = package.partition("==")
        info = python.parent.parent / "lib" / "python3.11" / "site-packages" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return installer.environment_folder("cuda")


def test_old_and_missing_drivers(make: Callable[..., Preflight], tmp_path: Path) -> None:
    card = replace(machine(24), driver="535.1", cuda="12.2")
    with pytest.raises(EngineRefused, match=r"535\.1 supports CUDA 12\.2 .* needs CUDA 13"):
        make(card).check_driver()
    assert "580" in make(replace(card, driver="580.65", cuda="13.0")).check_driver()
    pci = tmp_path / "pci"
    assert "no GPU" in make(machine()).check_driver(pci)
    (pci / "0000:01:00.0").mkdir(parents=True)
    (pci / "0000:01:00.0" / "vendor").write_text("0x10de\n")
    (pci / "0000:01:00.0" / "class").write_text("0x030200\n")
    with pytest.raises(EngineRefused, match="no working driver"):
        make(machine()).check_driver(pci)
    for folder in (pci, tmp_path / "nothing"):
        with pytest.raises(EngineRefused, match=r"580\.65 works but .*nvidia-smi mig -cgi .*CUDA_VISIBLE_DEVICES"):
            make(replace(machine(), driver="580.65", cuda="13.0")).check_driver(folder)


def test_cards_show_memory_in_use(make: Callable[..., Preflight]) -> None:
    cards = (GpuCard("A", 24 * GIB, (8, 9), free_bytes=4 * GIB), GpuCard("B", 24 * GIB, (8, 9), free_bytes=23 * GIB))
    report = make(replace(machine(), cards=cards)).describe_cards()
    assert report == "A (24.0 GiB, 20.0 GiB in use by other programs), B (24.0 GiB)"


async def test_model_is_planned_and_its_nickname_explained(make: Callable[..., Preflight]) -> None:
    report = await make(machine(80), "33B").check_model()
    assert "R1-Distill-Qwen-32B" in report
    assert "33B is what people call" in report
    with pytest.raises(EngineError):
        await make(machine(), "7B").check_model()
    assert "on the CPU" in await make(machine(), SMALL).check_model()


async def test_model_is_the_one_that_a_start_loads(make: Callable[..., Preflight], tmp_path: Path) -> None:
    """Without a hub, a start uses the small model of the package index; later its weights are on the machine."""
    async with fake_hub(FakeHub()) as hub:
        away = WeightsSource(endpoint=hub.url)
    report = await make(machine(), None, away).check_model()
    assert report.startswith("Qwen2.5-Coder-1.5B-Instruct, bf16, on the CPU. KVASIR_MODEL is not set. ")
    assert "No model hub can be reached, so Qwen2.5-Coder-1.5B-Instruct comes from the package index" in report
    assert report.endswith("Its weights are not on this machine yet; `kvasir run` downloads them")
    (tmp_path / "shelf" / "Qwen" / "Qwen2.5-1.5B-Instruct").mkdir(parents=True)
    report = await make(machine(), None, WeightsSource(str(tmp_path / "shelf"))).check_model()
    assert report.startswith("Qwen2.5-1.5B-Instruct, bf16, on the CPU. ")
    assert report.endswith(f"Its weights are in {tmp_path}/shelf/Qwen/Qwen2.5-1.5B-Instruct")
    assert "KVASIR_MODEL names it" in await make(machine(80), SMALL, away).check_model()
    assert "auto takes the best R1 that fits" in await make(machine(80), "auto", away).check_model()
    assert "auto takes a small model" in await make(machine(), "auto", away).check_model()


async def test_disk_space_for_the_conversion_counts(make: Callable[..., Preflight]) -> None:
    """It is the same amount that a start needs."""
    async with fake_hub(FakeHub()) as hub:
        away = WeightsSource(endpoint=hub.url)
    report = r"0\.5 GiB have to be downloaded in pieces, which take up to 3\.3 GiB .*, but 3\.0 GiB are free"
    with pytest.raises(InstallError, match=report):
        await make(replace(machine(), disk_free_bytes=3 * GIB), "qwen2.5-0.5b", away).check_weights()
    assert "are free" in await make(replace(machine(), disk_free_bytes=4 * GIB), "qwen2.5-0.5b", away).check_weights()


async def test_weights_need_disk_space(make: Callable[..., Preflight], tmp_path: Path) -> None:
    full = replace(machine(80), disk_free_bytes=2 * GIB)
    with pytest.raises(InstallError, match=r"3\.3 of 3\.3 GiB have to be downloaded, but 2\.0 GiB are free"):
        await make(full).check_weights()
    assert "have to be downloaded" in await make(machine(80)).check_weights()
    shelf = tmp_path / "shelf" / REPO
    with pytest.raises(InstallError, match="no folder"):
        await make(full, source=WeightsSource(str(tmp_path / "shelf"))).check_weights()
    shelf.mkdir(parents=True)
    for name, content in model().items():
        if "/" not in name:
            (shelf / name).write_bytes(content)
    assert str(shelf) in await make(full, source=WeightsSource(str(tmp_path / "shelf"))).check_weights()
    (shelf / "model-00001-of-00002.safetensors").write_bytes(b"short")
    with pytest.raises(InstallError, match="model-00001-of-00002"):
        await make(full, source=WeightsSource(str(tmp_path / "shelf"))).check_weights()


async def test_old_weights_are_listed_with_the_command_that_deletes_them(
    make: Callable[..., Preflight], tmp_path: Path
) -> None:
    """An incomplete folder, and another mirror's commit; the command deletes only the first one."""
    assert "none" in make(machine(80)).find_old_weights()
    for commit in ("a" * 40, "b" * 40):
        async with fake_hub(FakeHub(commit=commit)) as hub:
            weights = WeightsStore(tmp_path / "cache", WeightsSource(endpoint=hub.url))
            current = await weights.provide_checkpoint(Checkpoint(REPO, "bf16"), lambda *_: None)
            (current / "filler").write_bytes(bytes(GIB // 20))
        if commit.startswith("a"):
            (current / "config.json").unlink()
    assert current.name == "b" * 40
    report, _, command = make(machine(80)).find_old_weights().partition(": ")
    assert "0.1 GiB of earlier commits" in report
    await asyncio.to_thread(subprocess.run, shlex.split(command), check=True)
    assert [path.name for path in current.parent.iterdir() if path.is_dir()] == [current.name]
    assert "none" in make(machine(80)).find_old_weights()


async def test_hub_is_queried_once(make: Callable[..., Preflight]) -> None:
    async with fake_hub(FakeHub()) as hub:
        report = await make(machine(80), source=WeightsSource(endpoint=hub.url)).check_origin()
        assert report.startswith(f"{hub.url} has {REPO} at aaaaaaaaaaaa: 5 files")
        assert hub.asked == [f"/api/models/{REPO}"]
        assert not hub.served
    with pytest.raises(InstallError, match="cannot be reached"):
        await make(machine(80), source=WeightsSource(endpoint=hub.url)).check_origin()


def test_unpinned_version_is_found(make: Callable[..., Preflight], tmp_path: Path) -> None:
    assert "`kvasir run` installs it" in make(machine(80)).check_environment()
    with pytest.raises(InstallError, match="12 GiB"):
        make(replace(machine(80), disk_free_bytes=GIB)).check_environment()
    folder = _installed(tmp_path, "sglang==0.5.23", "torch==2.12.0", "unpinned==1")
    assert make(machine(80)).check_environment() == f"SGLang 0.5.23 as pinned, in {folder}"
    other = folder / "lib" / "python3.11" / "site-packages" / "nvidia_cuda_runtime-12.8.90.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: nvidia_cuda_runtime\nVersion: 12.8.90\n")
    with pytest.raises(InstallError, match=r"nvidia-cuda-runtime 12\.8\.90 instead of 13\.0\.96"):
        make(machine(80)).check_environment()


def test_pins_include_all_markers() -> None:
    assert parse_pins(PINS)["torch"] == {"2.13.0", "2.12.0"}
    own = Installer(Path("/nowhere"))
    assert own.read_pins("cpu")["sglang"] == own.read_pins("cuda")["sglang"] == {"0.5.23"}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_used_port_is_reported(host: str) -> None:
    assert check_port(0, host, "PORT") == "any free port"
    with socket.create_server((host, 0)) as server:
        port: Any = server.getsockname()[1]
        with pytest.raises(EngineUnavailable, match=f"Port {port} on {host} is in use .*PORT={port + 1}"):
            check_port(port, host, "PORT")
    assert check_port(port, host, "PORT") == f"{port} is free"
