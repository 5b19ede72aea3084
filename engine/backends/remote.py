"""Use engines of others: of another process of this state directory, or of servers at URLs, with one status."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.backends.addresses import ResolveName, ServerAddresses, resolve_name
from engine.backends.connection import Connection
from engine.client.client import EngineClient, ServerEndpoint
from engine.client.wire import ServedModel
from engine.control.runtime_file import RuntimeFile, RuntimeRecord
from engine.errors import EngineError, EngineStarting
from engine.interfaces import EngineState, EngineStatus
from engine.notes import EngineNote, NoteCode
from engine.planning.catalogue import find_served_variant
from engine.settings import EngineSettings
from engine.tasks import cancel_tasks


async def follow_runtime_file(runtime: RuntimeFile, connection: Connection, settings: EngineSettings) -> None:
    """Use the engine of another process as long as that runs; return when it has ended."""
    current: ServerEndpoint | None = None
    while (record := runtime.read()) is not None:
        endpoint = _build_endpoint(record)
        if endpoint is not None and endpoint != current:
            client = EngineClient(endpoint, settings.request_timeouts)
            await connection.connect(client, record.context_tokens, record.model_path, people=record.people)
            current = endpoint
        connection.board.set_status(record.status)
        await asyncio.sleep(settings.follow_poll_s)
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


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What one server last reported."""

    status: EngineStatus
    served_model: ServedModel | None = None
    """What the server serves; None if it cannot be used."""


@dataclass(frozen=True, slots=True)
class FleetReport:
    """The combined report of several servers."""

    status: EngineStatus
    usable: tuple[str, ...]
    """The names of the servers with the same model, in the order of the setting."""


def combine_reports(reports: Mapping[str, ServerReport | None]) -> FleetReport | None:
    """Return the combined report; a report is None before the first reply. None while it is unknown.

    All servers must serve one model, or answers would differ. It is the model that most servers have; of several such
    models, the one of the first server.
    """
    present = {name: report for name, report in reports.items() if report is not None}
    models = Counter(report.served_model.model for report in present.values() if report.served_model is not None)
    model = max(models, key=lambda name: models[name], default=None)  # the first of the most: a Counter keeps the order
    present = {name: _reject_other_model(report, model) for name, report in present.items()}
    usable = tuple(name for name, report in present.items() if report.served_model is not None)
    problems = [report.status for report in present.values() if report.served_model is None]
    if not usable:
        return None if len(present) < len(reports) or not present else FleetReport(_combine_problems(problems), ())
    first = present[usable[0]].status
    on_cpu = any(present[name].status.on_cpu for name in usable)  # the slowest counts
    status = replace(first, url=_join_urls(present[name].status for name in usable), on_cpu=on_cpu)
    if problems:
        answering = NoteCode.SOME_ANSWER.fill(up=len(usable), servers=len(reports))
        status = replace(status, state=EngineState.DEGRADED, notes=(answering, *_collect_notes(problems)))
    return FleetReport(status, usable)


def _reject_other_model(report: ServerReport, model: str | None) -> ServerReport:
    served, url = report.served_model, report.status.url
    if served is None or served.model == model:
        return report
    note = NoteCode.OTHER_MODEL.fill(url=str(url), model=served.model, other=str(model))
    return ServerReport(EngineStatus(EngineState.FAILED, notes=(note,), url=url))


def _combine_problems(problems: list[EngineStatus]) -> EngineStatus:
    starting = [status for status in problems if status.state is EngineState.STARTING]
    relevant = starting or problems
    return replace(relevant[0], notes=_collect_notes(relevant), url=_join_urls(relevant))


def _join_urls(statuses: Iterable[EngineStatus]) -> str:
    """Return the URLs, each once: several servers may have one."""
    return ", ".join(dict.fromkeys(status.url or "" for status in statuses))


def _collect_notes(problems: list[EngineStatus]) -> tuple[EngineNote, ...]:
    """Return the notes of all statuses, each once."""
    return tuple({str(note): note for status in problems for note in status.notes}.values())


