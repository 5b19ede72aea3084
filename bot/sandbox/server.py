"""Open all parts of the sandbox in order, and close them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.sandbox import limits
from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.delivery.faults import Faults
from bot.sandbox.delivery.outbox import Carrier, Outbox
from bot.sandbox.delivery.socket_mode import SocketMode
from bot.sandbox.delivery.webhook import Webhook
from bot.sandbox.http.actions import PersonActions
from bot.sandbox.http.api import Api
from bot.sandbox.http.browser import Browser, build_guard
from bot.sandbox.http.control import ControlApi
from bot.sandbox.http.credentials import Credentials, load_credentials
from bot.sandbox.http.documents import DocumentPages
from bot.sandbox.http.uploads import Uploads
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
from engine.files import hold_file_lock
from engine.tasks import cancel_tasks

HOST = "127.0.0.1"
_MAX_BODY_BYTES = 4 * 1024 * 1024
_SWEEP_S = 1.0
_LOCK_S = 5.0


class StateInUse(OSError):
    """Another process uses this state folder."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox."""

    state: Path
    port: int = 3000
    """The port 0 chooses a free one."""
    events_url: str | None = None
    """Events are sent to this URL as HTTP requests, or over Socket Mode if it is None."""
    pace: Pace = "generous"
    ack_deadline_s: float = limits.ACK_DEADLINE_S
    retry_delays_s: Sequence[float] = limits.RETRY_DELAYS_S
    scopes: Sequence[str] = SCOPES
    subscriptions: Sequence[str] = SUBSCRIPTIONS
    clock: SandboxClock = field(default_factory=SandboxClock)
    files: Mapping[str, Path] = field(default_factory=dict)
    """The page may open the documents of these folders, which are named by their sources."""
    oauth_workspaces: int = 0
    """The app is installed by OAuth in so many workspaces; 0 means one workspace that has it from the start."""
    token_lifetime_s: float = LIFETIME_S


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is serving."""

    base_url: str
    credentials: Credentials
    hub: Hub
    further: Sequence[RunningSandbox] = ()
    """Each of the other workspaces has a control API below its own ``base_url``."""


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
        await _lock_state(stack, options.state)
        listening = stack.enter_context(socket.create_server((HOST, options.port)))
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        sockets = SocketMode(options.clock, base_url)
        carrier: Carrier = sockets
        if options.events_url is not None:
            webhook = Webhook(options.clock, options.events_url, credentials)
            carrier = await stack.enter_async_context(webhook)
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[build_guard(base_url)])
        place = _Place(options, credentials, carrier, sockets, base_url, app)
        first, *others = [await _open_workspace(stack, place, n) for n in range(options.oauth_workspaces or 1)]
        browser = Browser(first.hub, first.actions, base_url)
        carrier.on_change = first.hub.publish_status
        pages = (browser, DocumentPages(options.files), OAuthServer([first, *others]))
        app.add_routes([route for page in pages for route in page.list_routes()])
        app.add_routes([web.get("/link/", sockets.handle_connection)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        stack.push_async_callback(browser.close)
        stack.push_async_callback(sockets.close)
        further = [RunningSandbox(other.url, credentials, other.hub) for other in others]
        yield RunningSandbox(base_url, credentials, first.hub, further)


@dataclass(frozen=True, slots=True)
class _Place:
    """What all workspaces share."""

    options: SandboxOptions
    credentials: Credentials
    carrier: Carrier
    sockets: SocketMode
    base_url: str
    app: web.Application


async def _open_workspace(stack: contextlib.AsyncExitStack, place: _Place, number: int) -> Tenant:
    """Open a workspace and add its endpoints; those of a further one are below an address of its own."""
    options, clock, ids = place.options, place.options.clock, WireIds(number)
    mark = str(number + 1) if number else ""
    path = f"/workspaces/{mark}" if number else ""
    storage = Storage(options.state / f"workspace{mark}.sqlite3")
    stack.push_async_callback(storage.close)
    records = await storage.open_records()
    is_installed = not options.oauth_workspaces
    hub = Hub(
        clock=clock,
        workspace=Workspace(clock.now, subscriptions=options.subscriptions),
        storage=storage,
        outbox=Outbox(clock, place.carrier, storage.queue_records, ids, options.ack_deadline_s, options.retry_delays_s),
        faults=Faults() if number else place.sockets.faults,
        limiter=RateLimiter(clock.now, options.pace),
        credentials=place.credentials,
        tokens=IssuedTokens(clock.now, options.token_lifetime_s, is_installed, is_installed),
        scopes=frozenset(options.scopes),
    )
    hub.workspace.restore_records(records)
    await hub.settle_and_store()
    stack.push_async_callback(hub.outbox.close)
    hub.outbox.resume_events([record for record in records if isinstance(record, Envelope)])
    stack.push_async_callback(cancel_tasks, asyncio.create_task(_expire_streams(hub)))

    url = place.base_url + path
    uploads, interactions = Uploads(hub, options.state / f"uploads{mark}", url), Interactions(hub, url)
    actions = PersonActions(hub, interactions, uploads)
    api = Api(hub, interactions, place.base_url, place.sockets.create_url, ids)
    pages = (api, ControlApi(hub, actions, api, place.sockets), uploads)
    routes = [route for page in pages for route in page.list_routes()]
    if number:
        inner = web.Application(client_max_size=_MAX_BODY_BYTES)
        inner.add_routes(routes)
        place.app.add_subapp(path, inner)
    else:
        place.app.add_routes(routes)
    return Tenant(f"{TEAM_NAME} {mark}".strip(), url, hub, api, actions, ids)


async def _lock_state(stack: contextlib.AsyncExitStack, state: Path) -> None:
    """Lock the state folder for this process; wait for a process that is just ending.

    Raises:
        StateInUse: another process keeps the lock.

    """
    try:
        async with asyncio.timeout(_LOCK_S):
            await stack.enter_async_context(hold_file_lock(state / "lock"))
    except TimeoutError as error:
        raise StateInUse(f"another sandbox is running with the state in {state}; stop it first") from error


async def _expire_streams(hub: Hub) -> None:
    """End expired streams, again and again."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        hub.workspace.expire_streams()
        with contextlib.suppress(sqlite3.Error):  # the next change tries again, for example when the disk was full
            await hub.settle_and_store()
