"""Open all parts of the sandbox in order, and close them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.sandbox import limits
from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.delivery.faults import Faults
from bot.sandbox.delivery.outbox import Carrier, Outbox, RetrySchedule
from bot.sandbox.delivery.socket_mode import SocketMode
from bot.sandbox.delivery.webhook import Webhook
from bot.sandbox.http.api import Api
from bot.sandbox.http.app_files import AppFiles
from bot.sandbox.http.browser import Browser, build_guard
from bot.sandbox.http.control import ControlApi
from bot.sandbox.http.credentials import Credentials, load_credentials
from bot.sandbox.http.documents import DocumentPages
from bot.sandbox.http.uploads import Uploads
from bot.sandbox.hub import SCOPES, Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.limits import Pace, RateLimiter
from bot.sandbox.state.model import Envelope
from bot.sandbox.state.records import SUBSCRIPTIONS
from bot.sandbox.state.storage import Storage
from bot.sandbox.state.workspace import Workspace

HOST = "127.0.0.1"
_MAX_BODY_BYTES = 4 * 1024 * 1024
_SWEEP_S = 1.0
_LOCK_TRIES = 50
_LOCK_EVERY_S = 0.1


class StateInUse(OSError):
    """Another process uses this state folder."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox."""

    state: Path
    port: int = 3000
    """0 chooses a free port."""
    events_url: str | None = None
    """The URL that gets events as HTTP requests; None for Socket Mode."""
    pace: Pace = "generous"
    stream_ttl_s: float = limits.STREAM_TTL_S
    ack_deadline_s: float = limits.ACK_DEADLINE_S
    retry_delays_s: Sequence[float] = limits.RETRY_DELAYS_S
    scopes: Sequence[str] = SCOPES
    subscriptions: Sequence[str] = SUBSCRIPTIONS
    clock: SandboxClock = field(default_factory=SandboxClock)
    files: Mapping[str, Path] = field(default_factory=dict)
    """Folders whose documents the page may open, by the name of their source."""


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is serving."""

    base_url: str
    credentials: Credentials
    hub: Hub


@contextlib.asynccontextmanager
async def serve_sandbox(options: SandboxOptions) -> AsyncIterator[RunningSandbox]:
    """Serve within this block.

    Raises:
        OSError: the port is taken, or the state folder cannot be used (``StateInUse``: by another sandbox).
        ValueError: the credentials file is damaged.
        sqlite3.Error: the state file is damaged.

    """
    async with contextlib.AsyncExitStack() as stack:
        credentials = await asyncio.to_thread(load_credentials, options.state)
        await stack.enter_async_context(_lock_state(options.state))
        listening = stack.enter_context(_open_port(options.port))
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        storage = Storage(options.state / "workspace.sqlite3")
        stack.push_async_callback(storage.close)
        records = await storage.open()

        faults = Faults()
        sockets = SocketMode(options.clock, faults, lambda: credentials.app_token)
        webhook = _create_webhook(options, credentials)
        hub = _create_hub(options, credentials, storage, webhook or sockets, faults)
        (webhook or sockets).on_change = hub.publish_status
        hub.workspace.restore_records(records)
        await hub.settle_and_store()

        uploads = Uploads(hub, options.state / "uploads", base_url)
        browser = Browser(hub, Interactions(hub, base_url), uploads, base_url)
        runner = web.AppRunner(
            _create_application(options, hub, sockets, browser, uploads, base_url),
            access_log=None,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        if webhook:
            stack.push_async_callback(webhook.close)
        stack.push_async_callback(hub.outbox.close)
        stack.push_async_callback(browser.close)
        stack.push_async_callback(sockets.close)
        hub.outbox.resume_events([record for record in records if isinstance(record, Envelope)])
        if webhook:
            webhook.start()
        stack.push_async_callback(_cancel_task, asyncio.create_task(_expire_streams(hub)))
        yield RunningSandbox(base_url, credentials, hub)


def _create_webhook(options: SandboxOptions, credentials: Credentials) -> Webhook | None:
    if options.events_url is None:
        return None
    return Webhook(options.clock, options.events_url, credentials.signing_secret, credentials.verification_token)


def _create_hub(
    options: SandboxOptions, credentials: Credentials, storage: Storage, carrier: Carrier, faults: Faults
) -> Hub:
    clock = options.clock
    schedule = RetrySchedule(options.ack_deadline_s, options.retry_delays_s)
    hub = Hub(
        clock=clock,
        workspace=Workspace(clock.now, subscriptions=options.subscriptions, stream_ttl_s=options.stream_ttl_s),
        storage=storage,
        outbox=Outbox(clock, carrier, storage.queue_records, schedule),
        carrier=carrier,
        faults=faults,
        limiter=RateLimiter(clock.now, options.pace),
        credentials=credentials,
    )
    hub.change_grants(scopes=options.scopes)
    return hub


def _create_application(
    options: SandboxOptions, hub: Hub, sockets: SocketMode, browser: Browser, uploads: Uploads, base_url: str
) -> web.Application:
    """Return the application with all endpoints behind the guard."""
    api = Api(hub, browser.interactions, base_url, lambda: sockets.create_url(base_url))
    control = ControlApi(hub, browser.interactions, api, sockets, uploads)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[build_guard(base_url)])
    pages = (api, control, browser, DocumentPages(options.files), uploads, AppFiles(hub))
    app.add_routes([route for page in pages for route in page.list_routes()])
    app.add_routes([web.get("/link/", sockets.handle_connection)])
    return app


@contextlib.asynccontextmanager
async def _lock_state(state: Path) -> AsyncIterator[None]:
    """Lock the state folder for this process; wait for a process that is just ending.

    Raises:
        StateInUse: another process keeps the lock.

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
def _open_port(port: int) -> Iterator[socket.socket]:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        yield listening
    finally:
        listening.close()


async def _expire_streams(hub: Hub) -> None:
    """End expired streams, again and again."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        hub.workspace.expire_streams()
        with contextlib.suppress(sqlite3.Error):  # the next change tries again, for example when the disk was full
            await hub.settle_and_store()


async def _cancel_task(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
