"""Writes entries into this process's chain and signs heads. Synchronous: the log calls it in a thread of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from bot.audit.chain import (
    ChainFile,
    begin_chain,
    format_day,
    format_time,
    list_chains,
    make_head,
    open_chain,
    write_all,
)
from bot.audit.entries import Event
from bot.audit.keys import AuditKeyError, ensure_keys
from bot.audit.settings import SYSLOG, AuditSettings

_log = structlog.get_logger("kvasir.audit")

_SYSLOG_PRIORITY: Final = 10 * 8 + 6  # facility authpriv, severity informational (RFC 5424)
_SYSLOG_S: Final = 2.0


class AuditRecorder:
    """The chain of this process. It opens the file with the first entry, and again after a failure."""

    def __init__(self, settings: AuditSettings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._chain: ChainFile | None = None
        self._headed = 0
        """How many entries of the file the last head counts."""
        self._unrecorded = 0
        self._counting = threading.Lock()
        self.lost = 0
        """Entries that could not be written."""
        self._trouble = ""

    def write(self, entries: Sequence[Mapping[str, object]], *, durable: bool = False) -> bool:
        """Write entries; return False if the disk refuses them, which is logged once and recorded later."""
        try:
            chain = self._prepare_chain()
            count = self._unrecorded
            lost = [{"event": Event.LOST, "at": format_time(self._now()), "count": count}]
            chain.append([*(lost if count else ()), *entries])
            with self._counting:
                self._unrecorded -= count
            if durable:
                chain.sync()
        except (OSError, AuditKeyError) as error:
            self.count_lost(len(entries), _describe_error(error))
            return False
        if self._trouble:
            _log.info("audit works again", lost=self.lost)
        self._trouble = ""
        return True

    def count_lost(self, count: int, why: str) -> None:
        """Count entries that are not written; any thread may."""
        if not self._trouble:
            _log.warning("audit not written", error=why, folder=str(self._settings.folder))
        self._trouble = why
        with self._counting:
            self.lost += count
            self._unrecorded += count

    def write_head(self) -> None:
        """Sign what the chain ends with, if that is new, and use a new key from now on."""
        chain, now = self._chain, self._now()
        if chain is None or chain.entries == self._headed:
            return
        try:
            keys = ensure_keys(self._settings.key_file)
            chain.use_keys(keys, now)
            chain.sync()
            line = make_head(keys, chain, now)
            _append_line(self._settings.heads_folder / f"heads-{format_day(now)}.jsonl", line)
            if self._settings.heads == SYSLOG:
                _send_to_syslog(line, self._settings.syslog_socket)
            self._headed = chain.entries
        except (OSError, AuditKeyError) as error:
            _log.warning("head of the audit not written", error=_describe_error(error))

    def close(self) -> None:
        """Sign the last head and close the file."""
        if self._chain is not None:
            self.write_head()
            self._chain.close()
            self._chain = None

    def _prepare_chain(self) -> ChainFile:
        """Return the chain of today."""
        now, old = self._now(), self._chain
        if old is not None and not old.is_due(now):
            return old
        keys = ensure_keys(self._settings.key_file)
        chain = (open_chain if old is None else begin_chain)(self._settings.folder, keys, now)
        self.close()
        self._chain, self._headed = chain, 0
        self._delete_expired(chain, now)
        if chain.entries == 1:  # a new file: its head shows later that it existed
            self.write_head()
        return chain

    def _delete_expired(self, chain: ChainFile, now: float) -> None:
        """Delete whole files that are older than the retention; the chain says first which."""
        if not self._settings.keep_days:
            return
        oldest = format_day(now - self._settings.keep_days * 86_400)
        expired = [path for path in list_chains(self._settings.folder) if path.name[:8] < oldest]
        heads = [path for path in self._settings.heads_folder.glob("heads-*.jsonl") if path.name[6:14] < oldest]
        if expired:
            names = [path.name for path in expired]
            chain.append([{"event": Event.EXPIRED, "at": format_time(now), "files": names}])
            chain.sync()
        for path in (*expired, *heads):
            with contextlib.suppress(FileNotFoundError):  # another process was first
                path.unlink()


def _append_line(path: Path, line: bytes) -> None:
    """Append a line to a file of all processes; a line that was cut by a crash ends first."""
    path.parent.mkdir(mode=0o700, exist_ok=True)  # no parents: a disk that is not mounted gets no folder
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        write_all(descriptor, line if not size or os.pread(descriptor, 1, size - 1) == b"\n" else b"\n" + line, size)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _send_to_syslog(line: bytes, address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_SYSLOG_S)
        sender.sendto(b"<%d>kvasir-audit: %s" % (_SYSLOG_PRIORITY, line.rstrip()), address)


def _describe_error(error: Exception) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
