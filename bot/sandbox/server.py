"""The process as a whole: everything opened in order, closed in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket as sockets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.sandbox import limits, socketmode
from bot.sandbox.api import Api
from bot.sandbox.browser import Browser, guard
from bot.sandbox.clock import Clock
from bot.sandbox.control import Control
from bot.sandbox.credentials import Credentials, credentials_in
from bot.sandbox.documents import Documents
from bot.sandbox.faults import Faults
from bot.sandbox.hub import SCOPES, Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.limits import Pace, RateLimiter
from bot.sandbox.model import APP_ID, Envelope
from bot.sandbox.outbox import Outbox, Schedule
from bot.sandbox.records import SUBSCRIPTIONS
from bot.sandbox.storage import Storage
from bot.sandbox.webhook import Webhook
from bot.sandbox.workspace import Workspace

HOST = "127.0.0.1"
_MAX_BODY_BYTES = 4 * 1024 * 1024
_SWEEP_S = 1.0
_LOCK_TRIES = 50
_LOCK_EVERY_S = 0.1


class StateInUse(OSError):
    """Another process serves from this state folder."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox is run."""

    state: Path
    port: int = 3000
    """0 takes a free one."""
    events_url: str | None = None
    """Where events go as HTTP requests; None for Socket Mode."""
    pace: Pace = "generous"
    stream_ttl_s: float = limits.STREAM_TTL_S
    ack_deadline_s: float = limits.ACK_DEADLINE_S
    retry_delays_s: Sequence[float] = limits.RETRY_DELAYS_S
    scopes: Sequence[str] = SCOPES
    subscriptions: Sequence[str] = SUBSCRIPTIONS
    clock: Clock = field(default_factory=Clock)
    files: Mapping[str, Path] = field(default_factory=dict)
    """Folders whose documents the page may open, by the name of their source."""


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that serves."""

    base_url: str
    credentials: Credentials
    hub: Hub


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Running]:
    """Serve while inside.

    Raises:
        OSError: the port is taken, or the state folder cannot be used (``StateInUse``: by another sandbox).
        ValueError: the credentials file is damaged.
        sqlite3.Error: the state file is damaged.

    """
    async with contextlib.AsyncExitStack() as stack:
        credentials = await asyncio.to_thread(credentials_in, options.state)
        await stack.enter_async_context(_holding(options.state))
        listening = stack.enter_context(_listening(options.port))
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        storage = Storage(options.state / "workspace.sqlite3")
        stack.push_async_callback(storage.close)
        records = await storage.open()

        clock, faults = options.clock, Faults()
        workspace = Workspace(clock.now, subscriptions=options.subscriptions, stream_ttl_s=options.stream_ttl_s)
        workspace.restore(records)
        socket_mode = socketmode.SocketMode(clock, faults, lambda: credentials.app_token)
        webhook = None
        if options.events_url:
            webhook = Webhook(clock, options.events_url, credentials.signing_secret, credentials.verification_token)
            stack.push_async_callback(webhook.close)
        carrier = webhook or socket_mode
        schedule = Schedule(options.ack_deadline_s, options.retry_delays_s)
        outbox = Outbox(clock, carrier, storage.put, schedule)
        limiter = RateLimiter(clock.now, options.pace)
        hub = Hub(
            clock=clock,
            workspace=workspace,
            storage=storage,
            outbox=outbox,
            carrier=carrier,
            faults=faults,
            limiter=limiter,
            credentials=credentials,
        )
        hub.grant(scopes=options.scopes)
        (webhook or socket_mode).on_change = hub.publish_status
        interactions = Interactions(hub, base_url)

        def new_socket_url() -> str:
            ticket = socketmode.ticket(credentials.app_token, clock.now())
            return f"{base_url.replace('http', 'ws', 1)}/link/?ticket={ticket}&app_id={APP_ID}"

        api = Api(hub, interactions, base_url, new_socket_url)
        browser = Browser(hub, interactions, base_url)
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[guard(base_url)])
        app.add_routes(
            [*api.routes(), *Control(hub, interactions, api, socket_mode, limiter).routes(), *browser.routes()]
        )
        app.add_routes([web.get("/link/", socket_mode.handle), *Documents(options.files).routes()])

        await hub.settled()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        stack.push_async_callback(outbox.close)
        stack.push_async_callback(browser.close)
        stack.push_async_callback(socket_mode.close)
        outbox.resume([record for record in records if isinstance(record, Envelope)])
        if webhook:
            webhook.start()
        sweeper = asyncio.create_task(_sweep(hub))
        stack.push_async_callback(_cancelled, sweeper)
        yield Running(base_url, credentials, hub)


@contextlib.asynccontextmanager
async def _holding(state: Path) -> AsyncIterator[None]:
    """Hold the state folder for this process alone; one that is just ending is waited for.

    Raises:
        StateInUse: another process keeps holding it.

    """
    with (state / "lock").open("w") as file:
        for _ in range(_LOCK_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(_LOCK_EVERY_S)
        else:
            raise StateInUse(f"another sandbox is running with the state in {state}; stop it first")
        yield


@contextlib.contextmanager
def _listening(port: int) -> Iterator[sockets.socket]:
    listening = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
    try:
        listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        yield listening
    finally:
        listening.close()


async def _sweep(hub: Hub) -> None:
    """End streams that nobody touches any more."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        hub.workspace.expire_streams()
        await hub.settled()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