class RemoteMonitor:
    """Uses the remote engines of the settings while it runs; it starts and stops none."""

    def __init__(self, connection: Connection, settings: EngineSettings, resolve: ResolveName = resolve_name) -> None:
        """Connect to nothing before ``run``."""
        self._connection = connection
        self._settings = settings
        self._addresses = ServerAddresses(_list_endpoints(settings), resolve)
        self._servers: Mapping[str, ServerEndpoint] = {}
        self._reports: dict[str, ServerReport | None] = {}
        self._used: dict[str, tuple[EngineClient, int | None]] = {}
        """The client and the context length of each server; a server that restarts with other values connects again."""
        self._publishing = asyncio.Lock()

    async def run(self) -> None:
        """Monitor all servers until cancelled, and find those that come and go."""
        watches: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                servers = {server.name: server for server in await self._addresses.find_servers()}
                if servers.keys() != watches.keys():
                    await cancel_tasks(*(watches.pop(name) for name in watches.keys() - servers.keys()))
                    await self._replace_servers(servers)
                for name in servers.keys() - watches.keys():
                    watches[name] = group.create_task(self._monitor_server(servers[name]), name=f"watch {name}")
                await asyncio.sleep(self._settings.resolve_s)

    async def _replace_servers(self, servers: Mapping[str, ServerEndpoint]) -> None:
        """Use no other servers than these from now on; the added ones first, so that one is always usable."""
        added = [servers[name] for name in servers.keys() - self._reports.keys()] if self._reports else []
        found = await _query_servers(added, self._settings)
        async with self._publishing:
            self._servers = servers
            self._reports = {name: found.get(name, self._reports.get(name)) for name in servers}
            self._used = {name: used for name, used in self._used.items() if name in servers}
            await self._publish_status()
            await self._connection.fleet.retire_others(servers)

    async def _monitor_server(self, endpoint: ServerEndpoint) -> None:
        client = EngineClient(endpoint, self._settings.request_timeouts)
        try:
            while True:
                status, served = await query_server(client)
                async with self._publishing:
                    self._reports[endpoint.name] = ServerReport(status, served)
                    await self._publish_status()
                poll_s = self._settings.remote_poll_s
                await asyncio.sleep(poll_s if served is not None else poll_s / 3)
        finally:
            await client.close()

    async def _publish_status(self) -> None:
        """Connect the usable servers, and show the combined status."""
        fleet_report = combine_reports(self._reports)
        if fleet_report is None:
            return
        fleet = self._connection.fleet
        for name in self._reports:
            fleet.set_availability(name, up=name in fleet_report.usable)
        for name in fleet_report.usable:
            await self._connect_server(name)
        self._connection.board.set_status(fleet_report.status)

    async def _connect_server(self, name: str) -> None:
        report = self._reports[name]
        if report is None or report.served_model is None:
            return
        endpoint = complete_endpoint(self._servers[name], report.served_model)
        client, context_tokens = self._used.get(name, (None, None))
        if client is None or client.endpoint != endpoint:
            client = EngineClient(endpoint, self._settings.request_timeouts)
        elif context_tokens == report.served_model.context_tokens:
            return
        await self._connection.connect(
            client,
            self._least_context_tokens(),
            report.served_model.tokenizer_path,
            people=self._settings.people or report.served_model.people,
            others=tuple(self._reports),
        )
        self._used[name] = client, report.served_model.context_tokens

    def _least_context_tokens(self) -> int | None:
        """Return the smallest context length: any server may restart an answer."""
        served = [
            report.served_model
            for report in self._reports.values()
            if report is not None and report.served_model is not None
        ]
        return min((one.context_tokens for one in served if one.context_tokens), default=None)


async def query_remote_engines(settings: EngineSettings) -> EngineStatus:
    """Query every remote engine once."""
    servers = await ServerAddresses(_list_endpoints(settings)).find_servers()
    report = combine_reports(await _query_servers(servers, settings))
    return report.status if report is not None else EngineStatus(EngineState.ABSENT)


async def _query_servers(servers: Sequence[ServerEndpoint], settings: EngineSettings) -> dict[str, ServerReport]:
    """Query servers once; return their reports by name."""
    clients = [EngineClient(server, settings.request_timeouts) for server in servers]
    try:
        replies = await asyncio.gather(*(query_server(client) for client in clients))
    finally:
        for client in clients:
            await client.close()
    return {server.name: ServerReport(*reply) for server, reply in zip(servers, replies, strict=True)}


def _list_endpoints(settings: EngineSettings) -> list[ServerEndpoint]:
    return [ServerEndpoint(url, settings.api_key) for url in settings.urls]
