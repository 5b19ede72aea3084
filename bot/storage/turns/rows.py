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


def make_row(message: QuestionMessage, state: TurnState, now: float) -> dict[str, object]:
    """Return the row of a new question, without its owner."""
    return {
        "team": message.key.team,
        "channel": message.key.channel,
        "ts": message.key.ts,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "direct": message.is_direct,
        "files": message.files,
        "subject": message.subject.encode() if message.subject else "",
        "unasked": message.is_unasked,
        "text": message.text,
        "state": state,
        "revision": 0,
        "replies": "[]",
        "attempts": int(state is TurnState.ANSWERING),
        "error": "",
        "created_at": now,
        "updated_at": now,
    }
