"""The audit of a process with a database: replaces people by pseudonyms, and writes in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from bot.answering.masking import Masking, Way
from bot.answering.outgoing import release_to
from bot.audit.chain import format_time
from bot.audit.entries import NO_AUDIT, AuditEntry, AuditFailed, AuditLog
from bot.audit.recorder import AuditRecorder
from bot.audit.settings import AuditSettings
from bot.storage.audit_people import AuditPeople, AuditPerson
from engine.tasks import cancel_tasks
from knowledge.errors import DatabaseError
from knowledge.thread_pool import NamedThreadPool

_log = structlog.get_logger("kvasir.audit")

HEAD_EVERY_S: Final = 180.0
_MAX_PENDING: Final = 10_000  # entries that wait for a disk that does not answer; more are counted and lost
_DURABLE_S: Final = 10.0
_CLOSE_S: Final = 10.0
UNMASKED: Final = ("message", "conversation", "channel", "ts")
"""What of ``AuditEntry.sealed`` are ids; people may have written everything else, so that it may hold secrets."""


@dataclass(slots=True)
class _Pending:
    """An entry that waits for the thread."""

    entry: AuditEntry
    people: Mapping[str, AuditPerson]
    durable: bool
    is_written: bool = False

    def make_values(self, masking: Masking) -> dict[str, object]:
        """Return what the line says."""
        entry, person = self.entry, self.people.get(self.entry.person)
        values: dict[str, object] = {"event": entry.event, "at": format_time(entry.at)}
        if person is not None:
            values["person"] = person.pseudonym
            if entry.sealed:
                values["sealed"] = person.seal(mask_sealed("audit", entry.sealed, masking))
        values.update(entry.facts)
        for part, names in entry.people.items():
            values[part] = [self.people[name].pseudonym for name in names if name in self.people]
        return values


class FileAuditLog:
    """Records events; those that arrive while the disk is busy are written together."""

    def __init__(self, settings: AuditSettings, people: AuditPeople, recorder: AuditRecorder | None = None) -> None:
        self._settings = settings
        self._people = people
        self._recorder = recorder or AuditRecorder(settings)
        self._thread = NamedThreadPool("audit", 1)
        self._pending: deque[_Pending] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def lost(self) -> int:
        """Return how many entries could not be written."""
        return self._recorder.lost

    async def record(self, entry: AuditEntry, *, required: bool = False) -> None:
        """Record an event, as ``AuditLog.record`` says."""
        is_strict = required and self._settings.strict
        names = {entry.person, *(name for some in entry.people.values() for name in some)} - {""}
        people: Mapping[str, AuditPerson] = {}
        try:
            people = await self._people.find_people(names) if names else {}
        except DatabaseError as error:
            if is_strict:
                raise AuditFailed from error
            _log.warning("person of an audit entry not found", event_name=entry.event, error=str(error))
        if len(self._pending) >= _MAX_PENDING:
            self._recorder.count_lost(1, "the disk does not keep up")
            if is_strict:
                raise AuditFailed
            return
        pending = _Pending(entry, people, durable=is_strict)
        self._pending.append(pending)
        if not is_strict:
            self._thread.run_later(self._write_pending)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DURABLE_S):
                await self._thread.run(self._write_pending)
        if not pending.is_written:
            raise AuditFailed

    async def start(self) -> None:
        """Open the thread, and sign heads at intervals from now on."""
        await self._thread.run(self._write_pending)
        self._task = asyncio.create_task(self._sign_heads(), name="audit heads")

    async def close(self) -> None:
        """Write what waits, sign the last head and close the file."""
        await cancel_tasks(self._task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._thread.run(self._write_pending)
                await self._thread.run(self._recorder.close)
        self._thread.close()

    async def _sign_heads(self) -> None:
        while True:
            await asyncio.sleep(HEAD_EVERY_S)
            await self._thread.run(self._recorder.write_head)

    def _write_pending(self) -> None:
        batch: list[_Pending] = []
        while self._pending:
            batch.append(self._pending.popleft())
        if batch:
            durable = any(one.durable for one in batch)
            is_written = self._recorder.write(
                [one.make_values(self._settings.masking) for one in batch], durable=durable
            )
            for one in batch:
                one.is_written = is_written


def mask_sealed(way: Way, sealed: Mapping[str, object], masking: Masking) -> dict[str, object]:
    """Return what is sealed, with masks if these are configured; this takes milliseconds, so the thread does it."""
    return {name: value if name in UNMASKED else _mask_value(way, value, masking) for name, value in sealed.items()}


def _mask_value(way: Way, value: object, masking: Masking) -> object:
    if isinstance(value, (list, tuple)):
        return [_mask_value(way, one, masking) for one in value]
    return release_to(way, value, masking) if isinstance(value, str) else value


@contextlib.asynccontextmanager
async def open_audit_log(settings: AuditSettings, people: AuditPeople) -> AsyncIterator[AuditLog]:
    """Open the audit within this block; one that is disabled records nothing."""
    if not settings.enabled:
        yield NO_AUDIT
        return
    log = FileAuditLog(settings, people)
    await log.start()
    try:
        yield log
    finally:
        await log.close()
