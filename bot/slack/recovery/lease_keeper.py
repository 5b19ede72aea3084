"""Keeps the leases of open turns, and takes over turns and withdrawals that another process has abandoned."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

import structlog

from bot.slack.turns.running_turn import CancelReason, RunningTurn
from bot.slack.turns.settings import TurnSettings
from bot.storage.turns.ledger import Ledger
from bot.storage.turns.questions import UNFINISHED, QuestionKey, QuestionMessage, TurnState
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.turns")

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


class LeaseKeeper:
    """Renews the leases at intervals. Turns that were changed elsewhere are cancelled, abandoned ones are queued."""

    def __init__(self, ledger: Ledger, turns: OpenTurns, settings: TurnSettings) -> None:
        self._ledger = ledger
        self._turns = turns
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._purged_at = 0.0

    async def start(self) -> None:
        """Take over the turns of dead processes, then renew the leases at intervals.

        Raises:
            DatabaseError: the ledger cannot be read.

        """
        await self._adopt_turns()
        await self._purge_ledger()
        self._task = asyncio.create_task(self._run(), name="lease keeper")

    async def close(self) -> None:
        """Stop; the leases expire."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            try:
                await self._renew_leases()
                await self._adopt_turns()
                if time.monotonic() - self._purged_at > _PURGE_EVERY_S:
                    await self._purge_ledger()
            except DatabaseError as error:
                _log.warning("ledger", error=str(error))

    async def _renew_leases(self) -> None:
        """Renew the leases, apply edits and deletions of other processes, and queue interrupted turns again."""
        ours = await self._ledger.renew_leases()
        for key, running in list(self._turns.running.items()):
            if key not in ours:
                await self._cancel_if_lost(key, running)
            elif running.revision not in {-1, ours[key]}:
                running.cancel(CancelReason.EDITED)
        for key in ours:
            if self._turns.may_enqueue(key) and (turn := await self._ledger.find(key)) is not None:
                self._turns.enqueue(turn.message)

    async def _cancel_if_lost(self, key: QuestionKey, running: RunningTurn) -> None:
        """Cancel a running turn whose lease is gone: the question was deleted, or another process has it."""
        turn = await self._ledger.find(key)
        if turn is not None and turn.state is TurnState.SUPERSEDED:
            running.cancel(CancelReason.DELETED)
        elif turn is not None and turn.state in UNFINISHED and running.revision >= 0 and not self._ledger.owns(turn):
            running.cancel(CancelReason.LOST)

    async def _adopt_turns(self) -> None:
        for turn in await self._ledger.list_unfinished():
            self._turns.enqueue(turn.message)
        for turn in await self._ledger.list_withdrawn():
            self._turns.withdraw(turn.message.key)

    async def _purge_ledger(self) -> None:
        self._purged_at = time.monotonic()
        await self._ledger.purge(
            turns_older_than_s=self._settings.keep_turns_s, threads_older_than_s=self._settings.keep_threads_s
        )
