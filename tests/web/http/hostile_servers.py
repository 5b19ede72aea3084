"""Hostile servers, and what a fetch from each costs. ``python -m tests.web.http.hostile_servers`` prints it as JSON.

The figures come from a separate process, whose peak memory is reset before each fetch.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import brotli

from knowledge.errors import FetchError, FetchFailed, FetchRefused, FetchTimeout, FetchTooLarge
from knowledge.web.http.fetch import FetchedResponse, Fetcher, FetchOptions
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import FetchLimits, WebSettings
from tests.web.http.proxy_servers import raw_server

LIMITS = FetchLimits(total_s=0.6, idle_s=0.3, wire_bytes=2_000_000, body_bytes=4_000_000)
BOMB_BYTES = 100_000_000
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*parts: bytes, after: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        if after is not None:
            await after(writer)

    return serve


def greets(*parts: bytes, after: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None) -> Serve:
    """Answer a TLS greeting."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"".join(parts))
        await writer.drain()
        if after is not None:
            await after(writer)

    return serve


async def fetched(
    serve: Serve, ask: FetchOptions | None = None, limits: FetchLimits = LIMITS, *, scheme: str = "http"
) -> FetchedResponse:
    async with raw_server(serve) as place:
        fetcher = Fetcher(WebSettings(limits=limits), build_rules([place]))
        try:
            return await fetcher.fetch(f"{scheme}://{place}/", ask or FetchOptions())
        finally:
            await fetcher.close()


