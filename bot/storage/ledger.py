"""The ledger survives a restart: one row for each question in Slack, and the threads that the bot takes part in.

The states of a turn, and the method for each change::

    received ──begin──▶ answering ──finish──▶ done | failed
        │                   │
        └────supersede──────┴──────────────▶ superseded          (the question was deleted)

A row belongs to the process that claimed it, as long as that process renews its lease. Another process takes it over if
the owner is dead: a process of this machine that has ended, or any process whose lease has expired. It does so with one
conditional UPDATE, so two processes never answer the same question.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from bot.storage.processes import is_dead, name_this_process
from bot.storage.questions import UNFINISHED, LedgerTurn, QuestionKey, QuestionMessage, TurnState
from bot.storage.tables import MIGRATIONS, insert_into, threads, turns
from knowledge.database.database import Database, DatabaseOptions, Rows, transaction
from knowledge.database.migrations import open_database
from knowledge.errors import DatabaseError

LEASE_S = 30.0
"""How long a claim lasts without renewal. It matters between machines: a dead process of this machine is noticed."""


class Ledger:
    """Questions and threads. Every method raises ``DatabaseError`` or a subclass, and may be cancelled."""

    def __init__(
        self, database: Database, *, owner: str, lease_s: float = LEASE_S, now: Callable[[], float] = time.time
    ) -> None:
        self.database = database
        self._owner = owner
        self._lease_s = lease_s
        self._now = now

    @transaction
    def claim(self, connection: sa.Connection, message: QuestionMessage, *, begun: bool = False) -> bool:
        """Store a question, as ``begun`` if its turn is now. Return False if any process has stored it already."""
        now = self._now()
        key = message.key
        row = {
            "team": key.team,
            "channel": key.channel,
            "ts": key.ts,
            "thread_ts": message.thread_ts,
            "user": message.user,
            "direct": message.is_direct,
            "files": message.files,
            "text": _make_storable(message.text),
            "state": TurnState.ANSWERING if begun else TurnState.RECEIVED,
            "revision": 0,
            "replies": "[]",
            "attempts": int(begun),
            "owner": self._owner,
            "lease_until": now + self._lease_s,
            "error": "",
            "created_at": now,
            "updated_at": now,
        }
        thread = {"team": key.team, "channel": key.channel, "thread_ts": message.thread_ts, "last_at": now}
        thread_key = [threads.c.team, threads.c.channel, threads.c.thread_ts]
        insert = insert_into(turns, connection).values(row).on_conflict_do_nothing().returning(turns.c.id)
        if connection.execute(insert).first() is None:
            return False
        insert = insert_into(threads, connection).values(thread)
        connection.execute(insert.on_conflict_do_update(index_elements=thread_key, set_={"last_at": now}))
        return True

    async def begin(self, key: QuestionKey) -> LedgerTurn | None:
        """Move a question of this process to ``answering`` and return its turn; None if it is no longer open."""
        rows = await self._update(
            _is_question(key) & _is_open() & (turns.c.owner == self._owner),
            state=TurnState.ANSWERING,
            attempts=turns.c.attempts + 1,
            lease_until=self._now() + self._lease_s,
        )
        return _read_turn(rows[0]) if rows else None

    async def note_replies(self, key: QuestionKey, replies: Sequence[str]) -> None:
        """Store which messages have the answer so far."""
        await self._update(_is_question(key), replies=json.dumps(list(replies)))

    async def finish(self, key: QuestionKey, revision: int, state: TurnState, error: str = "") -> bool:
        """Close a turn of this process. Return False, and change nothing, if the question was edited or deleted."""
        mine = _is_question(key) & _is_open() & (turns.c.revision == revision) & (turns.c.owner == self._owner)
        return bool(await self._update(mine, state=state, error=error[:200], lease_until=0.0))

    async def edit(self, key: QuestionKey, text: str) -> TurnState | None:
        """Change the text of an open question. Return its state, None if nothing changed."""
        changed = _is_question(key) & _is_open() & (turns.c.text != _make_storable(text))
        rows = await self._update(changed, text=_make_storable(text), revision=turns.c.revision + 1, attempts=1)
        return TurnState(rows[0].state) if rows else None

    async def supersede(self, key: QuestionKey) -> bool:
        """Close a question that was deleted before its answer was complete. Return False if it is not open."""
        return bool(await self._update(_is_question(key) & _is_open(), state=TurnState.SUPERSEDED, lease_until=0.0))

    async def refund_attempt(self, key: QuestionKey) -> None:
        """Do not count the last attempt, because something outside interrupted it."""
        await self._update(_is_question(key) & _is_open() & (turns.c.attempts > 1), attempts=turns.c.attempts - 1)

    async def find(self, key: QuestionKey) -> LedgerTurn | None:
        """Return a question's turn, or None."""
        found = await self._select(_is_question(key))
        return found[0] if found else None

    async def list_unfinished(self) -> list[LedgerTurn]:
        """Take over the open questions of dead processes, and return their turns in the order of the questions."""
        query = sa.select(turns.c.id, turns.c.owner, turns.c.lease_until).order_by(turns.c.id)
        candidates = await self.database.fetch_rows(query.where(_is_open() & (turns.c.owner != self._owner)))
        taken: list[sa.Row[Any]] = []
        for row in candidates:
            if row.lease_until < self._now() or is_dead(row.owner):
                still = (turns.c.id == row.id) & (turns.c.owner == row.owner) & _is_open()
                still &= turns.c.lease_until == row.lease_until
                taken += await self._update(still, owner=self._owner, lease_until=self._now() + self._lease_s)
        return [_read_turn(row) for row in taken]

    async def renew_leases(self) -> Mapping[QuestionKey, int]:
        """Renew the leases of this process. Return its open questions with their revisions."""
        rows = await self._update(_is_open() & (turns.c.owner == self._owner), lease_until=self._now() + self._lease_s)
        return {_read_key(row): int(row.revision) for row in rows}

    async def release_leases(self) -> None:
        """End the leases of this process, so that the next process takes its questions over at once."""
        await self._update(_is_open() & (turns.c.owner == self._owner), lease_until=0.0)

    async def is_participant(self, team: str, channel: str, thread_ts: str) -> bool:
        """Return whether somebody asked the bot anything in this thread."""
        query = sa.select(threads.c.last_at).where(_is_in_thread(threads, team, channel, thread_ts))
        return bool(await self.database.fetch_rows(query))

    async def list_replies(self, team: str, channel: str, thread_ts: str) -> frozenset[str]:
        """Return the timestamps of all messages with answers in this thread."""
        found = await self._select(_is_in_thread(turns, team, channel, thread_ts))
        return frozenset(ts for turn in found for ts in turn.replies)

    @transaction
    def purge(self, connection: sa.Connection, *, turns_older_than_s: float, threads_older_than_s: float) -> int:
        """Delete closed turns and silent threads after their retention. Return the number of deleted turns."""
        now = self._now()
        old = ~_is_open() & (turns.c.updated_at < now - turns_older_than_s)
        silent = threads.c.last_at < now - threads_older_than_s
        connection.execute(sa.delete(threads).where(silent))
        return connection.execute(sa.delete(turns).where(old)).rowcount

    async def close(self) -> None:
        """End the leases of this process and close the database."""
        try:
            with contextlib.suppress(DatabaseError):
                await self.release_leases()
        finally:
            await self.database.close()

    async def _select(self, where: sa.ColumnElement[bool]) -> list[LedgerTurn]:
        rows = await self.database.fetch_rows(sa.select(turns).where(where).order_by(turns.c.id))
        return [_read_turn(row) for row in rows]

    async def _update(self, where: sa.ColumnElement[bool], **values: object) -> Rows:
        statement = sa.update(turns).where(where).values(updated_at=self._now(), **values).returning(*turns.c)
        return await self.database.write(lambda connection: connection.execute(statement).all())


