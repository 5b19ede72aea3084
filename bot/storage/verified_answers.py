"""Stores verified answers. Every process remembers them until one changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from bot.answering.asker import ALL_TEAMS
from bot.answering.events import Passage
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.storage.columns import match_columns
from bot.storage.shared_changes import ChangeKind, SharedCache, SharedChanges, add_change
from bot.storage.tables import verified_answers
from knowledge.database.database import Database, transaction

_LIST_ALL = sa.select(verified_answers).order_by(verified_answers.c.verified_at.desc(), verified_answers.c.id)
_LIST = _LIST_ALL.where(match_columns(verified_answers.c.team))
_IS_ANSWER = match_columns(verified_answers.c.id)
_DELETE = sa.delete(verified_answers).where(_IS_ANSWER)
_MARK = sa.update(verified_answers).where(_IS_ANSWER).values(needs_review=True)
_PASSAGE_FIELDS = ("n", "source", "document", "title", "heading", "url", "chunks")


class VerifiedAnswers:
    """The verified answers of all workspaces. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, shared_changes: SharedChanges) -> None:
        self.database = database
        self._of_team: SharedCache[Sequence[VerifiedAnswer]] = SharedCache(shared_changes, ChangeKind.VERIFIED)
        shared_changes.subscribe(ChangeKind.VERIFIED, lambda _: self._of_team.forget_value(""))  # all are read again

    async def list_answers(self, team: str) -> Sequence[VerifiedAnswer]:
        """Return the verified answers of a workspace, or of ``ALL_TEAMS``, the newest first."""
        return await self._of_team.fetch_value(lambda: self._load_answers(team), team)

    async def find_answer(self, team: str, id_: str) -> VerifiedAnswer | None:
        """Return a verified answer of a workspace, None if it was deleted."""
        return next((one for one in await self.list_answers(team) if one.id == id_), None)

    async def save_answer(self, answer: VerifiedAnswer, replaces: Sequence[str] = ()) -> None:
        """Store an answer in place of its earlier version, and of those that it replaces."""
        await self._store_answer(answer, replaces)
        self._of_team.forget_value("")

    async def delete_answer(self, id_: str) -> None:
        """Delete an answer."""
        await self._execute_change(_DELETE, id_)
        self._of_team.forget_value("")

    async def mark_for_review(self, id_: str) -> None:
        """Store that an owner has to look at an answer before it is shown again."""
        await self._execute_change(_MARK, id_)
        self._of_team.forget_value("")

    async def _load_answers(self, team: str) -> Sequence[VerifiedAnswer]:
        query, parameters = (_LIST_ALL, {}) if team == ALL_TEAMS else (_LIST, {"of_team": team})
        return [_read_answer(row) for row in await self.database.fetch_rows(query, parameters)]

    @transaction
    def _store_answer(self, connection: sa.Connection, answer: VerifiedAnswer, replaces: Sequence[str]) -> None:
        for id_ in (answer.id, *replaces):
            connection.execute(_DELETE, {"of_id": id_})
        passages = [{name: getattr(passage, name) for name in _PASSAGE_FIELDS} for passage in answer.passages]
        row = asdict(answer) | {
            "phrasings": json.dumps(answer.phrasings, ensure_ascii=False),
            "passages": json.dumps(passages, ensure_ascii=False),
        }
        connection.execute(sa.insert(verified_answers), row)
        add_change(connection, ChangeKind.VERIFIED, "")

    @transaction
    def _execute_change(self, connection: sa.Connection, statement: sa.Delete | sa.Update, id_: str) -> None:
        connection.execute(statement, {"of_id": id_})
        add_change(connection, ChangeKind.VERIFIED, "")


def purge_verified_answers(connection: sa.Connection, before: float) -> None:
    """Delete the verified answers that nobody has approved since ``before``."""
    if connection.execute(sa.delete(verified_answers).where(verified_answers.c.verified_at < before)).rowcount:
        add_change(connection, ChangeKind.VERIFIED, "")


def _read_answer(row: Any) -> VerifiedAnswer:  # noqa: ANN401 - a row
    fields = row._asdict()
    phrasings, passages = (json.loads(fields.pop(name)) for name in ("phrasings", "passages"))
    cited = tuple(Passage(**one | {"chunks": tuple(one["chunks"]), "text": ""}) for one in passages)
    return VerifiedAnswer(phrasings=tuple(phrasings), passages=cited, **fields)
