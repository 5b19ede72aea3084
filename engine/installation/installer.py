"""Make the engine's own environment: once, in the cache, whole or not at all.

Everything is built in a folder beside its place and renamed when it is complete, under a lock against other processes;
what a killed attempt left is cleared away by the next one, and uv's own cache keeps what was already fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import ClassVar, Literal

from engine.errors import InstallError
from engine.files import hold_file_lock
from engine.installation.command import run_command
from engine.planning.hardware import disk_free_bytes
from engine.planning.variant import GIB

Kind = Literal["cpu", "cuda"]
Report = Callable[[float | None, str], None]
"""Takes the share that is done, 0 to 1 or None, and what is being done, in one line."""
UnpackWheel = Callable[[str, str, str], Awaitable[Path]]
"""Name, version, SHA-256 -> the folder of the unpacked wheel."""

_ENGINE = Path(__file__).parent.parent
NEEDED_BYTES: dict[Kind, int] = {"cpu": 6 * GIB, "cuda": 12 * GIB}
"""The CPU's environment takes 5.0 GiB."""
_INSTALL_DEADLINE_S = 3600.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class Installer:
    """The engine's environments under one cache folder."""

    def __init__(
        self,
        cache: Path,
        *,
        requirements: Path = _ENGINE / "requirements",
        free_bytes: Callable[[Path], int] = disk_free_bytes,
    ) -> None:
        """Take the cache folder; nothing is made before it is asked for."""
        self._cache = cache
        self._requirements = requirements
        self._free_bytes = free_bytes

    def environment(self, kind: Kind) -> Path:
        """Return the folder of an environment, there or not; other requirements give another folder."""
        parts = [self._requirements_of(kind).read_bytes(), f"{sys.version_info[:2]}".encode()]
        if kind == "cpu":
            parts += [path.read_bytes() for path in _plugin_files()]
        return self._cache / "engine" / f"{kind}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"

    def python(self, kind: Kind) -> Path:
        """Return the environment's interpreter, there or not."""
        return self.environment(kind) / "bin" / "python"

    def installed(self, kind: Kind) -> bool:
        """Say whether the environment is there and its interpreter too, which goes when the system's Python goes."""
        return self.python(kind).exists()

    async def install(self, kind: Kind, report: Report) -> Path:
        """Make the environment if it is not there and return its interpreter.

        Raises:
            InstallError: the disk is too full, a package cannot be had, or the deadline passed.

        """
        folder = self.environment(kind)
        if not self.installed(kind):
            async with _building(folder, lambda: self.installed(kind), report) as scratch:
                if scratch is not None:
                    self._check_disk(folder, NEEDED_BYTES[kind], "the engine")
                    await self._fill(scratch, kind, report)
        return self.python(kind)

    async def _fill(self, scratch: Path, kind: Kind, report: Report) -> None:
        report(0.0, "Installing SGLang into an environment of its own (once).")
        failed = "The engine's environment could not be made"
        uv = _uv()
        await run_command(
            (uv, "venv", "--quiet", "--relocatable", "--clear", "--python", sys.executable, str(scratch)), 120, failed
        )
        progress = UvProgress()

        def on_line(line: str) -> None:
            if (share := progress.read(line)) is not None:
                report(share, f"Installing SGLang into an environment of its own (once): {progress.doing}.")

        argv = (
            uv, "pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--python", str(scratch / "bin" / "python"), "--requirement", str(self._requirements_of(kind)),
        )  # fmt: skip
        await run_command(argv, _INSTALL_DEADLINE_S, failed, on_line)
        if kind == "cpu":
            _add_plugin(scratch)

    def pins(self, kind: Kind) -> dict[str, set[str]]:
        """Return the versions that an environment may have, by package."""
        return read_pins(self._requirements_of(kind).read_text(encoding="utf-8"))

    def _requirements_of(self, kind: Kind) -> Path:
        return self._requirements / f"{kind}.txt"

    def _check_disk(self, folder: Path, needed: int, what: str) -> None:
        free = self._free_bytes(folder)
        if free < needed:
            raise InstallError(
                f"There is no room for {what}: it needs {needed / GIB:.0f} GiB in {self._cache}, where "
                f"{free / GIB:.1f} GiB are free. Free some, or set KVASIR_CACHE to a folder on a larger disk."
            )


def kind_of(device: str) -> Kind:
    """Return which of the engine's environments a plan's device needs."""
    return "cpu" if device == "cpu" else "cuda"


def read_pins(requirements: str) -> dict[str, set[str]]:
    """Return the versions that a compiled requirements file allows, by package; several where markers decide."""
    pins: dict[str, set[str]] = {}
    for name, version in _PIN.findall(requirements):
        pins.setdefault(plain_name(name), set()).add(version)
    return pins


def plain_name(name: str) -> str:
    """Return a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class UvProgress:
    """How far an installation is, by what uv prints: bytes of the packages that it names."""

    _LINE = re.compile(r"^\s*(Downloading|Downloaded|Building|Prepared|Installed)\s+(\S+)(?: \(([\d.]+)([KMG])iB\))?")
    _UNIT: ClassVar = {"K": 2**10, "M": 2**20, "G": 2**30}
    _FETCHED_SHARE = 0.9

    def __init__(self) -> None:
        """Start at nothing."""
        self._sizes: dict[str, float] = {}
        self._done = 0.0
        self._share = 0.0
        self.doing = "finding packages"

    def read(self, line: str) -> float | None:
        """Return the share that is done, never less than before; None for a line that says nothing of it."""
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
        self.doing = "unpacking" if share >= self._FETCHED_SHARE else f"{self._done / 2**20:.0f} MiB fetched"
        self._share = max(self._share, share)
        return self._share


@contextlib.asynccontextmanager
async def _building(folder: Path, whole: Callable[[], bool], report: Report) -> AsyncIterator[Path | None]:
    """Give a scratch folder that becomes ``folder`` at the end; None where another process made it meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    async with hold_file_lock(
        folder.parent / f"{folder.name}.lock", lambda: report(None, "Another Kvasir process is installing it.")
    ):
        scratch = await asyncio.to_thread(_scratch, folder, whole)
        try:
            yield scratch
            if scratch is not None:
                _put_in_place(scratch, folder)
        except OSError as error:
            raise InstallError(
                f"Writing to {folder.parent} failed: {error.strerror}. Check the disk and its rights, then start again."
            ) from error
        finally:
            if scratch is not None:
                await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


def _scratch(folder: Path, whole: Callable[[], bool]) -> Path | None:
    """Return an empty folder beside ``folder``, None where that is whole; clear away what is of no use."""
    if whole():
        return None
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def _put_in_place(scratch: Path, folder: Path) -> None:
    scratch.chmod(0o755)
    scratch.rename(folder)


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise InstallError("uv is not installed beside Kvasir. Run `make setup`, then start again.")
    return found


def _plugin_files() -> list[Path]:
    return sorted((_ENGINE / "plain_cpu").glob("*.py"))


def _add_plugin(environment: Path) -> None:
    """Install the CPU platform as SGLang finds it: a package, and a dist-info that names its entry point."""
    site = next(environment.glob("lib/python*/site-packages"))
    package, info = site / "kvasir_plain_cpu", site / "kvasir_plain_cpu-1.dist-info"
    package.mkdir()
    info.mkdir()
    for path in _plugin_files():
        shutil.copy(path, package / path.name)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvasir-plain-cpu\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[sglang.srt.platforms]\nkvasir_plain_cpu = kvasir_plain_cpu:activate\n", encoding="utf-8"
    )
