"""Stores where answers to private questions may be shared, and shares each of them once, whichever process does it.

A process claims a share before it posts the question into the channel. If it dies before it stores where the question
is, another one may claim the share after ``CLAIM_S``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import answer_shares, insert_into
from bot.storage.turns.questions import QuestionKey
from bot.storage.turns.rows import name_parameters
from knowledge.database.database import Database, transaction

CLAIM_S: Final = 60.0
"""How long one process may take to share an answer."""

_IS_KEY = match_columns(answer_shares.c.team, answer_shares.c.channel, answer_shares.c.ts)
_FIND = sa.select(answer_shares).where(_IS_KEY)
_FIND_SHARED = sa.select(answer_shares).where(
    answer_shares.c.team == sa.bindparam("of_team"),
    answer_shares.c.target == sa.bindparam("of_channel"),
    answer_shares.c.shared_ts == sa.bindparam("of_ts"),
)
_UPDATE = sa.update(answer_shares).where(_IS_KEY)
_CLAIM = _UPDATE.where(answer_shares.c.shared_ts == "", answer_shares.c.claimed_at < sa.bindparam("before"))
_RELEASE = _UPDATE.where(match_columns(answer_shares.c.shared_ts)).values(claimed_at=0.0, shared_ts="")


@dataclass(frozen=True, slots=True)
class AnswerShare:
    """A private question, and the channel in which its answer may be shared."""

    key: QuestionKey
    """The question in the direct messages."""
    target: str
    target_name: str
    claimed_at: float = 0.0
    """When a process began to share it, in seconds since the epoch; 0.0 for never."""
    shared_ts: str = ""
    """The question in the channel, "" before that is known."""


class AnswerShares:
    """The shares. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self._now = now or database.now

    @transaction
    def offer_share(self, connection: sa.Connection, key: QuestionKey, target: str, target_name: str) -> None:
        """Store that the answer to a question may be shared in a channel."""
        place = {**asdict(key), "target": target, "target_name": target_name}
        row = {**place, "shared_ts": "", "created_at": self._now()}
        connection.execute(insert_into(answer_shares, connection.dialect.name).on_conflict_do_nothing(), row)

    async def find_share(self, key: QuestionKey) -> AnswerShare | None:
        """Return the share of a private question; None if its answer may be shared nowhere."""
        rows = await self.database.fetch_rows(_FIND, name_parameters(key))
        return _read_share(rows[0]) if rows else None

    async def find_shared(self, shared: QuestionKey) -> AnswerShare | None:
        """Return the share of which a channel has the question; None if a message is no such question."""
        rows = await self.database.fetch_rows(_FIND_SHARED, name_parameters(shared))
        return _read_share(rows[0]) if rows else None

    @transaction
    def claim_share(self, connection: sa.Connection, key: QuestionKey) -> bool:
        """Store that this process shares an answer; return False if it is shared, or another process shares it."""
        now = self._now()
        values = {"claimed_at": now, "before": now - CLAIM_S}
        return connection.execute(_CLAIM, name_parameters(key) | values).rowcount > 0

    @transaction
    def note_shared(self, connection: sa.Connection, key: QuestionKey, shared_ts: str) -> None:
        """Store the message that has the question in the channel."""
        connection.execute(_UPDATE, {**name_parameters(key), "shared_ts": shared_ts})

    @transaction
    def release_share(self, connection: sa.Connection, key: QuestionKey, shared_ts: str = "") -> None:
        """Let an answer be shared again, because the channel does not have the message ``shared_ts``, "" for none."""
        connection.execute(_RELEASE, {**name_parameters(key), "of_shared_ts": shared_ts})


def _read_share(row: sa.Row[tuple[object, ...]]) -> AnswerShare:
    key = QuestionKey(row.team, row.channel, row.ts)
    return AnswerShare(key, row.target, row.target_name, row.claimed_at, row.shared_ts)
