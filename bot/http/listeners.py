"""Opens the HTTP servers of this process. All of them have the same deadlines, and share the limits on connections.

A request has 10 s for its headers and 30 s for its body. A connection without a request is closed after 60 s. An
answer may take as long as its handler needs, so streams are not cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from bot.errors import BotError
from bot.http.connections import Connections, GuardedConnection

BODY_S: Final = 30.0
IDLE_S: Final = 60.0
_LINGER_S: Final = 2.0  # how long the rest of a refused body is read, so that the client gets the refusal
_MAX_BODY_BYTES: Final = 1024 * 1024


_logger = logging.getLogger("kvasir.http")
_LARGER_BODIES: Final = web.AppKey[Mapping[str, int]]("larger_bodies")
_ADMIT: Final = web.AppKey[Callable[[web.Request], Awaitable[None]] | None]("admit")


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """Return whether a record is no refusal of bytes that are not HTTP, which aiohttp logs with these bytes."""
    return not (record.exc_info and isinstance(record.exc_info[1], (HttpProcessingError, web.RequestPayloadError)))


_logger.addFilter(_is_no_bad_request)


class PortUnavailable(BotError):
    """Another program uses the port."""


class Listeners:
    """The listeners of a process; ``connections`` has the limits that they share."""

    def __init__(self, connections: Connections | None = None, *, body_s: float = BODY_S) -> None:
        self._connections = connections or Connections()
        self._body_s = body_s

    @contextlib.asynccontextmanager
    async def listen(  # noqa: PLR0913 - each is a property of one listener
        self,
        routes: Iterable[web.AbstractRouteDef],
        host: str,
        port: int,
        *,
        variable: str,
        middlewares: Iterable[Middleware] = (),
        admit: Callable[[web.Request], Awaitable[None]] | None = None,
        cancels_handlers: bool = False,
        shutdown_s: float = 5.0,
        larger_bodies: Mapping[str, int] | None = None,
    ) -> AsyncIterator[int]:
        """Serve routes within this block, and yield the port; 0 chooses a free one.

        ``variable`` names the setting of the port. ``admit`` may refuse a request before its body is read, by raising.
        ``cancels_handlers`` says that a handler is cancelled when its client leaves. Running requests get
        ``shutdown_s`` at the end of the block. ``larger_bodies`` has the limit in bytes of paths that take files.

        Raises:
            PortUnavailable: another program uses the port.

        """
        app = web.Application(middlewares=[*middlewares, self._limit_request], client_max_size=_MAX_BODY_BYTES)
        app[_ADMIT] = admit
        app[_LARGER_BODIES] = larger_bodies or {}
        app.add_routes(routes)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger,
            keepalive_timeout=IDLE_S,
            lingering_time=_LINGER_S,
            handler_cancellation=cancels_handlers,
            auto_decompress=False,  # 1 MB may unpack to 1 GB, on the event loop and before ``admit``
            shutdown_timeout=shutdown_s,
        )
        await runner.setup()
        try:
            server = await self._open_port(cast("Callable[[], asyncio.Protocol]", runner.server), host, port, variable)
            try:
                yield int(server.sockets[0].getsockname()[1])
            finally:
                server.close()
        finally:
            await runner.cleanup()

    async def _open_port(
        self, make_handler: Callable[[], asyncio.Protocol], host: str, port: int, variable: str
    ) -> asyncio.Server:
        def make_connection() -> GuardedConnection:
            return GuardedConnection(self._connections, make_handler)

        try:
            return await asyncio.get_running_loop().create_server(make_connection, host, port)
        except OSError as error:
            raise PortUnavailable(
                f"Port {port} of {host} cannot be listened on ({error.strerror}). Set {variable} to a free one."
            ) from error

    @web.middleware
    async def _limit_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Read the body within its deadline; the handler then finds it in memory."""
        transport = request.transport
        connection = None if transport is None else transport.get_protocol()
        if not isinstance(connection, GuardedConnection):
            raise web.HTTPServiceUnavailable(text="The connection is closed.")
        connection.note_headers()
        try:
            if (admit := request.app[_ADMIT]) is not None:
                await admit(request)
            if (limit := request.app[_LARGER_BODIES].get(request.path)) is not None:
                request = request.clone(client_max_size=limit)
            try:
                async with asyncio.timeout(self._body_s):
                    await request.read()
            except TimeoutError:
                raise web.HTTPRequestTimeout(text="The body took too long.") from None
            except (web.RequestPayloadError, ConnectionError):  # or the client has left
                raise web.HTTPBadRequest(text="The body cannot be read.") from None
            connection.note_body()
            return await handler(request)
        finally:
            connection.note_answer()
