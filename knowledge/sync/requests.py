"""Asks the leader for a sync and waits for it; at the leader, does what other processes ask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from knowledge.defects import describe_defect
from knowledge.errors import DatabaseError, KnowledgeError, LeaseLost, NobodyLeads
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.manifest.requests import Request, Requests
from knowledge.sync.report import OnProgress, SyncProgress, SyncReport
from knowledge.sync.signals import cancel_and_wait

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.4
"""The pause between two looks at the table, of both sides."""
_NO_LEADER_S: Final = 60.0
"""How long a process that never leads waits for a leader."""

DoRequest = Callable[[Request, OnProgress], Awaitable[SyncReport]]


async def ask_for(
    requests: Requests,
    action: str,
    lease: Lease,
    on_progress: OnProgress | None = None,
    source: str = "",
    approve: Mapping[str, str] | None = None,
) -> SyncReport | None:
    """Ask the leader for something, and return its report; None if nobody leads now, and this process may.

    If the leader dies meanwhile, the next one does it.

    Raises:
        NobodyLeads: this process may not lead, and no other does.
        KnowledgeError: as the leader raised it.

    """
    adding = asyncio.ensure_future(requests.add_request(action, source, approve or {}))
    shown: Mapping[str, SyncProgress] = {}
    led_at = time.monotonic()
    try:
        id_ = await asyncio.shield(adding)
        while True:
            state = await requests.read_state(id_)
            if state.error is not None:
                raise state.error
            if on_progress is not None:
                for name, progress in state.progress.items():
                    if shown.get(name) != progress:
                        on_progress(progress)
            if state.report is not None:
                return state.report
            shown = state.progress
            if await lease.find_leader() is not None:
                led_at = time.monotonic()
            elif lease.owner.may_lead:
                return None
            elif time.monotonic() - led_at > _NO_LEADER_S:
                raise NobodyLeads
            await asyncio.sleep(_LOOK_S)
    finally:
        await requests.remove_request(await adding)  # also if the caller has gone before it was stored


async def serve_requests(requests: Requests, do: DoRequest, term: int) -> None:
    """Do what other processes ask of the leader of a term, until cancelled."""
    running: dict[int, asyncio.Task[None]] = {}
    try:
        while True:
            try:
                for request in await requests.take_requests(term, running.keys()):
                    task = running[request.id] = asyncio.create_task(
                        _serve_request(requests, do, term, request), name=f"request {request.id}"
                    )
                    task.add_done_callback(lambda _, id_=request.id: running.pop(id_))  # type: ignore[misc]
            except DatabaseError as error:
                _log.warning("The requests of other processes cannot be read: %s", error)
            except Exception as error:  # noqa: BLE001 (the leader goes on serving)
                _log.error("A defect kept a request from being read: %s", describe_defect(error))
            await asyncio.sleep(_LOOK_S)
    finally:
        await cancel_and_wait(tuple(running.values()))


async def _record_outcome(requests: Requests, id_: int, term: int, work: asyncio.Future[SyncReport]) -> None:
    try:
        report = work.result()
    except LeaseLost:
        return  # the next leader does it
    except KnowledgeError as error:
        await requests.record_error(id_, term, error)
    except Exception as error:  # noqa: BLE001 (a plug-in may raise anything)
        _log.error("A defect stopped a sync for another process: %s", describe_defect(error))
        await requests.record_error(id_, term, KnowledgeError("A defect stopped the sync. The leader's log names it."))
    else:
        await requests.record_report(id_, term, report)


async def _serve_request(requests: Requests, do: DoRequest, term: int, request: Request) -> None:
    """Do what was asked, and store how it goes; stop it if nobody waits any more."""
    progress: dict[str, SyncProgress] = {}
    work = asyncio.ensure_future(do(request, lambda one: progress.update({one.source: one})))
    try:
        while True:
            await asyncio.wait([work], timeout=_LOOK_S)
            is_done = work.done()
            try:
                if not await requests.record_progress(request.id, term, progress):
                    return
                if is_done:
                    await _record_outcome(requests, request.id, term, work)
                    return
            except DatabaseError as error:  # the asker still waits, so the next attempt tells it
                _log.warning("How a sync for another process goes could not be stored: %s", error)
                await asyncio.sleep(_LOOK_S)
    finally:
        await cancel_and_wait([work])
