"""Which sources each running process has, so that different configurations are noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from knowledge.database.clock import database_time
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError
from knowledge.sync.manifest.tables import replica_configurations as table
from knowledge.sync.signals import cancel_and_wait

_log = logging.getLogger(__name__)

_EVERY_S: Final = 15.0
_LIVE_S: Final = 60.0
"""How long a process counts as running after its last heartbeat."""


@dataclass(frozen=True, slots=True)
class ReplicaConfiguration:
    """The sources of one process."""

    replica: str
    host: str
    sources: Mapping[str, str]
    """The ``SourceSpec.configuration_key`` of each source, by ``SourceKey.id``."""

    def list_differences(self, other: ReplicaConfiguration) -> list[str]:
        """Return the names of the sources that another process lacks, or has with another root or other keys."""
        return sorted({one.partition("\x1f")[0] for one, _ in self.sources.items() ^ other.sources.items()})


class ReplicaConfigurations:
    """The configurations of the processes of one namespace; ``ours`` is that of this process.

    ``is_dead`` returns whether a name is that of a process of this machine that has ended.
    """

    def __init__(
        self,
        database: Database,
        namespace: str,
        sources: Mapping[str, str],
        *,
        is_dead: Callable[[str], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.database = database
        self._namespace = namespace
        self._is_dead = is_dead
        self._sleep = sleep
        self.ours = ReplicaConfiguration("", socket.gethostname(), sources)

    async def list_others(self) -> Sequence[ReplicaConfiguration]:
        """Return the configurations of the other processes that run.

        Raises:
            DatabaseError: the database failed.

        """
        is_live = table.c.seen_at > database_time() - _LIVE_S
        others = (table.c.namespace == self._namespace) & (table.c.replica != self.ours.replica)
        query = select(table.c.replica, table.c.host, table.c.sources).where(others, is_live).order_by(table.c.replica)
        rows = await self.database.fetch_rows(query)
        running = (row for row in rows if not self._is_dead(row.replica))
        return [ReplicaConfiguration(replica, host, json.loads(sources)) for replica, host, sources in running]

    async def find_conflicts(self) -> frozenset[str]:
        """Return the sources (``SourceKey.id``) of other processes that this one lacks or has with other keys.

        Raises:
            DatabaseError: the database failed.

        """
        ours = self.ours.sources.items()
        return frozenset(key for other in await self.list_others() for key, _ in other.sources.items() - ours)

    def list_differences(self, others: Sequence[ReplicaConfiguration]) -> dict[str, list[str]]:
        """Return the names of the sources that other processes have otherwise, by their hosts."""
        named = [(one.host, self.ours.list_differences(one)) for one in others]
        return {host: names for host, names in named if names}

    @contextlib.asynccontextmanager
    async def announce(self, replica: str) -> AsyncIterator[None]:
        """Tell the others what this process has, within this block. ``replica`` is its name."""
        self.ours = ReplicaConfiguration(replica, self.ours.host, self.ours.sources)
        task = asyncio.create_task(self._announce_at_intervals(), name="replica configuration")
        try:
            yield
        finally:
            await cancel_and_wait([task])
            with contextlib.suppress(DatabaseError):
                await self._store_configuration(None)

    async def _announce_at_intervals(self) -> None:
        while True:
            try:
                await self._store_configuration(json.dumps(dict(self.ours.sources)))
            except DatabaseError as error:
                _log.warning("The other replicas do not know this configuration: %s", error)
            await self._sleep(_EVERY_S)

    @transaction
    def _store_configuration(self, connection: Connection, sources: str | None) -> None:
        """Replace the row of this process; with None, delete it. Rows of processes that died go too."""
        is_ours = (table.c.namespace == self._namespace) & (table.c.replica == self.ours.replica)
        connection.execute(delete(table).where(is_ours | (table.c.seen_at < database_time() - 86_400.0)))
        if sources is not None:
            row = {"namespace": self._namespace, "replica": self.ours.replica, "host": self.ours.host}
            connection.execute(insert(table).values(**row, sources=sources, seen_at=database_time()))
