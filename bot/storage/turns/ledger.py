"""The ledger survives a restart: one row for each question in Slack, and the threads that the bot takes part in.

The states of a turn, and the method for each change::

    received ──begin──▶ answering ──finish──▶ done | failed ──edit, reopen──▶ received
        │                   │                     │
        └──────withdraw─────┴──────withdraw───────┴──▶ superseded      (the question was deleted)

A superseded row has no text. It has the timestamps of its answer until their messages are deleted, and it keeps late
events from asking the question again.

A row belongs to the process that claimed it, as long as that process renews its lease. Another process takes it over if
the owner is dead: a process of this machine that has ended, or any process whose lease has expired. It does so with one
conditional UPDATE, so two processes never answer the same question. ``bot_threads.answering`` names the question of a
thread that is answered, so two processes never answer in the same thread at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.storage.answer_documents import purge_documents
from bot.storage.answers import erase_answer, purge_answers
from bot.storage.cases import purge_cases
from bot.storage.columns import make_storable
from bot.storage.feedback import purge_votes
from bot.storage.processes import OwnerWatch, name_this_process
from bot.storage.retention import Retention, find_cut_offs
from bot.storage.tables import MIGRATIONS, threads, turns
from bot.storage.turns import statements
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, QuestionMessage, TurnLost, TurnState
from bot.storage.turns.rows import make_row, name_parameters, read_key, read_turn
from bot.storage.verified_answers import purge_verified_answers
from knowledge.database.database import Database, DatabaseOptions, Rows, transaction
from knowledge.database.migrations import open_database
from knowledge.errors import DatabaseError

_Filtered = TypeVar("_Filtered", sa.Select[Any], sa.Update)

LEASE_S = 30.0
"""How long a claim lasts without renewal. It matters between machines: a dead process of this machine is noticed."""
_DELETED_CLEAR_S = 15.0
"""When to clear the status of a deleted question, if the process that answered it has died meanwhile."""


class ThreadBusy(Exception):
    """Another question of the thread is answered, or an earlier one waits."""

    def __init__(self, state: TurnState) -> None:
        super().__init__(f"another question of this thread goes first: {state}")
        self.state = state
        """The state of the question that goes first."""


class Ledger:
    """Questions and threads. Every method raises ``DatabaseError`` or a subclass, and may be cancelled."""

    def __init__(
        self,
        database: Database,
        *,
        owner: str,
        lease_s: float = LEASE_S,
        now: Callable[[], float] | None = None,
        teams: frozenset[str] | None = None,
        confidential: frozenset[str] = frozenset(),
    ) -> None:
        """Make the ledger of a process.

        ``teams`` are the workspaces whose open questions are listed and renewed; None for all. The texts of questions
        in ``confidential`` channels are deleted at the end of their turns.
        """
        self.database = database
        self._owner = owner
        self._lease_s = lease_s
        self._now = now or database.now
        self._teams = teams
        self._confidential = confidential
        self._owners = OwnerWatch(self._now)

    def select_teams(self, teams: Iterable[str]) -> Ledger:
        """Return this ledger for some workspaces."""
        return Ledger(
            self.database,
            owner=self._owner,
            lease_s=self._lease_s,
            now=self._now,
            teams=frozenset(teams),
            confidential=self._confidential,
        )

    def now(self) -> float:
        """Return the time of ``LedgerTurn.received_at``."""
        return self._now()

    def has_team(self, team: str) -> bool:
        """Return whether a workspace is one of this ledger."""
        return self._teams is None or team in self._teams

    @transaction
    def claim_question(
        self, connection: sa.Connection, message: QuestionMessage, *, begun: bool = False
    ) -> TurnState | None:
        """Store a question and return its state; None if any process has stored it already.

        ``begun`` says that its turn is now. If another question of its thread was stored before, it waits nevertheless.
        """
        key, now = message.key, self._now()
        state = TurnState.ANSWERING if begun else TurnState.RECEIVED
        row = self._make_row(message, state)
        if connection.execute(statements.build_inserts(connection.dialect.name)[0], row).first() is None:
            return None
        if message.is_unasked:  # Kvasir takes part in its thread once it answers
            return state
        if self._enter_thread(connection, message, answering=key.ts if begun else "") == key.ts or not begun:
            return state
        connection.execute(statements.WAIT, {**name_parameters(key), "updated_at": now})
        return TurnState.RECEIVED

    def _enter_thread(self, connection: sa.Connection, message: QuestionMessage, *, answering: str = "") -> str | None:
        """Take part in the thread of a question; return which of its questions is answered."""
        team, channel, thread_ts = message.thread
        row = {"team": team, "channel": channel, "thread_ts": thread_ts, "last_at": self._now(), "answering": answering}
        answered_ts: str | None = connection.execute(statements.build_inserts(connection.dialect.name)[1], row).scalar()
        return answered_ts

    def _make_row(self, message: QuestionMessage, state: TurnState) -> dict[str, object]:
        now = self._now()
        return make_row(message, state, now) | {"owner": self._owner, "lease_until": now + self._lease_s}

    @transaction
    def begin_turn(
        self, connection: sa.Connection, key: QuestionKey, *, wait_for: Collection[TurnState] = UNFINISHED
    ) -> LedgerTurn | None:
        """Move a question of this process to ``answering`` and return its turn; None if it is no longer open.

        ``wait_for`` says which questions of its thread go first: the one that is answered, and earlier ones that wait.

        Raises:
            ThreadBusy: there is one of them.

        """
        now = self._now()
        names = {**name_parameters(key), "us": self._owner}
        thread = connection.execute(statements.LOCK_THREAD, names).first()
        if thread is not None:
            place = {"of_thread_ts": thread.thread_ts, "answering": thread.answering, "wait_for": list(wait_for)}
            first = connection.execute(statements.FIND_FIRST, {**names, **place}).first()
            if first is not None:
                raise ThreadBusy(TurnState(first.state))
        values = {"state": TurnState.ANSWERING, "lease_until": now + self._lease_s, "updated_at": now}
        rows = connection.execute(statements.BEGIN, {**names, **values}).all()
        if not rows:
            return None
        connection.execute(statements.ENTER_THREAD, names)
        return read_turn(rows[0])

    async def note_replies(self, key: QuestionKey, replies: Sequence[str]) -> None:
        """Store which messages have the answer so far.

        Raises:
            TurnLost: another process answers the question, or has answered it.

        """
        if not await self._update_turn(statements.NOTE, key, us=self._owner, replies=json.dumps(list(replies))):
            raise TurnLost

    async def settle_withdrawal(self, key: QuestionKey, deleted: Sequence[str]) -> None:
        """Note that the messages of an answer were deleted, unless another process has stored others meanwhile."""
        await self._update_turn(statements.SETTLE, key, of_replies=json.dumps(list(deleted)), replies="[]")

    async def finish_turn(
        self,
        key: QuestionKey,
        revision: int,
        state: TurnState,
        error: str = "",
        *,
        clear_status_in_s: float | None = None,
    ) -> bool:
        """Close a turn of this process. Return False, and change nothing, if the question was edited or deleted.

        ``clear_status_in_s`` says when to clear the status in Slack, None if Slack shows none.
        """
        clear_status_at = 0.0 if clear_status_in_s is None else self._now() + clear_status_in_s
        values = {"state": state, "error": error[:200], "lease_until": 0.0, "clear_status_at": clear_status_at}
        names = {"of_revision": revision, "is_confidential": key.channel in self._confidential}
        return bool(await self._update_turn(statements.FINISH, key, us=self._owner, **names, **values))

    async def forget_unasked(self, key: QuestionKey, revision: int) -> bool:
        """Delete a question that nobody asked Kvasir; return False if it was changed, or has an answer."""
        names = {**name_parameters(key), "us": self._owner, "of_revision": revision}
        return await self.database.write(lambda connection: connection.execute(statements.FORGET, names).rowcount > 0)

    async def refuse_question(self, key: QuestionKey) -> None:
        """Close the turn of a question that a limit on questions refuses, also if its files have arrived meanwhile."""
        is_confidential = key.channel in self._confidential
        await self._update_turn(statements.REFUSE, key, us=self._owner, is_confidential=is_confidential)

    @transaction
    def add_files(self, connection: sa.Connection, message: QuestionMessage, *, within_s: float) -> LedgerTurn | None:
        """Store how many files a young question has; open the question again if its turn has ended.

        Return its turn, None if nothing changed: the files are known, the person has stopped the answer, or the
        question was refused.
        """
        row = connection.execute(statements.LOCK, name_parameters(message.key)).first()
        if row is None or row.state == TurnState.SUPERSEDED or row.error in {"stopped", statements.LIMITED}:
            return None
        if row.files >= message.files or row.created_at <= self._now() - within_s:
            return None
        return self._revise_question(connection, row, {"files": message.files, "text": row.text or message.text})

    @transaction
    def edit_question(self, connection: sa.Connection, message: QuestionMessage, edited_ts: str) -> LedgerTurn | None:
        """Store the asker's new text of a question; open the question again if its turn has ended.

        Return its turn, None if nothing changed: the text is the same, or a later edit is known. Nor does it change if
        somebody else made the edit, or the question is deleted or unknown. ``edited_ts`` orders the edits.
        """
        row = connection.execute(statements.LOCK, name_parameters(message.key)).first()
        is_current = row is not None and row.state != TurnState.SUPERSEDED and row.edited_ts < edited_ts
        if row is None or not is_current or row.user != message.user:
            return None
        text = make_storable(message.text)
        if text.split() != row.text.split():
            changes = {"text": text, "edited_ts": edited_ts, "unasked": row.unasked and message.is_unasked}
            if row.unasked and not message.is_unasked:  # the asker mentions Kvasir now
                self._enter_thread(connection, message)
            return self._revise_question(connection, row, changes)
        values = {"edited_ts": edited_ts, "updated_at": self._now()}
        connection.execute(statements.UPDATE_ONE, values | name_parameters(message.key))
        return None

    @transaction
    def reopen_question(self, connection: sa.Connection, key: QuestionKey) -> LedgerTurn | None:
        """Open a question again whose turn has ended; return its turn, None if it is open, deleted or unknown."""
        row = connection.execute(statements.LOCK, name_parameters(key)).first()
        if row is None or row.state in {*UNFINISHED, TurnState.SUPERSEDED}:
            return None
        return self._revise_question(connection, row, {"regenerates": True})

    @transaction
    def answer_deleted(
        self, connection: sa.Connection, key: QuestionKey, deleted: Collection[str]
    ) -> LedgerTurn | None:
        """Open a question again if its answer has deleted messages; return its turn, None if it has none of them.

        A turn of another process that is open cannot finish after this, and answers the question again.
        """
        row = connection.execute(statements.LOCK, name_parameters(key)).first()
        if row is None or row.state == TurnState.SUPERSEDED or set(json.loads(row.replies)).isdisjoint(deleted):
            return None
        return self._revise_question(connection, row, {"replies": "[]"})

    def _revise_question(self, connection: sa.Connection, row: sa.Row[Any], values: Mapping[str, object]) -> LedgerTurn:
        """Change a question, and open it again if its turn has ended; return its turn."""
        now = self._now()
        changes = {
            "regenerates": False,
            **values,
            "updated_at": now,
            "revision": row.revision + 1,
            "attempts": 1,
            "generations": 0,
        }
        if row.state not in UNFINISHED:
            changes |= {"state": TurnState.RECEIVED, "attempts": 0, "revises": row.replies != "[]", "error": ""}
            changes |= {"owner": self._owner, "lease_until": now + self._lease_s, "created_at": now}
        return read_turn(connection.execute(statements.UPDATE_ONE, changes | name_parameters(read_key(row))).one())

    @transaction
    def withdraw_question(
        self, connection: sa.Connection, key: QuestionKey, unknown: QuestionMessage | None
    ) -> LedgerTurn | None:
        """Close the turn of a deleted question and erase its text and answer; return it, None if none is to close.

        ``unknown`` is stored as deleted if the question has no turn, because its message may arrive later.
        """
        closing = {"state": TurnState.SUPERSEDED, "text": "", "owner": self._owner, "updated_at": self._now()}
        closing |= {"lease_until": self._now() + self._lease_s, "clear_status_at": self._now() + _DELETED_CLEAR_S}
        row = connection.execute(statements.WITHDRAW, closing | name_parameters(key)).first()
        erase_answer(connection, key)
        if row is None and unknown is not None:
            deleted = self._make_row(replace(unknown, text="", user=""), TurnState.SUPERSEDED)
            connection.execute(statements.build_inserts(connection.dialect.name)[0], deleted)
        return read_turn(row) if row is not None else None

    async def list_withdrawn(self) -> list[LedgerTurn]:
        """Return the turns of deleted questions whose answers this process has to delete."""
        rows = await self.database.fetch_rows(self._of_teams(statements.FIND_WITHDRAWN), {})
        return [
            read_turn(row)
            for row in rows
            if row.owner == self._owner or self._owners.has_abandoned(row.owner, row.lease_until)
        ]

    @transaction
    def refund_attempt(self, connection: sa.Connection, key: QuestionKey) -> None:
        """Do not count the last attempt, because something outside interrupted it, and let its thread go on."""
        names = {**name_parameters(key), "us": self._owner}
        connection.execute(statements.REFUND, {**names, "updated_at": self._now()})
        connection.execute(statements.LEAVE_THREAD, names)

    async def leave_thread(self, key: QuestionKey) -> None:
        """Let the thread of a question go on although the question is open."""
        names = {**name_parameters(key), "us": self._owner}
        await self.database.write(lambda connection: connection.execute(statements.LEAVE_THREAD, names))

    async def reserve_generation(self, key: QuestionKey, most: int) -> bool:
        """Count another generation of an answer. Return False if there were ``most``, or the turn is closed.

        Raises:
            TurnLost: the question is not of this process.

        """
        if await self._update_turn(statements.GENERATE, key, us=self._owner, most=most):
            return True
        turn = await self.find_turn(key)
        if turn is None or not self.owns_turn(turn):
            raise TurnLost
        return False

    async def find_turn(self, key: QuestionKey) -> LedgerTurn | None:
        """Return a question's turn, or None."""
        rows = await self.database.fetch_rows(statements.FIND, name_parameters(key))
        return read_turn(rows[0]) if rows else None

    def owns_turn(self, turn: LedgerTurn) -> bool:
        """Return whether a question belongs to this process."""
        return turn.owner == self._owner

    async def list_unfinished(self) -> list[LedgerTurn]:
        """Take over the open questions of dead processes, and return their turns in the order of the questions."""
        rows: list[sa.Row[Any]] = []
        for row in await self.database.fetch_rows(self._of_teams(statements.FIND_OTHERS), {"us": self._owner}):
            if self._owners.has_abandoned(row.owner, row.lease_until):
                values = {"owner": self._owner, "lease_until": self._now() + self._lease_s}
                values |= {"of_owner": row.owner, "of_lease_until": row.lease_until}
                rows += await self._update_turn(statements.TAKE_OVER, read_key(row), **values)
        return [read_turn(row) for row in rows]

    async def renew_leases(self) -> Mapping[QuestionKey, int]:
        """Renew the leases of this process. Return its open questions with their revisions."""
        update = self._of_teams(statements.UPDATE_OURS)
        rows = await self._update_turn(update, us=self._owner, lease_until=self._now() + self._lease_s)
        return {read_key(row): int(row.revision) for row in rows}

    async def release_leases(self) -> None:
        """End the leases of this process, so that the next process takes its questions over at once."""
        await self._update_turn(statements.UPDATE_OURS, us=self._owner, lease_until=0.0)

    @transaction
    def release_turn(self, connection: sa.Connection, key: QuestionKey, *, unused: int = 0) -> None:
        """Give up an open question of this process, which ends, so that another one answers it at once.

        The attempt does not count, nor do ``unused`` generations that the engine has not begun.
        """
        names = {**name_parameters(key), "us": self._owner}
        connection.execute(statements.LEAVE_THREAD, names)
        values = {"owner": "", "lease_until": 0.0, "updated_at": self._now(), "unused": unused}
        connection.execute(statements.RELEASE, {**names, **values})

    async def list_replies(self, team: str, channel: str, thread_ts: str) -> frozenset[str]:
        """Return the timestamps of all messages with answers in this thread."""
        place = {"of_team": team, "of_channel": channel, "of_thread_ts": thread_ts}
        rows = await self.database.fetch_rows(statements.FIND_IN_THREAD, place)
        return frozenset(ts for row in rows for ts in read_turn(row).replies)

    @transaction
    def purge_rows(self, connection: sa.Connection, retention: Retention) -> int:
        """Delete closed turns, answers, votes, verified answers, cases and silent threads after their retention.

        Return the number of deleted turns.
        """
        before = find_cut_offs(retention, self._now())
        old = ~statements.IS_OPEN & (turns.c.updated_at < before.turns)
        connection.execute(sa.delete(threads).where(threads.c.last_at < before.threads))
        purge_answers(connection, before.turns)
        purge_votes(connection, before.feedback)
        purge_documents(connection, before.turns)
        purge_verified_answers(connection, before.verified)
        purge_cases(connection, before.cases)
        return connection.execute(sa.delete(turns).where(old)).rowcount

    async def close(self) -> None:
        """End the leases of this process and close the database."""
        try:
            with contextlib.suppress(DatabaseError):
                await self.release_leases()
        finally:
            await self.database.close()

    def _of_teams(self, statement: _Filtered) -> _Filtered:
        return statement if self._teams is None else statement.where(turns.c.team.in_(self._teams))

    async def _update_turn(self, statement: sa.Update, key: QuestionKey | None = None, **values: object) -> Rows:
        values |= {"updated_at": self._now(), **(name_parameters(key) if key else {})}
        return await self.database.write(lambda connection: connection.execute(statement, values).all())


@contextlib.asynccontextmanager
async def open_ledger(
    url: str,
    *,
    owner: str | None = None,
    patience_s: float = 2.0,
    lease_s: float = LEASE_S,
    now: Callable[[], float] | None = None,
    confidential: frozenset[str] = frozenset(),
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
    ledger = Ledger(database, owner=owner or name_this_process(), lease_s=lease_s, now=now, confidential=confidential)
    try:
        yield ledger
    finally:
        await asyncio.shield(ledger.close())
