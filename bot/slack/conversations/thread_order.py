"""Begins the turns of a thread one after the other, also if several processes have them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bot.storage.turns.ledger import Ledger, ThreadBusy
from bot.storage.turns.questions import UNFINISHED, LedgerTurn, QuestionKey, TurnState

_POLL_S: Final = 0.2
_EARLIER_S: Final = 10.0
"""How long an earlier question goes first while nothing is answered in the thread. Its process may be overloaded; if it
has died, another takes the question over at its next heartbeat."""


async def begin_in_order(
    ledger: Ledger, key: QuestionKey, has_earlier: Callable[[], bool], limit_s: float
) -> LedgerTurn | None:
    """Wait until no other process answers in a question's thread, at most ``limit_s``; then begin its turn.

    Returns None if the question is no longer open. If this process has an earlier question of the thread now, the turn
    is not begun: its state is ``received``.

    Raises:
        DatabaseError: the ledger fails.

    """
    started_at = free_at = time.monotonic()
    while (now := time.monotonic()) < started_at + limit_s:
        wait_for = [TurnState.ANSWERING] if now > free_at + _EARLIER_S else [TurnState.ANSWERING, TurnState.RECEIVED]
        try:
            return await ledger.begin_turn(key, wait_for=wait_for)
        except ThreadBusy as busy:
            if busy.state is TurnState.ANSWERING:
                free_at = now
            if has_earlier():
                turn = await ledger.find_turn(key)
                return replace(turn, state=TurnState.RECEIVED) if turn and turn.state in UNFINISHED else None
            await asyncio.sleep(_POLL_S)
    return await ledger.begin_turn(key, wait_for=())
