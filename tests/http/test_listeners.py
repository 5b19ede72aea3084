"""Deadlines and limits of HTTP servers, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.http.connections import Connections
from bot.http.listeners import Listeners, PortUnavailable
from tests.slack.wire.transport.test_http_server import make_event, sign_body
from tests.waiting import WAIT_S

HALF = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-"
REQUEST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
FLOOD = 1_500
DESCRIPTORS = 1_024


class Server:
    """Routes for tests."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.resume = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        self.cancelled = asyncio.Event()

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def wait(self, _: web.Request) -> web.Response:
        self.begun.release()
        try:
            await self.resume.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response(text="done")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first ")
        await self.resume.wait()
        await response.write(b"last")
        return response

    async def connect(self, *sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in sent:
            writer.write(piece)
        await writer.drain()
        return reader, writer


@contextlib.asynccontextmanager
async def serve(listeners: Listeners, *, cancels_handlers: bool = True) -> AsyncIterator[Server]:
    server = Server()
    routes = [web.post("/echo", server.echo), web.get("/wait", server.wait), web.get("/stream", server.stream)]
    async with listeners.listen(routes, "127.0.0.1", 0, variable="X_PORT", cancels_handlers=cancels_handlers) as port:
        server.port, server.url = port, f"http://127.0.0.1:{port}"
        yield server


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection is closed."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_half_sent_headers_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.http.listeners.IDLE_S", 0.2)  # what comes with the request before has as long
    async with serve(Listeners(Connections(8, header_s=0.1))) as server:
        for sent in ((), (HALF,), (REQUEST, HALF)):
            reader, writer = await server.connect(*sent)
            answer = await read_to_end(reader)
            assert answer.endswith(b"\r\n\r\nok") is (len(sent) == 2)
            writer.close()


async def test_half_sent_headers_of_a_later_request_are_closed() -> None:
    async with serve(Listeners(Connections(8, header_s=0.1))) as server:
        reader, writer = await server.connect(REQUEST)
        await reader.readuntil(b"\r\n\r\nok")
        writer.write(HALF)
        assert await read_to_end(reader) == b""
        writer.close()


async def test_a_slow_body_is_refused() -> None:
    async with serve(Listeners(Connections(8), body_s=0.1)) as server:
        reader, writer = await server.connect(REQUEST[:-1])
        assert (await read_to_end(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_large_body_is_refused() -> None:
    async with serve(Listeners()) as server, aiohttp.ClientSession() as session:
        async with session.post(f"{server.url}/echo", data=b"x" * (1024 * 1024 + 1)) as answer:
            assert answer.status == 413
        async with session.post(f"{server.url}/echo", data=b"x" * 1024 * 1024) as answer:
            assert answer.status == 200


async def test_a_body_that_cannot_be_read_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Listeners(body_s=0.1)) as server:
        headers = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        for pieces in ((headers, b"no length\r\n"), (headers + b"no length\r\n",)):
            reader, writer = await server.connect(*pieces)
            assert b" 40" in await reader.readline()
            writer.close()
    assert caplog.text == ""


async def test_a_body_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(1_000_000))
    async with (
        serve(Listeners()) as server,
        aiohttp.request("POST", f"{server.url}/echo", data=packed, headers={"Content-Encoding": "gzip"}) as answer,
    ):
        assert await answer.read() == packed


async def test_a_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Listeners(Connections(4)), cancels_handlers=False) as server:
        for _ in range(8):  # two of an address may be open, so the server ends others itself
            _, writer = await server.connect(REQUEST[:-1])
            await asyncio.sleep(0.02)
        writer.transport.abort()
        async with aiohttp.request("POST", f"{server.url}/echo", data=b"ok") as answer:
            assert answer.status == 200
    assert caplog.text == ""


async def test_a_request_is_refused_before_its_body_is_read() -> None:
    async def refuse(_: web.Request) -> None:
        raise web.HTTPUnauthorized

    server = Server()
    async with Listeners().listen(
        [web.post("/echo", server.echo)], "127.0.0.1", 0, variable="X_PORT", admit=refuse
    ) as server.port:
        reader, writer = await server.connect(REQUEST[:-1])
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_half_open_connections_make_place_for_requests() -> None:
    """Eight may be open, four of an address; the oldest that waits gives way, and one with a request never."""
    async with serve(Listeners(Connections(8))) as server, aiohttp.ClientSession() as session:
        waiting = asyncio.create_task(session.get(f"{server.url}/wait"))
        await asyncio.wait_for(server.begun.acquire(), WAIT_S)
        half_open = [await server.connect(HALF) for _ in range(20)]
        async with session.post(f"{server.url}/echo", data=b"ok") as answer:
            assert await answer.text() == "ok"
        for reader, writer in half_open[:16]:
            assert await read_to_end(reader) == b""
            writer.close()
        server.resume.set()
        assert await (await waiting).text() == "done"
        for _, writer in half_open:
            writer.close()


async def test_busy_connections_give_no_place() -> None:
    async with serve(Listeners(Connections(4))) as server, aiohttp.ClientSession() as session:
        running = [asyncio.create_task(session.get(f"{server.url}/wait")) for _ in range(2)]
        for _ in running:
            await asyncio.wait_for(server.begun.acquire(), WAIT_S)
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{server.url}/wait")
        server.resume.set()
        assert [answer.status for answer in await asyncio.gather(*running)] == [200, 200]
        async with session.post(f"{server.url}/echo", data=b"ok") as answer:
            assert answer.status == 200


async def test_a_stream_outlives_the_deadlines() -> None:
    listeners = Listeners(Connections(8, header_s=0.05), body_s=0.05)
    async with serve(listeners) as server, aiohttp.request("GET", f"{server.url}/stream") as answer:
        await asyncio.sleep(0.2)
        server.resume.set()
        assert await answer.text() == "first last"


async def test_a_handler_ends_when_its_client_leaves() -> None:
    async with serve(Listeners()) as server, aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(f"{server.url}/wait"))
        await asyncio.wait_for(server.begun.acquire(), WAIT_S)
        asking.cancel()
        await asyncio.wait_for(server.cancelled.wait(), WAIT_S)


async def test_a_port_in_use_is_named() -> None:
    listeners = Listeners()
    async with serve(listeners) as server:
        with pytest.raises(PortUnavailable, match="Set X_PORT"):
            async with listeners.listen([], "127.0.0.1", server.port, variable="X_PORT"):
                pass


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process open as many sockets as the flood needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * FLOOD:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * FLOOD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
async def test_a_flood_of_half_open_connections_keeps_slack_not_out() -> None:
    """The bot has 1,024 descriptors. 1,500 connections send half of their headers, and one a signed event."""
    argv = [sys.executable, str(Path(__file__).with_name("slack_server.py")), str(DESCRIPTORS)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().strip()
        port = int(url.rpartition(":")[2].partition("/")[0])
        flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(FLOOD)]
        for _, writer in flood:
            writer.write(HALF)
        async with aiohttp.ClientSession() as session:
            headers = sign_body("secret", make_event())
            async with session.post(url, data=make_event(), headers=headers) as answer:
                assert answer.status == 200
        await asyncio.gather(*(read_to_end(reader) for reader, _ in flood))
        for _, writer in flood:
            writer.close()
    finally:
        process.kill()
        await process.wait()
