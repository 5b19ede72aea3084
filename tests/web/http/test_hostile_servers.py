"""Hostile servers: each fetch ends within its limit with one of Kvasir's errors, and memory stays flat."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge import errors
from knowledge.errors import FetchFailed, FetchTooLarge, FetchTypeNotAllowed
from knowledge.web.http.content_encoding import ContentDecoder
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import FetchLimits, WebSettings
from tests.web.http.hostile_servers import HOSTILE, LIMITS, OK, drip, fetched, pour, says
from tests.web.http.proxy_servers import raw_server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
FLAT_KB = 24_000
"""Twice the memory of a body at the limit, packed and unpacked, and of a server in the same process."""


@cache
def measured() -> Mapping[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.web.http.hostile_servers"],
        check=False, capture_output=True, cwd=ROOT, timeout=200, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


async def test_each_ends_with_its_error_and_flat_memory_and_leaves_nothing_open() -> None:
    found = await asyncio.to_thread(measured)
    assert {*HOSTILE} < {*found}
    for name, one in found.items():
        if name in HOSTILE:
            assert issubclass(getattr(errors, one["ended"]), HOSTILE[name][1]), name
            assert one["peak_kb"] < FLAT_KB, name
        assert (one["left_open"], one["left_running"]) == (0, 0), name
    assert found["a bomb that goes off"]["ended"] == ""
    assert found["a bomb that goes off"]["peak_kb"] > 4 * FLAT_KB, "the measured memory must be able to grow"


async def test_bytes_after_a_body_do_not_answer_the_next_request() -> None:
    evil = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nevil"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + b"Content-Length: 4\r\n\r\nfine" + evil)
            await writer.drain()

    async with raw_server(serve) as place:
        fetcher = Fetcher(WebSettings(limits=LIMITS), build_rules([place]))
        for number in range(5):
            with contextlib.suppress(FetchFailed):  # a connection with something left over is broken off
                assert (await fetcher.fetch(f"http://{place}/{number}")).data == b"fine"
        await fetcher.close()


async def test_a_body_of_another_type_is_not_read() -> None:
    serve = says(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", after=pour)
    with pytest.raises(FetchTypeNotAllowed):
        await fetched(serve, FetchOptions(accept=frozenset({"text/html"})))


async def test_a_header_of_any_bytes_becomes_storable_text() -> None:
    fetched_ = await fetched(says(OK + b'ETag: "\xff\xfe"\r\nContent-Length: 1\r\n\r\nx'))
    assert fetched_.headers["etag"].encode("utf-8")


async def test_the_body_of_an_error_is_not_read() -> None:
    assert (await fetched(says(b"HTTP/1.1 500 No\r\n\r\n", after=pour))).data == b""


async def test_a_cancelled_fetch_leaves_nothing_open() -> None:
    tasks = asyncio.all_tasks()
    fetch = asyncio.create_task(fetched(says(OK + b"\r\n", after=drip), limits=FetchLimits()))
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
def test_an_encoded_body_is_decoded_in_any_pieces(encoding: str, data: bytes, times: int, cuts: list[int]) -> None:
    whole = data * times
    packed = PACKERS[encoding](whole)
    edges = sorted({0, len(packed), *(cut for cut in cuts if cut < len(packed))})
    unpacker = ContentDecoder(encoding, len(whole))
    parts = [packed[start:end] for start, end in pairwise(edges)]
    assert b"".join(piece for part in parts for piece in unpacker.decode(part)) == whole
    unpacker.finish()


@given(st.sampled_from(["gzip", "deflate", "br"]), st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(encoding: str, data: bytes) -> None:
    unpacker = ContentDecoder(encoding, 10_000)
    try:
        list(unpacker.decode(data))
        unpacker.finish()
    except (FetchFailed, FetchTooLarge):
        pass
