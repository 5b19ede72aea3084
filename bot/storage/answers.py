"""Stores the answers to questions as they were shown, until their question is erased or grows old."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.storage.columns import match_columns, match_rows
from bot.storage.personal_data import close_questions
from bot.storage.preferences import refuses_storage
from bot.storage.tables import answer_shares, answers, feedback, insert_into, turns
from bot.storage.turns.questions import QuestionKey, TurnState
from bot.storage.turns.rows import name_parameters
from knowledge.database.database import Database, transaction

_MAX_CHARACTERS = 40_000
"""The most characters of a stored question or answer."""

_IS_KEY = match_columns(answers.c.team, answers.c.channel, answers.c.ts)
_FIND = sa.select(answers).where(_IS_KEY)
_DELETE = sa.delete(answers).where(_IS_KEY)
_DELETE_VOTES = sa.delete(feedback).where(match_columns(feedback.c.team, feedback.c.channel, feedback.c.ts))
IS_OF_FEEDBACK = match_rows(answers, feedback, "team", "channel", "ts")
"""Whether a vote is about the answer to this question."""
_DELETE_OLD = sa.delete(answers).where(answers.c.created_at < sa.bindparam("before"))
UNANSWERED_ROUTES = frozenset({"closest", "unknown"})
"""``bot.answering.events.Route`` of answers that do not answer their question."""
_DELETE_OLD_SHARES = sa.delete(answer_shares).where(answer_shares.c.created_at < sa.bindparam("before"))
_DELETE_LONELY_VOTES = sa.delete(feedback).where(~sa.exists().where(IS_OF_FEEDBACK))
_FIND_DELETED = sa.select(turns.c.id).where(
    match_columns(turns.c.team, turns.c.channel, turns.c.ts), turns.c.state == TurnState.SUPERSEDED
)
_LIST_RECENT = (
    sa.select(answers)
    .where(match_columns(answers.c.team, answers.c.user))
    .order_by(answers.c.created_at.desc())
    .limit(sa.bindparam("at_most"))
)
_LIST_UNANSWERED = (
    sa.select(answers)
    .where(match_columns(answers.c.team), answers.c.route.in_(UNANSWERED_ROUTES))
    .order_by(answers.c.created_at.desc())
    .limit(sa.bindparam("at_most"))
)


_IS_ASKER = match_columns(answers.c.team, answers.c.user)
_IS_VOTER = match_columns(feedback.c.team, feedback.c.user)
_COUNT_OF_PERSON = sa.select(sa.func.count()).select_from(answers).where(_IS_ASKER)
_ERASE_PERSON = (
    sa.delete(feedback).where(_IS_VOTER | sa.exists().where(IS_OF_FEEDBACK, _IS_ASKER)),
    sa.delete(answers).where(_IS_ASKER),
    sa.update(turns).where(match_columns(turns.c.team, turns.c.user)).values(text=""),
)


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage that an answer cites."""

    n: int
    source: str
    document: str
    title: str
    heading: str
    url: str | None
    chunks: tuple[str, ...] = ()
    """The ids by which the library returns its text; empty for a page of the web or a material."""
    as_of: str = ""
    """When this version was last seen in its source, as an ISO date with the time; "" if unknown."""
    is_material: bool = False
    """Whether it comes from a file or a message of the question, which nobody else may see."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A question and its answer."""

    key: QuestionKey
    thread_ts: str
    user: str
    language: str
    question: str = field(repr=False)
    answer: str = field(repr=False)
    """Markdown with displayed citation numbers."""
    passages: tuple[StoredPassage, ...] = field(repr=False)
    route: str
    model: str
    """The model that was served, "" if none was."""
    marked: int = 0
    removed: int = 0
    seconds: float = 0.0
    created_at: float = field(default_factory=time.time)