@contextlib.asynccontextmanager
async def open_ledger(
    url: str,
    *,
    owner: str | None = None,
    patience_s: float = 2.0,
    lease_s: float = LEASE_S,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Ledger]:
    """Open the ledger, with the bot's tables at the newest revision. At the end the leases of this process end.

    ``url`` is a SQLAlchemy URL of PostgreSQL or SQLite; its driver does not matter.

    ``patience_s`` limits the wait for a lock or a connection, and twice that a transaction. Slack waits three seconds.

    Raises:
        DatabaseError: the database cannot be opened, or a newer Kvasir made its tables.

    """
    # If a power cut loses a question, Slack sends it again. A claim is one INSERT, so machines need no queue. In this
    # process all calls stay in order, and so do the questions.
    options = DatabaseOptions(patience_s, 2 * patience_s, readers=0, durable=False, one_writer=False)
    database = await open_database(url, MIGRATIONS, options)
    ledger = Ledger(database, owner=owner or name_this_process(), lease_s=lease_s, now=now)
    try:
        yield ledger
    finally:
        await asyncio.shield(ledger.close())


def _is_question(key: QuestionKey) -> sa.ColumnElement[bool]:
    return sa.and_(turns.c.team == key.team, turns.c.channel == key.channel, turns.c.ts == key.ts)


def _is_in_thread(table: sa.Table, team: str, channel: str, thread_ts: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.team == team, table.c.channel == channel, table.c.thread_ts == thread_ts)


def _is_open() -> sa.ColumnElement[bool]:
    return turns.c.state.in_(UNFINISHED)


def _read_key(row: sa.Row[Any]) -> QuestionKey:
    return QuestionKey(row.team, row.channel, row.ts)


def _read_turn(row: sa.Row[Any]) -> LedgerTurn:
    message = QuestionMessage(
        _read_key(row), row.thread_ts, row.user, row.text, is_direct=bool(row.direct), files=row.files
    )
    replies = tuple(json.loads(row.replies))
    return LedgerTurn(message, TurnState(row.state), row.revision, replies, row.attempts, row.created_at)


def _make_storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot store: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
