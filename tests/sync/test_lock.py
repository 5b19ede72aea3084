"""One sync at a time, across processes, and never a lock that outlives its holder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge.errors import KnowledgeError, SyncRunning
from knowledge.sync.lock import hold_sync_lock

HOLDER = (
    "import sys, pathlib\n"
    "from knowledge.sync.lock import hold_sync_lock\n"
    "with hold_sync_lock(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_a_second_sync_in_this_process_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    says = rf"process {os.getpid()}, since \d\d:\d\d:\d\d UTC"
    with hold_sync_lock(path), pytest.raises(SyncRunning, match=says), hold_sync_lock(path):
        pass
    with hold_sync_lock(path):
        pass


async def test_another_process_holds_it_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "sync.lock"
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(SyncRunning, match=f"process {holder.pid}"), hold_sync_lock(path):
        pass
    holder.send_signal(signal.SIGKILL)
    await holder.wait()
    with hold_sync_lock(path):
        pass


@pytest.mark.parametrize("written", [b"", b"\xff", b"[]", b'{"pid": "x"}'])
def test_a_lock_without_a_readable_signature_is_still_a_lock(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "sync.lock"
    with hold_sync_lock(path):
        path.write_bytes(written)
        with pytest.raises(SyncRunning, match=r"running already\. Wait"), hold_sync_lock(path):
            pass


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="KVASIR_HOME"), hold_sync_lock(tmp_path / "none" / "sync.lock"):
        pass
