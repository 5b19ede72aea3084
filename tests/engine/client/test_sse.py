"""The decoder of server-sent events gives the same events for any chunks."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.client.sse import EventTooLong, SseDecoder

_texts = st.text(
    alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u2028\u2029\x85\x0c\r\n"))
)


def _decode(data: bytes, cuts: list[int]) -> list[str]:
    decoder = SseDecoder()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    events = [event for a, b in pairwise(places) for event in decoder.decode(data[a:b])]
    return events + decoder.flush()


@given(
    st.lists(_texts, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 10_000), max_size=20)
)
def test_any_chunks_agree(texts: list[str], line_end: str, cuts: list[int]) -> None:
    """With all kinds of line ends inside the JSON, and cuts inside a character."""
    payloads = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    data = "".join(f"data: {payload}{line_end}{line_end}" for payload in payloads).encode()
    assert _decode(data, cuts) == payloads
    assert [json.loads(payload)["text"] for payload in _decode(data, cuts)] == texts


def test_fields_and_comments() -> None:
    """Comments and other fields are ignored, data lines are joined, one space after the colon is removed."""
    data = b": ping\nevent: x\nid: 7\ndata:one\ndata:  two\n\ndata\n\nretry: 1\n\n"
    assert _decode(data, [3, 9, 20]) == ["one\n two", ""]


def test_unfinished_event_is_flushed() -> None:
    assert _decode(b"data: last", []) == ["last"]


@pytest.mark.parametrize("data", [b"data: " + b"x" * 200, b"data: xxxxxxxxx\n" * 20, b"x" * 200])
def test_lines_and_events_are_limited(data: bytes) -> None:
    """A line and an event have a maximum length."""
    decoder = SseDecoder(max_bytes=100)
    with pytest.raises(EventTooLong):
        _ = [decoder.decode(data[at : at + 1]) for at in range(len(data))]
