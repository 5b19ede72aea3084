"""A small HTTP proxy and a small SOCKS5 proxy, which connect anywhere unless they are restricted."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

from knowledge.web.http.connections import ResolveHost

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TestProxy:
    """The common part: the port, and a record of requests."""

    __test__ = False

    def __init__(self, resolve: ResolveHost, password: str | None = None, dials: frozenset[str] | None = None) -> None:
        """Connect anywhere, or to these addresses only."""
        self.targets: list[str] = []
        """``host:port`` of each request, as the client wrote it."""
        self.refused = 0
        self._resolve = resolve
        self._password = password
        self._dials = dials
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def dial(self, host: str, port: int) -> Streams:
        self.targets.append(f"{host}:{port}")
        bare = host.strip("[]")
        address = bare if bare.replace(".", "").isdigit() or ":" in bare else (await self._resolve(bare))[0]
        if self._dials is not None and address not in self._dials:
            raise OSError("an address that this proxy does not dial")
        return await asyncio.open_connection(address, port)


class HttpProxy(TestProxy):
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        if self._password is not None:
            expected = "Proxy-Authorization: Basic " + base64.b64encode(f"kvasir:{self._password}".encode()).decode()
            if expected.lower() not in head.lower():
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            there = await self.dial(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            authority, _, path = target.removeprefix("http://").partition("/")
            host, _, port = authority.partition(":")
            there = await self.dial(host, int(port or 80))
            there[1].write(f"{method} /{path} HTTP/1.1{head.partition(' HTTP/1.1')[2]}".encode("latin-1"))
        await _join((reader, writer), there)


class SocksProxy(TestProxy):
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        if self._password is None:
            writer.write(b"\x05\x00")
        elif not await self._signed_in(reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        elif kind == 1:
            host = str(IPv4Address(await reader.readexactly(4)))
        else:
            host = str(IPv6Address(await reader.readexactly(16)))
        there = await self.dial(host, int.from_bytes(await reader.readexactly(2), "big"))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _join((reader, writer), there)

    async def _signed_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        right = (user, password) == (b"kvasir", (self._password or "").encode())
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        self.refused += not right
        return right


async def _join(here: Streams, there: Streams) -> None:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    try:
        await asyncio.gather(copy(here[0], there[1]), copy(there[0], here[1]), return_exceptions=True)
    finally:
        there[1].close()


@asynccontextmanager
async def listening(proxy: TestProxy) -> AsyncIterator[str]:
    """Serve, and yield ``127.0.0.1:port``."""
    async with raw_server(proxy.serve) as place:
        proxy.port = int(place.rpartition(":")[2])
        yield place


@asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve raw bytes on 127.0.0.1, and yield ``127.0.0.1:port``; all connections close with the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            pass
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(one(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
