"""The engine's life as a table: which event leads from which state to which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from engine.interfaces import EngineState


class LifecycleEvent(StrEnum):
    """What happens to an engine."""

    INSTALL = "install"
    DOWNLOAD = "download"
    LAUNCH = "launch"
    READY = "came up"
    UNRESPONSIVE = "went silent"
    CRASH = "died"
    RESTART = "is restarted"
    GIVE_UP = "gave up"
    STOP = "stop"
    END = "stopped"


class IllegalTransition(RuntimeError):
    """An event came in a state where it cannot come: a fault in the program, not in the engine."""


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
    """Return the state that follows.

    Raises:
        IllegalTransition: the table has no such step.

    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"the engine cannot see {event.value!r} while it is {state.value!r}") from None
