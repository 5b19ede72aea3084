"""A chain: a file of JSON lines, each with a MAC (HMAC-SHA256) over the MAC before it and over its own text.

The first line names the file, its key and the last MAC of the file before it. A line that changes the key has a MAC of
the key before it. A head is a line of another file that names the last MAC of a chain, so that a cut is noticed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hmac
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bot.audit.keys import AuditKeys

MAX_BYTES: Final = 32_000_000  # a file that is larger is followed by another one
_BEGIN, _NEW_KEY, _EXPIRED = b'{"event":"begin"', b'{"event":"new-key"', b'{"event":"expired"'
_MAC_FIELD = b',"mac":"'
_END = b'"}'
_TAIL_BYTES = len(_MAC_FIELD) + 64 + len(_END)
_LAST_BYTES = 1_000_000
_HEAD_PREFIX = b"head"
_MAX_ADOPTED = 20


def make_line(key: bytes, previous: bytes, entry: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Return an entry as a line without its end, and its MAC in hexadecimal digits."""
    body = json.dumps(entry, separators=(",", ":"), default=str).encode()[:-1]
    mac = hmac.digest(key, previous + body, "sha256").hex().encode()
    return body + _MAC_FIELD + mac + _END, mac


# ── Verification ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class ChainReport:
    """What the verification of one file found."""

    file: str
    entries: int = 0
    problem: str = ""
    """What is wrong, "" for nothing."""
    torn: bool = False
    """Whether its last line is not complete: its process died while it wrote."""
    key_id: str = ""
    last_mac: bytes = b""
    found: set[bytes] = field(default_factory=set, repr=False)
    expired: set[str] = field(default_factory=set)
    """Files that its process deleted because of their age."""


def verify_chain(path: Path, keys: AuditKeys, wanted: frozenset[bytes] = frozenset()) -> ChainReport:
    """Verify each MAC of a file up to the first wrong one; ``wanted`` are MACs that heads name.

    Raises:
        OSError: the file cannot be read.

    """
    *lines, rest = path.read_bytes().split(b"\n")
    report = ChainReport(path.name, torn=bool(rest) or not lines)
    if not lines:
        return report
    begin = parse_line(lines[0])
    report.key_id = str(begin.get("key"))
    if not lines[0].startswith(_BEGIN) or begin.get("file") != path.name:
        report.problem = "the first entry does not belong to this file"
        return report
    previous = b""
    for line in lines:
        key, body = keys.by_id.get(report.key_id), line[:-_TAIL_BYTES]
        if key is None:
            report.problem = f"entry {report.entries + 1} needs the key {report.key_id}, which the key file lacks"
            return report
        previous = hmac.digest(key, previous + body, "sha256").hex().encode()
        if line[-_TAIL_BYTES:] != _MAC_FIELD + previous + _END:
            report.problem = f"entry {report.entries + 1} is not the one that was written"
            return report
        report.entries, report.last_mac = report.entries + 1, previous
        if previous in wanted:
            report.found.add(previous)
        if body.startswith(_NEW_KEY):
            report.key_id = str(parse_line(line).get("key"))
        elif body.startswith(_EXPIRED):
            report.expired.update(map(str, parse_line(line).get("files", ())))
    return report


