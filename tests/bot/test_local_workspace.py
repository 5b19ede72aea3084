"""Test the workspace on this machine as a process: errors when it does not open, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from pathlib import Path

import psutil
import pytest

from bot import local_workspace
from bot.local_workspace import WorkspaceError, open_local_workspace
from bot.security import advisories
from bot.security.advisories import NotChecked
from tests.waiting import WAIT_S


@pytest.mark.slow
async def test_a_workspace_that_dies_is_reported_with_the_next_step(tmp_path: Path) -> None:
    async with open_local_workspace(tmp_path / "sandbox", 0) as workspace:
        # Another test of this process may have left a helper of multiprocessing.
        (child,) = [one for one in psutil.Process().children() if "bot.sandbox" in one.cmdline()]
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(WorkspaceError, match=r"killed \(signal 9\)\. Start Kvasir again"):
            async with asyncio.timeout(WAIT_S):
                await workspace.raise_when_ended()
        assert not await workspace.publish_status({"engine": {}})


@pytest.mark.slow
async def test_a_second_workspace_with_the_same_state_is_refused(tmp_path: Path) -> None:
    async with open_local_workspace(tmp_path / "sandbox", 0):
        with pytest.raises(WorkspaceError, match=rf"Another Kvasir .* {re.escape(str(tmp_path))}\..*KVASIR_HOME"):
            async with open_local_workspace(tmp_path / "sandbox", 0):
                pass


@pytest.mark.slow
async def test_a_used_port_is_reported(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(WorkspaceError, match=r"is taken, perhaps by another Kvasir.*KVASIR_SANDBOX_PORT"):
            async with open_local_workspace(tmp_path / "sandbox", listener.getsockname()[1]):
                pass


@pytest.mark.slow
async def test_no_module_of_the_working_folder_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("engine", "bot", "knowledge", "json", "pip_audit"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(local_workspace.__file__).parents[1]))
    async with open_local_workspace(tmp_path / "sandbox", 0):
        pass
    with contextlib.suppress(NotChecked):
        await advisories._run_audit({})
    assert not (tmp_path / "executed").exists()
