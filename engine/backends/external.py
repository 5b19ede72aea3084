"""Engines that are not ours: one of another process of this state directory, or what answers at an address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from engine.backends.connection import Connection
from engine.client.client import Endpoint, EngineClient
from engine.client.wire import Served
from engine.control.runtime_file import Runtime, RuntimeFile
from engine.errors import EngineError, EngineStarting
from engine.interfaces import State, Status
from engine.planning.catalogue import of_served_name
from engine.settings import EngineSettings

Sleep = Callable[[float], Awaitable[None]]


async def follow(
    runtime: RuntimeFile, connection: Connection, settings: EngineSettings, sleep: Sleep = asyncio.sleep
) -> None:
    """Use the engine that another process runs, for as long as that lives; returns when it is gone."""
    used: Endpoint | None = None
    while (told := runtime.read()) is not None:
        endpoint = _endpoint(told)
        if endpoint is not None and endpoint != used:
            client = EngineClient(endpoint, settings.deadlines)
            await connection.connect(client, told.context_tokens, told.model_path, people=told.people)
            used = endpoint
        connection.board.show(told.status)
        await sleep(settings.follow_poll_s)
    await connection.disconnect()
    connection.board.show(Status(State.ABSENT))


def _endpoint(told: Runtime) -> Endpoint | None:
    if told.url is None or told.model is None or told.state not in {State.READY, State.DEGRADED}:
        return None
    return Endpoint(told.url, told.api_key, told.model, told.thinks, told.opens_think)


async def ask(client: EngineClient) -> tuple[Status, Served | None]:
    """Ask a server what it serves; return its status, and what it serves if it can be used."""
    url = client.endpoint.url
    try:
        served = await client.served()
    except EngineStarting as error:
        return Status(State.STARTING, detail=str(error), url=url), None
    except EngineError as error:
        return Status(State.FAILED, detail=str(error), url=url), None
    variant = of_served_name(served.model)
    small_model = variant is not None and variant.small_model
    return Status(State.READY, 1.0, "", url, served.model, small_model, served.on_cpu), served


def of_served(base: Endpoint, served: Served) -> Endpoint:
    """Return the server with what it serves."""
    variant = of_served_name(served.model)
    split = bool(served.split_by_server)
    return replace(
        base,
        model=served.model,
        thinks=split or (variant is not None and variant.reasoning_parser is not None),
        opens_think=variant is not None and variant.opens_think,
        split_by_server=split,
    )
