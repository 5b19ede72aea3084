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
from bot.sandbox.http.browser import Browser, build_guard
from bot.sandbox.http.control import ControlApi
from bot.sandbox.http.credentials import Credentials, load_credentials
from bot.sandbox.http.documents import DocumentPages
from bot.sandbox.http.uploads import AppFiles, Uploads
from bot.sandbox.hub import SCOPES, Hub
from bot.sandbox.interactions import Interactions
from bot.sandbox.limits import Pace, RateLimiter
from bot.sandbox.oauth.issued_tokens import LIFETIME_S, IssuedTokens
from bot.sandbox.oauth.oauth_server import OAuthServer, Tenant
from bot.sandbox.oauth.wire_ids import WireIds
from bot.sandbox.state.model import TEAM_NAME, Envelope
from bot.sandbox.state.records import SUBSCRIPTIONS
from bot.sandbox.state.storage import Storage
from bot.sandbox.state.workspace import Workspace
from engine.tasks import cancel_tasks

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
    oauth_workspaces: int = 0
    """How many workspaces there are in which the app is installed by OAuth; 0 for one that has it from the start."""
    token_lifetime_s: float = LIFETIME_S
    """Of the tokens of OAuth; 0 for tokens that do not expire."""


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is serving."""

    base_url: str
    credentials: Credentials
    hub: Hub
    further: Sequence[RunningSandbox] = ()
    """The other workspaces; each has a control API below its own ``base_url``."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What all workspaces share."""

    options: SandboxOptions
    credentials: Credentials
    carrier: Carrier
    sockets: SocketMode
    base_url: str

    def create_socket_url(self) -> str:
        return self.sockets.create_url(self.base_url)

    def make_workspace_url(self, number: int) -> str:
        """Return the address below which a further workspace has its control API."""
        return f"{self.base_url}/workspaces/{number + 1}"


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
        records = await storage.open_records()

        faults = Faults()
        sockets = SocketMode(options.clock, faults, lambda: credentials.app_token)
        webhook = _create_webhook(options, credentials)
        place = _Place(options, credentials, webhook or sockets, sockets, base_url)
        hub = _create_hub(place, storage, WireIds(0), faults, is_installed=not options.oauth_workspaces)
        (webhook or sockets).on_change = hub.publish_status
        hub.workspace.restore_records(records)
        await hub.settle_and_store()

        uploads = Uploads(hub, options.state / "uploads", base_url)
        browser = Browser(hub, Interactions(hub, base_url), uploads, base_url)
        app, first = _create_application(place, hub, browser, uploads)
        others = [await _add_workspace(stack, place, app, number) for number in range(1, options.oauth_workspaces)]
        app.add_routes(OAuthServer([first, *others]).list_routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
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
        stack.push_async_callback(cancel_tasks, asyncio.create_task(_expire_streams(hub)))
        further = [
            RunningSandbox(place.make_workspace_url(number), credentials, other.hub)
            for number, other in enumerate(others, 1)
        ]
        yield RunningSandbox(base_url, credentials, hub, further)


def _create_webhook(options: SandboxOptions, credentials: Credentials) -> Webhook | None:
    if options.events_url is None:
        return None
    return Webhook(options.clock, options.events_url, credentials.signing_secret, credentials.verification_token)


def _create_hub(place: _Place, storage: Storage, ids: WireIds, faults: Faults, *, is_installed: bool) -> Hub:
    options = place.options
    clock = options.clock
    schedule = RetrySchedule(options.ack_deadline_s, options.retry_delays_s)
    hub = Hub(
        clock=clock,
        workspace=Workspace(clock.now, subscriptions=options.subscriptions, stream_ttl_s=options.stream_ttl_s),
        storage=storage,
        outbox=Outbox(clock, place.carrier, storage.queue_records, schedule, ids),
        faults=faults,
        limiter=RateLimiter(clock.now, options.pace),
        credentials=place.credentials,
        tokens=IssuedTokens(clock.now, options.token_lifetime_s, is_installed, is_installed),
    )
    hub.change_grants(scopes=options.scopes)
    return hub


def _create_application(place: _Place, hub: Hub, browser: Browser, uploads: Uploads) -> tuple[web.Application, Tenant]:
    """Return the application with all endpoints behind the guard, but those of OAuth, and its workspace."""
    interactions, base_url = browser.interactions, place.base_url
    api = Api(hub, interactions, base_url, place.create_socket_url, WireIds(0))
    control = ControlApi(hub, interactions, api, place.sockets, uploads)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[build_guard(base_url)])
    pages = (api, control, browser, DocumentPages(place.options.files), uploads, AppFiles(hub))
    app.add_routes([route for page in pages for route in page.list_routes()])
    app.add_routes([web.get("/link/", place.sockets.handle_connection)])
    return app, Tenant(TEAM_NAME, hub, api, WireIds(0))


async def _add_workspace(stack: contextlib.AsyncExitStack, place: _Place, app: web.Application, number: int) -> Tenant:
    """Add a further workspace, without a page."""
    ids, url, state = WireIds(number), place.make_workspace_url(number), place.options.state
    storage = Storage(state / f"workspace{number + 1}.sqlite3")
    stack.push_async_callback(storage.close)
    records = await storage.open_records()
    hub = _create_hub(place, storage, ids, Faults(), is_installed=False)
    hub.workspace.restore_records(records)
    await hub.settle_and_store()
    stack.push_async_callback(hub.outbox.close)
    uploads, interactions = Uploads(hub, state / f"uploads{number + 1}", url), Interactions(hub, url)
    api = Api(hub, interactions, place.base_url, place.create_socket_url, ids)
    inner = web.Application(client_max_size=_MAX_BODY_BYTES)
    pages = (api, ControlApi(hub, interactions, api, place.sockets, uploads), uploads, AppFiles(hub))
    inner.add_routes([route for page in pages for route in page.list_routes()])
    app.add_subapp(url.removeprefix(place.base_url), inner)
    return Tenant(f"{TEAM_NAME} {number + 1}", hub, api, ids)


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
