"""Erasures in the audit, so that a restored backup does not bring back whom it names.

The entry names a person by a mark: an HMAC with a key of the audit. Only who has that key and already has the id can
compare them.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from bot.audit.chain import list_chains, parse_line
from bot.audit.entries import Event
from bot.audit.keys import AuditKeys

_PURPOSE: Final = b"erasure\0"
_MARK_BYTES: Final = 16


def mark_subject(keys: AuditKeys, subject: str, key_id: str = "") -> str:
    """Return the mark of a person or a workspace, made with the newest key or another one."""
    key_id = key_id or keys.newest
    digest = hmac.digest(keys.by_id[key_id], _PURPOSE + subject.encode(), "sha256")
    return f"{key_id}:{digest[:_MARK_BYTES].hex()}"


def list_erasures(folders: Iterable[Path], since: str) -> Iterator[str]:
    """Yield the marks of all erasures from a time on, as ``format_time`` writes it; "" for one without a mark."""
    for path in (path for folder in folders for path in list_chains(folder)):
        with path.open("rb") as file:
            for entry in map(parse_line, file):
                if entry.get("event") == Event.ERASURE and str(entry.get("at")) >= since and not entry.get("dry_run"):
                    yield str(entry.get("mark", ""))


def find_marked(keys: AuditKeys, marks: Collection[str], subjects: Iterable[str]) -> dict[str, str]:
    """Return which of some people and workspaces have a mark, by their marks."""
    made = {mark_subject(keys, subject, key_id): subject for subject in subjects for key_id in keys.by_id}
    return {mark: made[mark] for mark in marks if mark in made}
