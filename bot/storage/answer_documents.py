"""Stores which canvases and files belong to an answer, so that they are deleted with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import answer_documents, insert_into
from bot.storage.turns.questions import QuestionKey
from bot.storage.turns.rows import name_parameters
from knowledge.database.database import Database, transaction

_IS_KEY = match_columns(answer_documents.c.team, answer_documents.c.channel, answer_documents.c.ts)
_LIST = sa.select(answer_documents).where(_IS_KEY).order_by(answer_documents.c.created_at)
_REMOVE = sa.delete(answer_documents).where(_IS_KEY, match_columns(answer_documents.c.id))
_PURGE = sa.delete(answer_documents).where(answer_documents.c.created_at < sa.bindparam("before"))


class DocumentKind(StrEnum):
    """How Slack stores a document."""

    CANVAS = "canvas"
    FILE = "file"


class AnswerDocument(NamedTuple):
    """A canvas or a file with a part of an answer."""

    id: str
    kind: DocumentKind


class AnswerDocuments:
    """The documents of answers. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @transaction
    def add_document(self, connection: sa.Connection, key: QuestionKey, document: AnswerDocument) -> None:
        """Store a document of the answer to a question."""
        row = {"team": key.team, "channel": key.channel, "ts": key.ts, **document._asdict(), "created_at": time.time()}
        connection.execute(insert_into(answer_documents, connection.dialect.name).on_conflict_do_nothing(), row)

    async def list_documents(self, key: QuestionKey) -> Sequence[AnswerDocument]:
        """Return the documents of the answer to a question, oldest first."""
        rows = await self.database.fetch_rows(_LIST, name_parameters(key))
        return [AnswerDocument(row.id, DocumentKind(row.kind)) for row in rows]

    @transaction
    def remove_document(self, connection: sa.Connection, key: QuestionKey, document: AnswerDocument) -> None:
        """Forget a document."""
        connection.execute(_REMOVE, {**name_parameters(key), "of_id": document.id})


def purge_documents(connection: sa.Connection, before: float) -> None:
    """Forget the documents of answers that are older than a time; their turns are forgotten, too."""
    connection.execute(_PURGE, {"before": before})
