"""What must survive a restart: one row for each question asked in Slack, and the threads the bot takes part in.

The states of a turn, and who may move it on::

    received ──begin──▶ answering ──finish──▶ done | failed
        │                   │
        └────supersede──────┴──────────────▶ superseded          (the question was deleted)

A row belongs to the process that claimed it for as long as that process renews its lease. A row whose owner is dead
(a process of this machine that is gone, or any whose lease ran out) is taken over with one conditional UPDATE, so two
processes never answer the same question.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite

from bot.storage.database import (
    LedgerDatabase,
    LedgerError,
    Result,
    Work,
    create_database,
    map_database_errors,
    parse_database_url,
)
from bot.storage.processes import is_dead, name_this_process
from bot.storage.questions import UNFINISHED, QuestionKey, QuestionMessage, Turn, TurnState

LEASE_S = 30.0
"""How long a claim is believed without a heartbeat; only matters between machines (a dead local process is seen)."""


_metadata = sa.MetaData()

_turns = sa.Table(
    "bot_turns",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("team", sa.String(32), nullable=False),
    sa.Column("channel", sa.String(32), nullable=False),
    sa.Column("ts", sa.String(32), nullable=False),
    sa.Column("thread_ts", sa.String(32), nullable=False),
    sa.Column("user", sa.String(32), nullable=False),
    sa.Column("direct", sa.Boolean, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("replies", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("error", sa.String(200), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("team", "channel", "ts", name="bot_turns_message"),
    sa.Index("bot_turns_state", "state", "owner"),
    sa.Index("bot_turns_thread", "team", "channel", "thread_ts"),
)

_threads = sa.Table(
    "bot_threads",
    _metadata,
    sa.Column("team", sa.String(32), primary_key=True),
    sa.Column("channel", sa.String(32), primary_key=True),
    sa.Column("thread_ts", sa.String(32), primary_key=True),
    sa.Column("last_at", sa.Float, nullable=False),
)


class Ledger:
    """The rows. Every method raises ``LedgerError`` or a subclass within a few seconds, and may be cancelled."""

    def __init__(
        self, database: LedgerDatabase, *, owner: str, lease_s: float = LEASE_S, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._owner = owner
        self._lease_s = lease_s
        self._now = now
        self._under_way: set[asyncio.Future[Any]] = set()
        self._insert: Callable[[sa.Table], Any] = (
            postgresql.insert if database.url.get_backend_name() == "postgresql" else sqlite.insert
        )

    @property
    def lease_s(self) -> float:
        """Return how long a claim is believed without a heartbeat, in seconds."""
        return self._lease_s

    async def claim(self, message: QuestionMessage, *, begun: bool = False) -> bool:
        """Write the question down, as ``begun`` already if its turn is now; False if it is there, whoever wrote it."""
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
        place = [_threads.c.team, _threads.c.channel, _threads.c.thread_ts]

        def claimed(connection: sa.Connection) -> bool:
            made = connection.execute(self._insert(_turns).values(row).on_conflict_do_nothing().returning(_turns.c.id))
            if made.first() is None:
                return False
            connection.execute(
                self._insert(_threads).values(thread).on_conflict_do_update(index_elements=place, set_={"last_at": now})
            )
            return True

        return await self.transact(claimed)

    async def begin(self, key: QuestionKey) -> Turn | None:
        """Move a question of ours on to ``answering`` and return it as it now reads; None if it is no longer open."""
        rows = await self._update(
            _is_question(key) & _is_open() & (_turns.c.owner == self._owner),
            state=TurnState.ANSWERING,
            attempts=_turns.c.attempts + 1,
            lease_until=self._now() + self._lease_s,
        )
        return _read_turn(rows[0]) if rows else None

    async def note_replies(self, key: QuestionKey, replies: Sequence[str]) -> None:
        """Record which messages hold the answer so far."""
        await self._update(_is_question(key), replies=json.dumps(list(replies)))

    async def finish(self, key: QuestionKey, revision: int, state: TurnState, error: str = "") -> bool:
        """Close a turn of ours; False if the question was edited or deleted meanwhile, and then nothing changed."""
        mine = _is_question(key) & _is_open() & (_turns.c.revision == revision) & (_turns.c.owner == self._owner)
        return bool(await self._update(mine, state=state, error=error[:200], lease_until=0.0))

    async def edit(self, key: QuestionKey, text: str) -> TurnState | None:
        """Give a question that is not answered yet a new text; returns its state, None if nothing changed."""
        changed = _is_question(key) & _is_open() & (_turns.c.text != _make_storable(text))
        rows = await self._update(changed, text=_make_storable(text), revision=_turns.c.revision + 1, attempts=1)
        return TurnState(rows[0].state) if rows else None

    async def supersede(self, key: QuestionKey) -> bool:
        """Close a question that was deleted before its answer was complete; False if there is nothing to close."""
        return bool(await self._update(_is_question(key) & _is_open(), state=TurnState.SUPERSEDED, lease_until=0.0))

    async def refund_attempt(self, key: QuestionKey) -> None:
        """Count the last attempt as none: something outside interrupted it."""
        await self._update(_is_question(key) & _is_open() & (_turns.c.attempts > 1), attempts=_turns.c.attempts - 1)

    async def find(self, key: QuestionKey) -> Turn | None:
        """Return a question's row, or None."""
        turns = await self._select(_is_question(key))
        return turns[0] if turns else None

    async def list_unfinished(self) -> list[Turn]:
        """Take over what dead processes left open, and return it in the order in which it was asked."""
        query = sa.select(_turns.c.id, _turns.c.owner, _turns.c.lease_until).order_by(_turns.c.id)
        candidates = await self._fetch_rows(query.where(_is_open() & (_turns.c.owner != self._owner)))
        taken: list[sa.Row[Any]] = []
        for row in candidates:
            if row.lease_until < self._now() or is_dead(row.owner):
                still = (_turns.c.id == row.id) & (_turns.c.owner == row.owner) & _is_open()
                still &= _turns.c.lease_until == row.lease_until
                taken += await self._update(still, owner=self._owner, lease_until=self._now() + self._lease_s)
        return [_read_turn(row) for row in taken]

    async def renew_leases(self) -> Mapping[QuestionKey, int]:
        """Renew the lease on all that is ours, and return it with its revisions; what others closed is missing."""
        rows = await self._update(_is_open() & (_turns.c.owner == self._owner), lease_until=self._now() + self._lease_s)
        return {_read_key(row): int(row.revision) for row in rows}

    async def release_leases(self) -> None:
        """Give up the lease on all that is ours, so that whoever starts next takes it over at once."""
        await self._update(_is_open() & (_turns.c.owner == self._owner), lease_until=0.0)

    async def is_participant(self, team: str, channel: str, thread_ts: str) -> bool:
        """Tell whether the bot was asked anything in this thread."""
        query = sa.select(_threads.c.last_at).where(_is_in_thread(_threads, team, channel, thread_ts))
        return bool(await self._fetch_rows(query))

    async def list_replies(self, team: str, channel: str, thread_ts: str) -> frozenset[str]:
        """Return the timestamps of every message that the ledger knows to be part of an answer in this thread."""
        turns = await self._select(_is_in_thread(_turns, team, channel, thread_ts))
        return frozenset(ts for turn in turns for ts in turn.replies)

    async def purge(self, *, turns_older_than_s: float, threads_older_than_s: float) -> int:
        """Delete closed turns and silent threads past their retention; returns how many turns went."""
        now = self._now()
        old = ~_is_open() & (_turns.c.updated_at < now - turns_older_than_s)
        silent = _threads.c.last_at < now - threads_older_than_s
        gone = await self._fetch_rows(sa.delete(_turns).where(old).returning(_turns.c.id))
        await self._fetch_rows(sa.delete(_threads).where(silent).returning(_threads.c.last_at))
        return len(gone)

    async def close(self) -> None:
        """Give up what is ours and let transactions under way end; nothing may be called afterwards."""
        with contextlib.suppress(LedgerError):
            await self.release_leases()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _select(self, where: sa.ColumnElement[bool]) -> list[Turn]:
        return [_read_turn(row) for row in await self._fetch_rows(sa.select(_turns).where(where).order_by(_turns.c.id))]

    async def _update(self, where: sa.ColumnElement[bool], **values: object) -> Sequence[sa.Row[Any]]:
        statement = sa.update(_turns).where(where).values(updated_at=self._now(), **values)
        return await self._fetch_rows(statement.returning(*_turns.c))

    async def _fetch_rows(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        def rows(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
            return connection.execute(statement).all()

        return await self.transact(rows)

    async def transact(self, work: Work[Result]) -> Result:
        """Do some work in a transaction that ends well or ill even if the caller is cancelled.

        A transaction that is cancelled in the middle would leave its connection, and with it SQLite's lock, to the
        garbage collector.
        """
        task = asyncio.ensure_future(self._run_transaction(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _run_transaction(self, work: Work[Result]) -> Result:
        with map_database_errors(self._database.url):
            return await self._database.transact(work)


@contextlib.asynccontextmanager
async def open_ledger(
    url: str,
    *,
    owner: str | None = None,
    patience_s: float = 2.0,
    lease_s: float = LEASE_S,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Ledger]:
    """Open the ledger, making its tables where they are missing; what is ours is released at the end.

    ``url`` is a SQLAlchemy URL of PostgreSQL or SQLite, whichever driver it names.

    ``patience_s`` bounds the wait for a lock, a free connection and an answer; it stays under Slack's three seconds.

    Raises:
        LedgerError: the database cannot be opened.

    """
    parsed = parse_database_url(url)
    database = create_database(parsed, patience_s)
    try:
        with map_database_errors(parsed):
            await _create_tables(database)
        ledger = Ledger(database, owner=owner or name_this_process(), lease_s=lease_s, now=now)
        try:
            yield ledger
        finally:
            await asyncio.shield(ledger.close())
    finally:
        await asyncio.shield(database.close())


async def _create_tables(database: LedgerDatabase) -> None:
    try:
        await database.transact(_metadata.create_all)
    except (exc.IntegrityError, exc.ProgrammingError):
        # Another process made the tables between our look and our CREATE: now they are there.
        await database.transact(_metadata.create_all)


def _is_question(key: QuestionKey) -> sa.ColumnElement[bool]:
    return sa.and_(_turns.c.team == key.team, _turns.c.channel == key.channel, _turns.c.ts == key.ts)


def _is_in_thread(table: sa.Table, team: str, channel: str, thread_ts: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.team == team, table.c.channel == channel, table.c.thread_ts == thread_ts)


def _is_open() -> sa.ColumnElement[bool]:
    return _turns.c.state.in_(UNFINISHED)


def _read_key(row: sa.Row[Any]) -> QuestionKey:
    return QuestionKey(row.team, row.channel, row.ts)


def _read_turn(row: sa.Row[Any]) -> Turn:
    message = QuestionMessage(
        _read_key(row), row.thread_ts, row.user, row.text, is_direct=bool(row.direct), files=row.files
    )
    replies = tuple(json.loads(row.replies))
    return Turn(message, TurnState(row.state), row.revision, replies, row.attempts, row.created_at)


def _make_storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot keep: NUL, and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
