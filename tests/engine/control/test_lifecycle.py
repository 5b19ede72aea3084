"""The lifecycle table, and the status board that follows it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.control.lifecycle import TRANSITIONS, IllegalTransition, LifecycleEvent, next_state
from engine.control.status import StatusBoard
from engine.interfaces import EngineState, EngineStatus
from engine.notes import NoteCode


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(EngineState)
    assert {state for state, _ in TRANSITIONS} == set(EngineState)


def test_every_event_has_a_transition() -> None:
    assert {event for _, event in TRANSITIONS} == set(LifecycleEvent)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (EngineState.ABSENT, LifecycleEvent.READY),
        (EngineState.READY, LifecycleEvent.INSTALL),
        (EngineState.FAILED, LifecycleEvent.READY),
        (EngineState.STOPPING, LifecycleEvent.STOP),
        (EngineState.STOPPING, LifecycleEvent.LAUNCH),
        (EngineState.ABSENT, LifecycleEvent.END),
    ],
)
def test_illegal_transition_raises(state: EngineState, event: LifecycleEvent) -> None:
    with pytest.raises(IllegalTransition, match=event.value):
        next_state(state, event)


@given(st.lists(st.sampled_from(LifecycleEvent)))
def test_any_events_follow_the_table_or_raise(events: list[LifecycleEvent]) -> None:
    """From every state, stopping is possible and ends in ABSENT."""
    state = EngineState.ABSENT
    for event in events:
        try:
            state = next_state(state, event)
        except IllegalTransition:
            assert (state, event) not in TRANSITIONS
    stopping = state if state is EngineState.STOPPING else next_state(state, LifecycleEvent.STOP)
    assert next_state(stopping, LifecycleEvent.END) is EngineState.ABSENT


async def test_watcher_sees_the_current_and_the_last_status() -> None:
    """A slow reader skips intermediate statuses, and two readers are independent."""
    published: list[EngineStatus] = []
    board = StatusBoard(published.append)
    async with aclosing(board.watch_status()) as first, aclosing(board.watch_status()) as second:
        assert (await anext(first)).state is EngineState.ABSENT
        board.apply_event(LifecycleEvent.LAUNCH, NoteCode.LOADING_WEIGHTS.fill())
        board.show_progress(NoteCode.WARMING_UP.fill(), progress=0.9)
        board.show_progress(NoteCode.WARMING_UP.fill(), progress=0.9)  # no change
        assert (
            await anext(first)
            == await anext(second)
            == EngineStatus(EngineState.STARTING, 0.9, (NoteCode.WARMING_UP.fill(),))
        )
        waiting = asyncio.ensure_future(anext(first))
        await asyncio.sleep(0)
        assert not waiting.done()
        board.apply_event(LifecycleEvent.READY)
        assert (await waiting).state is EngineState.READY
    assert [status.state for status in published] == [EngineState.STARTING, EngineState.STARTING, EngineState.READY]
