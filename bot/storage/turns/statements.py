"""The statements of the ledger. A parameter named like a column is set.

They are built once: building one takes longer than running it.
"""

from __future__ import annotations

import functools
from typing import Any

import sqlalchemy as sa

from bot.storage.columns import match_columns, match_rows
from bot.storage.tables import insert_into, preferences, threads, turns
from bot.storage.turns.questions import UNFINISHED, TurnState

LIMITED = "limited"
"""The error of a question that is refused because of a limit on questions."""
_IS_KEY = match_columns(turns.c.team, turns.c.channel, turns.c.ts)
IS_OPEN = turns.c.state.in_(UNFINISHED)
_IS_OURS = turns.c.owner == sa.bindparam("us")
_SELECT = sa.select(turns).order_by(turns.c.id)
FIND = _SELECT.where(_IS_KEY)
FIND_IN_THREAD = _SELECT.where(match_columns(turns.c.team, turns.c.channel, turns.c.thread_ts))
FIND_WITHDRAWN = _SELECT.where(turns.c.state == TurnState.SUPERSEDED, turns.c.replies != "[]")
FIND_OTHERS = _SELECT.where(IS_OPEN, ~_IS_OURS)
_UPDATE = sa.update(turns).returning(*turns.c)
UPDATE_OURS = _UPDATE.where(IS_OPEN, _IS_OURS)
UPDATE_ONE = _UPDATE.where(_IS_KEY)
_UPDATE_OPEN = UPDATE_ONE.where(IS_OPEN, _IS_OURS)
LOCK = FIND.with_for_update()
WITHDRAW = UPDATE_ONE.where(turns.c.state != TurnState.SUPERSEDED)
BEGIN = _UPDATE_OPEN.values(attempts=turns.c.attempts + 1)
WAIT = UPDATE_ONE.values(state=TurnState.RECEIVED, attempts=0)
_REFUSES_STORAGE = (
    sa.exists().where(match_rows(preferences, turns, "team", "user"), ~preferences.c.keeps_answers).correlate(turns)
)
_IS_CONFIDENTIAL = sa.bindparam("is_confidential", type_=sa.Boolean)
_KEPT_TEXT = sa.case((_REFUSES_STORAGE | _IS_CONFIDENTIAL, ""), else_=turns.c.text)
"""The text of a question at the end of its turn: nobody needs it, and an edit brings the new one."""
FINISH = _UPDATE_OPEN.where(match_columns(turns.c.revision)).values(text=_KEPT_TEXT)
TAKE_OVER = UPDATE_ONE.where(IS_OPEN, match_columns(turns.c.owner, turns.c.lease_until))
GENERATE = _UPDATE_OPEN.where(turns.c.generations < sa.bindparam("most")).values(generations=turns.c.generations + 1)
REFUSE = _UPDATE_OPEN.values(state=TurnState.FAILED, error=LIMITED, lease_until=0.0, text=_KEPT_TEXT)
FORGET = sa.delete(turns).where(
    _IS_KEY, IS_OPEN, _IS_OURS, match_columns(turns.c.revision), turns.c.unasked, turns.c.replies == "[]"
)
NOTE = UPDATE_ONE.where(_IS_OURS | (turns.c.state == TurnState.SUPERSEDED))
SETTLE = UPDATE_ONE.where(match_columns(turns.c.replies))
_LESS_GENERATIONS = turns.c.generations - sa.bindparam("unused")
RELEASE = _UPDATE_OPEN.values(
    attempts=sa.case((turns.c.attempts > 1, turns.c.attempts - 1), else_=turns.c.attempts),
    generations=sa.case((_LESS_GENERATIONS > 0, _LESS_GENERATIONS), else_=0),
)
REFUND = _UPDATE_OPEN.where(turns.c.attempts > 1).values(attempts=turns.c.attempts - 1)
_OF_QUESTION = sa.select(turns.c.thread_ts).where(_IS_KEY, _IS_OURS).scalar_subquery()
_IS_THREAD = match_columns(threads.c.team, threads.c.channel) & (threads.c.thread_ts == _OF_QUESTION)
LOCK_THREAD = sa.select(threads).where(_IS_THREAD).with_for_update()
ENTER_THREAD = sa.update(threads).where(_IS_THREAD).values(answering=sa.bindparam("of_ts"))
LEAVE_THREAD = sa.update(threads).where(_IS_THREAD, threads.c.answering == sa.bindparam("of_ts")).values(answering="")
_IS_EARLIER = turns.c.ts < sa.bindparam("of_ts")
_IS_ANSWERED = (turns.c.state == TurnState.ANSWERING) & (turns.c.ts == sa.bindparam("answering"))
FIND_FIRST = (
    sa.select(turns.c.state)
    .where(match_columns(turns.c.team, turns.c.channel, turns.c.thread_ts))
    .where(turns.c.state.in_(sa.bindparam("wait_for", expanding=True)))
    .where((_IS_ANSWERED & (~_IS_OURS | _IS_EARLIER)) | ((turns.c.state == TurnState.RECEIVED) & _IS_EARLIER))
    .order_by(turns.c.state)
)
"""Questions of a thread that are answered now, or that came earlier and wait. If their process has died, another takes
them over."""


@functools.cache
def build_inserts(dialect: str) -> tuple[Any, Any]:
    """Return the INSERT of a question, and that of its thread."""
    turn = insert_into(turns, dialect).on_conflict_do_nothing().returning(turns.c.id)
    thread = insert_into(threads, dialect)
    return turn, thread.on_conflict_do_update(
        index_elements=threads.primary_key, set_={"last_at": thread.excluded.last_at, "talkers": ""}
    ).returning(threads.c.answering)
