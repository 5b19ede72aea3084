"""The table of the engine's life, and the board that moves through it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.control.lifecycle import TRANSITIONS, Event, IllegalTransition, after
from engine.control.status import StatusBoard
from engine.interfaces import State, Status


def test_every_state_is_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State)


def test_every_event_leads_somewhere() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.ABSENT, Event.CAME_UP),
        (State.READY, Event.INSTALL),
        (State.FAILED, Event.CAME_UP),
        (State.STOPPING, Event.STOP),
        (State.STOPPING, Event.LAUNCH),
        (State.ABSENT, Event.STOPPED),
    ],
)
def test_what_cannot_be_raises(state: State, event: Event) -> None:
    with pytest.raises(IllegalTransition, match=event.value):
        after(state, event)


@given(st.lists(st.sampled_from(Event)))
def test_any_events_lead_along_the_table_or_raise(events: list[Event]) -> None:
    """From anywhere that events lead, stopping is possible and ends in absence."""
    state = State.ABSENT
    for event in events:
        try:
            state = after(state, event)
        except IllegalTransition:
            assert (state, event) not in TRANSITIONS
    stopping = state if state is State.STOPPING else after(state, Event.STOP)
    assert after(stopping, Event.STOPPED) is State.ABSENT


async def test_a_watcher_sees_the_state_now_and_the_last_change() -> None:
    """A slow reader skips what was overtaken, and two readers do not take from each other."""
    published: list[Status] = []
    board = StatusBoard(published.append)
    async with aclosing(board.watch()) as first, aclosing(board.watch()) as second:
        assert (await anext(first)).state is State.ABSENT
        board.move(Event.LAUNCH, "loading")
        board.note("warming up", progress=0.9)
        board.note("warming up", progress=0.9)  # no change
        assert await anext(first) == await anext(second) == Status(State.STARTING, 0.9, "warming up")
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0)
        assert not waiting.done()
        board.move(Event.CAME_UP)
        assert (await waiting).state is State.READY
    assert [status.state for status in published] == [State.STARTING, State.STARTING, State.READY]
