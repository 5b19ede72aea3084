"""Tells the other replicas at intervals that this one is alive."""

from __future__ import annotations

import contextlib
from typing import Final

from bot.slack.tasks import PeriodicTask
from bot.storage.replicas import Replicas
from knowledge.errors import DatabaseError

HEARTBEAT_S: Final = 15.0


class ReplicaHeartbeat(PeriodicTask):
    """Stores heartbeats."""

    def __init__(self, replicas: Replicas, every_s: float = HEARTBEAT_S) -> None:
        super().__init__("replica heartbeat", every_s)
        self._replicas = replicas

    async def work(self) -> None:
        """Store a heartbeat."""
        await self._replicas.record_heartbeat()

    async def close(self) -> None:
        """Stop, and let the other replicas forget this one."""
        if self._task is not None:
            await super().close()
            with contextlib.suppress(DatabaseError):
                await self._replicas.remove_replica()
