"""Carries changes to every process of the bot: a table that each process reads at short intervals.

A process with a running turn reads it every ``FAST_S``, an idle one every ``SLOW_S``. Rows become visible in the order
of their numbers, so a reader asks only for what is newer than the last row it has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final, Generic, TypeVar

import sqlalchemy as sa
import structlog

from bot.storage.tables import changes
from engine.tasks import cancel_tasks
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

V = TypeVar("V")
ChangeHandler = Callable[[str], None]
"""Applies a change, given its subject; "" says that any subject may have changed."""

FAST_S: Final = 0.15
SLOW_S: Final = 1.0
CURRENT_S: Final = 5.0
"""A process that has read no changes for this long trusts nothing that it remembers."""
MAX_ROWS: Final = 1_000
"""Older changes are deleted. A process that is further behind reads everything again."""
_MAX_VALUES: Final = 10_000
_PUBLISH_LOCK: Final = 0x4B76614368
"""PostgreSQL's advisory lock that a writer of changes holds until its transaction ends."""

_NEWEST = sa.select(sa.func.coalesce(sa.func.max(changes.c.id), 0))
_LATER = sa.select(changes).where(changes.c.id > sa.bindparam("last")).order_by(changes.c.id)
_DELETE_OLD = sa.delete(changes).where(changes.c.id <= sa.bindparam("last"))


class ChangeKind(StrEnum):
    """What changed."""

    STOP = "stop"
    """Somebody pressed Stop; the subject is the channel and the thread."""
    QUESTION = "question"
    """A question was edited or deleted; the subject is its team, channel, thread and ``ts``, its revision and which."""
    PREFERENCE = "preference"
    """A person changed a preference; the subject is the team and the person."""
    VERIFIED = "verified"
    """A verified answer was added, changed or deleted; all of them are read again."""
    CHANNEL = "channel"
    """The settings of a channel changed; the subject is the team and the channel, "" for all."""
    DIRECTORY = "directory"
    """Events changed people, channels or user groups; the subject is the team, the process that knows it, and what."""
    REASONING = "reasoning"
    """Somebody wants to see reasoning that another process keeps; the subject is the team and the press."""
    INSTALLATION = "installation"
    """The app was installed or uninstalled, or a token was refreshed; all installations are read again."""
    AUDIT = "audit"
    """The key of a person in the audit was deleted."""


def add_change(connection: sa.Connection, kind: ChangeKind, *subject: str) -> None:
    """Add a change to a transaction; other processes see it once the transaction is committed."""
    if connection.dialect.name == "postgresql":
        # Numbers are given in the order of commits. Otherwise a reader could miss the smaller of two numbers.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PUBLISH_LOCK)))
    row = {"kind": kind, "subject": " ".join(subject)}
    (number,) = connection.execute(sa.insert(changes).values(row)).inserted_primary_key or (0,)
    connection.execute(_DELETE_OLD, {"last": number - MAX_ROWS})


class SharedChanges:
    """The changes of all processes. ``publish_change`` and ``read_changes`` raise ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._handlers: dict[str, list[ChangeHandler]] = defaultdict(list)
        self._last: int | None = None
        self._read_at = float("-inf")
        self._watchers = 0
        self._watched = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._collected: list[tuple[ChangeKind, ChangeHandler]] = []

    @property
    def is_current(self) -> bool:
        """Return whether the changes were read a short time ago."""
        return time.monotonic() - self._read_at < CURRENT_S

    def subscribe(self, kind: ChangeKind, handler: ChangeHandler) -> None:
        """Call a handler for each change of a kind, also for those of this process."""
        self._handlers[kind].append(handler)
        self._collected.append((kind, handler))

    @contextlib.contextmanager
    def collect_subscriptions(self) -> Iterator[list[tuple[ChangeKind, ChangeHandler]]]:
        """Yield the subscriptions of a block, which must not wait for anything, for ``unsubscribe``."""
        self._collected = collected = list[tuple[ChangeKind, ChangeHandler]]()
        yield collected
        self._collected = []

    def unsubscribe(self, subscriptions: Iterable[tuple[ChangeKind, ChangeHandler]]) -> None:
        """End some subscriptions."""
        for kind, handler in subscriptions:
            self._handlers[kind].remove(handler)

    @transaction
    def publish_change(self, connection: sa.Connection, kind: ChangeKind, *subject: str) -> None:
        """Store a change for all processes."""
        add_change(connection, kind, *subject)

    @transaction
    def publish_all(self, connection: sa.Connection, kind: ChangeKind, subjects: Iterable[str]) -> None:
        """Store several changes of a kind for all processes."""
        for subject in subjects:
            add_change(connection, kind, subject)

    @contextlib.contextmanager
    def watch_closely(self) -> Iterator[None]:
        """Read the changes every ``FAST_S`` during a block."""
        self._watchers += 1
        self._watched.set()
        try:
            yield
        finally:
            self._watchers -= 1

    def start(self) -> None:
        """Read the changes at intervals from now on."""
        self._task = asyncio.create_task(self._read_periodically(), name="shared changes")

    async def close(self) -> None:
        """Stop reading."""
        await cancel_tasks(self._task)

    async def _read_periodically(self) -> None:
        while True:
            try:
                await self.read_changes()
            except DatabaseError as error:
                _log.warning("changes not read", error=str(error))
            await self._wait_until_due()

    async def read_changes(self) -> None:
        """Read the changes since the last call, and call their handlers."""
        started_at = time.monotonic()
        if self._last is None:
            self._last = int((await self.database.fetch_rows(_NEWEST))[0][0])
            self._read_at = started_at
            return
        rows = await self.database.fetch_rows(_LATER, {"last": self._last})
        if not self.is_current or len(rows) >= MAX_ROWS:
            for kind in self._handlers:
                self._call_handlers(kind, "")
        for row in rows:
            self._last = int(row.id)
            self._call_handlers(row.kind, row.subject)
        self._read_at = started_at

    def _call_handlers(self, kind: str, subject: str) -> None:
        for handler in self._handlers.get(kind, ()):
            handler(subject)

    async def _wait_until_due(self) -> None:
        self._watched.clear()
        if self._watchers:
            await asyncio.sleep(FAST_S)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SLOW_S):
                await self._watched.wait()


class SharedCache(Generic[V]):
    """Values of the database, remembered until any process changes them."""

    def __init__(self, shared_changes: SharedChanges, kind: ChangeKind) -> None:
        self._changes = shared_changes
        self._values: dict[str, V] = {}
        self._forgotten = 0
        shared_changes.subscribe(kind, self.forget_value)

    async def fetch_value(self, load: Callable[[], Awaitable[V]], *subject: str) -> V:
        """Return the value of a subject; ``load`` reads it if it is unknown, or if changes cannot be read."""
        key = " ".join(subject)
        if not self._changes.is_current:
            return await load()
        if key in self._values:
            return self._values[key]
        forgotten = self._forgotten
        value = await load()
        if forgotten == self._forgotten:
            if len(self._values) >= _MAX_VALUES:
                self._values.clear()
            self._values[key] = value
        return value

    def forget_value(self, subject: str) -> None:
        """Forget the value of a subject, "" for all."""
        self._forgotten += 1
        if subject:
            self._values.pop(subject, None)
        else:
            self._values.clear()
