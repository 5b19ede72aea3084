"""What the audit records. Facts stay readable; what is sealed is readable until its person is forgotten."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from bot.errors import BotError
from bot.messages.answers import AUDIT_FAILED
from knowledge.sync.report import SourceReport

_MAX_NAMED: Final = 100
_OWN_FILE: Final = re.compile(r"[UW][A-Z0-9]{7,}/")  # ``UploadStore.find_document_id`` makes such ids


class Event(StrEnum):
    """What happened. The values are stored, and docs/operating.md explains them."""

    COMMAND = "command"
    QUESTION = "question"
    ANSWER = "answer"
    REFUSAL = "refusal"
    READ = "read"
    EXTRACTION = "extraction"
    SHARE = "share"
    ACTION = "action"
    SETTING = "setting"
    SYNC = "sync"
    VERIFIED = "verified"
    CASE = "case"
    EXPORT = "export"
    ERASURE = "erasure"
    KEY = "api-key"
    INSTALLATION = "installation"
    LOST = "lost"
    EXPIRED = "expired"


class AuditFailed(BotError):
    """The record of an answer cannot be written, so there must be no answer."""

    def __init__(self) -> None:
        super().__init__(AUDIT_FAILED)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event. It holds no secrets, and ids of people only where they are replaced by pseudonyms."""

    event: Event
    person: str = ""
    """Who did it, as ``name_person`` returns it; "" for nobody in particular."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """What is readable for as long as the audit; nothing here names a person."""
    sealed: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What is readable until the person is forgotten; without a person it is left out. Secrets in it are
    masked, except in the ids that ``file_log.UNMASKED`` names."""
    people: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Other people by their part in it, such as ``viewers``."""
    at: float = field(default_factory=time.time)


class AuditLog(Protocol):
    """Records events."""

    @property
    def lost(self) -> int:
        """Return how many entries could not be written."""

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:
        """Record an event.

        Raises:
            AuditFailed: the audit is strict, the entry is ``required`` and could not be made durable.

        """


class NoAuditLog:
    """Records nothing."""

    lost = 0

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:
        """Do nothing."""


NO_AUDIT: Final[AuditLog] = NoAuditLog()


def make_sync_entry(source: str, report: SourceReport, approved: int) -> AuditEntry | None:
    """Return the entry of a sync, with the first documents whose readers changed; None if nothing changed."""
    counts = {name: getattr(report, name) for name in ("added", "updated", "deleted")}
    if not (any(counts.values()) or report.readers_changed or approved):
        return None
    readers = {
        "readers_changed": len(report.readers_changed),
        "documents": list(map(name_document, report.readers_changed[:_MAX_NAMED])),
    }
    return AuditEntry(Event.SYNC, facts={"source": source, "approved": approved, **counts, **readers})


def name_person(team: str, user: str) -> str:
    """Return the name of a person in the audit, "" for nobody."""
    return f"{team}/{user}" if user else ""


def describe_passage(
    source: str, document: str, chunks: Iterable[str], as_of: datetime | None = None
) -> dict[str, object]:
    """Return a passage for ``facts``. The ids of its chunks are hashes of its text, so they name its version."""
    seen = as_of.isoformat(timespec="seconds") if as_of is not None else ""
    return {"source": source, "document": name_document(document), "chunks": list(chunks), "as_of": seen}


def name_document(document: str) -> str:
    """Return the id of a document; a hash for a person's own file, whose id begins with the person's."""
    if _OWN_FILE.match(document) is None:
        return document
    return f"own-{hashlib.sha256(document.encode('utf-8', 'replace')).hexdigest()[:16]}"
