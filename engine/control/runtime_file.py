"""A small file in which the owner of an engine publishes its status for other processes.

The owner holds a lock on ``<home>/engine/owner.lock`` as long as it runs. So readers recognise the file of a killed
process, without comparing process ids.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from engine.files import replace_private_file
from engine.interfaces import EngineState, EngineStatus
from engine.notes import read_notes


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """What the owner of an engine publishes."""

    pid: int
    state: EngineState
    progress: float | None = None
    detail: str = ""
    """The notes in English, for a reader of another release."""
    url: str | None = None
    model: str | None = None
    small_model: bool = False
    on_cpu: bool = False
    api_key: str | None = field(default=None, repr=False)
    context_tokens: int | None = None
    model_path: str | None = None
    """The folder with the model's tokenizer; None for a repository of the hub."""
    thinks: bool = False
    opens_think: bool = False
    people: int | None = None
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What ``detail`` says, as codes with fields."""

    @property
    def status(self) -> EngineStatus:
        """Return the published status."""
        notes = read_notes(self.notes, self.detail)
        return EngineStatus(self.state, self.progress, notes, self.url, self.model, self.small_model, self.on_cpu)


_RECORD = TypeAdapter(RuntimeRecord)


class RuntimeFile:
    """The runtime file of one state directory, for its owner and for readers."""

    def __init__(self, home: Path) -> None:
        """Use the state directory ``home``; create nothing before ``claim``."""
        self.folder = home / "engine"
        self._path = self.folder / "runtime.json"
        self._lock_path = self.folder / "owner.lock"
        self._descriptor: int | None = None

    @property
    def is_owner(self) -> bool:
        """Return whether this process is the owner."""
        return self._descriptor is not None

    def claim(self) -> bool:
        """Become the owner; return False if another process is the owner."""
        if self._descriptor is not None:
            return True
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return False
        self._path.unlink(missing_ok=True)  # left over from a killed owner
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Delete the file and stop being the owner."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def write(self, runtime: RuntimeRecord) -> None:
        """Write the file. Readers see the old or the new content, or none if the disk is full.

        Raises:
            OSError: it cannot be written.

        """
        # Not by ``dump_json``, which refuses the name of a folder that is not Unicode.
        text = json.dumps(_RECORD.dump_python(runtime, mode="json"))
        try:
            replace_private_file(self._path, text)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            # The old content is wrong by now. Overwriting it needs no new disk blocks in most cases.
            with self._path.open("r+", encoding="utf-8") as file:
                file.write(text)
                file.truncate()

    def read(self) -> RuntimeRecord | None:
        """Return what a running owner published; None without one, or if it is in the format of another release."""
        if self._descriptor is None and not self._is_owner_alive():
            return None
        try:
            return _RECORD.validate_python(json.loads(self._path.read_bytes()))
        except (OSError, ValueError):
            return None

    def _is_owner_alive(self) -> bool:
        try:
            descriptor = os.open(self._lock_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
