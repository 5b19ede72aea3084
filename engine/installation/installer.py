"""Install the engine's environment into the cache, completely or not at all.

It is built in a temporary folder next to its place and renamed at the end, under a lock against other processes. The
next attempt deletes what a killed one left over. uv's own cache keeps the downloaded packages.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import ClassVar, Literal

from engine.errors import InstallError
from engine.files import hold_file_lock, make_shared_folder, share_tree
from engine.installation.command import run_command
from engine.notes import EngineNote, NoteCode
from engine.planning.hardware import read_free_disk_bytes
from engine.planning.variant import GIB

EnvironmentKind = Literal["cpu", "cuda"]
ReportProgress = Callable[[float | None, EngineNote], None]
"""Receives the progress, 0 to 1 or None, and the current step."""
UnpackWheel = Callable[[str, str, str], Awaitable[Path]]
"""Arguments: name, version, SHA-256. Returns the folder of the unpacked wheel."""

_ENGINE = Path(__file__).parent.parent
REQUIRED_BYTES: dict[EnvironmentKind, int] = {"cpu": 6 * GIB, "cuda": 12 * GIB}
"""The CPU environment takes 5.0 GiB."""
_INSTALL_DEADLINE_S = 3600.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class Installer:
    """The engine's environments in one cache folder."""

    def __init__(
        self,
        cache: Path,
        *,
        requirements: Path = _ENGINE / "requirements",
        free_bytes: Callable[[Path], int] = read_free_disk_bytes,
        hidden: Collection[str] = (),
    ) -> None:
        """Create nothing yet. Commands do not get the variables ``hidden``."""
        self._cache = cache
        self._requirements = requirements
        self._free_bytes = free_bytes
        self._hidden = hidden

    def environment_folder(self, kind: EnvironmentKind) -> Path:
        """Return the folder of an environment, installed or not; other requirements give another folder."""
        parts = [self._requirements_path(kind).read_bytes(), f"{sys.version_info[:2]}".encode()]
        if kind == "cpu":
            parts += [path.read_bytes() for path in _list_plugin_files()]
        return self._cache / "engine" / f"{kind}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"

    def python_path(self, kind: EnvironmentKind) -> Path:
        """Return the path of the environment's interpreter, installed or not."""
        return self.environment_folder(kind) / "bin" / "python"

    def is_installed(self, kind: EnvironmentKind) -> bool:
        """Return whether the environment and its interpreter exist; the latter is a link to the system's Python."""
        return self.python_path(kind).exists()

    async def install_environment(self, kind: EnvironmentKind, report: ReportProgress) -> Path:
        """Install the environment if it is missing, and return its interpreter.

        Raises:
            InstallError: the disk is too full, a package is missing, or it took too long.

        """
        folder = self.environment_folder(kind)
        if not self.is_installed(kind):
            async with build_folder(folder, lambda: self.is_installed(kind), report) as scratch:
                if scratch is not None:
                    self._check_disk(folder, REQUIRED_BYTES[kind])
                    await self._install_into(scratch, kind, report)
        return self.python_path(kind)

    async def _install_into(self, scratch: Path, kind: EnvironmentKind, report: ReportProgress) -> None:
        report(0.0, NoteCode.INSTALLING_SGLANG.fill())
        failed = NoteCode.ENVIRONMENT_NOT_INSTALLED.fill()
        uv = find_uv()
        await run_command(
            (uv, "venv", "--quiet", "--relocatable", "--clear", "--python", sys.executable, str(scratch)),
            120,
            failed,
            hidden=self._hidden,
        )
        progress = UvProgress()

        def on_line(line: str) -> None:
            if (share := progress.parse_line(line)) is not None:
                report(share, progress.step)

        argv = (
            uv, "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--python", str(scratch / "bin" / "python"), "--requirement", str(self._requirements_path(kind)),
        )  # fmt: skip
        await run_command(argv, _INSTALL_DEADLINE_S, failed, on_line, hidden=self._hidden)
        if kind == "cpu":
            _add_plugin(scratch)

    def read_pins(self, kind: EnvironmentKind) -> dict[str, set[str]]:
        """Return the allowed versions of an environment by package."""
        return parse_pins(self._requirements_path(kind).read_text(encoding="utf-8"))

    def _requirements_path(self, kind: EnvironmentKind) -> Path:
        return self._requirements / f"{kind}.txt"

    def _check_disk(self, folder: Path, needed: int) -> None:
        free = self._free_bytes(folder)
        if free < needed:
            raise InstallError(
                NoteCode.NO_ROOM_FOR_ENGINE.fill(needed_gib=needed / GIB, folder=str(self._cache), free_gib=free / GIB)
            )


