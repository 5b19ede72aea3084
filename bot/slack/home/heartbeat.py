"""Tells the other replicas at intervals that this one is alive."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from bot.storage.replicas import Replicas
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 15.0


class ReplicaHeartbeat:
    """Owns the task that stores heartbeats."""

    def __init__(self, replicas: Replicas, every_s: float = HEARTBEAT_S) -> None:
        self._replicas = replicas
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Store a heartbeat now and at intervals."""
        self._task = asyncio.create_task(self._run(), name="replica heartbeat")

    async def close(self) -> None:
        """Stop, and let the other replicas forget this one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(DatabaseError):
                await self._replicas.remove_replica()

    async def _run(self) -> None:
        while True:
            try:
                await self._replicas.record_heartbeat()
            except DatabaseError as error:
                _log.warning("heartbeat not stored", error=str(error))
            await asyncio.sleep(self._every_s)
