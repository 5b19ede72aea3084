"""Tests that commands leave no file of the state to other accounts, whatever the umask, also in an old folder."""

from __future__ import annotations

import asyncio
import stat
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Place

pytestmark = pytest.mark.slow


def list_open(folder: Path) -> list[str]:
    """Return the files and folders that other accounts have rights to."""
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    return [f"{path} {mode:o}" for path, mode in modes.items() if mode & 0o077]


async def test_commands_leave_no_file_to_others(place: Place, tmp_path: Path, cache_without_engine: str) -> None:
    place.home.mkdir(mode=0o777)
    place.home.chmod(0o777)
    (tmp_path / "diary.md").write_text("# Diary\n\nNobody else reads this.\n")
    for arguments in ("sync", "add diary.md", "search leave"):
        process = await asyncio.create_subprocess_shell(
            f"umask 000; exec {sys.executable} -m bot {arguments}",
            cwd=tmp_path,
            env=place.environ(PYTHONPATH=str(ROOT), KVASIR_CACHE=cache_without_engine),
        )
        assert await process.wait() == 0
    assert (place.home / "kvasir.db").exists()
    assert list_open(place.home) == []
