"""The runtime file: private, complete, and valid only while its owner runs."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.interfaces import EngineState
from engine.notes import NoteCode, join_notes
from engine.service import Engine

OWNER = """
import sys, time
from pathlib import Path
from engine.control.runtime_file import RuntimeRecord, RuntimeFile
from engine.interfaces import EngineState
file = RuntimeFile(Path(sys.argv[1]))
assert file.claim()
file.write(RuntimeRecord(pid=1, state=EngineState.INSTALLING, progress=0.4, detail="Downloading.", api_key="sekret"))
print("up", flush=True)
time.sleep(600)
"""


def test_full_disk_leaves_no_partial_files(tmp_path: Path) -> None:
    """A file that could not be written is deleted."""
    file = RuntimeFile(tmp_path)
    assert file.claim()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.write(RuntimeRecord(pid=1, state=EngineState.READY))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in file.folder.iterdir()] == ["owner.lock"]
    file.release()


def test_status_is_visible_until_the_owner_is_killed(tmp_path: Path) -> None:
    """After kill -9 the file is stale, and another process can become the owner."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        status = Engine.read_status(tmp_path)
        assert (status.state, status.progress, status.detail) == (EngineState.INSTALLING, 0.4, "Downloading.")
        mine = RuntimeFile(tmp_path)
        assert not mine.claim()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert (tmp_path / "engine" / "runtime.json").exists()
        assert Engine.read_status(tmp_path).state is EngineState.ABSENT
        assert mine.claim()
        assert mine.read() is None  # what the dead one said is not taken for the new owner's word
        mine.release()
    finally:
        owner.kill()
        owner.wait()


def test_file_is_private_and_deleted_with_its_owner(tmp_path: Path) -> None:
    file = RuntimeFile(tmp_path)
    assert file.claim()
    assert file.claim()
    file.write(RuntimeRecord(pid=os.getpid(), state=EngineState.READY, api_key="sekret"))
    path = tmp_path / "engine" / "runtime.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "sekret" not in repr(file.read())
    assert not RuntimeFile(tmp_path).claim()
    file.release()
    file.release()
    assert not path.exists()
    assert RuntimeFile(tmp_path).read() is None


def test_file_of_another_release(tmp_path: Path) -> None:
    """Unknown fields are ignored; an invalid file counts as no engine."""
    file = RuntimeFile(tmp_path)
    assert file.claim()
    path = tmp_path / "engine" / "runtime.json"
    path.write_text(json.dumps({"pid": 1, "state": "ready", "colour": "red"}))
    assert file.read() == RuntimeRecord(pid=1, state=EngineState.READY)
    for text in ("{", "[]", "{}", '{"pid": 1, "state": "dancing"}', ""):
        path.write_text(text)
        assert file.read() is None
    file.release()


def test_notes_survive_and_those_of_another_release_stay_readable(tmp_path: Path) -> None:
    file = RuntimeFile(tmp_path)
    assert file.claim()
    why = NoteCode.RUN_ENDED.fill(how=NoteCode.KILLED.fill(), summary="no reason")
    notes = (NoteCode.RESTARTING_LATER.fill(delay_s=2.5, why=why), NoteCode.STARTING.fill())
    stored = [note.to_json() for note in notes]
    file.write(RuntimeRecord(pid=1, state=EngineState.STARTING, detail=join_notes(notes), notes=stored))
    assert Engine.read_status(tmp_path).notes == notes
    for newer in ([{"code": "DANCING", "fields": {}}], [{"code": "STARTING"}], [*stored, {}], []):
        file.write(RuntimeRecord(pid=1, state=EngineState.STARTING, detail="It dances.", notes=newer))
        status = Engine.read_status(tmp_path)
        assert (status.notes, status.detail) == ((NoteCode.ERROR.fill(text="It dances."),), "It dances.")
    file.release()


def test_folder_whose_name_is_not_unicode(tmp_path: Path) -> None:
    """A model's folder may have any bytes in its name, and a sentence about it may quote them."""
    file = RuntimeFile(tmp_path)
    assert file.claim()
    folder = os.fsdecode(b"/models/caf\xe9")
    record = RuntimeRecord(pid=1, state=EngineState.FAILED, detail=f"{folder} is empty.", model_path=folder)
    file.write(record)
    assert file.read() == record
    file.release()


def test_no_state_directory(tmp_path: Path) -> None:
    assert Engine.read_status(tmp_path / "never").state is EngineState.ABSENT
    assert not (tmp_path / "never").exists()
