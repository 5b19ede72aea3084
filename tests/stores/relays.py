"""Relays in front of a server: at a port where nobody listened before, or with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


@contextlib.asynccontextmanager
async def relay(near: int, far: int, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen at a port (0: any) and pass connections on to another one; yields the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there = await asyncio.open_connection("127.0.0.1", far)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", near, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def terminate_tls(context: ssl.SSLContext, url: str) -> AsyncIterator[str]:
    """Speak TLS as ``localhost`` and forward to a server without TLS; yields the address."""
    async with relay(0, urlsplit(url).port or 0, context) as port:
        yield f"https://localhost:{port}"
