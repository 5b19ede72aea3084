"""Property tests: no typed or streamed text is lost or stays unescaped."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.limits import RateLimiter, Tier
from bot.sandbox.state import text
from bot.sandbox.state.demo import BOT, PEOPLE, first_channels
from bot.sandbox.state.model import (
    KINDS,
    Envelope,
    SlackChannel,
    SlackMessage,
    SlackPerson,
    dump_record,
    load_record,
    name_kind,
)
from bot.sandbox.state.streams import add_chunks, join_text, read_chunks

PARTS = st.text(alphabet="ab <>&@#:/.你好`*\n", max_size=40)


@given(PARTS)
def test_typed_text_stays_readable(typed: str) -> None:
    """Only tokens keep their angle brackets, and the rich_text block has the text."""
    encoded = text.encode_typed_text(typed, (*PEOPLE, BOT), first_channels(0))
    bare = text._TOKEN.sub("", encoded)
    assert "<" not in bare
    assert ">" not in bare
    elements = text.build_rich_text(encoded)["elements"][0]["elements"]
    if all(element["type"] == "text" for element in elements):
        assert "".join(element["text"] for element in elements) == typed


@given(st.lists(PARTS, max_size=12), st.booleans())
def test_a_stream_loses_no_text(parts: list[str], plan: bool) -> None:  # noqa: FBT001 - drawn, not passed
    """The text is the same for all cuts into chunks and all places of tasks."""
    blocks: list[dict[str, Any]] = []
    for n, part in enumerate(parts):
        task = {"type": "task_update", "id": str(n % 2), "title": "t", "status": "pending"}
        blocks = add_chunks(blocks, read_chunks(part or None, [task] if n % 3 == 0 else None), plan=plan)
    assert join_text(blocks).replace("\n", "") == "".join(parts).replace("\n", "")
    tasks = [block for block in blocks if block["type"] == "task_card"]
    assert len({block["task_id"] for block in tasks}) == len(tasks)
    if plan and parts:
        assert blocks[0]["type"] == "plan"


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=60))
def test_no_window_holds_more_calls_than_its_tier(pauses: list[float]) -> None:
    """At most so many calls pass in any 60 s, and waiting for Retry-After is enough."""
    now = 1000.0
    limiter = RateLimiter(lambda: now, "exact")
    passed: list[float] = []
    for pause in pauses:
        now += pause
        wait_s = limiter.count_call("m", Tier(5), "")
        if wait_s is not None:
            now += wait_s
            assert limiter.count_call("m", Tier(5), "") is None
        passed.append(now)
        assert sum(moment > now - 60 for moment in passed) <= 5


def test_records_come_back_as_they_were() -> None:
    """Each kind of record is the same after it was stored."""
    records = [
        PEOPLE[2],
        SlackMessage("C1", "1.000001", "U1", "你好", blocks=[{"type": "divider"}], reactions={"eyes": ["U1"]}),
        Envelope("e", "events_api", {"a": 1}, 1.5),
    ]
    assert isinstance(records[0], SlackPerson)
    assert [load_record(name_kind(record), dump_record(record)) for record in records] == records
    assert KINDS["channel"] is SlackChannel


async def test_time_can_be_advanced() -> None:
    """A wait ends when the time is advanced past its end, and not before."""
    clock = SandboxClock(lambda: 100.0)
    clock.advance(50)
    assert clock.now() == 150
    await clock.sleep_until(150)
