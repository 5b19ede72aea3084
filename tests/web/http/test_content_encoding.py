"""Content decoding gives the same body in whatever pieces it arrives."""

from __future__ import annotations

import gzip
import itertools
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import FetchFailed
from knowledge.web.http.content_encoding import ContentDecoder


def unpacked(encoding: str, body: bytes, cuts: list[int]) -> bytes:
    unpacker = ContentDecoder(encoding, 1_000_000)
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    parts = [body[start:end] for start, end in itertools.pairwise(places)]
    found = b"".join(piece for part in parts for piece in unpacker.decode(part))
    unpacker.finish()
    return found


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_several_members_are_one_body(members: list[bytes], cuts: list[int]) -> None:
    body = b"".join(gzip.compress(member) for member in members)
    assert unpacked("gzip", body, cuts) == b"".join(members)
    assert unpacked("gzip", body, list(range(len(body)))) == b"".join(members)


@given(st.binary(min_size=1, max_size=400), st.lists(st.integers(0, 400), max_size=8), st.binary(max_size=4))
def test_bytes_after_a_body_are_ignored(data: bytes, cuts: list[int], rest: bytes) -> None:
    if not rest.startswith(b"\x1f\x8b"):
        assert unpacked("gzip", gzip.compress(data) + rest, cuts) == data
    assert unpacked("deflate", zlib.compress(data) + rest, cuts) == data
    assert unpacked("br", brotli.compress(data), cuts) == data


def test_a_truncated_member_is_reported() -> None:
    body = gzip.compress(b"first") + gzip.compress(b"second")
    with pytest.raises(FetchFailed, match="cannot be read"):
        unpacked("gzip", body[:-3], [])


def test_a_million_empty_members_are_refused() -> None:
    with pytest.raises(FetchFailed) as caught:
        unpacked("gzip", gzip.compress(b"") * 100_000, list(range(0, 2_000_000, 65_536)))
    assert "too many parts" in caught.value.reason
