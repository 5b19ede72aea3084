"""Keeps the leases of open turns, and takes over turns and withdrawals that another process has abandoned."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from bot.slack.turns.running_turn import CancelReason, RunningTurn
from bot.slack.turns.settings import TurnSettings
from bot.slack.wire.tasks import PeriodicTask
from bot.storage.processes import LAST_CALLS_S
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import UNFINISHED, QuestionKey, QuestionMessage, TurnState
from knowledge.database.failures import wait_for_database

_PURGE_EVERY_S = 86_400.0


class OpenTurns(Protocol):
    """The turns of this process."""

    @property
    def running(self) -> Mapping[QuestionKey, RunningTurn]:
        """Return the turns that run."""

    def may_enqueue(self, key: QuestionKey) -> bool:
        """Return whether a turn neither waits nor runs, and its next attempt is due."""

    def enqueue(self, message: QuestionMessage) -> None:
        """Put a turn into the queue."""

    def withdraw(self, key: QuestionKey) -> None:
        """Delete the answer of a deleted question."""


class LeaseKeeper(PeriodicTask):
    """Renews the leases at intervals. Turns that were changed elsewhere are cancelled, abandoned ones are queued."""

    def __init__(self, ledger: Ledger, turns: OpenTurns, settings: TurnSettings) -> None:
        super().__init__("lease keeper", settings.heartbeat_s)
        self._ledger = ledger
        self._turns = turns
        self._settings = settings
        self._purged_at = float("-inf")

    async def take_over(self) -> None:
        """Take over the turns of dead processes, then renew the leases at intervals.

        Raises:
            DatabaseError: the ledger cannot be read, for longer than a start waits.

        """
        await wait_for_database(self._adopt_turns)
        self.start(min(self._settings.heartbeat_s, LAST_CALLS_S))

    async def run_once(self) -> None:
        """Renew the leases, and take over abandoned turns. After a stop, the leases expire."""
        await self._renew_leases()
        await self._adopt_turns()
        if time.monotonic() - self._purged_at > _PURGE_EVERY_S:
            await self._purge_ledger()

    async def _renew_leases(self) -> None:
        """Renew the leases, apply edits and deletions of other processes, and queue interrupted turns again."""
        ours = await self._ledger.renew_leases()
        for key, running in list(self._turns.running.items()):
            if key not in ours:
                await self._cancel_if_lost(key, running)
            elif running.revision not in {-1, ours[key]}:
                running.cancel(CancelReason.EDITED)
        for key in ours:
            if self._turns.may_enqueue(key) and (turn := await self._ledger.find_turn(key)) is not None:
                self._turns.enqueue(turn.message)

    async def _cancel_if_lost(self, key: QuestionKey, running: RunningTurn) -> None:
        """Cancel a running turn whose lease is gone: the question was deleted, or another process has it."""
        turn = await self._ledger.find_turn(key)
        if turn is not None and turn.state is TurnState.SUPERSEDED:
            running.cancel(CancelReason.DELETED)
        elif (
            turn is not None and turn.state in UNFINISHED and running.revision >= 0 and not self._ledger.owns_turn(turn)
        ):
            running.cancel(CancelReason.LOST)

    async def _adopt_turns(self) -> None:
        for turn in await self._ledger.list_unfinished():
            self._turns.enqueue(turn.message)
        for turn in await self._ledger.list_withdrawn():
            self._turns.withdraw(turn.message.key)

    async def _purge_ledger(self) -> None:
        await self._ledger.purge_turns(
            turns_older_than_s=self._settings.keep_turns_s, threads_older_than_s=self._settings.keep_threads_s
        )
        self._purged_at = time.monotonic()
