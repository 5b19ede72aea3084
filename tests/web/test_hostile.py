"""Servers that mean harm: each fetch ends within its limit, with one of our errors, and memory stays flat."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import Awaitable, Callable
from itertools import pairwise

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import FetchError, FetchFailed, FetchRefused, FetchTimeout, FetchTooLarge, FetchUnlisted
from knowledge.web.fetch import Ask, Fetched, Fetcher
from knowledge.web.guard import rules
from knowledge.web.settings import Limits, WebSettings
from knowledge.web.unpacking import Unpacker
from tests.web.proxying import raw_server

LIMITS = Limits(total_s=0.6, idle_s=0.3, wire_bytes=2_000_000, body_bytes=4_000_000)
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


async def fetched(serve: Serve, ask: Ask | None = None, limits: Limits = LIMITS) -> Fetched:
    async with raw_server(serve) as place:
        fetcher = Fetcher(WebSettings(limits=limits), rules([place]))
        try:
            return await fetcher.fetch(f"http://{place}/", ask or Ask())
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


async def headers_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"X-More: and more\r\n" * 1000)
        await writer.drain()


def bomb(encoding: str) -> bytes:
    if encoding == "br":
        packer = brotli.Compressor(quality=5)
        parts = [packer.process(bytes(1_000_000)) for _ in range(BOMB_BYTES // 1_000_000)]
        return b"".join([*parts, packer.finish()])
    deflate = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    return b"".join([*(deflate.compress(bytes(1_000_000)) for _ in range(BOMB_BYTES // 1_000_000)), deflate.flush()])


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
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
    "redirects to itself": (says(b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), FetchRefused),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_it_ends_within_its_limit(name: str) -> None:
    serve, kind = HOSTILE[name]
    async with asyncio.timeout(10):
        with pytest.raises(kind) as caught:
            await fetched(serve)
    assert str(caught.value) == str(FetchFailed("")), "whoever asked learns nothing from how it failed"
    assert caught.value.reason


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_bomb_ends_at_the_limit_with_flat_memory(encoding: str) -> None:
    data = bomb(encoding)
    assert len(data) < LIMITS.wire_bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    head = OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    with pytest.raises(FetchTooLarge, match="cannot be read"):
        await fetched(says(head, data), limits=Limits(total_s=20, body_bytes=4_000_000))
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 40_000


async def test_a_body_of_another_type_is_not_read() -> None:
    serve = says(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", after=pour)
    with pytest.raises(FetchUnlisted):
        await fetched(serve, Ask(accept=frozenset({"text/html"})))


async def test_a_header_of_any_bytes_is_a_text_that_can_be_kept() -> None:
    fetched_ = await fetched(says(OK + b'ETag: "\xff\xfe"\r\nContent-Length: 1\r\n\r\nx'))
    assert fetched_.headers["etag"].encode("utf-8")


async def test_the_body_of_an_error_is_not_read() -> None:
    assert (await fetched(says(b"HTTP/1.1 500 No\r\n\r\n", after=pour))).data == b""


async def test_a_fetch_that_is_cancelled_leaves_nothing_open() -> None:
    tasks = asyncio.all_tasks()
    fetch = asyncio.create_task(fetched(says(OK + b"\r\n", after=drip), limits=Limits()))
    await asyncio.sleep(0.1)
    fetch.cancel()
    await asyncio.gather(fetch, return_exceptions=True)
    assert asyncio.all_tasks() == tasks


# ── Unpacking ────────────────────────────────────────────────────────────────────────────────────────────────────────

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: gzip.compress(data) + gzip.compress(b""),
    "deflate": zlib.compress,
    "DEFLATE": lambda data: zlib.compress(data)[2:-4],
    "br": brotli.compress,
    "identity": bytes,
}


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=2000), st.integers(1, 400), st.lists(st.integers(0, 2000)))
@settings(deadline=None)
def test_what_is_packed_comes_out_however_it_is_cut(encoding: str, data: bytes, times: int, cuts: list[int]) -> None:
    whole = data * times
    packed = PACKERS[encoding](whole)
    edges = sorted({0, len(packed), *(cut for cut in cuts if cut < len(packed))})
    unpacker = Unpacker(encoding, len(whole))
    parts = [packed[start:end] for start, end in pairwise(edges)]
    assert b"".join(piece for part in parts for piece in unpacker.feed(part)) == whole
    unpacker.end()


@given(st.sampled_from(["gzip", "deflate", "br"]), st.binary(max_size=200))
def test_any_bytes_unpack_or_are_refused(encoding: str, data: bytes) -> None:
    unpacker = Unpacker(encoding, 10_000)
    try:
        list(unpacker.feed(data))
        unpacker.end()
    except (FetchFailed, FetchTooLarge):
        pass
