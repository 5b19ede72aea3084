"""Finds, exports and erases what the tables store about one person, in every workspace.

``PERSON_COLUMNS`` declares each column that may hold the id of a person; a test compares it with ``tables``.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from bot.storage.answer_documents import AnswerDocument, DocumentKind
from bot.storage.columns import match_rows
from bot.storage.shared_changes import ChangeKind, add_change
from bot.storage.tables import (
    answer_documents,
    answer_shares,
    answers,
    api_keys,
    approved_channels,
    audit_people,
    cases,
    changes,
    channel_settings,
    feedback,
    installations,
    owner_notices,
    preferences,
    question_counts,
    tables,
    threads,
    turns,
    verified_answers,
)
from bot.storage.turns.questions import QuestionKey, TurnState
from bot.storage.turns.statements import IS_OPEN
from knowledge.database.database import Database, transaction

CACHED_KINDS: Final = (
    ChangeKind.QUESTION,
    ChangeKind.PREFERENCE,
    ChangeKind.VERIFIED,
    ChangeKind.CHANNEL,
    ChangeKind.INSTALLATION,
    ChangeKind.DIRECTORY,
)
"""What running processes remember, and read again after an erasure."""


@dataclass(frozen=True, slots=True)
class PersonColumn:
    """A column that holds the id of a person."""

    column: sa.Column[Any]
    clears: tuple[str, ...] = ()
    """The columns of text that are emptied; without any, the row is deleted."""
    is_list: bool = False
    """Whether it holds several ids or other words, with blanks or colons between."""

    def is_person(self, user: str) -> sa.ColumnElement[bool]:
        """Return the condition that a row is about a person."""
        if not self.is_list:
            return self.column == user
        padded = sa.literal(" ").concat(self.column).concat(" ")
        return padded.contains(f" {user} ", autoescape=True) | padded.contains(f":{user} ", autoescape=True)

    def build_erasure(self, user: str) -> sa.Update | sa.Delete:
        """Return the statement that erases a person."""
        if not self.clears:
            return sa.delete(self.column.table).where(self.is_person(user))
        return sa.update(self.column.table).where(self.is_person(user)).values(dict.fromkeys(self.clears, ""))


PERSON_COLUMNS: Final = (
    PersonColumn(answers.c.user),
    PersonColumn(feedback.c.user),
    PersonColumn(preferences.c.user),
    PersonColumn(api_keys.c.user),
    PersonColumn(question_counts.c.subject),
    PersonColumn(turns.c.user, clears=("user", "text", "subject")),
    PersonColumn(threads.c.talkers, clears=("talkers",)),
    PersonColumn(approved_channels.c.owner, clears=("owner",)),
    PersonColumn(channel_settings.c.changed_by, clears=("changed_by",)),
    PersonColumn(verified_answers.c.owner, clears=("owner", "owner_name")),
    PersonColumn(installations.c.installer, clears=("installer",)),
    PersonColumn(cases.c.decided_by, clears=("decided_by", "reason")),
    PersonColumn(owner_notices.c.subject, is_list=True),
    PersonColumn(changes.c.subject, is_list=True),
)
"""The order is that of the erasure: rows of a question's other tables are found by the question."""
_OF_QUESTIONS: Final = (feedback, answer_shares, answer_documents)
_UNEXPORTED: Final = frozenset({api_keys.c.hash, installations.c.sealed_tokens, cases.c.account, cases.c.hits})
"""Secrets, and what is about other people: a case that an owner has decided is about a customer."""


_TEAM_COLUMNS: Final = tuple(table.c.team for table in tables.sorted_tables if "team" in table.c)


async def list_subjects(database: Database) -> set[str]:
    """Return the ids of all people and workspaces that the tables name; raises ``DatabaseError``."""
    found: set[str] = set()
    for column in (*(one.column for one in PERSON_COLUMNS), *_TEAM_COLUMNS, audit_people.c.person):
        for (value,) in await database.fetch_rows(sa.select(column).distinct()):
            found.update(re.split(r"[ :/]", value or ""))
    return found - {""}


class ErasureUndone(Exception):
    """Rolls the transaction of a trial back; ``counts`` has what it would have erased."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        super().__init__("trial")
        self.counts = counts


class PersonalData:
    """What is stored about one person. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, user: str) -> None:
        self.database = database
        self._user = user

    async def export_rows(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return the rows about the person, by the name of their table; no votes of others."""
        wanted = {one.column.table: one.is_person(self._user) for one in PERSON_COLUMNS}
        wanted |= {table: _is_of_person(table, self._user) for table in (answer_documents, answer_shares)}
        rows_by_table: dict[str, Sequence[Mapping[str, Any]]] = {}
        for table, condition in wanted.items():
            query = sa.select(*(one for one in table.columns if one not in _UNEXPORTED)).where(condition)
            rows_by_table[table.name] = [row._asdict() for row in await self.database.fetch_rows(query)]
        return {name: rows for name, rows in rows_by_table.items() if rows}

    async def list_documents(self) -> Sequence[tuple[QuestionKey, AnswerDocument]]:
        """Return the canvases and files in Slack that belong to answers to the person."""
        query = sa.select(answer_documents).where(_is_of_person(answer_documents, self._user))
        return [
            (QuestionKey(row.team, row.channel, row.ts), AnswerDocument(row.id, DocumentKind(row.kind)))
            for row in await self.database.fetch_rows(query)
        ]

    async def erase_rows(self, *, is_trial: bool = False) -> Mapping[str, int]:
        """Erase the person; return how many rows of each table were deleted or lost their person.

        Open questions are closed, and the processes that answer them stop. A trial changes nothing.
        """
        try:
            return await self._erase_rows(is_trial=is_trial)
        except ErasureUndone as undone:
            return undone.counts

    @transaction
    def _erase_rows(self, connection: sa.Connection, *, is_trial: bool) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for table in _OF_QUESTIONS:
            statement = sa.delete(table).where(_is_of_person(table, self._user))
            counts[table.name] += connection.execute(statement).rowcount
        close_questions(connection, turns.c.user == self._user)
        for one in PERSON_COLUMNS:
            counts[one.column.table.name] += connection.execute(one.build_erasure(self._user)).rowcount
        if is_trial:
            raise ErasureUndone(counts)
        for kind in CACHED_KINDS:
            add_change(connection, kind)
        return counts


def close_questions(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> None:
    """Close open questions as if they were deleted: their answers are stopped and deleted in Slack."""
    values = {"state": TurnState.SUPERSEDED, "text": "", "clear_status_at": time.time()}
    closing = sa.update(turns).where(condition, IS_OPEN).values(values)
    for row in connection.execute(closing.returning(*turns.c)).all():
        place = (row.team, row.channel, row.thread_ts, row.ts, str(row.revision), "deleted")
        add_change(connection, ChangeKind.QUESTION, *place)


def _is_of_person(table: sa.Table, user: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to a question of a person."""
    asked = (
        sa.exists().where(match_rows(one, table, "team", "channel", "ts"), one.c.user == user)
        for one in (turns, answers)
    )
    return sa.or_(*asked)
