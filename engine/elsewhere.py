"""Engines that are not ours: one of another process of this state directory, or one at somebody's address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from engine.catalogue import of_served_name
from engine.client import Endpoint, EngineClient
from engine.connection import Connection
from engine.errors import EngineError, EngineStarting
from engine.interfaces import State, Status
from engine.runtime import Runtime, RuntimeFile
from engine.settings import EngineSettings
from engine.wire import Served

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
            await connection.connect(client, told.context_tokens, told.model_path)
            used = endpoint
        connection.board.show(told.status)
        await sleep(settings.follow_poll_s)
    await connection.disconnect()
    connection.board.show(Status(State.ABSENT))


def _endpoint(told: Runtime) -> Endpoint | None:
    if told.url is None or told.model is None or told.state not in {State.READY, State.DEGRADED}:
        return None
    return Endpoint(told.url, told.api_key, told.model, told.thinks, told.opens_think)


async def watch_url(url: str, connection: Connection, settings: EngineSettings, sleep: Sleep = asyncio.sleep) -> None:
    """Use the engine at ``url`` and look after it until cancelled; nothing is started or stopped there."""
    used: Endpoint | None = None
    asking = _asking(url, settings)
    try:
        while True:
            status, served = await _ask(asking)
            if served is not None and (endpoint := _of_served(asking.endpoint, served)) != used:
                client = EngineClient(endpoint, settings.deadlines)
                await connection.connect(client, served.context_tokens, served.tokenizer_path)
                used = endpoint
            connection.board.show(status)
            await sleep(settings.remote_poll_s if served is not None else settings.remote_poll_s / 3)
    finally:
        await asking.close()


async def look(url: str, settings: EngineSettings) -> Status:
    """Ask the engine at ``url`` once how it is."""
    asking = _asking(url, settings)
    try:
        status, _ = await _ask(asking)
        return status
    finally:
        await asking.close()


def _asking(url: str, settings: EngineSettings) -> EngineClient:
    return EngineClient(Endpoint(url.rstrip("/").removesuffix("/v1"), settings.api_key), settings.deadlines)


async def _ask(asking: EngineClient) -> tuple[Status, Served | None]:
    """Ask a server what it serves; return its status, and what it serves if it can be used."""
    url = asking.endpoint.url
    try:
        served = await asking.served()
    except EngineStarting as error:
        return Status(State.STARTING, detail=str(error), url=url), None
    except EngineError as error:
        return Status(State.FAILED, detail=str(error), url=url), None
    variant = of_served_name(served.model)
    return Status(State.READY, 1.0, "", url, served.model, variant is not None and variant.stand_in), served


def _of_served(base: Endpoint, served: Served) -> Endpoint:
    variant = of_served_name(served.model)
    split = bool(served.split_by_server)
    return replace(
        base,
        model=served.model,
        thinks=split or (variant is not None and variant.reasoning_parser is not None),
        opens_think=variant is not None and variant.opens_think,
        split_by_server=split,
    )
