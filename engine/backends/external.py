"""Use engines of others: of another process of this state directory, or at a URL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from engine.backends.connection import Connection
from engine.client.client import EngineClient, ServerEndpoint
from engine.client.wire import ServedModel
from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.errors import EngineError, EngineStarting
from engine.interfaces import EngineState, EngineStatus
from engine.planning.catalogue import find_served_variant
from engine.settings import EngineSettings

Sleep = Callable[[float], Awaitable[None]]


async def follow_runtime_file(
    runtime: RuntimeFile, connection: Connection, settings: EngineSettings, sleep: Sleep = asyncio.sleep
) -> None:
    """Use the engine of another process as long as that runs; return when it has ended."""
    current: ServerEndpoint | None = None
    while (record := runtime.read()) is not None:
        endpoint = _build_endpoint(record)
        if endpoint is not None and endpoint != current:
            client = EngineClient(endpoint, settings.request_timeouts)
            await connection.connect(client, record.context_tokens, record.model_path, people=record.people)
            current = endpoint
        connection.board.set_status(record.status)
        await sleep(settings.follow_poll_s)
    await connection.disconnect()
    connection.board.set_status(EngineStatus(EngineState.ABSENT))


def _build_endpoint(record: RuntimeRecord) -> ServerEndpoint | None:
    if record.url is None or record.model is None or record.state not in {EngineState.READY, EngineState.DEGRADED}:
        return None
    return ServerEndpoint(record.url, record.api_key, record.model, record.thinks, record.opens_think)


async def query_server(client: EngineClient) -> tuple[EngineStatus, ServedModel | None]:
    """Query a server; return its status, and what it serves if it can be used."""
    url = client.endpoint.url
    try:
        served = await client.fetch_served_model()
    except EngineStarting as error:
        return EngineStatus(EngineState.STARTING, notes=(error.note,), url=url), None
    except EngineError as error:
        return EngineStatus(EngineState.FAILED, notes=(error.note,), url=url), None
    variant = find_served_variant(served.model)
    small_model = variant is not None and variant.small_model
    return EngineStatus(EngineState.READY, 1.0, (), url, served.model, small_model, served.on_cpu), served


def complete_endpoint(base: ServerEndpoint, served: ServedModel) -> ServerEndpoint:
    """Complete an endpoint with what its server serves."""
    variant = find_served_variant(served.model)
    split = bool(served.split_by_server)
    return replace(
        base,
        model=served.model,
        thinks=split or (variant is not None and variant.reasoning_parser is not None),
        opens_think=variant is not None and variant.opens_think,
        split_by_server=split,
    )