@dataclass(slots=True)
class Answers:
    """The stored answers. Every method raises ``DatabaseError`` or a subclass."""

    database: Database

    @transaction
    def save_answer(self, connection: sa.Connection, answer: StoredAnswer, *, is_kept: bool = True) -> None:
        """Store an answer in place of an earlier one to the same question.

        Nothing is stored if it is not to be kept, if the question was deleted, or if the person chose that answers are
        not kept.
        """
        if connection.execute(_FIND_DELETED, name_parameters(answer.key)).first() is not None:
            return
        connection.execute(_DELETE, name_parameters(answer.key))
        if not is_kept or refuses_storage(connection, answer.key.team, answer.user):
            return
        row = asdict(answer)
        row |= row.pop("key")
        row["question"], row["answer"] = answer.question[:_MAX_CHARACTERS], answer.answer[:_MAX_CHARACTERS]
        row["passages"] = json.dumps(row["passages"], ensure_ascii=False)
        connection.execute(insert_into(answers, connection.dialect.name).on_conflict_do_nothing(), row)

    async def find_answer(self, key: QuestionKey) -> StoredAnswer | None:
        """Return the answer to a question, None if there is none."""
        rows = await self.database.fetch_rows(_FIND, name_parameters(key))
        return next((read_answer(row._asdict()) for row in rows), None)

    async def list_recent(self, team: str, user: str, limit: int) -> Sequence[StoredAnswer]:
        """Return the newest answers to a person's questions, the newest first."""
        parameters = {"of_team": team, "of_user": user, "at_most": limit}
        return [read_answer(row._asdict()) for row in await self.database.fetch_rows(_LIST_RECENT, parameters)]

    async def list_unanswered(self, team: str, limit: int) -> Sequence[StoredAnswer]:
        """Return the newest questions to which the documents had no answer, the newest first."""
        parameters = {"of_team": team, "at_most": limit}
        return [read_answer(row._asdict()) for row in await self.database.fetch_rows(_LIST_UNANSWERED, parameters)]

    async def count_answers(self, team: str, user: str) -> int:
        """Return how many answers to a person's questions are stored."""
        return int((await self.database.fetch_rows(_COUNT_OF_PERSON, {"of_team": team, "of_user": user}))[0][0])

    @transaction
    def erase_person(self, connection: sa.Connection, team: str, user: str) -> None:
        """Delete a person's questions, their answers with all votes on them, and the person's votes.

        The row of a question stays without its text, so that its answer is still deleted in Slack if the question is.
        An open question is closed, and what is written of its answer is deleted in Slack.
        """
        close_questions(connection, (turns.c.team == team) & (turns.c.user == user))
        for statement in _ERASE_PERSON:
            connection.execute(statement, {"of_team": team, "of_user": user})


def find_answer(connection: sa.Connection, key: QuestionKey) -> StoredAnswer | None:
    """Return the answer to a question within a transaction, None if there is none."""
    row = connection.execute(_FIND, name_parameters(key)).first()
    return None if row is None else read_answer(row._asdict())


def erase_answer(connection: sa.Connection, key: QuestionKey) -> None:
    """Delete the answer to a question within a transaction, with the votes on it."""
    for statement in (_DELETE, _DELETE_VOTES):
        connection.execute(statement, name_parameters(key))


def purge_answers(connection: sa.Connection, before: float) -> None:
    """Delete the answers that are older than ``before``, with their votes and their shares."""
    connection.execute(_DELETE_OLD, {"before": before})
    connection.execute(_DELETE_OLD_SHARES, {"before": before})
    connection.execute(_DELETE_LONELY_VOTES)


def read_answer(fields: dict[str, Any]) -> StoredAnswer:
    """Return the answer of a row, which is given by the names of its columns."""
    key = QuestionKey(*(fields.pop(name) for name in ("team", "channel", "ts")))
    return StoredAnswer(key, passages=read_passages(fields.pop("passages")), **fields)


def read_passages(stored: str) -> tuple[StoredPassage, ...]:
    """Return the passages of a row."""
    return tuple(StoredPassage(**one | {"chunks": tuple(one["chunks"])}) for one in json.loads(stored))
