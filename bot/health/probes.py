"""``GET /livez`` and ``GET /readyz``, on a port of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from aiohttp import web

from bot.health.checks import Health
from bot.health.parts import NEEDED_PARTS, NOT_OPEN
from bot.http.listeners import Listeners


@contextlib.asynccontextmanager
async def open_health(listeners: Listeners, host: str, port: int | None) -> AsyncIterator[Health]:
    """Answer probes within this block, if there is a port for them. Until parts are open, the process is not ready.

    Raises:
        PortUnavailable: another program uses the port.

    """
    health = Health()
    for name in NEEDED_PARTS:
        health.add_check(name, lambda: NOT_OPEN)

    def make_route(path: str, describe: Callable[[], tuple[bool, dict[str, object]]]) -> web.RouteDef:
        async def answer_probe(_: web.Request) -> web.Response:
            is_ok, state = describe()
            return web.json_response(state, status=HTTPStatus.OK if is_ok else HTTPStatus.SERVICE_UNAVAILABLE)

        return web.get(path, answer_probe)

    routes = [make_route("/livez", health.describe_liveness), make_route("/readyz", health.describe_readiness)]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(health.close)
        if port is not None:
            health.start_task(health.measure_lag())
            listening = listeners.listen(routes, host, port, variable="KVASIR_HEALTH_PORT", shutdown_s=1.0)
            await stack.enter_async_context(listening)
        yield health
