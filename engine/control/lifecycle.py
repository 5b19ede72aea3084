"""The engine's lifecycle as a table of states and events."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.interfaces import EngineState


class LifecycleEvent(StrEnum):
    """What can happen to an engine."""

    INSTALL = "install"
    DOWNLOAD = "download"
    LAUNCH = "launch"
    READY = "ready"
    UNRESPONSIVE = "unresponsive"
    CRASH = "crash"
    RESTART = "restart"
    GIVE_UP = "give up"
    STOP = "stop"
    END = "end"


class IllegalTransition(RuntimeError):
    """An event is not allowed in the current state: a bug in Kvasir, not a failure of the engine."""


_S, _E = EngineState, LifecycleEvent
_RUNNING = (_S.STARTING, _S.READY, _S.DEGRADED)

TRANSITIONS: Mapping[tuple[EngineState, LifecycleEvent], EngineState] = {
    **{(state, _E.INSTALL): _S.INSTALLING for state in (_S.ABSENT, _S.FAILED)},
    **{(state, _E.DOWNLOAD): _S.DOWNLOADING for state in (_S.ABSENT, _S.INSTALLING, _S.STARTING, _S.FAILED)},
    **{(state, _E.LAUNCH): _S.STARTING for state in (_S.ABSENT, _S.INSTALLING, _S.DOWNLOADING, _S.FAILED)},
    **{(state, _E.READY): _S.READY for state in (_S.STARTING, _S.DEGRADED)},
    (_S.READY, _E.UNRESPONSIVE): _S.DEGRADED,
    **{(state, event): _S.STARTING for state in _RUNNING for event in (_E.CRASH, _E.RESTART)},
    **{(state, _E.GIVE_UP): _S.FAILED for state in (*_RUNNING, _S.ABSENT, _S.INSTALLING, _S.DOWNLOADING)},
    **{(state, _E.STOP): _S.STOPPING for state in EngineState if state is not _S.STOPPING},
    (_S.STOPPING, _E.END): _S.ABSENT,
}


def next_state(state: EngineState, event: LifecycleEvent) -> EngineState:
    """Return the state that follows an event.

    Raises:
        IllegalTransition: the event is not allowed in this state.

    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"the event {event.value!r} is not allowed in the state {state.value!r}") from None
