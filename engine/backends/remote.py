"""Somebody's engines, looked after: each is asked again and again what it serves, and together they have one status."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from engine.backends.connection import Connection
from engine.backends.external import ask, of_served
from engine.client.client import Endpoint, EngineClient
from engine.client.wire import Served
from engine.interfaces import State, Status
from engine.settings import EngineSettings

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one server said when it was asked last."""

    status: Status
    served: Served | None = None
    """None where it cannot be used."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What several servers come to together."""

    status: Status
    usable: tuple[str, ...]
    """The addresses of those that serve the same model, in the order of the setting."""


def together(sights: Mapping[str, Sight | None]) -> Crowd | None:
    """Return what servers are together; a sight is None before the first answer. None while it cannot be said.

    They must serve one model, or the same question would be answered differently each time: it is the one that most
    serve, of several such the one that the first address serves.
    """
    seen = {url: sight for url, sight in sights.items() if sight is not None}
    models = Counter(sight.served.model for sight in seen.values() if sight.served is not None)
    model = max(models, key=lambda name: models[name], default=None)  # the first of the most: a Counter keeps the order
    seen = {url: _told_apart(sight, model) for url, sight in seen.items()}
    usable = tuple(url for url, sight in seen.items() if sight.served is not None)
    troubles = [sight.status for sight in seen.values() if sight.served is None]
    if not usable:
        return None if len(seen) < len(sights) or not seen else Crowd(_none_of(troubles), ())
    first = seen[usable[0]].status
    on_cpu = any(seen[url].status.on_cpu for url in usable)  # the slowest counts
    status = replace(first, url=", ".join(usable), on_cpu=on_cpu)
    if troubles:
        detail = f"{len(usable)} of {len(sights)} engines answer. {_details(troubles)}"
        status = replace(status, state=State.DEGRADED, detail=detail)
    return Crowd(status, usable)


def _told_apart(sight: Sight, model: str | None) -> Sight:
    if sight.served is None or sight.served.model == model:
        return sight
    detail = f"{sight.status.url} serves {sight.served.model} where the others serve {model}, so it is not asked."
    return Sight(Status(State.FAILED, detail=detail, url=sight.status.url))


def _none_of(troubles: list[Status]) -> Status:
    starting = [status for status in troubles if status.state is State.STARTING]
    of_all = starting or troubles
    url = ", ".join(status.url or "" for status in of_all)
    return replace(of_all[0], detail=_details(of_all), url=url)


def _details(troubles: list[Status]) -> str:
    return " ".join(dict.fromkeys(status.detail for status in troubles))


class Watch:
    """Uses the engines at the addresses of the settings for as long as it runs; nothing is started or stopped there."""

    def __init__(self, connection: Connection, settings: EngineSettings, sleep: Sleep = asyncio.sleep) -> None:
        """Take what it looks after."""
        self._connection = connection
        self._settings = settings
        self._sleep = sleep
        self._sights: dict[str, Sight | None] = dict.fromkeys(settings.urls)
        self._used: dict[str, tuple[EngineClient, int | None]] = {}
        """How each is asked, and its context: one that was started anew with others is learned anew."""
        self._telling = asyncio.Lock()

    async def run(self) -> None:
        """Look after them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for url in self._sights:
                group.create_task(self._look_after(url), name=f"watch {url}")

    async def _look_after(self, url: str) -> None:
        client = _asking(url, self._settings)
        try:
            while True:
                status, served = await ask(client)
                async with self._telling:
                    self._sights[url] = Sight(status, served)
                    await self._tell()
                poll_s = self._settings.remote_poll_s
                await self._sleep(poll_s if served is not None else poll_s / 3)
        finally:
            await client.close()

    async def _tell(self) -> None:
        """Send answers to those that can be used, and say how they are together."""
        crowd = together(self._sights)
        if crowd is None:
            return
        fleet = self._connection.fleet
        for url in self._sights:
            fleet.mark(url, up=url in crowd.usable)
        for url in crowd.usable:
            await self._use(url)
        self._connection.board.show(crowd.status)

    async def _use(self, url: str) -> None:
        sight = self._sights[url]
        if sight is None or sight.served is None:
            return
        endpoint = of_served(Endpoint(url, self._settings.api_key), sight.served)
        client, context_tokens = self._used.get(url, (None, None))
        if client is None or client.endpoint != endpoint:
            client = EngineClient(endpoint, self._settings.deadlines)
        elif context_tokens == sight.served.context_tokens:
            return
        self._used[url] = client, sight.served.context_tokens
        await self._connection.connect(
            client,
            self._least_context_tokens(),
            sight.served.tokenizer_path,
            people=self._settings.people or sight.served.people,
            beside=tuple(self._sights),
        )

    def _least_context_tokens(self) -> int | None:
        """Return what fits every server: an answer may be begun anew at any of them."""
        served = [sight.served for sight in self._sights.values() if sight is not None and sight.served is not None]
        return min((one.context_tokens for one in served if one.context_tokens), default=None)


async def look(settings: EngineSettings) -> Status:
    """Ask every engine once how it is."""
    clients = [_asking(url, settings) for url in settings.urls]
    try:
        asked = await asyncio.gather(*(ask(client) for client in clients))
    finally:
        for client in clients:
            await client.close()
    crowd = together({client.endpoint.url: Sight(*one) for client, one in zip(clients, asked, strict=True)})
    return crowd.status if crowd is not None else Status(State.ABSENT)


def _asking(url: str, settings: EngineSettings) -> EngineClient:
    return EngineClient(Endpoint(url, settings.api_key), settings.deadlines)
