"""Engines that come and go under one name, over real sockets: each address of the name is a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.backends.addresses import ServerAddresses, resolve_name
from engine.client.client import ServerEndpoint
from engine.interfaces import ChatMessage, ContentDelta, EngineState, Requester, Sampling
from engine.service import Engine
from engine.settings import EngineSettings
from tests.engine.fakes import DONE, FakeSglang, delta, fake_sglang, refuse_wheel, until

ASK = [ChatMessage("user", "hello")]
END = (delta(finish="stop"), DONE)
ADDRESSES = ("127.0.0.2", "127.0.0.3")


class Names:
    """A name server with one name."""

    def __init__(self) -> None:
        self.addresses: Sequence[str] = ()
        self.lookups = 0

    async def resolve(self, host: str) -> Sequence[str]:
        self.lookups += 1
        if host != "engine.test" or not self.addresses:
            raise OSError("unknown name")
        return self.addresses


@pytest.fixture
async def servers() -> AsyncIterator[list[FakeSglang]]:
    """Run two servers at two addresses with one port, which answer with their addresses."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(fake_sglang(ADDRESSES[0]))
        second = await stack.enter_async_context(fake_sglang(ADDRESSES[1], int(first.url.rpartition(":")[2])))
        for fake, address in zip((first, second), ADDRESSES, strict=True):
            fake.stream(delta(content=address), *END)
        yield [first, second]


@pytest.fixture
async def names() -> Names:
    return Names()


@pytest.fixture
async def engine(servers: list[FakeSglang], names: Names, tmp_path: Path) -> AsyncIterator[Engine]:
    url = f"http://engine.test:{servers[0].url.rpartition(':')[2]}"
    settings = EngineSettings(tmp_path, tmp_path, url=url, people=4, remote_poll_s=0.06, resolve_s=0.02)
    made = Engine(settings, refuse_wheel, resolve=names.resolve)
    await made.start()
    yield made
    await made.stop()


async def ask(engine: Engine, thread: str = "") -> str:
    requester = Requester(thread=thread)
    stream = engine.stream(ASK, Sampling(), request_id="r", requester=requester)
    return "".join([one.text async for one in stream if isinstance(one, ContentDelta)])


def count_places(engine: Engine) -> int:
    return engine._connection.fleet.people


async def test_an_added_engine_is_used_and_a_removed_one_is_not(engine: Engine, names: Names) -> None:
    await until(lambda: engine.status().state is EngineState.FAILED)
    assert "engine.test" in engine.status().detail
    names.addresses = ADDRESSES[:1]
    await until(lambda: engine.status().state is EngineState.READY)
    assert await ask(engine) == ADDRESSES[0]
    names.addresses = ADDRESSES
    await until(lambda: count_places(engine) == 8)
    assert engine.status().state is EngineState.READY
    assert "@" not in (engine.status().url or "")
    assert {await ask(engine, f"thread {number}") for number in range(20)} == set(ADDRESSES)
    names.addresses = ADDRESSES[1:]
    await until(lambda: count_places(engine) == 4)
    assert {await ask(engine, f"thread {number}") for number in range(20)} == {ADDRESSES[1]}


async def test_an_answer_of_a_removed_engine_goes_on(engine: Engine, names: Names, servers: list[FakeSglang]) -> None:
    names.addresses = ADDRESSES[:1]
    await until(lambda: engine.status().state is EngineState.READY)
    rest = asyncio.Event()
    servers[0].stream(delta(content="first half, "), rest, delta(content="second half"), *END)
    answer = asyncio.create_task(ask(engine))
    await until(lambda: bool(servers[0].bodies))
    names.addresses = ADDRESSES[1:]

    def is_replaced() -> bool:
        engine._connection.require_client()  # there is one all the time
        return {server.client.endpoint.address for server in engine._connection.fleet._servers.values()} == {
            ADDRESSES[1]
        }

    await until(is_replaced)
    assert await ask(engine) == ADDRESSES[1]
    assert not answer.done()
    rest.set()
    assert await answer == "first half, second half"
    assert not engine._connection.fleet._retired


async def test_a_name_that_cannot_be_resolved_for_a_while_keeps_its_engines(engine: Engine, names: Names) -> None:
    names.addresses = ADDRESSES
    await until(lambda: count_places(engine) == 8)
    names.addresses = ()
    lookups = names.lookups
    await until(lambda: names.lookups > lookups + 2)
    assert count_places(engine) == 8


async def test_addresses_and_this_machine_are_not_looked_up() -> None:
    names = Names()
    urls = ("http://127.0.0.1:1", "https://[::1]:2", "http://localhost:3")
    servers = ServerAddresses([ServerEndpoint(url) for url in urls], names.resolve)
    assert [server.name for server in await servers.find_servers()] == list(urls)
    assert names.lookups == 0


async def test_names_are_resolved_by_the_system() -> None:
    assert await resolve_name("localhost") in (["127.0.0.1"], ["::1"])
    for unknown in ("engine.invalid", f"{'x' * 64}.test"):
        with pytest.raises(OSError):  # noqa: PT011 - by each system with another text
            await resolve_name(unknown)