def choose_environment_kind(device: str) -> EnvironmentKind:
    """Return the kind of environment for a plan's device."""
    return "cpu" if device == "cpu" else "cuda"


def parse_pins(requirements: str) -> dict[str, set[str]]:
    """Return the versions that a compiled requirements file allows by package; several where markers decide."""
    pins: dict[str, set[str]] = {}
    for name, version in _PIN.findall(requirements):
        pins.setdefault(normalize_package_name(name), set()).add(version)
    return pins


def normalize_package_name(name: str) -> str:
    """Return a normalized package name."""
    return re.sub(r"[-_.]+", "-", name).lower()


class UvProgress:
    """The progress of an installation by uv's output: the bytes of the packages."""

    _LINE = re.compile(r"^\s*(Downloading|Downloaded|Building|Prepared|Installed)\s+(\S+)(?: \(([\d.]+)([KMG])iB\))?")
    _UNIT: ClassVar = {"K": 2**10, "M": 2**20, "G": 2**30}
    _FETCHED_SHARE = 0.9

    def __init__(self) -> None:
        """Start at 0."""
        self._sizes: dict[str, float] = {}
        self._done = 0.0
        self._share = 0.0
        self.step = NoteCode.FINDING_PACKAGES.fill()

    def parse_line(self, line: str) -> float | None:
        """Return the progress, which never falls; None for any other line."""
        found = self._LINE.match(line)
        if found is None:
            return None
        word, name, size, unit = found.groups()
        if word == "Downloading" and size:
            self._sizes[name] = float(size) * self._UNIT[unit]
        elif word == "Downloaded":
            self._done += self._sizes.get(name, 0.0)
        share = self._FETCHED_SHARE * self._done / (sum(self._sizes.values()) or 1.0)
        if word in {"Prepared", "Installed"}:
            share = self._FETCHED_SHARE if word == "Prepared" else 1.0
        if share >= self._FETCHED_SHARE:
            self.step = NoteCode.UNPACKING_PACKAGES.fill()
        else:
            self.step = NoteCode.FETCHING_PACKAGES.fill(downloaded_mib=self._done / 2**20)
        self._share = max(self._share, share)
        return self._share


@contextlib.asynccontextmanager
async def build_folder(folder: Path, whole: Callable[[], bool], report: ReportProgress) -> AsyncIterator[Path | None]:
    """Yield a temporary folder that becomes ``folder`` at the end; None if another process made it meanwhile.

    Raises:
        InstallError: the disk refuses it.

    """
    make_shared_folder(folder.parent)
    async with hold_file_lock(
        folder.parent / f"{folder.name}.lock", lambda: report(None, NoteCode.INSTALLED_ELSEWHERE.fill())
    ):
        scratch = await asyncio.to_thread(_create_scratch_folder, folder, whole)
        try:
            yield scratch
            if scratch is not None:
                await asyncio.to_thread(share_tree, scratch)
                scratch.rename(folder)
        except OSError as error:
            raise InstallError(
                NoteCode.FOLDER_NOT_WRITABLE.fill(folder=str(folder.parent), reason=str(error.strerror))
            ) from error
        finally:
            if scratch is not None:
                await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _create_scratch_folder(folder: Path, whole: Callable[[], bool]) -> Path | None:
    """Return an empty folder next to ``folder``, None if that is complete; delete leftovers."""
    if whole():
        return None
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def find_uv() -> str:
    """Return the path of uv.

    Raises:
        InstallError: it is missing.

    """
    neighbour = Path(sys.executable).with_name("uv")
    path = str(neighbour) if neighbour.exists() else shutil.which("uv")
    if path is None:
        raise InstallError(NoteCode.UV_MISSING.fill())
    return path


def _list_plugin_files() -> list[Path]:
    return sorted((_ENGINE / "plain_cpu").glob("*.py"))


def _add_plugin(environment: Path) -> None:
    """Install the CPU platform as SGLang finds it: a package, and a dist-info with its entry point."""
    site = next(environment.glob("lib/python*/site-packages"))
    package, info = site / "kvasir_plain_cpu", site / "kvasir_plain_cpu-1.dist-info"
    package.mkdir()
    info.mkdir()
    for path in _list_plugin_files():
        shutil.copy(path, package / path.name)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvasir-plain-cpu\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[sglang.srt.platforms]\nkvasir_plain_cpu = kvasir_plain_cpu:activate\n", encoding="utf-8"
    )
