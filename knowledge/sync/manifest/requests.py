"""Rows by which other processes ask the leader for a sync, and in which the leader tells its progress and result."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, delete, insert, select, update

from knowledge.database.clock import database_time
from knowledge.database.database import Database, Rows, transaction
from knowledge.errors import (
    DatabaseError,
    DatabaseFull,
    EmbedderError,
    KnowledgeError,
    PendingDeletionsChanged,
    SourceError,
    StoreError,
    SyncRunning,
)
from knowledge.sync.manifest.lease import PROGRESS
from knowledge.sync.manifest.tables import requests
from knowledge.sync.report import SyncProgress, SyncReport

_REPORT: Final = TypeAdapter(SyncReport)
_ABANDONED_S: Final = 86_400.0
"""How long a row stays whose asker has died."""
_ERRORS: Final[Mapping[str, type[KnowledgeError]]] = {
    one.code: one for one in (DatabaseError, DatabaseFull, EmbedderError, SourceError, StoreError)
}

REFRESH: Final = "refresh"
SCRUB: Final = "scrub"


@dataclass(frozen=True, slots=True)
class Request:
    """What a process asks of the leader: to sync a source, or every source for "", or to scrub the store."""

    id: int
    action: str
    source: str
    approvals: Mapping[str, str]
    """The marks of pending deletions that a person approved, by source."""


@dataclass(frozen=True, slots=True)
class RequestState:
    """How far the leader is."""

    progress: Mapping[str, SyncProgress]
    report: SyncReport | None
    """The result; None if there is none yet, or an error."""
    error: KnowledgeError | None


class Requests:
    """The requests of one installation. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, namespace: str = "") -> None:
        self.database = database
        self._namespace = namespace

    @transaction
    def add_request(self, connection: Connection, action: str, source: str, approvals: Mapping[str, str]) -> int:
        """Store a request, and return its id."""
        values = {
            "namespace": self._namespace,
            "action": action,
            "source": source,
            "approvals": json.dumps(dict(approvals)),
            "asked_at": database_time(),
            "taken_term": 0,
            "progress": "{}",
        }
        return int(connection.execute(insert(requests).values(**values).returning(requests.c.id)).scalar_one())

    async def read_state(self, id_: int) -> RequestState:
        """Return how far the leader is with a request."""
        rows = await self.database.fetch_rows(select(requests).where(requests.c.id == id_))
        if not rows:
            return RequestState({}, None, KnowledgeError("The request for a sync was deleted. Ask again."))
        row = rows[0]
        return RequestState(
            PROGRESS.validate_json(row.progress),
            None if row.report is None else _REPORT.validate_json(row.report),
            None if row.error is None else _decode_error(row.error),
        )

    async def remove_request(self, id_: int) -> None:
        """Delete a request. The leader stops what nobody else waits for."""
        await self.database.write_now(lambda one: one.execute(delete(requests).where(requests.c.id == id_)))

    async def take_requests(self, term: int, served: Collection[int] = ()) -> Sequence[Request]:
        """Take and return the requests without a result, except those that are served or that a later leader has.

        A request is returned again if its answer was lost on the way, or if an earlier leader did not finish it.
        """
        ours = requests.c.namespace == self._namespace
        due = (ours, requests.c.done_at.is_(None), requests.c.taken_term <= term, requests.c.id.not_in(served))
        if not await self.database.fetch_rows(select(requests.c.id).where(*due).limit(1)):
            return []

        def take(connection: Connection) -> Rows:
            connection.execute(delete(requests).where(ours, requests.c.asked_at < database_time() - _ABANDONED_S))
            return connection.execute(update(requests).where(*due).values(taken_term=term).returning(requests)).all()

        rows = sorted(await self.database.write(take), key=lambda row: row.id)
        return [Request(row.id, row.action, row.source, json.loads(row.approvals)) for row in rows]

    async def record_progress(self, id_: int, term: int, progress: Mapping[str, SyncProgress]) -> bool:
        """Store the progress; return False if nobody waits any more, or another leader has the request."""
        return await self._update(id_, term, {"progress": PROGRESS.dump_json(dict(progress)).decode()})

    async def record_report(self, id_: int, term: int, report: SyncReport) -> None:
        """Store the result."""
        await self._update(id_, term, {"report": _REPORT.dump_json(report).decode(), "done_at": database_time()})

    async def record_error(self, id_: int, term: int, error: KnowledgeError) -> None:
        """Store why there is no result."""
        await self._update(id_, term, {"error": _encode_error(error), "done_at": database_time()})

    async def _update(self, id_: int, term: int, values: Mapping[str, object]) -> bool:
        change = update(requests).where(requests.c.id == id_, requests.c.taken_term == term).values(**values)
        return bool(await self.database.write_now(lambda connection: connection.execute(change).rowcount))


def _encode_error(error: KnowledgeError) -> str:
    match error:
        case PendingDeletionsChanged():
            names = [error.source]
        case SyncRunning():
            names = list(error.sources)
        case _:
            names = []
    return json.dumps({"kind": type(error).__name__, "names": names, "code": error.code, "text": str(error)})


def _decode_error(stored: str) -> KnowledgeError:
    error = json.loads(stored)
    match error["kind"]:
        case PendingDeletionsChanged.__name__:
            return PendingDeletionsChanged(*error["names"])
        case SyncRunning.__name__:
            return SyncRunning(error["names"])
    return _ERRORS.get(error["code"], KnowledgeError)(error["text"])
