"""Records which ``kvasir`` command an account of this machine runs; it needs no database."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import pwd
import socket
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bot.audit.chain import format_time
from bot.audit.entries import AuditEntry, Event
from bot.audit.recorder import AuditRecorder
from bot.audit.settings import AuditSettings

_SHOWN: Final = ("action", "source", "to", "approve", "apply", "docs")
"""Arguments whose values are recorded. Of others, which may name people or hold questions, only the name is."""
_UNRECORDED: Final = frozenset({"status", "doctor", "verify"})
"""Commands that read nothing of a document and change nothing; so does one with ``--check``."""


def record_command(settings: AuditSettings, config: Path, arguments: argparse.Namespace) -> None:
    """Record that a command begins; a disk that refuses it is logged."""
    if arguments.command not in _UNRECORDED and not getattr(arguments, "check", False):
        DirectAuditLog(settings).record_now(make_command_entry(config, arguments))


class DirectAuditLog:
    """The audit of a command that opens no database: it writes each entry at once, and no names of people."""

    lost = 0

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:  # noqa: ARG002
        """Record an event."""
        await asyncio.to_thread(self.record_now, entry)

    def record_now(self, entry: AuditEntry) -> None:
        """Record an event before this returns."""
        if self._settings.enabled:
            recorder = AuditRecorder(self._settings)
            recorder.write([{"event": entry.event, "at": format_time(entry.at), **entry.facts}])
            recorder.close()


def make_command_entry(config: Path, arguments: argparse.Namespace) -> AuditEntry:
    """Return the entry of a command: the account, the machine, the process and the hash of the configuration."""
    given = {name: value for name, value in vars(arguments).items() if value and name not in {"command", "config"}}
    content = config.read_bytes() if config.is_file() else b""
    return AuditEntry(
        Event.COMMAND,
        facts={
            "command": arguments.command,
            "arguments": {name: value for name, value in given.items() if name in _SHOWN},
            "others": sorted(given.keys() - set(_SHOWN)),
            "account": _find_account(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("kvasir"),
            "configuration": hashlib.sha256(content).hexdigest(),
        },
    )


def _find_account() -> str:
    """Return the name of the account, its number without a name, as in a container."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
