"""Stores what people think of answers: one vote of each person for each answer, with reasons."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from bot.storage.answers import IS_OF_FEEDBACK, StoredAnswer, StoredPassage, find_answer, read_answer, read_passages
from bot.storage.columns import match_columns
from bot.storage.tables import answers, feedback, insert_into
from bot.storage.turns.questions import QuestionKey
from knowledge.database.database import Database, transaction

MAX_COMMENT_CHARACTERS = 2_000


class Vote(StrEnum):
    """What a person thinks of an answer."""

    GOOD = "good"
    BAD = "bad"


class VoteReason(StrEnum):
    """Why an answer is bad."""

    WRONG = "wrong"
    OUTDATED = "outdated"
    SOURCES = "sources"
    """It cites no sources, or not the right ones."""
    EXPOSED = "exposed"
    """It should not have been shown to the people in the conversation."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class StoredVote:
    """A person's vote on an answer."""

    voter: str
    vote: Vote
    reasons: tuple[VoteReason, ...]
    comment: str = field(repr=False)
    voted_at: float
    is_current: bool
    """Whether the vote is about the answer that is stored, not about an earlier answer to the same question."""
    answer: StoredAnswer

    def list_sources(self, owned: Collection[str] | None = None) -> Sequence[str]:
        """Return the sources that the answer cites; only those of ``owned`` unless it is None."""
        return list_sources(self.answer.passages, owned)

    def cites_source(self, owned: Collection[str] | None) -> bool:
        """Return whether the answer cites a source of ``owned``; None counts as every answer."""
        return owned is None or bool(self.list_sources(owned))


_SELECT = (
    sa.select(
        answers,
        feedback.c.user.label("voter"),
        *(feedback.c[name] for name in ("vote", "reasons", "comment", "answered_at", "voted_at")),
    )
    .join(feedback, IS_OF_FEEDBACK)
    .order_by(feedback.c.voted_at.desc())
)
_IS_TEAM = match_columns(feedback.c.team)
_LIST_OF_PERSON = _SELECT.where(match_columns(feedback.c.team, feedback.c.user)).limit(sa.bindparam("at_most"))
_LIST_BAD = _SELECT.where(_IS_TEAM, feedback.c.vote == Vote.BAD).limit(sa.bindparam("at_most"))
_LIST_CURRENT = _SELECT.where(feedback.c.answered_at == answers.c.created_at)
_COUNT = sa.select(feedback.c.vote, answers.c.passages).join(feedback, IS_OF_FEEDBACK).where(_IS_TEAM)
_EXPLAIN = (
    sa.update(feedback)
    .where(match_columns(*feedback.primary_key.columns))
    .where(feedback.c.vote == Vote.BAD)
    .returning(feedback.c.voted_at)
)


@dataclass(slots=True)
class Feedback:
    """The votes. Every method raises ``DatabaseError`` or a subclass."""

    database: Database

    @transaction
    def save_vote(self, connection: sa.Connection, key: QuestionKey, user: str, vote: Vote) -> bool:
        """Store a person's vote in place of an earlier one; return False if the answer is not stored any more."""
        answer = find_answer(connection, key)
        if answer is None:
            return False
        place = {"team": key.team, "channel": key.channel, "ts": key.ts, "user": user}
        row = {"vote": vote, "reasons": "", "comment": "", "answered_at": answer.created_at, "voted_at": time.time()}
        connection.execute(_build_vote(connection.dialect.name), place | row)
        return True

    async def save_reasons(self, key: QuestionKey, user: str, reasons: Sequence[VoteReason], comment: str) -> bool:
        """Store why a person thinks that an answer is bad; return False if there is no such vote any more."""
        place = {"of_team": key.team, "of_channel": key.channel, "of_ts": key.ts, "of_user": user}
        row = {"reasons": " ".join(reasons), "comment": comment[:MAX_COMMENT_CHARACTERS]}
        return bool(await self.database.write(lambda connection: connection.execute(_EXPLAIN, place | row).all()))

    async def list_of_person(self, team: str, user: str, limit: int) -> Sequence[StoredVote]:
        """Return a person's newest votes, the newest first."""
        parameters = {"of_team": team, "of_user": user, "at_most": limit}
        return [_read_vote(row) for row in await self.database.fetch_rows(_LIST_OF_PERSON, parameters)]

    async def list_bad(self, team: str, limit: int) -> Sequence[StoredVote]:
        """Return the newest bad votes, the newest first."""
        parameters = {"of_team": team, "at_most": limit}
        return [_read_vote(row) for row in await self.database.fetch_rows(_LIST_BAD, parameters)]

    async def list_current(self) -> Sequence[StoredVote]:
        """Return all votes about the answers that are stored, of all workspaces."""
        return [_read_vote(row) for row in await self.database.fetch_rows(_LIST_CURRENT, {})]

    async def count_votes(self, team: str, owned: Collection[str] | None = None) -> Mapping[Vote, int]:
        """Return the numbers of good and of bad votes on the answers that cite a source of ``owned``; None for all."""
        rows = await self.database.fetch_rows(_COUNT, {"of_team": team})
        counts = dict.fromkeys(Vote, 0)
        for vote, passages in rows:
            counts[Vote(vote)] += owned is None or bool(list_sources(read_passages(passages), owned))
        return counts


def purge_votes(connection: sa.Connection, before: float) -> None:
    """Delete the votes that are older than ``before``."""
    connection.execute(sa.delete(feedback).where(feedback.c.voted_at < before))


@functools.cache
def _build_vote(dialect: str) -> Any:  # noqa: ANN401 - of either dialect
    """Return the statement that stores a vote, or changes it; the reasons of the same bad vote stay."""
    insert = insert_into(feedback, dialect)
    new = insert.excluded
    is_same = (feedback.c.vote == new.vote) & (feedback.c.answered_at == new.answered_at)
    details = {name: sa.case((is_same, feedback.c[name]), else_=new[name]) for name in ("reasons", "comment")}
    changed = {name: new[name] for name in ("vote", "answered_at", "voted_at")}
    return insert.on_conflict_do_update(index_elements=feedback.primary_key, set_=details | changed)


def list_sources(passages: Sequence[StoredPassage], owned: Collection[str] | None) -> Sequence[str]:
    """Return the sources of passages, each once; only those of ``owned`` unless it is None."""
    sources = dict.fromkeys(passage.source for passage in passages if passage.source)
    return [source for source in sources if owned is None or source in owned]


def _read_vote(row: sa.Row[Any]) -> StoredVote:
    fields = row._asdict()
    voter, vote, reasons, comment, answered_at, voted_at = (
        fields.pop(name) for name in ("voter", "vote", "reasons", "comment", "answered_at", "voted_at")
    )
    answer = read_answer(fields)
    is_current = answered_at == answer.created_at
    return StoredVote(voter, Vote(vote), tuple(map(VoteReason, reasons.split())), comment, voted_at, is_current, answer)
