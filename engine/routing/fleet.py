"""The servers that answers go to: one is chosen for each answer, and another takes over where one is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

from engine.client.client import EngineClient
from engine.errors import EngineError, EngineOverloaded, EngineRefused, EngineTimeout, EngineUnavailable
from engine.interfaces import Delta, Requester, StreamRestart
from engine.routing.balance import ServerCircuitBreaker, choose_server

_MAX_RETRIES = 2
"""How many others are asked after the first: a question that breaks servers must not go through all of them."""

SendRequest = Callable[[EngineClient], AsyncGenerator[Delta, None]]
"""How a request is made of one server."""


@dataclass(slots=True)
class FleetServer:
    """One server, as it is seen from here."""

    client: EngineClient
    people: int
    """Answered at once."""
    is_up: bool = True
    """Whether it said so when it was asked last."""
    threads: list[str] = field(default_factory=list)
    """The conversation of each answer under way."""
    side_requests: int = 0
    """Under way beside the answers."""
    breaker: ServerCircuitBreaker = field(default_factory=ServerCircuitBreaker)

    @property
    def running_count(self) -> int:
        """Return how many answers are under way."""
        return len(self.threads)

    @property
    def url(self) -> str:
        """Return its address, by which it is known."""
        return self.client.endpoint.url


class Fleet:
    """Holds a client for each server; whoever looks after the servers says which there are."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._now = now
        self._servers: dict[str, FleetServer] = {}

    async def add_server(self, client: EngineClient, people: int) -> None:
        """Take a server in; what was at its address before is closed."""
        former = self._servers.get(client.endpoint.url)
        if former is not None and former.client is client:  # answers under way there go on, and count
            former.people = people
            return
        self._servers[client.endpoint.url] = FleetServer(client, people)
        if former is not None:
            await former.client.close()

    def set_availability(self, url: str, *, up: bool) -> None:
        """Note whether the server at an address can be used; answers under way there go on."""
        if (server := self._servers.get(url)) is not None:
            server.is_up = up

    async def close_others(self, urls: Collection[str]) -> None:
        """Close every server that is at none of these addresses."""
        for url in [url for url in self._servers if url not in urls]:
            await self._servers.pop(url).client.close()

    @property
    def any_client(self) -> EngineClient | None:
        """Return some server's client, of one that can be used where there is one; None without any."""
        servers = sorted(self._servers.values(), key=lambda server: not server.is_up)
        return servers[0].client if servers else None

    @property
    def people(self) -> int:
        """Return how many answers fit at once, at least one."""
        usable = self._list_usable(())
        return max(1, sum(server.people for server in usable))

    async def stream(self, send: SendRequest, requester: Requester) -> AsyncGenerator[Delta, None]:
        """Stream an answer from one server, from another where that is lost before anything of it was shown.

        Raises:
            EngineError: as ``engine.client.EngineClient.stream``, from the last server that was asked.

        """
        tried: list[str] = []
        while True:
            server = self._choose_server(requester.thread, tried)
            tried.append(server.url)
            begun = False
            try:
                async with aclosing(self._stream_from(server, send, requester.thread)) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield delta
            except EngineError as error:
                if not self._may_retry(
                    error, tried, lost=not server.is_up, shown=begun and requester.has_shown_output()
                ):
                    raise
            else:
                return
            if begun:
                yield StreamRestart()

    @contextmanager
    def borrow_place(self, thread: str) -> Iterator[EngineClient]:
        """Take a place that no answer has, on the server with a conversation's answer under way, else on its own one.

        Raises:
            EngineOverloaded: that server has no such place.
            EngineUnavailable: no server can be asked.

        """
        held = (server for server in self._list_usable(()) if thread in server.threads)
        server = next(held, None) or self._choose_server(thread, ())
        if server.running_count + server.side_requests >= server.people:
            raise EngineOverloaded("Answers take all of the engine's places. Ask again in a moment.")
        server.side_requests += 1
        try:
            yield server.client
        finally:
            server.side_requests -= 1

    async def _stream_from(self, server: FleetServer, send: SendRequest, thread: str) -> AsyncGenerator[Delta, None]:
        """Yield one server's answer, and learn from how it goes."""
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
            server.breaker.record_output()  # it is there, and says no
            trial = False
            raise
        except EngineError as error:
            server.breaker.record_failure(self._now(), hung=isinstance(error, EngineTimeout))
            trial = False
            raise
        finally:
            server.threads.remove(thread)
            if trial:
                server.breaker.record_cancellation()

    def _choose_server(self, thread: str, tried: Collection[str]) -> FleetServer:
        usable = {server.url: server for server in self._list_usable(tried)}
        if not usable:
            raise EngineUnavailable("No engine can be asked at the moment. See `kvasir status`.")
        load = {url: server.running_count / server.people for url, server in usable.items()}
        return usable[choose_server(load, thread)]

    def _list_usable(self, tried: Collection[str]) -> list[FleetServer]:
        """Return the servers that may be asked; where all rest, those that are up: trying is better than refusing."""
        up = [server for server in self._servers.values() if server.is_up and server.url not in tried]
        now_s = self._now()
        return [server for server in up if server.breaker.allows_request(now_s)] or up

    def _may_retry(self, error: EngineError, tried: Collection[str], *, lost: bool, shown: bool) -> bool:
        """Tell whether another server is to be asked.

        Not for what any would refuse, nor after a whole deadline, unless the server that let it pass is ``lost``: one
        that is well is slow, and so would the next be.
        """
        if isinstance(error, EngineRefused) or (isinstance(error, EngineTimeout) and not lost):
            return False
        if shown or len(tried) > _MAX_RETRIES:
            return False
        return bool(self._list_usable(tried))
