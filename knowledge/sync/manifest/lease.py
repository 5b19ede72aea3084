"""The lease of the leader: a row with a term that only grows, by the clock of the database.

One process leads: it syncs and repairs. It renews its lease, and another process takes the lease once it has ended.
Everything that a leader writes into the manifest is written in a transaction that compares its term first. So nothing
that a process writes late counts, for example after it was stopped for a minute and another one leads.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, insert, select, text, update

from knowledge.database.clock import database_time
from knowledge.database.database import WRITE_LOCK, Database, Rows, transaction
from knowledge.errors import DatabaseError, DatabaseUnavailable, LeaseLost
from knowledge.machine import read_boot_id
from knowledge.sync.manifest.tables import leases
from knowledge.sync.report import SyncProgress

VALID_S: Final = 25.0
"""How long a lease is valid after it was taken or renewed."""
PROGRESS: Final = TypeAdapter(dict[str, SyncProgress])
_SILENT_S: Final = 15.0
"""How long a client may say nothing while it has the lock of writers."""
_END_SILENT_WRITERS: Final = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND wait_event = 'ClientRead' "
    "AND state_change < clock_timestamp() - make_interval(secs => :silent_s) "
    "AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
    "AND (classid::bigint << 32 | objid::bigint) = :lock)"
).bindparams(lock=WRITE_LOCK)
"""Ends the connections of clients that have the lock of writers and say nothing, because they were stopped or cut off.

PostgreSQL's limit for idle transactions does not count between the preparation of a statement and its execution.
"""


@dataclass(frozen=True, slots=True)
class LeaseOwner:
    """This process, as the owner of a lease."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Differs for each lease, also within a process."""
    is_dead: Callable[[str], bool] = lambda _: False
    """Returns whether the owner of a name is a process of this machine that has ended."""
    may_lead: bool = True
    label: str = field(default_factory=lambda: f"process {os.getpid()} on {socket.gethostname()}")
    machine: str = field(default_factory=lambda: read_boot_id() or socket.gethostname())
    """All processes of a running machine share it, also those in containers."""


@dataclass(frozen=True, slots=True)
class LeaderState:
    """The process that leads now."""

    label: str
    since: float
    """When it took the lease, in seconds since the epoch."""
    is_this_process: bool
    progress: Mapping[str, SyncProgress]
    """Its syncs at its last renewal, by the names of their sources."""


class Lease:
    """The lease of one installation. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(
        self,
        database: Database,
        owner: LeaseOwner | None = None,
        namespace: str = "",
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.owner = owner or LeaseOwner()
        self.namespace = namespace
        self.term = 0
        """The number of this leadership; 0 while this process does not lead."""
        self._monotonic = monotonic
        self._valid_until = 0.0

    async def try_take(self) -> bool:
        """Take the lease if it is free, has ended, or belongs to a dead process of this machine.

        A cancelled call may have taken it, too: then ``term`` says so.

        Raises:
            DatabaseUnavailable: the database is a file, and a process of another machine has the lease.

        """
        self._valid_until = self._monotonic() + VALID_S
        await self._end_silent_writers()
        try:
            await self._take()
        except Exception:
            self.term = 0
            raise
        return self.term > 0

    @transaction
    def _take(self, connection: Connection) -> None:
        now = connection.execute(select(database_time())).scalar_one()
        row = connection.execute(self._select()).one_or_none()
        if row is not None and row.until > now and row.holder != self.owner.name:
            self._refuse_other_machine(connection, row.machine, row.label)
            if not self.owner.is_dead(row.holder):
                return
        term = 1 if row is None else int(row.term) + 1
        values = {
            "holder": self.owner.name,
            "label": self.owner.label,
            "machine": self.owner.machine,
            "term": term,
            "since": now,
            "until": now + VALID_S,
            "progress": "{}",
        }
        change = insert(leases).values(namespace=self.namespace) if row is None else self._update()
        connection.execute(change.values(**values))
        self.term = term

    async def renew(self, progress: Mapping[str, SyncProgress] | None = None) -> None:
        """Extend the lease, and tell the other processes the progress of the syncs.

        Raises:
            LeaseLost: another process has taken it.

        """
        term, began = self.term, self._monotonic()
        shown = PROGRESS.dump_json(dict(progress or {})).decode()
        change = self._update().where(leases.c.term == term).values(until=database_time() + VALID_S, progress=shown)
        if not await self.database.write_now(lambda connection: connection.execute(change).rowcount):
            self._forget_term(term)
            raise LeaseLost
        self._valid_until = began + VALID_S
        await self._end_silent_writers()

    async def _end_silent_writers(self) -> None:
        """End them at a PostgreSQL server; also those of processes that do not lead, because all writers wait."""
        if self.database.is_server:
            with contextlib.suppress(DatabaseError):  # it only shortens a wait
                await self.database.fetch_rows(_END_SILENT_WRITERS, {"silent_s": _SILENT_S})

    async def release(self) -> None:
        """End the lease now; the term stays, so that the next one is greater."""
        term, self.term = self.term, 0
        change = self._update().where(leases.c.term == term).values(until=0.0)
        await self.database.write_now(lambda connection: connection.execute(change))

    async def find_leader(self) -> LeaderState | None:
        """Return the process that leads; None if none does."""
        rows: Rows = await self.database.fetch_rows(
            self._select().add_columns((leases.c.until > database_time()).label("valid"))
        )
        if not rows or not rows[0].valid or self.owner.is_dead(rows[0].holder):
            return None
        row = rows[0]
        return LeaderState(
            row.label, row.since, row.holder == self.owner.name, PROGRESS.validate_json(row.progress, strict=False)
        )

    async def check_machine(self) -> None:
        """Check that no other machine uses the file of the database.

        Raises:
            DatabaseUnavailable: a process of another machine has a valid lease.

        """

        def check(connection: Connection) -> None:
            row = connection.execute(self._select().where(leases.c.until > database_time())).one_or_none()
            if row is not None:
                self._refuse_other_machine(connection, row.machine, row.label)

        await self.database.read(check)

    def check_term(self, connection: Connection, term: int | None = None) -> None:
        """Check within a transaction that nobody has led since a term; without one, since the term of now.

        Raises:
            LeaseLost: another process has taken the lease.

        """
        current = connection.execute(select(leases.c.term).where(leases.c.namespace == self.namespace)).scalar()
        if not current or current != (self.term if term is None else term):
            raise LeaseLost

    async def confirm(self, term: int) -> None:
        """Check before a call of the store that this process leads, as it did at a term.

        Raises:
            LeaseLost: another process has taken the lease.

        """
        try:
            if self._monotonic() >= self._valid_until and self.term == term:
                await self.renew()
            await self.database.read(partial(self.check_term, term=term))
        except LeaseLost:
            self._forget_term(term)
            raise

    def _forget_term(self, term: int) -> None:
        if self.term == term:
            self.term = 0

    def _refuse_other_machine(self, connection: Connection, machine: str, label: str) -> None:
        if connection.dialect.name == "sqlite" and machine != self.owner.machine:
            raise DatabaseUnavailable(
                f"Another machine uses this SQLite database ({label}). Several machines share a PostgreSQL database "
                f"(docs/production.md). If the other one has just ended, try again in {VALID_S:.0f} s."
            )

    def _select(self) -> Any:  # noqa: ANN401 - SQLAlchemy's own types have no names of columns
        return select(leases).where(leases.c.namespace == self.namespace)

    def _update(self) -> Any:  # noqa: ANN401 - as above
        return update(leases).where(leases.c.namespace == self.namespace)
