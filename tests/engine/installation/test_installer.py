"""The engine's environment: complete or absent, installed once, with the real uv, offline."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InstallError
from engine.installation.installer import Installer, UvProgress
from tests.engine.fakes import until

GIB = 1024**3
UV = """\
Using Python 3.11.7 environment at: t1
Resolved 120 packages in 245ms
Downloading jedi (512.0KiB)
Downloading torch (502.5MiB)
Downloading nvidia-cublas (1.5GiB)
 Downloaded jedi
 Downloaded torch
 Downloaded nvidia-cublas
Prepared 81 packages in 19.31s
Installed 120 packages in 530ms
 + accelerate==1.15.0
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Installer]:
    """Create installers of an environment without packages, which needs no registry."""
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "cpu.txt").write_text("# nothing\n")
    (requirements / "cuda.txt").write_text("# nothing else\n")

    def installer(free: int = 100 * GIB) -> Installer:
        return Installer(tmp_path / "cache", requirements=requirements, free_bytes=lambda _: free)

    return installer


async def test_installs_once_and_completely(make: Callable[..., Installer], tmp_path: Path) -> None:
    """A second call does nothing, no other files stay, and SGLang finds the platform by its entry point."""
    steps: list[tuple[float | None, str]] = []
    installer = make()
    assert not installer.is_installed("cpu")
    python = await installer.install_environment("cpu", lambda share, step: steps.append((share, str(step))))
    assert installer.is_installed("cpu")
    assert steps
    steps.clear()
    assert await installer.install_environment("cpu", lambda share, step: steps.append((share, str(step)))) == python
    assert not steps
    assert {path.name for path in (tmp_path / "cache" / "engine").iterdir()} == {
        installer.environment_folder("cpu").name,
        f"{installer.environment_folder('cpu').name}.lock",
    }
    command = (
        "from importlib.metadata import entry_points as e; print([x.load()() for x in e(group='sglang.srt.platforms')])"
    )
    found = await asyncio.to_thread(subprocess.check_output, [python, "-I", "-c", command], text=True)
    assert found.strip() == "['kvasir_plain_cpu.platform:PlainCpuPlatform']"


def test_other_requirements_give_another_environment(make: Callable[..., Installer], tmp_path: Path) -> None:
    installer = make()
    before = {installer.environment_folder("cpu"), installer.environment_folder("cuda")}
    (tmp_path / "requirements" / "cpu.txt").write_text("# changed\n")
    assert len(before | {installer.environment_folder("cpu")}) == 3


async def test_missing_disk_space_is_reported_before_the_download(
    make: Callable[..., Installer], tmp_path: Path
) -> None:
    with pytest.raises(InstallError, match=r"needs 6 GiB.*1\.0 GiB are free.*KVASIR_CACHE"):
        await make(free=GIB).install_environment("cpu", lambda *_: None)
    assert [path.suffix for path in (tmp_path / "cache" / "engine").iterdir()] == [".lock"]


async def test_two_installers_install_once(make: Callable[..., Installer]) -> None:
    """One installs, the other waits and uses the result."""
    steps: list[str] = []
    first, second = make(), make()
    pythons = await asyncio.gather(
        *(each.install_environment("cpu", lambda _, step: steps.append(str(step))) for each in (first, second))
    )
    assert pythons[0] == pythons[1]
    assert "Another Kvasir process is installing SGLang." in steps


async def test_leftovers_of_a_killed_attempt_are_deleted(make: Callable[..., Installer]) -> None:
    installer = make()
    folder = installer.environment_folder("cpu")
    left = folder.parent / f".{folder.name}-left"
    (left / "lib").mkdir(parents=True)
    await installer.install_environment("cpu", lambda *_: None)
    assert not left.exists()


async def test_environment_without_its_python_is_reinstalled(make: Callable[..., Installer]) -> None:
    """The system's Python was replaced, so the link to it is broken."""
    installer = make()
    python = await installer.install_environment("cpu", lambda *_: None)
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert not installer.is_installed("cpu")
    await installer.install_environment("cpu", lambda *_: None)
    assert installer.is_installed("cpu")


async def test_package_with_a_wrong_hash_is_refused(make: Callable[..., Installer], tmp_path: Path) -> None:
    """Nothing of it stays, and the error has the next step but no registry's password."""
    (tmp_path / "requirements" / "cpu.txt").write_text("idna==3.20\n")
    installer = make()
    with pytest.raises(InstallError, match=r"could not be installed: .*hash.* then start again"):
        await installer.install_environment("cpu", lambda *_: None)
    assert not installer.is_installed("cpu")
    assert [path.suffix for path in installer.environment_folder("cpu").parent.iterdir()] == [".lock"]


async def test_waiting_installer_needs_no_disk_space(make: Callable[..., Installer]) -> None:
    """The other installer's files fill the disk."""
    first, second = make(), make(free=GIB)
    one = asyncio.create_task(first.install_environment("cpu", lambda *_: None))
    await until(first.environment_folder("cpu").parent.exists)
    assert await second.install_environment("cpu", lambda *_: None) == await one


async def test_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    installer = Installer(tmp_path / "file", free_bytes=lambda _: 100 * GIB)
    with pytest.raises(OSError, match="file"):
        await installer.install_environment("cpu", lambda *_: None)


def test_progress_from_uv_output() -> None:
    """By bytes, never backwards, 1 at the end."""
    progress = UvProgress()
    shares = [share for line in UV.splitlines() if (share := progress.parse_line(line)) is not None]
    assert shares == sorted(shares)
    assert 0.2 < shares[4] < 0.25
    assert shares[-2:] == [0.9, 1.0]
    warm = UvProgress()
    assert [warm.parse_line(line) for line in ("Resolved 1 package in 1ms", "Installed 1 package in 2ms")] == [
        None,
        1.0,
    ]


def test_committed_requirements_have_hashes_and_no_registry() -> None:
    """Every package has a version and hashes; no index is named, so that any mirror works."""
    folder = Path(sys.modules[Installer.__module__].__file__ or "").parents[1] / "requirements"
    for name in ("cpu.txt", "cuda.txt"):
        lines = (folder / name).read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert len(pins) > 100
        assert all("==" in pin and pin.endswith("\\") for pin in pins)
        assert "sglang==0.5.23 \\" in pins
        assert not any("://" in line or line.startswith("-") for line in lines)
