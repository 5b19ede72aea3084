"""The servers that answer: choose one for each request, pause those that fail, and retry if a connection breaks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from engine.client.client import EngineClient
from engine.errors import EngineError, EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from engine.interfaces import Delta, Requester, StreamRestart
from engine.notes import NoteCode
from engine.routing.balance import ServerCircuitBreaker, choose_server

_MAX_RETRIES = 2
"""A request that crashes servers must not reach all of them."""

SendRequest = Callable[[EngineClient], AsyncGenerator[Delta, None]]


@dataclass(slots=True)
class FleetServer:
    """One server, whether its last health check succeeded (``is_up``), and its load."""

    client: EngineClient
    people: int
    is_up: bool = True
    threads: list[str] = field(default_factory=list)
    """The conversation of each running answer."""
    side_requests: int = 0
    """Running requests that are not answers."""
    breaker: ServerCircuitBreaker = field(default_factory=ServerCircuitBreaker)

    @property
    def name(self) -> str:
        """Return what identifies the server."""
        return self.client.endpoint.name


class Fleet:
    """Has a client for each server. The health checker adds and removes servers."""

    def __init__(self) -> None:
        """Start without servers."""
        self._servers: dict[str, FleetServer] = {}
        self._retired: list[FleetServer] = []
        """Removed servers whose running answers go on."""

    async def add_server(self, client: EngineClient, people: int) -> None:
        """Add a server, or replace the one with the same name."""
        former = self._servers.get(client.endpoint.name)
        if former is not None and former.client is client:  # its running answers still count
            former.people = people
            return
        self._servers[client.endpoint.name] = FleetServer(client, people)
        if former is not None:
            await former.client.close()

    def set_availability(self, name: str, *, up: bool) -> None:
        """Set whether a server can be used; its running answers continue."""
        if (server := self._servers.get(name)) is not None:
            server.is_up = up

    async def retire_others(self, names: Collection[str]) -> None:
        """Use only servers with these names from now on; close each other one when its running answers have ended."""
        for name in [name for name in self._servers if name not in names]:
            server = self._servers.pop(name)
            server.is_up = False
            self._retired.append(server)
            await self._close_if_idle(server)

    async def _close_if_idle(self, server: FleetServer) -> None:
        if server in self._retired and not server.threads:
            self._retired.remove(server)
            await server.client.close()

    async def close(self) -> None:
        """Close all servers, which ends their running answers."""
        await self.retire_others(())
        while self._retired:
            await self._retired.pop().client.close()

    @property
    def any_client(self) -> EngineClient | None:
        """Return the client of any server, of a usable one if possible; None without servers."""
        servers = sorted(self._servers.values(), key=lambda server: not server.is_up)
        return servers[0].client if servers else None

    @property
    def people(self) -> int:
        """Return the number of concurrent answers of all usable servers, at least 1."""
        return max(1, sum(server.people for server in self._list_usable(())))

    async def stream(self, send: SendRequest, requester: Requester) -> AsyncGenerator[Delta, None]:
        """Stream an answer from one server. Retry on another if the connection breaks before the reader saw any output.

        Raises:
            EngineError: as ``engine.client.client.EngineClient.stream``, from the last server.

        """
        tried: list[str] = []
        while True:
            server = self._choose_server(requester.thread, tried)
            tried.append(server.name)
            has_started = False
            try:
                async with aclosing(self._stream_from(server, send, requester.thread)) as deltas:
                    async for delta in deltas:
                        has_started = True
                        yield delta
            except EngineError as error:
                if not self._may_retry(
                    error, tried, is_lost=not server.is_up, is_shown=has_started and requester.has_shown_output()
                ):
                    raise
            else:
                return
            if has_started:
                yield StreamRestart()

    @contextmanager
    def borrow_place(self, thread: str) -> Iterator[EngineClient]:
        """Reserve a free place on the server that answers a conversation now, else on the conversation's own server.

        Raises:
            EngineOverloaded: the server has no free place.
            EngineUnavailable: no server can be used.

        """
        current = (server for server in self._list_usable(()) if thread in server.threads)
        server = next(current, None) or self._choose_server(thread, ())
        if len(server.threads) + server.side_requests >= server.people:
            raise EngineOverloaded(NoteCode.ALL_PLACES_USED.fill())
        server.side_requests += 1
        try:
            yield server.client
        finally:
            server.side_requests -= 1

    async def _stream_from(self, server: FleetServer, send: SendRequest, thread: str) -> AsyncGenerator[Delta, None]:
        """Yield one server's answer, and update its circuit breaker."""
        server.threads.append(thread)
        trial = server.breaker.start_request()
        try:
            async with aclosing(send(server.client)) as deltas:
                async for delta in deltas:
                    server.breaker.record_output()
                    trial = False
                    yield delta
            server.breaker.record_success()
        except (EngineRefused, EngineOverloaded):
            server.breaker.record_output()  # the server is healthy and refuses
            trial = False
            raise
        except EngineError as error:
            server.breaker.record_failure(time.monotonic(), hung=isinstance(error, EngineTimeout))
            trial = False
            raise
        finally:
            server.threads.remove(thread)
            if trial:
                server.breaker.record_cancellation()
            await self._close_if_idle(server)

    def _choose_server(self, thread: str, excluded: Collection[str]) -> FleetServer:
        usable = {server.name: server for server in self._list_usable(excluded)}
        if not usable:
            raise EngineUnavailable(NoteCode.NONE_AVAILABLE.fill())
        load = {name: len(server.threads) / server.people for name, server in usable.items()}
        return usable[choose_server(load, thread)]

    def _list_usable(self, excluded: Collection[str]) -> list[FleetServer]:
        """Return the usable servers; if all are paused, those that are up, because a try is better than a refusal."""
        up = [server for server in self._servers.values() if server.is_up and server.name not in excluded]
        now_s = time.monotonic()
        return [server for server in up if server.breaker.allows_request(now_s)] or up

    def _may_retry(self, error: EngineError, tried: Collection[str], *, is_lost: bool, is_shown: bool) -> bool:
        """Return whether to retry on another server.

        Not after a refusal, which every server would repeat. After a timeout only if the server is lost: if it is
        healthy, the next one would be as slow.
        """
        is_final = isinstance(error, EngineRefused) or (isinstance(error, EngineTimeout) and not is_lost)
        return not (is_final or is_shown or len(tried) > _MAX_RETRIES) and bool(self._list_usable(tried))