async def drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def pour(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def hang(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.sleep(3600)


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def bits_for_ever(writer: asyncio.StreamWriter) -> None:
    """Send one byte in each chunk, as fast as possible."""
    while True:
        writer.write(b"1\r\nx\r\n" * 1000)
        await writer.drain()


def for_ever(part: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def say(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(part)
            await writer.drain()

    return say


async def redirects_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.2)
    writer.write(b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def headers_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X-More: and more\r\n" * 1000)
        await writer.drain()


@cache
def bomb(encoding: str) -> bytes:
    if encoding == "br":
        packer = brotli.Compressor(quality=5)
        parts = [packer.process(bytes(1_000_000)) for _ in range(BOMB_BYTES // 1_000_000)]
        return b"".join([*parts, packer.finish()])
    deflate = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    return b"".join([*(deflate.compress(bytes(1_000_000)) for _ in range(BOMB_BYTES // 1_000_000)), deflate.flush()])


def packed(encoding: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await asyncio.to_thread(bomb, encoding)
        head = OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        await says(head, data)(reader, writer)

    return serve


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE: dict[str, tuple[Serve, type[FetchError]]] = {
    "says nothing": (says(after=hang), FetchTimeout),
    "drips its headers": (says(b"HTTP/1.1 200 OK\r\nX: ", after=drip), FetchTimeout),
    "drips its body": (says(OK + b"\r\n", after=drip), FetchTimeout),
    "stops in its body": (says(OK + b"Content-Length: 10\r\n\r\n12345", after=hang), FetchTimeout),
    "never ends its body": (says(OK + b"\r\n", after=pour), FetchTooLarge),
    "never ends a chunk": (says(OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", after=pour), FetchTooLarge),
    "announces too much": (says(OK + b"Content-Length: 99999999999\r\n\r\n", after=hang), FetchTooLarge),
    "never ends its headers": (says(b"HTTP/1.1 200 OK\r\n", after=headers_for_ever), FetchFailed),
    "has ten thousand headers": (says(OK + b"X-A: b\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n"), FetchFailed),
    "has one long header": (says(OK + b"X-A: " + b"b" * 1_000_000 + b"\r\n\r\n"), FetchFailed),
    "has a long status": (says(b"HTTP/1.1 200 " + b"O" * 1_000_000 + b"\r\n\r\n"), FetchFailed),
    "speaks no HTTP": (says(b"SSH-2.0-OpenSSH_9.6\r\n"), FetchFailed),
    "tells a wrong length": (says(OK + b"Content-Length: 100\r\n\r\nshort"), FetchFailed),
    "tells no length at all": (says(OK + b"Content-Length: many\r\n\r\nx"), FetchFailed),
    "tells a negative length": (says(OK + b"Content-Length: -1\r\n\r\nx"), FetchFailed),
    "tells two lengths": (says(OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"), FetchFailed),
    "breaks a chunk off": (says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), FetchFailed),
    "has a chunk of no length": (says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab"), FetchFailed),
    "resets in the middle": (says(OK + b"Content-Length: 100\r\n\r\nabc", after=reset), FetchFailed),
    "resets at once": (says(after=reset), FetchFailed),
    "packs nonsense": (says(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), FetchFailed),
    "packs twice": (says(OK + b"Content-Encoding: gzip, br\r\nContent-Length: 3\r\n\r\nabc"), FetchFailed),
    "packs in another way": (says(OK + b"Content-Encoding: zstd\r\nContent-Length: 3\r\n\r\nabc"), FetchFailed),
    "ends in a packed middle": (
        says(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 100)[:-9]),
        FetchFailed,
    ),
    "packs in layers": (says(OK + b"Content-Encoding: gzip, gzip\r\nContent-Length: 3\r\n\r\nabc"), FetchFailed),
    "is a bomb of gzip": (packed("gzip"), FetchTooLarge),
    "is a bomb of deflate": (packed("deflate"), FetchTooLarge),
    "is a bomb of brotli": (packed("br"), FetchTooLarge),
    "says one byte a chunk": (says(OK + CHUNKED, after=bits_for_ever), FetchTimeout),
    "never ends a chunk's length": (says(OK + CHUNKED, after=for_ever(b"0" * 1000)), FetchTimeout),
    "never ends a chunk's remark": (says(OK + CHUNKED + b"5;", after=for_ever(b"a" * 1000)), FetchTimeout),
    "never ends its trailers": (says(OK + CHUNKED + b"0\r\n", after=for_ever(b"X: y\r\n" * 100)), FetchFailed),
    "asks to continue for ever": (says(after=for_ever(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)), FetchTimeout),
    "gives hints for ever": (says(after=for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")), FetchTimeout),
    "is of before HTTP had a status": (says(b"<html>old</html>"), FetchFailed),
    "tells a length and chunks": (says(OK + b"Content-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n"), FetchFailed),
    "has a header without a name": (says(OK + b": x\r\nContent-Length: 0\r\n\r\n"), FetchFailed),
    "has a NUL in a header": (says(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), FetchFailed),
    "redirects slowly": (redirects_slowly, FetchTimeout),
    "says nothing to TLS": (greets(after=hang), FetchTimeout),
    "drips to TLS": (greets(b"\x16\x03\x03\x3f\xff", after=drip), FetchTimeout),
    "answers TLS with HTTP": (greets(OK + b"Content-Length: 0\r\n\r\n"), FetchFailed),
    "pours into TLS": (greets(after=pour), FetchFailed),
    "resets TLS": (greets(after=reset), FetchFailed),
    "breaks TLS off": (greets(b"\x16\x03\x03\x00\x10"), FetchFailed),
    "redirects to itself": (says(b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), FetchRefused),
}


def scheme_of(name: str) -> str:
    return "https" if "TLS" in name else "http"


@dataclass(frozen=True)
class Cost:
    """The outcome of one fetch."""

    ended: str
    """The error's name; "" for none."""
    seconds: float
    peak_kb: int
    """Peak memory above the level before the fetch."""
    left_open: int
    """Open files and sockets left over."""
    left_running: int
    """Tasks."""


async def cost(name: str, limits: FetchLimits = LIMITS) -> Cost:
    """Fetch from one of the servers in this process, and measure."""
    serve, _ = HOSTILE[name]
    gc.collect()
    files, tasks, before = _files(), asyncio.all_tasks(), _memory_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    began, ended = time.monotonic(), ""
    try:
        await fetched(serve, limits=limits, scheme=scheme_of(name))
    except FetchError as error:
        is_hidden = error.reason and str(error) == str(FetchFailed(""))  # it reveals nothing to the person
        ended = type(error).__name__ if is_hidden else repr(error)
    seconds, peak_kb = time.monotonic() - began, _memory_kb("VmHWM") - before
    await asyncio.sleep(0.05)  # a transport closes in the loop's next turn
    return Cost(ended, seconds, peak_kb, _files() - files, len(asyncio.all_tasks() - tasks))


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _memory_kb(what: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{what}:")[2].split()[0])


async def costs() -> dict[str, Cost]:
    """Measure every server, and last a bomb with a limit that is too high, to show the effect."""
    for encoding in ("gzip", "deflate", "br"):
        bomb(encoding)
    await cost("speaks no HTTP")
    await cost("resets TLS")  # what is loaded once is loaded
    found = {name: await cost(name) for name in HOSTILE}
    far = FetchLimits(total_s=60, body_bytes=2 * BOMB_BYTES)
    return {**found, "a bomb that goes off": await cost("is a bomb of gzip", far)}


if __name__ == "__main__":
    json.dump({name: asdict(one) for name, one in asyncio.run(costs()).items()}, sys.stdout)
