"""Counts and erases what is kept of one person: questions with their answers, and votes.

The row of a question stays without its text, so that its answer is still deleted in Slack if the question is.
"""

from __future__ import annotations

import sqlalchemy as sa

from bot.storage.answers import IS_OF_FEEDBACK
from bot.storage.columns import match_columns
from bot.storage.tables import answers, feedback, turns
from bot.storage.turns.questions import UNFINISHED
from knowledge.database.database import Database, transaction

_IS_ASKER = match_columns(answers.c.team, answers.c.user)
_IS_VOTER = match_columns(feedback.c.team, feedback.c.user)
_COUNT = sa.select(sa.func.count()).select_from(answers).where(_IS_ASKER)
_ERASE = (
    sa.delete(feedback).where(_IS_VOTER | sa.exists().where(IS_OF_FEEDBACK, _IS_ASKER)),
    sa.delete(answers).where(_IS_ASKER),
    sa.update(turns)
    .where(match_columns(turns.c.team, turns.c.user))
    .where(turns.c.state.not_in(UNFINISHED))
    .values(text=""),
)


class PersonalData:
    """What is kept of people. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def count_answers(self, team: str, user: str) -> int:
        """Return how many answers to a person's questions are stored."""
        return int((await self.database.fetch_rows(_COUNT, {"of_team": team, "of_user": user}))[0][0])

    @transaction
    def erase_person(self, connection: sa.Connection, team: str, user: str) -> None:
        """Delete a person's answered questions, their answers with all votes on them, and the person's votes."""
        for statement in _ERASE:
            connection.execute(statement, {"of_team": team, "of_user": user})
