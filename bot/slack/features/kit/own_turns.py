"""The turn of a question, for the person who asked it."""

from __future__ import annotations

from bot.messages.forms import feedback
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import InteractionRefused
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, TurnState


async def find_own_turn(shared: SharedParts, key: QuestionKey, user: str) -> LedgerTurn:
    """Return the complete turn of a question that a person asked.

    Raises:
        InteractionRefused: the question is gone, somebody else asked it, or it is being answered.
        DatabaseError: the ledger cannot be read.

    """
    turn = await shared.dependencies.ledger.find_turn(key)
    if turn is None or turn.state is TurnState.SUPERSEDED or not turn.message.text:
        raise InteractionRefused(feedback.ANSWER_GONE)
    if turn.message.user != user:
        raise InteractionRefused(feedback.NOT_YOUR_ANSWER)
    if turn.state in UNFINISHED:
        raise InteractionRefused(feedback.STILL_ANSWERING)
    return turn
