"""Turns as rows of the database."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from bot.storage.turns.questions import LedgerTurn, QuestionKey, QuestionMessage, Subject, TurnState


def name_parameters(key: QuestionKey) -> dict[str, object]:
    """Return the parameters ``of_<column>`` of statements about one question."""
    return {"of_team": key.team, "of_channel": key.channel, "of_ts": key.ts}


def read_key(row: sa.Row[Any]) -> QuestionKey:
    """Return the key of a question's row."""
    return QuestionKey(row.team, row.channel, row.ts)


def read_turn(row: sa.Row[Any]) -> LedgerTurn:
    """Return the turn of a question's row."""
    message = QuestionMessage(
        read_key(row),
        row.thread_ts,
        row.user,
        row.text,
        bool(row.direct),
        row.files,
        bool(row.unasked),
        Subject.decode(row.subject),
    )
    replies = tuple(json.loads(row.replies))
    counts = (row.revision, replies, row.attempts, row.created_at, row.generations)
    return LedgerTurn(message, TurnState(row.state), *counts, bool(row.revises), bool(row.regenerates), row.owner)