def parse_line(line: bytes) -> Mapping[str, Any]:
    """Return what a line says; nothing if it is no JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# ── Heads ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Head:
    """What a chain ended with at a time."""

    file: str
    mac: bytes
    entries: int = 0
    at: str = ""


def make_head(keys: AuditKeys, chain: ChainFile, now: float) -> bytes:
    """Return a signed line about the end of a chain."""
    head = {
        "event": "head", "key": keys.newest, "file": chain.path.name, "entries": chain.entries,
        "last": chain.last_mac.decode(), "at": format_time(now),
    }  # fmt: skip
    return make_line(keys.by_id[keys.newest], _HEAD_PREFIX, head)[0] + b"\n"


def read_head(line: bytes, keys: AuditKeys) -> Head | None:
    """Return a head; None if no key of the file signed the line. Text before the object, as of syslog, is ignored."""
    line = line[max(line.find(b"{"), 0) :].rstrip()
    said = parse_line(line)
    key = keys.by_id.get(str(said.get("key")))
    mac = b"" if key is None else hmac.digest(key, _HEAD_PREFIX + line[:-_TAIL_BYTES], "sha256").hex().encode()
    if said.get("event") != "head" or line[-_TAIL_BYTES:] != _MAC_FIELD + mac + _END:
        return None
    return Head(str(said["file"]), str(said["last"]).encode(), int(said["entries"]), str(said["at"]))


def format_time(moment: float) -> str:
    """Return a time in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class ChainFile:
    """A chain that this process writes. Every method raises ``OSError`` if the disk refuses."""

    def __init__(self, path: Path, descriptor: int, keys: AuditKeys, report: ChainReport) -> None:
        self.path = path
        self.entries = report.entries
        self.last_mac = report.last_mac
        self._descriptor = descriptor
        self._keys = keys
        self._key_id = report.key_id
        self._bytes = os.fstat(descriptor).st_size

    def append(self, entries: Sequence[Mapping[str, object]]) -> None:
        """Write entries, all or none of them."""
        lines, last_mac = list[bytes](), self.last_mac
        for entry in entries:
            line, last_mac = make_line(self._keys.by_id[self._key_id], last_mac, entry)
            lines.append(line + b"\n")
        data = b"".join(lines)
        write_all(self._descriptor, data, self._bytes)
        self.entries, self.last_mac, self._bytes = self.entries + len(lines), last_mac, self._bytes + len(data)

    def sync(self) -> None:
        """Wait until the disk has everything."""
        os.fdatasync(self._descriptor)

    def use_keys(self, keys: AuditKeys, now: float) -> None:
        """Sign with the newest key from now on."""
        if keys.newest != self._key_id:
            self.append([{"event": "new-key", "at": format_time(now), "key": keys.newest}])
            self._keys, self._key_id = keys, keys.newest

    def is_due(self, now: float) -> bool:
        """Return whether another file has to follow: this one is large, of another day, deleted, or not as written."""
        found = os.fstat(self._descriptor)
        is_lost = not found.st_nlink or found.st_size != self._bytes
        return is_lost or self._bytes > MAX_BYTES or not self.path.name.startswith(format_day(now))

    def close(self) -> None:
        """Close the file, which another process may continue."""
        os.close(self._descriptor)


def open_chain(folder: Path, keys: AuditKeys, now: float) -> ChainFile:
    """Continue a file of today and of this machine that no process writes, or begin one.

    A file with a wrong or torn entry is left as it is.

    Raises:
        OSError: the disk refuses.

    """
    today = sorted(folder.glob(f"{format_day(now)}T*-{_name_host()}.jsonl"), reverse=True)
    for path in today[:_MAX_ADOPTED]:
        if (chain := _adopt_chain(path, keys)) is not None:
            chain.use_keys(keys, now)
            return chain
    return begin_chain(folder, keys, now)


def begin_chain(folder: Path, keys: AuditKeys, now: float) -> ChainFile:
    """Begin a file, which names the last entry of the newest file that can be read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    after: dict[str, str] = {}
    for before in reversed(list_chains(folder)):
        with contextlib.suppress(OSError):
            after = {"after": before.name, "after_mac": _read_last_mac(before)}
            break
    moment = datetime.fromtimestamp(now, UTC)
    while True:
        path = folder / f"{moment:%Y%m%dT%H%M%S%f}-{_name_host()}.jsonl"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            break
        except FileExistsError:
            moment = datetime.now(UTC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        chain = ChainFile(path, descriptor, keys, ChainReport(path.name, key_id=keys.newest))
        begin = {"event": "begin", "at": format_time(now), "file": path.name, "key": keys.newest, **after}
        chain.append([begin])
        chain.sync()
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return chain


def list_chains(folder: Path) -> list[Path]:
    """Return the files of a folder with chains, the oldest first."""
    return sorted(folder.glob("????????T*-*.jsonl"))


def write_all(descriptor: int, data: bytes, size: int) -> None:
    """Append all of some bytes to a file of this size, or nothing.

    Raises:
        OSError: the disk refuses them, such as a full one.

    """
    with contextlib.ExitStack() as undo:
        undo.callback(os.ftruncate, descriptor, size)
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        undo.pop_all()


def _adopt_chain(path: Path, keys: AuditKeys) -> ChainFile | None:
    """Return a file to continue; None if a process writes it, it is full or unreadable, or an entry is wrong."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        report = verify_chain(path, keys)
        if not report.entries or report.problem or report.torn or path.stat().st_size > MAX_BYTES:
            return None
        stack.pop_all()
        return ChainFile(path, descriptor, keys, report)
    return None


def _read_last_mac(path: Path) -> str:
    """Return the MAC of the last complete line, "" without one."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LAST_BYTES))
        *lines, _ = file.read().split(b"\n")
    return lines[-1][-len(_END) - 64 : -len(_END)].decode("ascii", "replace") if lines else ""


def _name_host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:60]


def format_day(moment: float) -> str:
    """Return the day in UTC, as the names of files begin with it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%d}"
